// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does an agent of hawkBit's do what? One round: look what became of the last update, ask,
//! take what is offered, restart. `ddi` says what is told and when; this gives it the hands.
//!
//! The state of the talk is durable before what follows from it, in the same record as the install.
//! The one exception is the time while a slot is written: what is told then is progress, and a cut
//! tells it again; no flash is worn for it.
//!
//! Waits have one rule: the server, or the pause after a failure, says how long at least, and
//! [`Pace`] bounds it and spreads it over the fleet. Nobody asks more often than
//! [`crate::SHORTEST_WAIT`], but for a second question at once where the first one ended a step of
//! the talk.

mod offered;
mod preview;
mod run;
mod told;
mod watch;

pub use preview::{HawkbitPreview, preview_hawkbit};
pub use run::{hawkbit_once, run_hawkbit};

use super::course::{Course, Ending};
use super::hands::{HandError, Stop};
use crate::ddi::{
    Action, ActionId, AttributeMode, BootOutcome, Consent, Context, DdiState, DdiTrouble, Effect,
    Event, Exchange, InstallEnd, Keeper, Server, Stage, boot_outcome, converse,
};
use crate::{Asked, Clock, Facts, Judgement, Memory, Outcome, Pace, Policy, Rule, wake_after};
use bootctl::{Force, SlotId};
use bundle::UnixTime;
use offered::Held;
use std::collections::VecDeque;
use std::time::Duration;
use storage::chain;
use told::Told;

/// Most questions of one round.
const MOST_POLLS: usize = 3;
/// A description that waits for the server's word is asked for again after this long, also where the
/// server tells of no change.
const DESCRIBED_AGAIN_SECS: i64 = 60 * 60;

/// The owner's settings, as far as hawkBit goes by them.
#[derive(Debug)]
pub struct HawkbitTerms<'a, E> {
    /// What the owner allows.
    pub policy: &'a Policy,
    /// Where the device's place is.
    pub server: &'a Server,
    /// Who sends.
    pub exchange: &'a E,
    /// Who answers an action that wants a yes first; the device itself where it is nobody else.
    pub operator: Option<&'a dyn OperatorsWord>,
}

/// The word of somebody at the device on an action that wants one.
pub trait OperatorsWord: std::fmt::Debug {
    /// It, or that it is still to come.
    fn on(&self, action: ActionId) -> Consent;
}

impl<E> Clone for HawkbitTerms<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for HawkbitTerms<'_, E> {}

/// How a round ended.
#[derive(Debug)]
pub enum HawkbitEnding {
    /// All that can be done is done.
    Rests,
    /// The restart was asked for.
    Restarting {
        /// Into this slot.
        into: SlotId,
    },
    /// Somebody wanted it to end.
    Stopped(Stop),
    /// A hand could not do its part.
    Failed(HandError),
}

/// A round that is over.
#[derive(Debug)]
pub struct HawkbitEnd {
    /// What was judged, in order.
    pub judgements: Vec<Judgement>,
    /// How it ended.
    pub ending: HawkbitEnding,
    /// How far the offer came, where that was not to a judgement.
    pub took: Option<Ending>,
    /// Why the server could not be asked, or what it has not be used.
    pub trouble: Option<DdiTrouble>,
    /// How often in a row the server could not be asked.
    pub failures: u32,
    /// Until the next question.
    pub wait: Duration,
}

/// Whether the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Server,
    /// Only looked whether something became of an update.
    Nobody,
}

/// A start of the agent.
struct Hawkbit<'a, E> {
    course: Course<'a>,
    terms: HawkbitTerms<'a, E>,
    insist: Force,
    state: DdiState,
    is_started: bool,
    told: Told,
    clock: Clock,
    device: String,
    round: u64,
    turn: Turn,
    /// How long the talk wants to rest, and whether it failed.
    rest: Option<(Duration, bool)>,
    /// What the action waits for comes then, as far as the device knows.
    again: Option<UnixTime>,
    /// When the action was found waiting for the server, or `again` was settled.
    waits_since: Option<UnixTime>,
    /// Nothing is fetched of this action before: it could not be, for this reason.
    held: Option<Held>,
    /// How often in a row the bundle could not be fetched.
    tries: u32,
    /// The last reason to wait: the same one has the same words, so that it is told once.
    reason: Option<(ActionId, Rule, String)>,
    /// The operator was told of it.
    asked_operator: Option<ActionId>,
}

