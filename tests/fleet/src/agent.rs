// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a device ask, and what follows? The course of the polling agent: a question, the two
//! judgements, an install, and the moment of the next question, all by `agents`' own functions.

use crate::catalog::{PRODUCT, Version};
use crate::device::{Job, Told, Why};
use crate::meter::Request;
use crate::queue::Happening;
use crate::server::{Fate, Which};
use crate::time::until;
use crate::turn::{Mistake, Turn};
use agents::ddi::ActionId;
use agents::{
    Asked, Decision, Expected, InstallOrder, InstallRecord, InstallStage, Judgement, Looked, Offer,
    OriginalRequest, Urgency, View, judge_bundle, judge_offer, parse_original, wake_after,
};
use bootctl::{Command, Entry, Force};
use std::time::Duration;

/// How much of a bundle is read to look at it.
const LOOK_BYTES: u64 = 64 * 1024;

/// What an offer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next question comes, or this much sooner what is waited for.
    Sleep(Option<Duration>),
    /// The bundle could not be looked at.
    NoAnswer,
    /// It is installed, or the device restarts: the next question follows from that.
    Busy,
}

impl Turn<'_> {
    /// The agent wakes: what waits for a restart comes first, then the server is asked.
    pub fn wake(&mut self) {
        let is_busy = self.device.job.is_some() && self.device.told != Told::Hawkbit;
        if !self.device.is_on || is_busy || self.restart_if_due() {
            return;
        }
        self.device.round += 1;
        if self.device.told == Told::Hawkbit {
            return self.hawkbit_polls();
        }
        let question = match self.device.told {
            Told::Release => self.ask_for_release(),
            Told::Original | Told::Hawkbit => self.ask_originally(),
        };
        let then = match question {
            Ok(Some(offer)) => self.consider(&offer, None),
            Ok(None) => Then::Sleep(None),
            Err(Why::NoAnswer) => {
                self.device.is_unanswered();
                Then::NoAnswer
            }
            Err(why) => {
                self.device.why = why;
                Then::NoAnswer
            }
        };
        match then {
            Then::Sleep(wait) => self.sleep(Asked::Answered { sleep: None }, wait),
            Then::NoAnswer => self.sleep(Asked::Failed { retry_after: None }, None),
            Then::Busy => {}
        }
    }

    /// Plans the next wake.
    pub fn sleep(&mut self, asked: Asked, wait: Option<Duration>) {
        let device = &mut *self.device;
        device.memory.failures = match asked {
            Asked::Answered { .. } => 0,
            Asked::Failed { .. } => device.memory.failures.saturating_add(1),
        };
        let (round, failures) = (self.device.round, self.device.memory.failures);
        let next = self.device.pace.next(self.lot_name(), round, failures, asked);
        self.plan(wake_after(next, wait), Happening::Wake);
    }

    fn ask_for_release(&mut self) -> Result<Option<Offer>, Why> {
        if self.request(Which::Web, Request::Question) != Fate::Answered {
            return Err(Why::NoAnswer);
        }
        let document = self.servers.document(self.now, &mut self.device.random);
        let clock = self.device.clock(self.now);
        let release = document.open(&clock).map_err(|_| Why::NotBelieved)?;
        let up = self.device.up(self.now);
        let memory = &mut self.device.memory;
        let seen = memory.seen(PRODUCT).cloned();
        let known = seen.as_ref().map_or(0, |seen| seen.sequence);
        let forgets = self.rules.mistake == Mistake::ForgetsSequence;
        let accepted = release.accept(&Expected {
            product: PRODUCT,
            seen: seen.as_ref().filter(|_| !forgets),
            clock: &clock,
            origin: &self.servers.vendor.origin,
        });
        let Ok(accepted) = accepted else {
            self.device.story.replays_refused += 1;
            return Err(Why::NotBelieved);
        };
        self.device.story.sank += u32::from(accepted.seen.sequence < known);
        memory.saw(accepted.seen);
        memory.raise_floor(accepted.floor, up);
        Ok(Some(accepted.offer))
    }

    fn ask_originally(&mut self) -> Result<Option<Offer>, Why> {
        let running = self.device.board.running().map(Version::text);
        let origin = &self.servers.vendor.origin;
        let asked = OriginalRequest::new(origin, Some(&self.device.name), running);
        asked.map_err(|_| Why::NotAsked)?;
        if self.request(Which::Web, Request::Question) != Fate::Answered {
            return Err(Why::NoAnswer);
        }
        let body = self.servers.original();
        parse_original(&body, &self.servers.vendor.origin).map_err(|_| Why::NotBelieved)
    }

    /// Both judgements of an offer, and what they come to.
    pub fn consider(&mut self, offer: &Offer, action: Option<ActionId>) -> Then {
        let (judgement, looked) = self.judge(offer);
        let Some(judgement) = judgement else {
            self.device.is_unanswered();
            return Then::NoAnswer;
        };
        self.follow(judgement.decision, looked, action)
    }

    /// The judgement that counts, and what was looked at for it; no judgement where the bundle could
    /// not be looked at.
    pub fn judge(&mut self, offer: &Offer) -> (Option<Judgement>, Option<Looked>) {
        let facts = self.facts();
        let view = View { memory: &self.device.memory, insist: Force::No };
        let first = judge_offer(&facts, offer, &view, &self.device.policy);
        if first.decision != Decision::Look {
            return (Some(first), None);
        }
        let version = offer.urls.iter().find_map(|url| Version::at(url));
        let fate = self.request(self.device.server(), Request::Look);
        let (Some(version), Fate::Answered) = (version, fate) else { return (None, None) };
        self.servers.send(self.device.server(), LOOK_BYTES);
        let looked = version.looked(self.device.has_of(version));
        let facts = self.facts();
        let view = View { memory: &self.device.memory, insist: Force::No };
        let second = judge_bundle(&facts, offer, &looked, &view, &self.device.policy);
        (Some(second), Some(looked))
    }

    /// Does what was decided.
    pub fn follow(
        &mut self,
        decision: Decision,
        looked: Option<Looked>,
        action: Option<ActionId>,
    ) -> Then {
        let (why, then) = match decision {
            Decision::UpToDate | Decision::Nothing => (Why::Nothing, Then::Sleep(None)),
            Decision::Refuse { why } => (Why::Refused(why), Then::Sleep(None)),
            Decision::Wait { until: then, why } => {
                let wait = until(self.device.clock(self.now).now, then);
                (Why::Waits(why), Then::Sleep(Some(wait)))
            }
            Decision::Install { order } => return self.begin(order, looked, action),
            Decision::LeaveTrial { trial } => {
                let mark = Command::MarkBad { slot: trial, force: Force::No };
                if self.device.board.command(&mark).is_ok() {
                    self.restart();
                    return Then::Busy;
                }
                (Why::UnderWay, Then::Sleep(None))
            }
            Decision::Reboot { .. } => {
                self.restart();
                return Then::Busy;
            }
            // Only a first judgement says so, and it is followed by the second.
            Decision::Look => (Why::NoAnswer, Then::NoAnswer),
        };
        self.device.why = why;
        then
    }

    /// An install begins, or goes on.
    fn begin(
        &mut self,
        order: InstallOrder,
        looked: Option<Looked>,
        action: Option<ActionId>,
    ) -> Then {
        let Some(version) = Version::of(order.manifest.into()) else { return Then::NoAnswer };
        let device = &mut *self.device;
        // What bootctl refuses the agent should never have asked for: the device stays as it was.
        if device.board.command(&Command::BeginInstall { target: order.slot }).is_err() {
            device.why = Why::NotBelieved;
            return Then::Sleep(None);
        }
        let is_forced = order.urgency == Urgency::Forced;
        device.story.again += u32::from(device.story.hurt.contains(&version) && !is_forced);
        if order.resumes && device.has_of(version).get() > 0 {
            device.story.resumed += 1;
        } else {
            device.story.begun += 1;
            device.story.took = Some((version, self.now));
            device.have = None;
        }
        let (slot, from) = (order.slot, device.board.running().map(Version::id));
        let (text, bundle) = (version.text().to_owned(), version.id());
        device.board.note(Entry::InstallBegan { slot, version: text.clone(), bundle }, self.now);
        device.memory.install = Some(InstallRecord {
            manifest: order.manifest,
            version: Some(text),
            url: order.urls.first().cloned(),
            etag: None,
            slot,
            from,
            urgency: order.urgency,
            stage: InstallStage::Begun,
        });
        let left = looked.map_or(order.transfer, |looked| looked.transfer).get();
        let secs = left / device.link.rate.max(1) + 1;
        device.job = Some(Job { order, version, left, breaks: 0, action });
        device.why = Why::UnderWay;
        if self.device.random.happens(self.rules.cuts) {
            let when = self.device.random.between(Duration::ZERO, Duration::from_secs(secs));
            let dark =
                self.device.random.between(Duration::from_secs(5), Duration::from_secs(1800));
            self.plan(when, Happening::Cut(dark.as_secs()));
        }
        self.connect();
        Then::Busy
    }
}
