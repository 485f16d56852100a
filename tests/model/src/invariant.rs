// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must never be? The invariants of the design as far as the boot protocol can show them,
//! judged over what is true of the slots and not over what is stored about them.

use crate::model::Model;
use crate::protocol::Selected;
use crate::world::{Copies, Image, Nature, Phase, Proof, World};
use bootctl::{Reason, SlotId, SlotState};
use std::fmt;

/// A rule that holds in every state, or over every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: a kernel starts from a slot that is not sealed and whole.
    StartsIncomplete,
    /// I1: recovery although a slot holds a sealed, whole, confirmed system.
    RecoveryDespiteProven,
    /// I1: the board holds no sealed, whole, confirmed system any more (also I8).
    NothingProven,
    /// I2: an empty or writing slot is started.
    StartsForbidden,
    /// I2: the group that runs is written.
    WritesBooted,
    /// I3: a trying slot is started before its attempt is durably spent.
    StartsUnpaid,
    /// I3: an unconfirmed system is started more often than it had attempts.
    StartsTooOften,
    /// I3: an agent installs what is known to have failed.
    ReinstallsFailed,
    /// I3: a system is confirmed that was not healthy.
    ConfirmsUnhealthy,
    /// The environment calls a slot good that nobody confirmed, or that is not whole.
    GoodUnproven,
    /// The environment calls a slot trying that is not sealed and whole.
    TryingIncomplete,
    /// A good slot turns bad by running out of attempts.
    GoodRanOut,
    /// Without more faults the board can end in neither a confirmed slot nor named rescue.
    Stuck,
    /// Without more faults the board can turn for ever without reaching either.
    TurnsForEver,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartsIncomplete => "I1: started a slot that is not sealed and whole",
            Self::RecoveryDespiteProven => "I1: recovery although a confirmed system is there",
            Self::NothingProven => "I8: the last confirmed system was overwritten",
            Self::StartsForbidden => "I2: started an empty or writing slot",
            Self::WritesBooted => "I2: wrote the slot that runs",
            Self::StartsUnpaid => "I3: started a trying slot without a durably spent attempt",
            Self::StartsTooOften => "I3: started an unconfirmed system too often",
            Self::ReinstallsFailed => "I3: an agent installed what is known to have failed",
            Self::ConfirmsUnhealthy => "I3: confirmed what was not healthy",
            Self::GoodUnproven => "the environment says good of what nobody confirmed",
            Self::TryingIncomplete => "the environment says trying of what is not whole",
            Self::GoodRanOut => "a good slot turned bad by running out of attempts",
            Self::Stuck => "liveness: ends neither confirmed nor in named rescue",
            Self::TurnsForEver => "liveness: can turn for ever, neither confirmed nor in rescue",
        })
    }
}

impl Model {
    /// What the world itself breaks.
    pub(crate) fn judge_world(&self, world: &World) -> Option<Invariant> {
        if !SlotId::ALL.into_iter().any(|slot| world.slots.get(slot).is_proven()) {
            return Some(Invariant::NothingProven);
        }
        // What an older copy says was true once; only content decides then.
        if self.lost_a_copy(world) {
            return None;
        }
        let Copies { newest: Some(newest), .. } = world.copies else { return None };
        let state = self.protocol.state(newest);
        SlotId::ALL.into_iter().find_map(|slot| {
            let content = world.slots.get(slot);
            match state.slot(slot).state {
                SlotState::Good if !content.is_proven() => Some(Invariant::GoodUnproven),
                SlotState::Trying if content.complete().is_none() => {
                    Some(Invariant::TryingIncomplete)
                }
                SlotState::Empty
                | SlotState::Writing
                | SlotState::Trying
                | SlotState::Good
                | SlotState::Bad
                | SlotState::Unknown => None,
            }
        })
    }

    fn lost_a_copy(&self, world: &World) -> bool {
        world.left.environment < self.faults.environment
            || world.left.technician < self.faults.technician
    }

    /// What the start of `slot` breaks. `world` is as the kernel finds it, saved or not.
    pub(crate) fn judge_start(
        &self,
        world: &World,
        slot: SlotId,
        selected: &Selected,
    ) -> Option<Invariant> {
        if selected.good_turned_bad {
            return Some(Invariant::GoodRanOut);
        }
        let content = world.slots.get(slot);
        if content.complete().is_none() {
            return Some(Invariant::StartsIncomplete);
        }
        match selected.found {
            Some(SlotState::Empty | SlotState::Writing) => return Some(Invariant::StartsForbidden),
            // The last resort counts nothing: it has nothing else to take.
            Some(SlotState::Trying) if selected.reason != Reason::LastResort => {
                let stored = world.copies.newest.map(|env| self.protocol.state(env).slot(slot));
                if stored.is_none_or(|record| record.attempts >= selected.had) {
                    return Some(Invariant::StartsUnpaid);
                }
            }
            Some(SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown)
            | None => {}
        }
        let allowed = bootctl::AttemptsLeft::DEFAULT.get();
        if content.proof == Proof::None && content.starts > allowed && !self.lost_a_copy(world) {
            return Some(Invariant::StartsTooOften);
        }
        None
    }

    /// What ending in recovery breaks.
    pub(crate) fn judge_recovery(&self, world: &World) -> Option<Invariant> {
        let waits = |slot: SlotId| world.slots.get(slot).is_proven() && self.loads(world, slot);
        SlotId::ALL.into_iter().any(waits).then_some(Invariant::RecoveryDespiteProven)
    }

    /// What a confirmation of `slot` breaks.
    pub(crate) fn judge_confirmation(&self, world: &World, slot: SlotId) -> Option<Invariant> {
        let Phase::Linux(linux) = world.phase else { return None };
        let unfit = linux.health != crate::world::Health::Healthy;
        let broken = match world.slots.get(slot).image {
            Image::Whole(system) => self.nature(system) != Nature::Sound,
            Image::Nothing | Image::Mixed => true,
        };
        (unfit || broken).then_some(Invariant::ConfirmsUnhealthy)
    }
}
