// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can come next, in a given world? The actors in turn: firmware, Linux with verifier, agent
//! and installer, technician, faults. And the one way by which all of them change the environment.

use crate::mutation::Mutation;
use crate::protocol::{ModelError, Protocol};
use crate::step::{Act, Cut, Kind, Step};
use crate::world::{
    Content, Copies, EnvId, Faults, Image, Linux, Nature, Natures, Phase, Seal, SnapshotId, System,
    SystemSet, World,
};
use bootctl::{LateFallback, PerSlot, SlotId};

/// Whether the running system carries the boot loader's defaults, from which Linux can begin a
/// lost environment anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    /// It does.
    Carried,
    /// It does not: only the firmware makes a new environment.
    Absent,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What the bundles are.
    pub natures: Natures,
    /// How much may go wrong.
    pub faults: Faults,
    /// `prevent-late-fallback` of the configuration.
    pub late_fallback: LateFallback,
    /// The defaults.
    pub defaults: Defaults,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
}

/// The world's laws in one scenario.
pub struct Model {
    pub(crate) protocol: Protocol,
    pub(crate) natures: Natures,
    pub(crate) faults: Faults,
    pub(crate) defaults: Defaults,
}

/// A change of the environment, and the memory of it.
#[derive(Clone, Copy)]
pub(crate) struct Commit {
    pub act: Act,
    pub kind: Kind,
    pub new: EnvId,
    pub memory: Option<SnapshotId>,
}

impl Model {
    /// # Errors
    /// [`ModelError`].
    pub fn new(scenario: &Scenario) -> Result<Self, ModelError> {
        let Scenario { natures, faults, late_fallback, defaults, mutation } = *scenario;
        let protocol = Protocol::new(late_fallback, mutation)?;
        Ok(Self { protocol, natures, faults, defaults })
    }

    /// A freshly flashed board after its first boot, switched off.
    pub fn flashed(&mut self) -> World {
        let (newest, recorder) = self.protocol.flashed();
        World {
            copies: Copies { newest: Some(newest), other: None },
            recorder,
            slots: PerSlot { a: Content::FLASHED, b: Content::BLANK },
            phase: Phase::Off,
            left: self.faults,
            condemned: SystemSet::default(),
        }
    }

    /// The boot states met so far.
    #[must_use]
    pub fn boot_states(&self) -> usize {
        self.protocol.envs.len()
    }

    /// Everything that can come next.
    pub fn steps(&mut self, world: &World, out: &mut Vec<Step>) {
        match world.phase {
            Phase::Off => {
                self.firmware(world, out);
                self.damage(world, out);
            }
            Phase::Recovery => self.rescue(world, out),
            Phase::Linux(linux) => {
                self.linux(world, linux, out);
                self.damage(world, out);
            }
        }
        for step in out.iter_mut() {
            self.settle(&mut step.world);
            if step.broken.is_none() {
                step.broken = self.judge_world(&step.world);
            }
        }
    }

    /// Forgets what nothing can ask for any more, so that equal futures are equal worlds.
    fn settle(&mut self, world: &mut World) {
        if world.left.environment == 0 {
            world.copies.other = None;
        }
        let known = self.protocol.known_failed(world.copies.newest);
        for system in System::bundles().filter(|system| known.has(*system)) {
            world.condemned = world.condemned.with(system);
        }
    }

    /// The nature of a system.
    pub(crate) fn nature(&self, system: System) -> Nature {
        match usize::from(system.0).checked_sub(1) {
            Some(bundle) => self.natures.get(bundle).copied().unwrap_or(Nature::Sound),
            None => Nature::Sound,
        }
    }

    /// Whether the firmware can load the slot.
    pub(crate) fn loads(&self, world: &World, slot: SlotId) -> bool {
        let content = world.slots.get(slot);
        match (content.seal, content.image) {
            (Seal::Broken, _) | (Seal::There, Image::Nothing) => false,
            (Seal::There, Image::Mixed) => true,
            (Seal::There, Image::Whole(system)) => self.nature(system) != Nature::Unloadable,
        }
    }

    /// A commit of Linux: as asked, and cut at each place where that makes a difference. `then` is
    /// what follows it at once. Where the environment is lost and cannot be begun anew nothing
    /// happens.
    pub(crate) fn commit(
        &self,
        world: &World,
        commit: Commit,
        out: &mut Vec<Step>,
        then: impl FnOnce(&mut World),
    ) {
        if world.copies.newest.is_none() && self.defaults == Defaults::Absent {
            return;
        }
        let Commit { act, kind, new, memory } = commit;
        let mut done = *world;
        done.copies = Copies { newest: Some(new), other: world.copies.newest };
        Self::cut_in(world, act, new, out);
        done.recorder = memory;
        then(&mut done);
        out.push(Step { act, cut: None, kind, broken: None, world: done });
    }

    /// The cuts of one environment commit.
    pub(crate) fn cut_in(world: &World, act: Act, new: EnvId, out: &mut Vec<Step>) {
        let Some(cuts) = world.left.cuts.checked_sub(1) else { return };
        let old = world.copies.newest;
        let ends = [
            (Cut::Torn, Copies { newest: old, other: None }),
            (Cut::OldCounts, Copies { newest: old, other: Some(new) }),
            (Cut::NewCounts, Copies { newest: Some(new), other: old }),
        ];
        for (cut, copies) in ends {
            if cut == Cut::OldCounts && old.is_none() {
                continue;
            }
            let mut after = World { copies, phase: Phase::Off, ..*world };
            after.left.cuts = cuts;
            out.push(Step { act, cut: Some(cut), kind: Kind::Fault, broken: None, world: after });
        }
    }
}

/// The world with Linux as it is now.
pub(crate) fn running(world: &World, linux: Linux) -> World {
    World { phase: Phase::Linux(linux), ..*world }
}
