// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does a polling agent do what? The loop, and one round of it for a person who asks.
//!
//! A wake has one of two reasons: the server is to be asked, or a restart, a report or a verdict is
//! looked after, for which nobody is asked. The loop may end anywhere, as if the power went: what
//! counts is remembered before what follows from it, so there is nothing to do at its end.

use super::course::{Acting, Course, Ending, RoundEnd};
use super::hands::{HandError, Hands, Stop, Watch};
use super::poll::{AskError, Offered, Server};
use super::refused::{Claimed, Taken};
use super::report::Reporter;
use crate::{
    AcceptedRelease, AgentFacts, Asked, DEFAULT_INTERVAL, Decision, Facts, Heard, Memory, Offer,
    Pace, Policy, PollSettings, Rule, SHORTEST_WAIT, wake_after,
};
use bootctl::{Force, SlotState};
use bundle::UnixTime;
use bundle::http::{CLOCK_HINT, ExchangeError, is_out_of_time};
use std::time::Duration;
use storage::chain;

/// How often it is looked whether the verifier has spoken, and for how long.
const VERDICT_AGAIN: Duration = Duration::from_secs(60);
const VERDICT_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// A restart that was asked for and has not come after this long is asked for again.
const RESTART_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// More failures in a row are not counted: no wait grows any more, and flash wears.
const MOST_FAILURES: u32 = 16;

/// How a question to the server ended.
#[derive(Debug)]
pub enum Polled {
    /// Without an answer that can be used.
    Unanswered(AskError),
    /// The device could not say or remember what was needed to go on.
    Failed(HandError),
    /// With one that offers nothing.
    Nothing,
    /// With an offer, of which this became.
    Took(RoundEnd),
}

impl Polled {
    /// What it is for the time of the next question. A place that a bundle lies at puts it off by one
    /// `interval` at most: the server may know of a better place by then.
    fn asked(&self, interval: Duration) -> Asked {
        match self {
            Self::Unanswered(why) => Asked::Failed { retry_after: why.retry_after() },
            Self::Failed(_) | Self::Nothing => Asked::Answered { sleep: None },
            Self::Took(end) => match &end.ending {
                Ending::Unreachable { retry_after, .. } => {
                    Asked::Failed { retry_after: retry_after.map(|said| said.min(interval)) }
                }
                // The server has answered: what the device could not do it tries at its next question.
                Ending::Failed(_)
                | Ending::Judged
                | Ending::Refused(_)
                | Ending::Installed(_)
                | Ending::Restarting { .. }
                | Ending::Stopped(_) => Asked::Answered { sleep: None },
            },
        }
    }

    /// How often in a row the server, or a place that it names, could not be had, this time
    /// included. What the device could not do itself says nothing of them.
    const fn count(&self, failures: u32) -> u32 {
        let missed = match self {
            Self::Failed(_) => return failures,
            Self::Unanswered(_) => true,
            Self::Took(end) => matches!(end.ending, Ending::Unreachable { .. }),
            Self::Nothing => false,
        };
        match failures {
            _ if !missed => 0,
            MOST_FAILURES.. => MOST_FAILURES,
            failures => failures + 1,
        }
    }

    /// Whether it ended because the program ends.
    fn is_stopped(&self) -> bool {
        let stopped =
            |why: &AskError| matches!(why, AskError::NoAnswer(ExchangeError::Stopped { .. }));
        match self {
            Self::Unanswered(why) => stopped(why),
            Self::Took(end) => matches!(end.ending, Ending::Stopped(_)),
            Self::Failed(_) | Self::Nothing => false,
        }
    }

    fn taken(&self) -> Taken {
        match self {
            Self::Unanswered(why) => Taken::of_answer(why),
            Self::Failed(_) => Taken::Unknown,
            Self::Nothing => Taken::Followed,
            Self::Took(end) => Taken::of_offer(&end.judgements, &end.ending),
        }
    }
}

/// One round, for a person or a timer.
#[derive(Debug)]
pub struct OnceEnd {
    /// What became of what was installed before.
    pub due: RoundEnd,
    /// What the server offered; it was not asked where the device restarts.
    pub polled: Option<Polled>,
    /// How long the next question waits, for who keeps the time between two rounds.
    pub next: Duration,
}

/// The owner's settings, as far as polling goes by them.
#[derive(Clone, Copy, Debug)]
pub struct PollTerms<'a> {
    /// What the owner allows.
    pub policy: &'a Policy,
    /// Whom the device asks, and how often.
    pub poll: &'a PollSettings,
}

/// Nobody stops an install of a polling agent but the service manager, to which the hands listen.
struct Unwatched;

impl Watch for Unwatched {
    fn written(&mut self, _percent: u8, _now: UnixTime) -> Option<Stop> {
        None
    }
}

