// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a device of hawkBit's come through an action? `agents::ddi::converse` talks; the strict
//! server of `tests/ddi` answers, without a socket; these hands do what is left.

use crate::device::Device;
use crate::meter::Request;
use crate::random::Random;
use crate::server::{Fate, HAWKBIT, Link, Servers, Which};
use crate::time::until;
use crate::turn::Turn;
use agents::ddi::{
    ActionId, AttributeMode, Context, DdiAnswer, DdiMethod, DdiRequest, DdiState, Deployment,
    Effect, Event, Exchange, InstallEnd, Judged, Keeper, NoAnswer, Stage, boot_outcome, converse,
};
use agents::{Asked, Decision, Keep, Looked, Memory, Rule};
use bootctl::{Command, SlotId};
use ddi::book::{Book, Place, TOKEN, answer};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

/// A request and its answer on a connection that stands.
const ROUND_TRIP: Duration = Duration::from_millis(150);

/// The way to the server, for one talk.
struct Wire<'w> {
    ends: RefCell<Ends<'w>>,
    number: u32,
    name: &'w str,
}

struct Ends<'w> {
    servers: &'w mut Servers,
    link: &'w Link,
    random: &'w mut Random,
    at: Duration,
    has_failed: bool,
}

impl Exchange for Wire<'_> {
    fn send(&self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer> {
        let mut ends = self.ends.borrow_mut();
        let Ends { servers, link, random, at, has_failed } = &mut *ends;
        let what = match request.method {
            DdiMethod::Get => Request::Question,
            DdiMethod::Post | DdiMethod::Put => Request::Word,
        };
        let fate = servers.request((Which::Hawkbit, what), *at, (*link, *random));
        *at += ROUND_TRIP;
        let none = |reason: &str| NoAnswer { reason: reason.to_owned() };
        if fate == Fate::Lost {
            *has_failed = true;
            return Err(none("no connection"));
        }
        let (method, body) = match request.method {
            DdiMethod::Get => ("GET", Vec::new()),
            DdiMethod::Post => ("POST", request.body.clone().unwrap_or_default()),
            DdiMethod::Put => ("PUT", request.body.clone().unwrap_or_default()),
        };
        let asked = ddi::book::Request {
            method: method.to_owned(),
            path: request.url.strip_prefix(HAWKBIT).unwrap_or_default().to_owned(),
            token: Some(format!("TargetToken {TOKEN}")),
            is_json: request.body.is_some(),
            body,
        };
        let book: &mut Book = servers.books.entry(self.number).or_default();
        let (status, body) = answer(book, Place { server: HAWKBIT, device: self.name }, &asked);
        servers.send(Which::Hawkbit, body.len() as u64);
        if fate == Fate::AnswerLost {
            *has_failed = true;
            return Err(none("the connection broke"));
        }
        Ok(DdiAnswer { status, retry_after: None, body })
    }
}

/// The device's record keeps the course.
struct Kept<'k>(&'k mut Memory);

impl Keeper for Kept<'_> {
    type Error = Infallible;

    fn keep(&mut self, state: &DdiState) -> Result<(), Infallible> {
        self.0.action = state.record().ok().flatten();
        Ok(())
    }
}

/// What was decided about an action.
type Decided = (Decision, Option<Looked>, ActionId);

/// What a talk left.
struct Talked {
    effects: Vec<Effect>,
    has_failed: bool,
}