/// What belongs to one round.
#[derive(Default)]
struct Turn {
    judgements: Vec<Judgement>,
    took: Option<Ending>,
    restarting: Option<SlotId>,
    stopped: Option<Stop>,
    asks_again: bool,
    has_tried_restart: bool,
}

impl Turn {
    const fn is_over(&self) -> bool {
        self.restarting.is_some() || self.stopped.is_some()
    }
}

/// The talk is kept in the agent's record.
struct Kept<'k, 'a>(&'k mut Course<'a>);

impl Keeper for Kept<'_, '_> {
    type Error = HandError;

    fn keep(&mut self, state: &DdiState) -> Result<(), HandError> {
        let (record, failures) = (recorded(state)?, state.failures());
        self.0.keep(|memory| (memory.action, memory.failures) = (record, failures))
    }
}

fn recorded(state: &DdiState) -> Result<Option<crate::ActionRecord>, HandError> {
    state.record().map_err(|source| HandError {
        doing: "write down the talk with hawkBit".to_owned(),
        source: Box::new(source),
    })
}

impl<'a, E: Exchange> Hawkbit<'a, E> {
    fn new(course: Course<'a>, terms: HawkbitTerms<'a, E>, insist: Force) -> Self {
        let mut course = course.asked(insist, super::course::Acting::Act);
        let state = DdiState::from_record(course.memory().action.as_ref()).unwrap_or_else(|odd| {
            let words = format!("the talk with hawkBit begins anew: {}", chain(&odd));
            course.hands().tell(&words);
            DdiState::default()
        });
        Self {
            course,
            terms,
            insist,
            state,
            is_started: false,
            told: Told::default(),
            clock: Clock { now: UnixTime(0), floor: None, is_set: false },
            device: String::new(),
            round: 0,
            turn: Turn::default(),
            rest: None,
            again: None,
            waits_since: None,
            held: None,
            tries: 0,
            reason: None,
            asked_operator: None,
        }
    }

    /// One round.
    fn round(&mut self, asks: Asks) -> HawkbitEnd {
        self.turn = Turn::default();
        if asks == Asks::Server {
            (self.rest, self.round) = (None, self.round.saturating_add(1));
        }
        let failed = self.try_round(asks).err();
        let turn = std::mem::take(&mut self.turn);
        let ending = match (turn.stopped, turn.restarting, failed) {
            (Some(by), ..) => HawkbitEnding::Stopped(by),
            (None, Some(into), _) => HawkbitEnding::Restarting { into },
            (None, None, Some(failed)) => {
                self.tell(&chain(&failed));
                HawkbitEnding::Failed(failed)
            }
            (None, None, None) => HawkbitEnding::Rests,
        };
        let failures = self.state.failures();
        // Of a round in which nobody was asked nothing is to be said.
        let trouble = self.state.trouble().filter(|_| asks == Asks::Server).cloned();
        let wait = self.wait();
        if asks == Asks::Server {
            self.heard(trouble.as_ref(), wait);
        }
        HawkbitEnd { judgements: turn.judgements, ending, took: turn.took, trouble, failures, wait }
    }

    /// What people are told of a question.
    fn heard(&mut self, trouble: Option<&DdiTrouble>, wait: Duration) {
        let now = self.course.hands().now();
        let secs = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        let words = trouble.map(|trouble| (chain(trouble), trouble.hint().to_owned()));
        self.course.hear(|heard| {
            heard.asked = Some(now);
            heard.next = Some(UnixTime(now.0.saturating_add(secs)));
            if let Some((came, way_out)) = words {
                (heard.came, heard.way_out) = (Some(came), Some(way_out));
            }
        });
    }

    fn try_round(&mut self, asks: Asks) -> Result<(), HandError> {
        let facts = self.look()?;
        // One that was left in the middle by a hand that failed begins anew as well.
        let is_torn = matches!(self.stage(), Some(Stage::Offered | Stage::Installing));
        if !self.is_started || is_torn {
            self.start(&facts)?;
        }
        self.tell_news()?;
        self.booted(&facts)?;
        if asks == Asks::Server {
            self.describe_again()?;
            for _ in 0..MOST_POLLS {
                self.turn.asks_again = false;
                self.happen(Event::Poll)?;
                if self.turn.is_over() || !self.turn.asks_again {
                    break;
                }
            }
        }
        self.restart_due()
    }