/// Polls until the program has to end.
pub fn run(
    hands: &mut dyn Hands,
    server: &mut dyn Server,
    terms: PollTerms<'_>,
    memory: &mut Memory,
) -> Stop {
    let course = &mut Course::new(hands, memory, terms.policy);
    let mut polling = Polling::new(server, terms);
    let mut question = polling.first_question(course);
    loop {
        let soon = polling.look_after(course, &mut question);
        let wake = wake_after(question, soon);
        if let Some(Stop::Program) = course.hands().sleep(wake) {
            return Stop::Program;
        }
        question = question.saturating_sub(wake);
    }
}

/// Asks once and does what follows; a person may insist, or only want to know what would follow.
pub fn once(
    hands: &mut dyn Hands,
    server: &mut dyn Server,
    terms: PollTerms<'_>,
    memory: &mut Memory,
    (insist, acting): (Force, Acting),
) -> OnceEnd {
    // No start of the agent: the lot of its next question is another one each time.
    let round = u64::try_from(hands.now().0).unwrap_or(0);
    let course = &mut Course::new(hands, memory, terms.policy).asked(insist, acting);
    let mut polling = Polling { round, ..Polling::new(server, terms) };
    let due = course.due();
    let polled = match due.ending {
        Ending::Restarting { .. } => None,
        Ending::Judged
        | Ending::Unreachable { .. }
        | Ending::Refused(_)
        | Ending::Installed(_)
        | Ending::Stopped(_)
        | Ending::Failed(_) => Some(polling.poll(course)),
    };
    if acting == Acting::Act {
        polling.report(course);
    }
    let next = match &polled {
        Some(polled) => polling.plan(course, polled),
        None => RESTART_PATIENCE,
    };
    OnceEnd { due, polled, next }
}

/// A start of the agent.
struct Polling<'a> {
    server: &'a mut dyn Server,
    pace: Pace,
    reporter: Option<Reporter>,
    device: String,
    round: u64,
    /// The last question's time, where the clock was set, and offer.
    set_at: Option<UnixTime>,
    claimed: Claimed,
}

impl<'a> Polling<'a> {
    fn new(server: &'a mut dyn Server, terms: PollTerms<'_>) -> Self {
        let interval = terms.poll.interval.unwrap_or(DEFAULT_INTERVAL);
        Self {
            server,
            pace: Pace::of_owner(interval, terms.policy),
            reporter: terms.poll.report_url.clone().map(Reporter::to),
            device: String::new(),
            round: 0,
            set_at: None,
            claimed: Claimed::default(),
        }
    }

    /// Where the device cannot say its name, it asks early: what is wrong with it may be mended by
    /// an update.
    fn first_question(&mut self, course: &mut Course<'_>) -> Duration {
        if let Ok(facts) = course.facts() {
            self.device = facts.device_id;
        }
        self.pace.first(&self.device)
    }

    /// Everything that is due now. Comes back with how soon it is to be done again, where that is
    /// earlier than the next question.
    fn look_after(&mut self, course: &mut Course<'_>, question: &mut Duration) -> Option<Duration> {
        let due = course.due();
        let mut soon = due.again;
        let mut restarts = matches!(due.ending, Ending::Restarting { .. });
        if question.is_zero() && !restarts {
            let polled = self.poll(course);
            *question = self.plan(course, &polled);
            if let Polled::Took(end) = polled {
                restarts = matches!(end.ending, Ending::Restarting { .. });
                soon = shorter(soon, end.again);
            }
        }
        if restarts {
            *question = (*question).max(RESTART_PATIENCE);
            return Some(RESTART_PATIENCE);
        }
        shorter(soon, self.report(course))
    }

    /// When the next question is due, for people to see as well.
    fn plan(&self, course: &mut Course<'_>, polled: &Polled) -> Duration {
        let next = self.next_question(polled, course.memory());
        let secs = i64::try_from(next.as_secs()).unwrap_or(i64::MAX);
        let then = UnixTime(course.hands().now().0.saturating_add(secs));
        course.hear(|heard| heard.next = Some(then));
        next
    }

    /// What is waited for by an offer is asked for anew, since the server may have changed its mind.
    /// Whoever wants the device left running is no affair of the server's: that is looked after
    /// without it.
    fn next_question(&self, polled: &Polled, memory: &Memory) -> Duration {
        let next = self.pace.next(
            &self.device,
            self.round,
            memory.failures,
            polled.asked(self.pace.interval()),
        );
        let Polled::Took(RoundEnd { ending: Ending::Judged, again, judgements }) = polled else {
            return next;
        };
        match judgements.last().map(|judgement| &judgement.decision) {
            Some(Decision::Wait { why: Rule::Inhibitors, .. }) => next,
            // Refused earlier in this round.
            Some(Decision::Reboot { .. } | Decision::LeaveTrial { .. }) => next,
            Some(_) | None => wake_after(next, *again),
        }
    }

    /// Asks, takes what is offered, and counts how that went.
    fn poll(&mut self, course: &mut Course<'_>) -> Polled {
        self.round = self.round.saturating_add(1);
        let polled = self.ask(course);
        match &polled {
            Polled::Unanswered(why) => {
                course.hands().tell(&format!("{}; {}", chain(why), why.hint()));
            }
            Polled::Failed(failed) => course.hands().tell(&chain(failed)),
            Polled::Nothing => course.hands().tell("the update server offers nothing"),
            Polled::Took(_) => {}
        }
        if course.acting() == Acting::Act && !polled.is_stopped() {
            course.note(|memory| memory.failures = polled.count(memory.failures));
            let claimed = std::mem::take(&mut self.claimed);
            let now = course.hands().now();
            course.hear(|heard| hear(heard, &polled, claimed.version.as_deref(), now));
            course.note_taken(polled.taken(), claimed, self.set_at);
        }
        polled
    }

