// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a device do when something happens to it? The hands of the agent, played: what they do
//! is modelled, what they are told to do is the real decision.

use crate::catalog::Version;
use crate::device::{Device, Told, Why};
use crate::meter::Request;
use crate::queue::{Happening, Queue};
use crate::server::{Fate, Servers, Which};
use agents::{Decision, Facts, View, judge_waiting};
use bootctl::{Force, HealthVerdict, SlotState};
use std::time::Duration;

/// A request and its answer.
const ROUND_TRIP: Duration = Duration::from_millis(150);
/// From the word to restart until Linux is up again.
const RESTART: (Duration, Duration) = (Duration::from_secs(25), Duration::from_secs(60));
/// Until a healthy system is judged.
const VERDICT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(180));
/// A system that panics, and one that comes up and is never healthy: the verifier's deadline.
const DEATHS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(15 * 60)];

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    None,
    /// Every device draws the same lot for its moments.
    OneLot,
    /// What failed here is forgotten.
    ForgetsFailures,
    /// The highest sequence is forgotten.
    ForgetsSequence,
    /// Every device draws the same lot in a rollout.
    OneRollout,
    /// What is published for a part is published for all.
    NoRollout,
    /// A release that was taken for sound fails as a bad one does.
    SoundFails,
    /// A transfer that broke off begins anew.
    FetchesAnew,
}

/// What holds for the whole fleet.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// See there.
    pub mistake: Mistake,
    /// Of a thousand installs, how many see the power go.
    pub cuts: u64,
}

/// Something happens to a device.
pub struct Turn<'t> {
    /// When. Requests take time.
    pub now: Duration,
    /// To whom.
    pub device: &'t mut Device,
    /// Whom it asks.
    pub servers: &'t mut Servers,
    /// What will happen.
    pub queue: &'t mut Queue,
    /// See there.
    pub rules: Rules,
}

impl Turn<'_> {
    /// It happens.
    pub fn take(&mut self, what: Happening) {
        match what {
            Happening::Wake => self.wake(),
            Happening::Piece => self.piece(),
            Happening::Cut(secs) => self.cut(Duration::from_secs(secs)),
            Happening::Boot => self.boot(),
            Happening::Verdict => self.verdict(),
            Happening::Dies => self.dies(),
            Happening::Report => self.report(),
        }
    }

    /// Plans something of this life.
    pub fn plan(&mut self, after: Duration, what: Happening) {
        let whom = (self.device.number, self.device.life);
        self.queue.plan(self.now + after, whom, what);
    }

    /// What is the case, with the mistake that is made on purpose.
    pub fn facts(&self) -> Facts {
        let mut facts = self.device.facts(self.now);
        match self.rules.mistake {
            Mistake::None
            | Mistake::ForgetsSequence
            | Mistake::OneLot
            | Mistake::NoRollout
            | Mistake::SoundFails
            | Mistake::FetchesAnew => {}
            Mistake::OneRollout => facts.device_id = "everybody".to_owned(),
            Mistake::ForgetsFailures => {
                facts.failed.clear();
                for slot in [&mut facts.a, &mut facts.b] {
                    slot.bundle = slot.bundle.filter(|_| slot.state != SlotState::Bad);
                }
            }
        }
        facts
    }

    /// The name that moments are drawn from.
    pub fn lot_name(&self) -> &str {
        if self.rules.mistake == Mistake::OneLot { "everybody" } else { &self.device.name }
    }

    /// Sends a request to a server.
    pub fn request(&mut self, which: Which, what: Request) -> Fate {
        let on_the_way = (&self.device.link, &mut self.device.random);
        let fate = self.servers.request((which, what), self.now, on_the_way);
        self.now += ROUND_TRIP;
        fate
    }

    /// Restarts into what waits in the other slot, if the owner's rules let it.
    pub fn restart_if_due(&mut self) -> bool {
        if self.device.memory.install.is_none() {
            // Nothing was installed that could wait: most wakes of a fleet.
            return false;
        }
        let facts = self.facts();
        let view = View { memory: &self.device.memory, insist: Force::No };
        let decision = judge_waiting(&facts, &view, &self.device.policy).decision;
        let is_due = matches!(decision, Decision::Reboot { .. });
        if is_due {
            self.restart();
        }
        is_due
    }

    /// The device goes down and comes up again.
    pub fn restart(&mut self) {
        self.go_down();
        let after = self.device.random.between(RESTART.0, RESTART.1);
        self.plan(after, Happening::Boot);
    }

    fn go_down(&mut self) {
        self.device.life += 1;
        self.device.is_on = false;
        self.device.job = None;
    }

    /// The power goes.
    pub fn cut(&mut self, dark: Duration) {
        self.go_down();
        self.device.story.cuts += 1;
        self.plan(dark, Happening::Boot);
    }

    /// The power of everybody goes: also of those that are just restarting.
    pub fn black_out(&mut self, dark: Duration) {
        self.go_down();
        self.plan(dark, Happening::Boot);
    }

    fn boot(&mut self) {
        let (now, device) = (self.now, &mut *self.device);
        // Only what was durable is left of the record.
        let kept = serde_json::to_vec(&device.memory).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        device.memory = kept.unwrap_or_default();
        let left = device.board.boot(now);
        device.story.hurt.extend(left);
        (device.is_on, device.started, device.before) = (true, now, Duration::ZERO);
        (device.round, device.tries) = (0, agents::ReportTries::default());
        let fails =
            if self.rules.mistake == Mistake::SoundFails { Version::Sound } else { Version::Bad };
        let runs_well = !(device.is_weak && device.board.running() == Some(fails));
        let happens = if runs_well {
            (device.random.between(VERDICT.0, VERDICT.1), Happening::Verdict)
        } else {
            let nth = usize::from(device.random.happens(500));
            (DEATHS.get(nth).copied().unwrap_or_default(), Happening::Dies)
        };
        self.plan(happens.0, happens.1);
        let first = self.device.pace.first(self.lot_name());
        self.plan(first, Happening::Wake);
        if self.device.told == Told::Hawkbit {
            self.hawkbit_started();
        }
        self.settle();
        self.report();
    }

    fn dies(&mut self) {
        // Only a system that lived to the verifier's deadline has a verdict; it changes no slot.
        let judged = self.device.up(self.now) >= DEATHS[1];
        if judged && self.device.board.judge(HealthVerdict::Unhealthy, self.now).is_err() {
            self.device.why = Why::NotBelieved;
        }
        self.restart();
    }

    fn verdict(&mut self) {
        let now = self.now;
        if self.device.board.judge(HealthVerdict::Healthy, now).is_err() {
            return;
        }
        let device = &mut *self.device;
        let running = device.board.running().filter(|_| device.board.is_good());
        if let Some(version) = running
            && device.story.good.is_none_or(|(known, _)| known != version)
        {
            device.story.good = Some((version, now));
        }
        if self.device.told == Told::Hawkbit {
            self.hawkbit_booted();
        }
        self.settle();
        self.report();
    }

    /// An install whose end was seen is no longer under way.
    fn settle(&mut self) {
        use agents::Outcome;
        let facts = self.device.facts(self.now);
        let outcome = self.device.memory.install.as_ref().map(|one| one.outcome(&facts));
        match outcome {
            Some(Outcome::Good | Outcome::FellBack | Outcome::Superseded) => {
                self.device.memory.install = None;
                self.device.why = Why::Nothing;
            }
            Some(Outcome::Unfinished | Outcome::AwaitsRestart | Outcome::OnTrial) | None => {}
        }
    }
}