impl Turn<'_> {
    fn talk(&mut self, event: Event) -> Talked {
        let clock = self.device.clock(self.now);
        let Device { hawkbit, memory, link, random, number, name, .. } = &mut *self.device;
        let Some(hawkbit) = hawkbit else {
            return Talked { effects: Vec::new(), has_failed: true };
        };
        let attributes: BTreeMap<String, String> = BTreeMap::new();
        let context = Context {
            server: &hawkbit.server,
            attributes: &attributes,
            mode: AttributeMode::Merge,
            details: &[],
            clock,
            keep: Keep::Nothing,
        };
        let ends = Ends { servers: self.servers, link, random, at: self.now, has_failed: false };
        let wire = Wire { ends: RefCell::new(ends), number: *number, name };
        let talked = converse(&mut hawkbit.state, event, &context, (&wire, &mut Kept(memory)));
        let ends = wire.ends.into_inner();
        self.now = ends.at;
        let effects = match talked {
            Ok(effects) => effects,
            Err(never) => match never {},
        };
        Talked { effects, has_failed: ends.has_failed }
    }

    /// Lets something happen to the course, does what is wanted, and tells how long a pause follows.
    fn hawkbit_happens(&mut self, event: Event) -> Option<Asked> {
        let mut events = VecDeque::from([event]);
        let mut pause = None;
        let mut decided = None;
        while let Some(event) = events.pop_front() {
            let Talked { effects, has_failed } = self.talk(event);
            for effect in effects {
                match effect {
                    Effect::Offer(found, _) => {
                        let (judged, decision) = self.offered(&found);
                        events.extend(judged);
                        decided = decision;
                    }
                    Effect::Stop(id, _) => {
                        if self.device.job.take().is_some() {
                            events.push_back(Event::Installed(id, InstallEnd::Stopped));
                        }
                    }
                    Effect::Withdraw(id, _) => {
                        events.push_back(Event::Withdrawn(id, self.withdraw()));
                    }
                    Effect::Reboot(..) => {
                        self.restart_if_due();
                    }
                    Effect::Sleep(wait) => {
                        pause = Some(if has_failed {
                            Asked::Failed { retry_after: Some(wait) }
                        } else {
                            Asked::Answered { sleep: Some(wait) }
                        });
                    }
                    // Nobody asks for a yes here, and nobody reads a log.
                    Effect::Confirm(_) | Effect::Send(_) | Effect::Tell(_) | Effect::Reported => {}
                }
            }
        }
        // The server has heard of it before it is done.
        if let Some((decision, looked, id)) = decided {
            self.follow(decision, looked, Some(id));
        }
        pause
    }

    /// The running slot boots next again.
    fn withdraw(&mut self) -> Result<(), String> {
        let slot = self.device.board.booted.ok_or("it runs from no slot")?;
        let command = Command::MarkActive { slot };
        self.device.board.command(&command).map_err(|refused| refused.to_string())?;
        self.device.memory.install = None;
        Ok(())
    }

    /// Time to ask.
    pub fn hawkbit_polls(&mut self) {
        self.device.memory.failures = 0;
        let now = self.device.clock(self.now).now;
        let waiting = self.device.hawkbit.as_ref().and_then(|one| one.state.action.as_ref());
        let waiting = waiting.filter(|action| action.stage == Stage::Waiting).map(|one| one.id);
        if let Some(id) = waiting
            && self.device.waits_until.is_none_or(|then| then <= now)
        {
            self.device.waits_until = None;
            self.hawkbit_happens(Event::Again(id));
        }
        let asked = self.hawkbit_happens(Event::Poll);
        if self.device.is_on {
            let wait = self.wait_found();
            self.sleep(asked.unwrap_or(Asked::Answered { sleep: None }), wait);
        }
    }

    /// A wait that the last judgement found.
    fn wait_found(&self) -> Option<Duration> {
        self.device.waits_until.map(|then| until(self.device.clock(self.now).now, then))
    }

    /// The offer of an action is judged.
    fn offered(&mut self, found: &Deployment) -> (Vec<Event>, Option<Decided>) {
        let id = found.id;
        let (judgement, looked) = self.judge(&found.offer());
        let mut events = Vec::new();
        let Some(judgement) = judgement else {
            self.device.is_unanswered();
            let waits = Judged::Wait("it cannot be looked at".to_owned());
            return (vec![Event::Judged(id, waits)], None);
        };
        if let Some(looked) = &looked {
            events.push(Event::Looked(id, looked.manifest, looked.size));
        }
        let words = |why: Rule| judgement.because().map_or(why.word(), |one| &one.words).to_owned();
        let judged = match &judgement.decision {
            Decision::Install { .. } => Judged::Install,
            Decision::Wait { until, why } => {
                self.device.waits_until = Some(*until);
                Judged::Wait(words(*why))
            }
            Decision::Refuse { why } => Judged::Refuse(words(*why)),
            Decision::UpToDate if self.device.board.is_good() => Judged::Running,
            Decision::UpToDate => match self.device.board.booted {
                Some(slot) => Judged::OnTrial(slot),
                None => Judged::Wait("nothing runs from a slot".to_owned()),
            },
            Decision::Reboot { into } => Judged::RebootDue(*into),
            Decision::LeaveTrial { .. } | Decision::Nothing | Decision::Look => {
                Judged::Wait("later".to_owned())
            }
        };
        events.push(Event::Judged(id, judged));
        // The course asks for a restart itself.
        let is_ours = !matches!(judgement.decision, Decision::Reboot { .. });
        (events, is_ours.then_some((judgement.decision, looked, id)))
    }

    /// The device has started.
    pub fn hawkbit_started(&mut self) {
        let kept = DdiState::from_record(self.device.memory.action.as_ref()).unwrap_or_default();
        if let Some(hawkbit) = &mut self.device.hawkbit {
            hawkbit.state = kept;
        }
        self.hawkbit_happens(Event::Started);
        self.hawkbit_booted();
    }

    /// What became of what was installed.
    pub fn hawkbit_booted(&mut self) {
        let facts = self.device.facts(self.now);
        let action = self.device.hawkbit.as_ref().and_then(|one| one.state.action.as_ref());
        let Some(outcome) = action.map(|action| boot_outcome(action, &facts, None)) else { return };
        self.hawkbit_happens(Event::Booted(outcome));
    }

    fn under_way(&self) -> Option<ActionId> {
        self.device.job.as_ref().and_then(|job| job.action)
    }

    /// So much of it is written.
    pub fn hawkbit_progress(&mut self, percent: u8) {
        if let Some(id) = self.under_way() {
            self.hawkbit_happens(Event::Progress(id, percent));
        }
    }

    /// It broke off for longer.
    pub fn hawkbit_stopped(&mut self, id: ActionId) {
        let why = "the connection broke".to_owned();
        self.hawkbit_happens(Event::Installed(id, InstallEnd::Interrupted(why)));
    }

    /// It is written.
    pub fn hawkbit_written(&mut self, id: ActionId, slot: SlotId) {
        self.hawkbit_happens(Event::Installed(id, InstallEnd::Done(slot)));
    }
}