    fn ask(&mut self, course: &mut Course<'_>) -> Polled {
        let facts = match course.facts() {
            Ok(facts) => facts,
            Err(failed) => return Polled::Failed(failed),
        };
        self.device.clone_from(&facts.device_id);
        (self.set_at, self.claimed) =
            (facts.clock.is_set.then_some(facts.clock.now), Claimed::default());
        let offered = match self.server.ask(&facts, course.memory()) {
            Ok(offered) => offered,
            Err(why) => return Polled::Unanswered(why),
        };
        match remembered(course, offered, facts.up) {
            Ok(Some(offer)) => {
                self.claimed = Claimed::from(&offer);
                Polled::Took(course.take(&offer, &mut Unwatched))
            }
            Ok(None) => Polled::Nothing,
            Err(failed) => Polled::Failed(failed),
        }
    }

    /// Comes back with how soon it is to be looked again.
    fn report(&mut self, course: &mut Course<'_>) -> Option<Duration> {
        let facts = course.facts().ok()?;
        let agent = AgentFacts::of("poll", course.memory());
        let wait =
            self.reporter.as_mut().and_then(|reporter| reporter.report(course, &facts, &agent));
        shorter(wait, verdict_wait(&facts))
    }
}

/// What people are told of a question.
fn hear(heard: &mut Heard, polled: &Polled, version: Option<&str>, now: UnixTime) {
    heard.asked = Some(now);
    let answered = !matches!(polled, Polled::Failed(_) | Polled::Unanswered(AskError::NoAnswer(_)));
    if answered {
        heard.contact = Some(now);
    }
    let (came, decision, way_out) = match polled {
        Polled::Unanswered(why) => {
            let refused = matches!(polled.taken(), Taken::Refused { .. });
            let decision = refused.then(|| format!("refused: {}", chain(why)));
            (chain(why), decision, Some(why.hint()))
        }
        Polled::Failed(failed) => (chain(failed), None, None),
        Polled::Nothing => {
            let words = "nothing is offered";
            (words.to_owned(), Some(words.to_owned()), None)
        }
        Polled::Took(end) => {
            let judged = end.judgements.last();
            let words = match &end.ending {
                Ending::Unreachable { source, .. } => {
                    Some(format!("the bundle cannot be had: {}", chain(&**source)))
                }
                Ending::Refused(source) => Some(format!("refused: {}", chain(&**source))),
                Ending::Failed(failed) => Some(chain(failed)),
                Ending::Judged
                | Ending::Installed(_)
                | Ending::Restarting { .. }
                | Ending::Stopped(_) => judged.map(crate::Judgement::words),
            };
            let came = format!("version {} is offered", version.unwrap_or("of no name"));
            let way_out = match &end.ending {
                Ending::Unreachable { source, .. } if is_out_of_time(&chain(&**source)) => {
                    Some(CLOCK_HINT)
                }
                Ending::Unreachable { .. }
                | Ending::Refused(_)
                | Ending::Failed(_)
                | Ending::Judged
                | Ending::Installed(_)
                | Ending::Restarting { .. }
                | Ending::Stopped(_) => judged.and_then(crate::Judgement::way_out),
            };
            (came, words, way_out)
        }
    };
    (heard.came, heard.way_out) = (Some(came), way_out.map(str::to_owned));
    if decision.is_some() {
        heard.decision = decision;
    }
}

/// The offer of an answer. What a signed document proves counts from now on, before anything follows
/// from it; a dry run only judges it.
fn remembered(
    course: &mut Course<'_>,
    offered: Offered,
    up: Duration,
) -> Result<Option<Offer>, HandError> {
    match offered {
        Offered::Nothing => Ok(None),
        Offered::Claimed(offer) => Ok(Some(*offer)),
        Offered::Signed(accepted) => {
            let AcceptedRelease { offer, seen, floor } = *accepted;
            if course.acting() == Acting::Act {
                course.keep(|memory| {
                    memory.raise_floor(floor, up);
                    memory.saw(seen);
                })?;
            }
            Ok(Some(offer))
        }
    }
}

/// Until it is looked again whether the verifier has spoken.
fn verdict_wait(facts: &Facts) -> Option<Duration> {
    let running = facts.running()?;
    let waits = match running.state {
        SlotState::Trying | SlotState::Unknown => facts.up < VERDICT_PATIENCE,
        SlotState::Good | SlotState::Bad | SlotState::Empty | SlotState::Writing => false,
    };
    waits.then_some(VERDICT_AGAIN)
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    let shorter = one.into_iter().chain(other).min()?;
    Some(shorter.max(SHORTEST_WAIT))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
