// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the agent goes by and what the fleet is told are one truth: `InstallRecord::outcome` reads the
//! slots, the report's last update reads the flight recorder first. Whatever happens to an update, and
//! whichever of its records are lost, both say the same.

use crate::report_support::{Device, booted, bundle, digest, install, marked, verdict};
use agents::{InstallRecord, InstallStage, Outcome, UpdateResult, Urgency};
use bootctl::{AttemptsLeft, Entry, Mark, Reason, SlotId, SlotState};
use proptest::prelude::*;

/// What may happen next to the update of slot A.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The install goes on: it begins, it ends.
    Write,
    /// It ends without success.
    Fail,
    /// The device is restarted, or the power fails.
    Restart,
    /// The verifier finds what runs healthy.
    Healthy,
    /// The verifier finds it unhealthy.
    Unhealthy,
}

/// A device that is given 3.0.0 in slot A, as bootctl, selector and verifier would have it.
struct World {
    device: Device,
    tries: u8,
    stage: Option<InstallStage>,
    /// A program writes the slot.
    is_open: bool,
}

impl World {
    fn new() -> Self {
        Self { device: Device::new(), tries: 0, stage: None, is_open: false }
    }

    fn step(&mut self, step: Step) {
        let runs_a = self.device.facts.booted == Some(SlotId::A);
        let state = self.device.facts.a.state;
        match (step, self.stage) {
            (Step::Write, None | Some(InstallStage::Begun))
                if !runs_a && !self.is_open && state != SlotState::Trying =>
            {
                self.is_open = true;
                self.stage = Some(InstallStage::Begun);
                self.fill(SlotState::Writing, None);
                self.device.record(install(SlotId::A, 3, "3.0.0")[0].clone());
            }
            (Step::Write, Some(InstallStage::Begun)) if self.is_open => {
                self.is_open = false;
                self.fill(SlotState::Trying, Some(3));
                (self.tries, self.device.facts.next) = (3, Some(SlotId::A));
                self.device.record(install(SlotId::A, 3, "3.0.0")[1].clone());
            }
            // The agent's own record follows.
            (Step::Write, Some(InstallStage::Begun)) if state == SlotState::Trying => {
                self.stage = Some(InstallStage::Written);
            }
            (Step::Fail, Some(InstallStage::Begun)) if self.is_open => {
                self.is_open = false;
                let cause = "no space".to_owned();
                self.device.record(Entry::InstallFailed { slot: SlotId::A, cause });
            }
            (Step::Restart, _) => self.restart(),
            (Step::Healthy, _) if runs_a && state == SlotState::Trying => {
                self.device.facts.a.state = SlotState::Good;
                self.device.record(verdict(SlotId::A, ""));
                self.device.record(marked(SlotId::A, Mark::Good));
            }
            (Step::Unhealthy, _) if runs_a && state == SlotState::Trying => {
                self.device.facts.a.state = SlotState::Bad;
                self.device.facts.next = Some(SlotId::B);
                self.device.facts.failed.push(bundle(3));
                self.device.record(verdict(SlotId::A, "marker is missing"));
                self.device.record(marked(SlotId::A, Mark::Bad));
            }
            (Step::Write | Step::Fail | Step::Healthy | Step::Unhealthy, _) => {}
        }
        let left = if self.tries == 0 { AttemptsLeft::ZERO } else { AttemptsLeft::DEFAULT };
        self.device.facts.a.attempts = left;
    }

    fn fill(&mut self, state: SlotState, with: Option<u8>) {
        let slot = &mut self.device.facts.a;
        (slot.state, slot.bundle) = (state, with.map(bundle));
        slot.version = with.map(|_| "3.0.0".to_owned());
    }

    fn restart(&mut self) {
        self.is_open = false;
        let facts = &mut self.device.facts;
        let was_a = facts.booted == Some(SlotId::A);
        let is_trial = facts.next == Some(SlotId::A) && facts.a.state == SlotState::Trying;
        if is_trial && self.tries > 0 {
            self.tries -= 1;
            facts.booted = Some(SlotId::A);
            return self.device.record(booted(SlotId::A, Reason::Trying));
        }
        if is_trial {
            // The selector has no tries left for it, and says nothing in the list.
            facts.next = Some(SlotId::B);
        }
        facts.booted = facts.next;
        if was_a && facts.booted == Some(SlotId::B) {
            let (from, to, cause) = (SlotId::A, SlotId::B, "it did not hold".to_owned());
            self.device.record(Entry::FellBack { from, to, cause });
        }
        let reason = Reason::Normal;
        self.device.record(booted(self.device.facts.booted.unwrap(), reason));
    }

    /// What the agent goes by.
    fn outcome(&self) -> Option<Outcome> {
        let record = InstallRecord {
            manifest: digest(3),
            version: Some("3.0.0".to_owned()),
            url: None,
            etag: None,
            slot: SlotId::A,
            from: Some(bundle(2)),
            urgency: Urgency::Ordinary,
            stage: self.stage?,
        };
        Some(record.outcome(&self.device.facts))
    }

    /// What the fleet is told without the records that were lost. That the install began is on record.
    fn told(&self, lost: &[bool]) -> UpdateResult {
        let mut device = self.device.clone();
        let mut losses = lost.iter().copied().cycle();
        let base = Device::new().history.len();
        let mut at = 0;
        device.history.retain(|record| {
            at += 1;
            at <= base
                || matches!(record.entry, Entry::InstallBegan { .. } | Entry::InstallFailed { .. })
                || !losses.next().unwrap()
        });
        device.report().last_update.unwrap().result
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Write),
        1 => Just(Step::Fail),
        3 => Just(Step::Restart),
        1 => Just(Step::Healthy),
        1 => Just(Step::Unhealthy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_agent_and_the_report_say_the_same_of_an_update(
        steps in prop::collection::vec(any_step(), 1..14),
        lost in prop::collection::vec(any::<bool>(), 1..6),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            let Some(outcome) = world.outcome() else { continue };
            for lost in [&[false][..], &[true], &lost] {
                let told = world.told(lost);
                let same = match outcome {
                    Outcome::Good => told == UpdateResult::Good,
                    Outcome::FellBack => told == UpdateResult::FellBack,
                    Outcome::AwaitsRestart | Outcome::OnTrial => told == UpdateResult::Pending,
                    Outcome::Unfinished => {
                        matches!(told, UpdateResult::Pending | UpdateResult::Failed)
                    }
                    Outcome::Superseded => false,
                };
                prop_assert!(same, "{outcome:?} and {told:?} after {step:?}");
            }
        }
    }
}
