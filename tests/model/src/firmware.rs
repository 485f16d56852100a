// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does one run of the firmware lead to? The selector's choice, its save with every cut in
//! it, and the kernel that starts only after that.

use crate::model::Model;
use crate::mutation::Mutation;
use crate::protocol::{Saves, Selected};
use crate::step::{Act, Boot, Kind, Outcome, Step};
use crate::world::{Copies, Health, Linux, Nature, Phase, Proof, Verdict, Wear, World};
use bootctl::{PerSlot, Reason, SlotId};

/// The ways in which a broken system fails.
const FAILURES: [Outcome; 4] = [
    Outcome::Dies,
    Outcome::Up(Health::Unhealthy),
    Outcome::Up(Health::Silent),
    Outcome::Up(Health::DeadEnd),
];

impl Model {
    /// The power is there.
    pub(crate) fn firmware(&mut self, world: &World, out: &mut Vec<Step>) {
        self.run_selector(world, Kind::Fair, Saves::Work, out);
        if let Some(left) = world.left.environment.checked_sub(1) {
            let mut unwritable = *world;
            unwritable.left.environment = left;
            self.run_selector(&unwritable, Kind::Fault, Saves::Fail, out);
        }
    }

    fn run_selector(&mut self, world: &World, kind: Kind, save: Saves, out: &mut Vec<Step>) {
        let loads = PerSlot { a: self.loads(world, SlotId::A), b: self.loads(world, SlotId::B) };
        let selected = self.protocol.select(world.copies.newest, loads, save);
        let mut boot = Boot {
            slot: selected.boots,
            reason: selected.reason,
            left: None,
            outcome: None,
            saved: selected.saves,
        };
        let mut saved = *world;
        if selected.saves {
            // Only what is changed can be cut: with the same bytes old and new are one.
            Self::cut_in(world, Act::Boot(boot), selected.state, out);
            saved.copies = Copies { newest: Some(selected.state), other: world.copies.newest };
        }
        let act = Act::Boot(boot);
        let Some(slot) = selected.boots else {
            let recovers = selected.reason == Reason::Recovery;
            let broken = if recovers { self.judge_recovery(world) } else { None };
            if recovers {
                saved.phase = Phase::Recovery;
            }
            out.push(Step { act, cut: None, kind, broken, world: saved });
            return;
        };
        boot.left = Some(self.protocol.state(selected.state).slot(slot).attempts);
        self.start(&saved, world, slot, &selected, boot, kind, out);
    }

    #[expect(clippy::too_many_arguments, reason = "one call, all of them named above it")]
    fn start(
        &self,
        saved: &World,
        unsaved: &World,
        slot: SlotId,
        selected: &Selected,
        boot: Boot,
        kind: Kind,
        out: &mut Vec<Step>,
    ) {
        let unawaited = self.protocol.mutation == Some(Mutation::SaveNotAwaited);
        let mut world = if unawaited { *unsaved } else { *saved };
        let content = world.slots.get_mut(slot);
        if content.proof == Proof::None && selected.reason != Reason::LastResort {
            content.starts = content.starts.saturating_add(1).min(15);
        }
        let broken = self.judge_start(&world, slot, selected);
        let content = *world.slots.get(slot);
        let sound = content.wear == Wear::Fresh
            && content.complete().is_some_and(|system| self.nature(system) == Nature::Sound);
        let healthy = [Outcome::Up(Health::Healthy)];
        let outcomes: &[Outcome] = if sound { &healthy } else { &FAILURES };
        for outcome in outcomes {
            let boot = Boot { outcome: Some(*outcome), ..boot };
            let after = World { phase: phase_of(slot, selected.reason, *outcome), ..world };
            out.push(Step { act: Act::Boot(boot), cut: None, kind, broken, world: after });
        }
        // Also a sound system can fail once.
        if let (true, Some(left)) = (sound, world.left.media.checked_sub(1)) {
            let boot = Boot { outcome: Some(Outcome::Dies), ..boot };
            let mut after = World { phase: Phase::Off, ..world };
            after.left.media = left;
            let kind = Kind::Fault;
            out.push(Step { act: Act::Boot(boot), cut: None, kind, broken, world: after });
        }
    }
}

const fn phase_of(slot: SlotId, reason: Reason, outcome: Outcome) -> Phase {
    // The two by which Linux decides something.
    let reason = match reason {
        Reason::LastResort | Reason::EnvUnwritable => reason,
        Reason::Normal
        | Reason::Trying
        | Reason::Fallback
        | Reason::EnvLost
        | Reason::LoadFailed
        | Reason::ForeignDisk
        | Reason::Recovery
        | Reason::AttemptsReset => Reason::Normal,
    };
    match outcome {
        Outcome::Dies => Phase::Off,
        Outcome::Up(health) => Phase::Linux(Linux {
            slot,
            reason,
            health,
            started: false,
            verdict: Verdict::Pending,
            install: None,
        }),
    }
}
