// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong, and what can a person do? Each costs one of what the scenario allows.

use crate::linux::quiet;
use crate::model::{Commit, Model};
use crate::protocol::Text;
use crate::step::{Act, Handwork, Kind, Step};
use crate::world::{Copies, EnvId, Linux, Phase, Seal, Wear, World};
use bootctl::{Command, Force, SlotId};

/// What a flipped or edited counter can hold: every digit, and what is none.
const TEXTS: [Text; 12] = [
    Some("0"),
    Some("1"),
    Some("2"),
    Some("3"),
    Some("4"),
    Some("5"),
    Some("6"),
    Some("7"),
    Some("8"),
    Some("9"),
    Some("#!"),
    None,
];

impl Model {
    /// Damage to environment and slots.
    pub(crate) fn damage(&mut self, world: &World, out: &mut Vec<Step>) {
        if let Some(left) = world.left.environment.checked_sub(1) {
            let mut hit = *world;
            hit.left.environment = left;
            self.lose_copies(&hit, out);
            self.flip_counters(&hit, out);
        }
        if let (Some(left), Phase::Off) = (world.left.media.checked_sub(1), world.phase) {
            for slot in SlotId::ALL {
                let content = world.slots.get(slot);
                if content.complete().is_some() && content.wear == Wear::Fresh {
                    let mut hit = *world;
                    hit.left.media = left;
                    hit.slots.get_mut(slot).wear = Wear::Worn;
                    out.push(quiet(Act::WearOut(slot), Kind::Fault, hit));
                }
            }
        }
        if world.phase == Phase::Off {
            self.rescue(world, out);
        }
    }

    fn lose_copies(&self, world: &World, out: &mut Vec<Step>) {
        let Some(_) = world.copies.newest else { return };
        if let Some(other) = world.copies.other {
            let mut hit = *world;
            hit.copies = Copies { newest: Some(other), other: None };
            // What the lost commit knew is nobody's fault to forget.
            hit.condemned = self.protocol.known_failed(Some(other));
            out.push(quiet(Act::LoseNewest, Kind::Fault, hit));
        }
        out.push(quiet(Act::LoseBoth, Kind::Fault, self.without_environment(world)));
    }

    fn without_environment(&self, world: &World) -> World {
        let mut hit = *world;
        hit.copies = Copies { newest: None, other: None };
        hit.condemned = self.protocol.remembered_failed(world.recorder);
        hit
    }

    fn flip_counters(&mut self, world: &World, out: &mut Vec<Step>) {
        let Some(newest) = world.copies.newest else { return };
        for slot in SlotId::ALL {
            let mut met = vec![newest];
            for text in TEXTS {
                let Some(flipped) = self.protocol.flip(newest, slot, text) else { continue };
                // What reads the same is the same.
                if !met.contains(&flipped) {
                    met.push(flipped);
                    let mut hit = *world;
                    hit.copies.newest = Some(flipped);
                    out.push(quiet(Act::Flip(slot, text), Kind::Fault, hit));
                }
            }
        }
    }

    /// A technician at a board that does not run: a laptop at U-Boot's prompt.
    pub(crate) fn rescue(&mut self, world: &World, out: &mut Vec<Step>) {
        let Some(left) = world.left.technician.checked_sub(1) else { return };
        let mut after = self.without_environment(world);
        after.left.technician = left;
        after.phase = Phase::Off;
        out.push(quiet(Act::Hand(Handwork::EraseEnvironment), Kind::Fault, after));
    }

    /// A technician at a board that runs.
    pub(crate) fn technician(
        &mut self,
        world: &World,
        linux: Linux,
        env: EnvId,
        out: &mut Vec<Step>,
    ) {
        let Some(left) = world.left.technician.checked_sub(1) else { return };
        let mut world = *world;
        world.left.technician = left;
        for slot in SlotId::ALL {
            // Who forces the last good slot bad has asked for what follows.
            let command = Command::MarkBad { slot, force: Force::No };
            self.by_hand(&world, linux, env, command, Handwork::MarkBad(slot), out);
        }
        for force in [Force::No, Force::Yes] {
            // Without its seal a slot is rolled back to by force only.
            let sealed = world.slots.get(linux.slot.other()).seal == Seal::There;
            if sealed || force == Force::Yes {
                let command = Command::Rollback { force };
                self.by_hand(&world, linux, env, command, Handwork::Rollback, out);
            }
        }
        for slot in SlotId::ALL {
            if world.slots.get(slot).seal == Seal::There {
                let act = Handwork::MarkActive(slot);
                self.by_hand(&world, linux, env, Command::MarkActive { slot }, act, out);
            }
        }
        self.force_install(&world, linux, env, out);
    }

    fn by_hand(
        &mut self,
        world: &World,
        linux: Linux,
        env: EnvId,
        command: Command,
        hand: Handwork,
        out: &mut Vec<Step>,
    ) {
        let Some(new) = self.protocol.command(env, linux.slot, command) else { return };
        if Some(new) == world.copies.newest {
            return;
        }
        let memory = self.protocol.noted(world.recorder, new);
        let commit = Commit { act: Act::Hand(hand), kind: Kind::Fault, new, memory };
        let first = out.len();
        // Whoever changes what boots next wants to see it boot.
        self.commit(world, commit, out, |after| after.phase = Phase::Off);
        for step in out.iter_mut().skip(first) {
            step.kind = Kind::Fault;
        }
    }
}