    /// What the device is, and says of itself.
    fn look(&mut self) -> Result<Facts, HandError> {
        let facts = self.course.facts()?;
        self.clock = facts.clock;
        self.device.clone_from(&facts.device_id);
        self.told.refresh(&mut self.course, &facts);
        Ok(facts)
    }

    /// The agent begins. An install that ended unseen, because the power went behind it, has ended:
    /// the slot says so.
    fn start(&mut self, facts: &Facts) -> Result<(), HandError> {
        let install = self.course.memory().install.as_ref();
        let ended = self.state.action.as_ref().zip(install).filter(|(action, install)| {
            let is_torn = matches!(action.stage, Stage::Offered | Stage::Installing);
            is_torn && action.manifest == Some(install.manifest) && {
                let outcome = install.outcome(facts);
                matches!(outcome, Outcome::AwaitsRestart | Outcome::OnTrial | Outcome::Good)
            }
        });
        let ended = ended.map(|(action, install)| (action.id, install.slot));
        if let Some((id, slot)) = ended {
            let mut effects = self.event(Event::Installed(id, InstallEnd::Done(slot)))?;
            effects.retain(|effect| !matches!(effect, Effect::Reboot(..)));
            self.obey(effects)?;
        }
        self.happen(Event::Started)?;
        self.is_started = true;
        if let (Some(Stage::Waiting), Some(id)) = (self.stage(), self.id()) {
            self.happen(Event::Again(id))?;
        }
        Ok(())
    }

    fn tell_news(&mut self) -> Result<(), HandError> {
        if self.course.memory().report.pending.is_some() {
            self.happen(Event::News)?;
        }
        Ok(())
    }

    /// What became of the update. That it still waits for its restart is left to the end of the
    /// round: the server may have taken it back meanwhile.
    fn booted(&mut self, facts: &Facts) -> Result<(), HandError> {
        let why = self.told.why();
        let outcome = self.state.action.as_ref().map(|action| boot_outcome(action, facts, why));
        match outcome {
            None | Some(BootOutcome::NotYet) => Ok(()),
            Some(outcome) => {
                if outcome == BootOutcome::Good {
                    // Before the next offer is judged in the same round.
                    self.course.note(Memory::proved);
                }
                self.happen(Event::Booted(outcome))
            }
        }
    }

    /// What an action waits for may have come.
    fn describe_again(&mut self) -> Result<(), HandError> {
        let (Some(Stage::Waiting), Some(id)) = (self.stage(), self.id()) else {
            (self.again, self.waits_since) = (None, None);
            return Ok(());
        };
        let now = self.clock.now;
        let since = *self.waits_since.get_or_insert(now);
        let at_last = UnixTime(since.0.saturating_add(DESCRIBED_AGAIN_SECS));
        // A clock that was turned back does not hold it for longer.
        let is_due = self.again.unwrap_or(at_last) <= now || since > now;
        if is_due {
            (self.again, self.waits_since) = (None, None);
            self.happen(Event::Again(id))?;
        }
        Ok(())
    }

    /// Restarts, where that is due: for the server's action, or for what somebody else installed.
    fn restart_due(&mut self) -> Result<(), HandError> {
        if self.turn.is_over() || self.turn.has_tried_restart {
            return Ok(());
        }
        if let Some(Stage::Installed(_)) = self.stage() {
            let facts = self.course.facts()?;
            let why = self.told.why();
            let outcome = self.state.action.as_ref().map(|one| boot_outcome(one, &facts, why));
            if let Some(outcome) = outcome {
                self.happen(Event::Booted(outcome))?;
            }
            return Ok(());
        }
        let end = self.course.due();
        self.take_restart(&end.ending);
        self.wait_for(end.again);
        Ok(())
    }

    fn take_restart(&mut self, ending: &Ending) {
        self.turn.has_tried_restart = true;
        match ending {
            Ending::Restarting { into } => self.turn.restarting = Some(*into),
            Ending::Stopped(by) => self.turn.stopped = Some(*by),
            Ending::Judged
            | Ending::Unreachable { .. }
            | Ending::Refused(_)
            | Ending::Installed(_)
            | Ending::Failed(_) => {}
        }
    }

