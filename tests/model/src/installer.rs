// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do agent and installer do next? The durable steps of `updater::Installer` in its order,
//! each a step of the world, so that everything else can happen between two of them.

use crate::invariant::Invariant;
use crate::linux::quiet;
use crate::model::{Commit, Model, running};
use crate::mutation::Mutation;
use crate::protocol::{PlanRefused, Planned};
use crate::step::{Act, Handwork, Kind, Step};
use crate::world::{
    Content, EnvId, Image, Install, Linux, Phase, Proof, Seal, Stage, System, Wear, World,
};
use bootctl::{Activation, BundleId, Command, Entry, Force, SlotState};

impl Model {
    /// An agent wants whatever does not run here. What it has installed it boots before it wants
    /// anything else.
    pub(crate) fn agent(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        if self.waits_for_boot(linux, env) {
            return;
        }
        let force = match self.protocol.mutation {
            Some(Mutation::IgnoreFailed) => Force::Yes,
            Some(_) | None => Force::No,
        };
        let here = world.slots.get(linux.slot).complete();
        for system in System::bundles().filter(|system| here != Some(*system)) {
            match self.protocol.plan(env, linux.slot, system, force) {
                Ok(plan) => {
                    let first = out.len();
                    self.begin(world, linux, system, plan, Act::Begin(system), out);
                    if world.condemned.has(system) {
                        for step in out.iter_mut().skip(first) {
                            step.broken = Some(Invariant::ReinstallsFailed);
                        }
                    }
                }
                Err(PlanRefused::BootedUnconfirmed) => self.agent_leaves(world, linux, env, out),
                Err(PlanRefused::KnownFailed | PlanRefused::Other) => {}
            }
        }
    }

    /// A person insists.
    pub(crate) fn force_install(
        &mut self,
        world: &World,
        linux: Linux,
        env: EnvId,
        out: &mut Vec<Step>,
    ) {
        for system in System::bundles() {
            if let Ok(plan) = self.protocol.plan(env, linux.slot, system, Force::Yes) {
                let act = Act::Hand(Handwork::Install(system));
                let first = out.len();
                let mut freed = *world;
                freed.condemned = freed.condemned.without(system);
                self.begin(&freed, linux, system, plan, act, out);
                for step in out.iter_mut().skip(first) {
                    step.kind = Kind::Fault;
                }
            }
        }
    }

    /// Whether the other slot holds an update for the next boot.
    pub(crate) fn waits_for_boot(&self, linux: Linux, env: EnvId) -> bool {
        let state = self.protocol.state(env);
        let other = linux.slot.other();
        state.order.first() == Some(&other) && state.slot(other).state == SlotState::Trying
    }

    /// I8: not from here. The running slot is given up, the good one is booted and updated from.
    fn agent_leaves(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let slot = linux.slot;
        let command = Command::MarkBad { slot, force: Force::No };
        let Some(new) = self.protocol.command(env, slot, command) else { return };
        let memory = self.protocol.noted(world.recorder, new);
        let commit = Commit { act: Act::AgentLeaves, kind: Kind::Free, new, memory };
        self.commit(world, commit, out, |after| after.phase = Phase::Off);
    }

    fn begin(
        &mut self,
        world: &World,
        linux: Linux,
        system: System,
        plan: Planned,
        act: Act,
        out: &mut Vec<Step>,
    ) {
        let mut target = plan.target;
        let mut skips_commit = self.protocol.mutation == Some(Mutation::NoWritingCommit);
        if self.protocol.mutation == Some(Mutation::TargetBooted) {
            (target, skips_commit) = (linux.slot, true);
        }
        // Where no copy can be lost any more nobody can tell one from two that say so.
        let once = self.protocol.mutation == Some(Mutation::BeginOnce);
        let once = once || world.left.environment == 0 || skips_commit;
        let stage = if once { Stage::Begun } else { Stage::Announced };
        let install = Install { target, system, stage };
        let linux = Linux { install: Some(install), ..linux };
        let kind = Kind::Free;
        if skips_commit {
            out.push(quiet(act, kind, running(world, linux)));
            return;
        }
        let memory = self.protocol.noted(world.recorder, plan.writing);
        let began =
            Entry::InstallBegan { slot: target, version: String::new(), bundle: id(system) };
        let memory = self.protocol.remember(memory, &[began]);
        let commit = Commit { act, kind, new: plan.writing, memory };
        self.commit(world, commit, out, |after| after.phase = Phase::Linux(linux));
    }

    /// The next durable step of a running install.
    pub(crate) fn go_on_installing(
        &mut self,
        world: &World,
        linux: Linux,
        install: Install,
        out: &mut Vec<Step>,
    ) {
        if let Some(left) = world.left.media.checked_sub(1) {
            self.install_fails(world, linux, install, left, out);
        }
        let Install { target, system, stage } = install;
        let mutation = self.protocol.mutation;
        let early = mutation == Some(Mutation::TryingBeforeSeal);
        let mut content = *world.slots.get(target);
        let (act, next) = match stage {
            Stage::Announced => {
                self.announce(world, linux, install, out);
                return;
            }
            Stage::Begun => {
                if mutation != Some(Mutation::SealNotZeroed) {
                    content.seal = Seal::Broken;
                }
                (Act::ZeroSeal, Stage::SealZeroed)
            }
            Stage::SealZeroed => {
                content = overwritten(content, Image::Mixed);
                (Act::WriteSome, Stage::HalfWritten)
            }
            Stage::HalfWritten => {
                content = overwritten(content, Image::Whole(system));
                (Act::WriteAll, Stage::Written)
            }
            Stage::Written if early => {
                self.finish(world, linux, install, Some(Stage::Recorded), out);
                return;
            }
            Stage::Written => {
                content.seal = Seal::There;
                (Act::WriteSeal, Stage::Sealed)
            }
            Stage::Sealed => {
                self.note_end(world, linux, install, out);
                return;
            }
            Stage::Recorded if early => {
                content.seal = Seal::There;
                let mut after = running(world, Linux { install: None, ..linux });
                *after.slots.get_mut(target) = content;
                out.push(quiet(Act::WriteSeal, Kind::Fair, after));
                return;
            }
            Stage::Recorded => {
                self.finish(world, linux, install, None, out);
                return;
            }
        };
        let install = Some(Install { stage: next, ..install });
        let mut after = running(world, Linux { install, ..linux });
        *after.slots.get_mut(target) = content;
        let broken = (target == linux.slot).then_some(Invariant::WritesBooted);
        out.push(Step { act, cut: None, kind: Kind::Fair, broken, world: after });
    }

    /// The same commit again, over whatever others have committed since.
    fn announce(&mut self, world: &World, linux: Linux, install: Install, out: &mut Vec<Step>) {
        let begun = Install { stage: Stage::Begun, ..install };
        let stored = self.protocol.loaded(world.copies.newest);
        if self.protocol.state(stored).slot(install.target).state != SlotState::Writing {
            let after = running(world, Linux { install: None, ..linux });
            out.push(quiet(Act::BeginRefused, Kind::Fair, after));
            return;
        }
        let memory = world.recorder;
        let commit = Commit { act: Act::Announce, kind: Kind::Fair, new: stored, memory };
        let linux = Linux { install: Some(begun), ..linux };
        self.commit(world, commit, out, |after| after.phase = Phase::Linux(linux));
    }

    fn note_end(&mut self, world: &World, linux: Linux, install: Install, out: &mut Vec<Step>) {
        let ended = Entry::InstallFinished {
            slot: install.target,
            version: String::new(),
            bundle: id(install.system),
        };
        let install = Some(Install { stage: Stage::Recorded, ..install });
        let mut after = running(world, Linux { install, ..linux });
        after.recorder = self.protocol.remember(world.recorder, &[ended]);
        out.push(quiet(Act::NoteEnd, Kind::Fair, after));
    }

    /// The last commit, decided on what is stored now, as the installer does.
    fn finish(
        &mut self,
        world: &World,
        linux: Linux,
        install: Install,
        then: Option<Stage>,
        out: &mut Vec<Step>,
    ) {
        let Install { target, system, .. } = install;
        let stored = self.protocol.loaded(world.copies.newest);
        let command =
            Command::FinishInstall { target, bundle: id(system), activation: Activation::Activate };
        let mut from = Some(stored);
        if self.protocol.mutation == Some(Mutation::NoWritingCommit) {
            let begin = Command::BeginInstall { target };
            from = self.protocol.command(stored, linux.slot, begin);
        }
        let install = then.map(|stage| Install { stage, ..install });
        let linux = Linux { install, ..linux };
        let new = from.and_then(|from| self.protocol.command(from, linux.slot, command));
        let Some(new) = new else {
            let after = running(world, Linux { install: None, ..linux });
            out.push(quiet(Act::FinishRefused, Kind::Fair, after));
            return;
        };
        let memory = self.protocol.noted(world.recorder, new);
        let commit = Commit { act: Act::Finish, kind: Kind::Fair, new, memory };
        self.commit(world, commit, out, |after| after.phase = Phase::Linux(linux));
    }

    fn install_fails(
        &mut self,
        world: &World,
        linux: Linux,
        install: Install,
        left: u8,
        out: &mut Vec<Step>,
    ) {
        let failed = Entry::InstallFailed { slot: install.target, cause: String::new() };
        let mut after = running(world, Linux { install: None, ..linux });
        after.recorder = self.protocol.remember(world.recorder, &[failed]);
        after.left.media = left;
        out.push(quiet(Act::InstallFails, Kind::Fault, after));
    }
}

/// New bytes have proved nothing and are as good as new.
const fn overwritten(content: Content, image: Image) -> Content {
    Content { image, proof: Proof::None, wear: Wear::Fresh, starts: 0, ..content }
}

/// The identity that an install records; the flashed system is never installed.
fn id(system: System) -> BundleId {
    system.bundle().unwrap_or(BundleId::from_bytes([0; 16]))
}