    fn wait_for(&mut self, again: Option<Duration>) {
        let Some(again) = again else { return };
        let secs = i64::try_from(again.as_secs()).unwrap_or(i64::MAX);
        let then = UnixTime(self.clock.now.0.saturating_add(secs));
        self.again_at(self.again.map_or(then, |known| known.min(then)));
    }

    /// It counts from now on: whether the clock is turned back behind this is seen by that.
    fn again_at(&mut self, then: UnixTime) {
        (self.again, self.waits_since) = (Some(then), Some(self.clock.now));
    }

    fn stage(&self) -> Option<Stage> {
        self.state.action.as_ref().map(|action| action.stage)
    }

    fn id(&self) -> Option<ActionId> {
        self.state.action.as_ref().map(|action| action.id)
    }

    /// Whether an action is still to be done.
    fn is_wanted(&self, id: ActionId) -> bool {
        let wanted = |action: &Action| action.id == id && action.wish.is_none();
        self.state.action.as_ref().is_some_and(wanted)
    }

    fn tell(&mut self, words: &str) {
        self.course.hands().tell(words);
    }

    /// Until the next question.
    fn wait(&self) -> Duration {
        let pace = Pace::new(self.state.sleep(), self.terms.policy);
        let failures = self.state.failures().max(1);
        let (failures, asked) = match self.rest {
            Some((sleep, false)) => (0, Asked::Answered { sleep: Some(sleep) }),
            Some((pause, true)) => (failures, Asked::Failed { retry_after: Some(pause) }),
            None => (failures, Asked::Failed { retry_after: None }),
        };
        let question = pace.next(&self.device, self.round, failures, asked);
        let again = self.again.map(|then| {
            let secs = then.0.saturating_sub(self.clock.now.0);
            Duration::from_secs(u64::try_from(secs).unwrap_or(0))
        });
        wake_after(question, again)
    }

    /// Something happens, and what follows from it is done.
    fn happen(&mut self, event: Event) -> Result<(), HandError> {
        let effects = self.event(event)?;
        self.obey(effects)
    }

    /// Something happens; the server is talked to until the hands are wanted.
    fn event(&mut self, event: Event) -> Result<Vec<Effect>, HandError> {
        self.clock.now = self.course.hands().now();
        let context = Context {
            server: self.terms.server,
            attributes: &self.told.attributes,
            // An operator's own attributes stay beside the device's.
            mode: AttributeMode::Merge,
            details: &self.told.details,
            clock: self.clock,
            keep: self.terms.policy.keep,
        };
        let mut keeper = Kept(&mut self.course);
        converse(&mut self.state, event, &context, (self.terms.exchange, &mut keeper))
    }

    fn obey(&mut self, effects: Vec<Effect>) -> Result<(), HandError> {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let more = match effect {
                Effect::Offer(found, permission) => self.offered(&found, permission)?,
                Effect::Confirm(found) => self.asked_for_consent(&found)?,
                Effect::Withdraw(id, slot) => self.withdraw(id, slot)?,
                Effect::Reboot(id, slot) => self.restart(id, slot)?,
                Effect::Reported => {
                    self.told.arrived(&mut self.course);
                    Vec::new()
                }
                Effect::Sleep(span) => {
                    self.rested(span);
                    Vec::new()
                }
                // Nothing is judged or written here beside the effects of one round.
                Effect::Stop(_, why) => {
                    self.tell(&why);
                    Vec::new()
                }
                Effect::Tell(words) => {
                    self.tell(&words);
                    Vec::new()
                }
                // `converse` has sent it.
                Effect::Send(_) => Vec::new(),
            };
            queue.extend(more);
        }
        Ok(())
    }

    fn rested(&mut self, span: Duration) {
        let has_failed = self.state.failures() > 0;
        self.rest = Some((span, has_failed));
        if !has_failed {
            let came = match self.id() {
                Some(id) => format!("action {id}"),
                None => "nothing is offered".to_owned(),
            };
            let now = self.clock.now;
            self.course.hear(|heard| (heard.contact, heard.came) = (Some(now), Some(came)));
        }
    }
}
