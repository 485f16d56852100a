// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a running system do by itself? The units of `atomix/units` in the order they ask for:
//! started, health, attempts after two minutes, the deadline, emergency mode; and an orderly
//! reboot where there is a reason for one.

use crate::model::{Commit, Defaults, Model, running};
use crate::mutation::Mutation;
use crate::step::{Act, Kind, Step};
use crate::world::{EnvId, Health, Linux, Phase, Proof, Verdict, World};
use bootctl::{Command, SlotState};
use verifier::AfterVerdict;

impl Model {
    /// Everything that a running system can do next.
    pub(crate) fn linux(&mut self, world: &World, linux: Linux, out: &mut Vec<Step>) {
        let env = self.protocol.recalled(world.copies.newest, linux.slot, world.recorder);
        self.power_cut(world, out);
        if linux.health == Health::DeadEnd {
            out.push(off(world, Act::GiveUp, Kind::Fair));
        }
        if world.copies.newest.is_none() && self.defaults == Defaults::Absent {
            out.push(off(world, Act::PowerCycle, Kind::Fair));
        }
        self.deadline(world, linux, env, out);
        if !linux.started {
            self.started(world, linux, env, out);
            return;
        }
        if linux.health == Health::DeadEnd {
            return;
        }
        self.health(world, linux, env, out);
        self.restore(world, linux, env, out);
        self.reboot(world, linux, env, out);
        match linux.install {
            Some(install) => self.go_on_installing(world, linux, install, out),
            None => {
                self.agent(world, linux, env, out);
                self.technician(world, linux, env, out);
            }
        }
    }

    fn power_cut(&self, world: &World, out: &mut Vec<Step>) {
        if let Some(cuts) = world.left.cuts.checked_sub(1) {
            let mut step = off(world, Act::PowerCut, Kind::Fault);
            step.world.left.cuts = cuts;
            out.push(step);
        }
    }

    /// `atomix boot deadline`: what is silent is left by the rule of the verdict, and so is what was
    /// found healthy and is not confirmed, because its confirmation was lost.
    fn deadline(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let healthy = linux.health == Health::Healthy && linux.verdict != Verdict::Pending;
        let mute = linux.health == Health::Silent || healthy;
        let leaves = self.protocol.leaves_silent(env, linux.slot, linux.reason);
        if mute && leaves && self.protocol.mutation != Some(Mutation::NoDeadline) {
            self.leave(world, linux, env, Act::Deadline, out);
        }
    }

    /// Reboots out of an unhealthy slot. What is no update on trial tells the selector before.
    fn leave(&mut self, world: &World, linux: Linux, env: EnvId, act: Act, out: &mut Vec<Step>) {
        let kind = Kind::Fair;
        let slot = linux.slot;
        if self.protocol.state(env).slot(slot).state == SlotState::Trying {
            out.push(off(world, act, kind));
            return;
        }
        let Some(new) = self.protocol.command(env, slot, Command::Leave { slot }) else { return };
        if Some(new) == world.copies.newest {
            out.push(off(world, act, kind));
            return;
        }
        let memory = self.protocol.noted(world.recorder, new);
        let commit = Commit { act, kind, new, memory };
        self.commit(world, commit, out, |after| after.phase = Phase::Off);
    }

    fn started(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let (new, memory) = self.protocol.reconcile(env, linux.slot, world.recorder);
        let linux = Linux { started: true, ..linux };
        // Where nothing can be committed the boot goes on, and is remembered all the same.
        let lost = world.copies.newest.is_none() && self.defaults == Defaults::Absent;
        if lost || Some(new) == world.copies.newest {
            let mut world = running(world, linux);
            world.recorder = memory;
            out.push(quiet(Act::Started, Kind::Fair, world));
            return;
        }
        let commit = Commit { act: Act::Started, kind: Kind::Fair, new, memory };
        self.commit(world, commit, out, |after| after.phase = Phase::Linux(linux));
    }

    fn health(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let lenient = self.protocol.mutation == Some(Mutation::MarkGoodAtOnce);
        let judged = match linux.health {
            Health::Healthy => verifier::Verdict::Healthy { warnings: Vec::new() },
            Health::Unhealthy | Health::Silent | Health::DeadEnd if lenient => {
                verifier::Verdict::Healthy { warnings: Vec::new() }
            }
            Health::Unhealthy => {
                verifier::Verdict::Unhealthy { reasons: Vec::new(), warnings: Vec::new() }
            }
            Health::Silent | Health::DeadEnd => return,
        };
        match linux.verdict {
            Verdict::Pending => self.verdict(world, linux, env, &judged, out),
            Verdict::Confirmed => self.forgive(world, linux, env, out),
            Verdict::Done => {}
        }
    }

    fn verdict(
        &mut self,
        world: &World,
        linux: Linux,
        env: EnvId,
        judged: &verifier::Verdict,
        out: &mut Vec<Step>,
    ) {
        let kind = Kind::Fair;
        let done = Linux { verdict: Verdict::Done, ..linux };
        match self.protocol.after_verdict(env, linux.slot, linux.reason, judged) {
            AfterVerdict::RecordAndReboot => {
                self.leave(world, linux, env, Act::UnhealthyReboot, out);
            }
            AfterVerdict::RecordAndStay => {
                out.push(quiet(Act::UnhealthyStay, kind, running(world, done)));
            }
            AfterVerdict::MarkGood => {
                let confirmed = Linux { verdict: Verdict::Confirmed, ..linux };
                let slot = linux.slot;
                if self.protocol.state(env).slot(slot).state == SlotState::Good {
                    out.push(quiet(Act::Healthy, kind, running(world, confirmed)));
                    return;
                }
                let Some(new) = self.protocol.command(env, slot, Command::MarkGood { slot }) else {
                    return;
                };
                let memory = self.protocol.noted(world.recorder, new);
                let broken = self.judge_confirmation(world, slot);
                let first = out.len();
                let commit = Commit { act: Act::MarkGood, kind, new, memory };
                self.commit(world, commit, out, |after| after.phase = Phase::Linux(confirmed));
                for step in out.iter_mut().skip(first) {
                    // Wherever the new environment is whole, it may come to count.
                    if step.world.copies.newest == Some(new) || step.world.copies.other == Some(new)
                    {
                        prove(&mut step.world, linux);
                        step.broken = broken;
                    }
                }
            }
        }
    }

    fn forgive(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let slot = linux.slot;
        let done = Linux { verdict: Verdict::Done, ..linux };
        let kind = Kind::Fair;
        match self.protocol.command(env, slot, Command::ConfirmFallback { slot }) {
            None => out.push(quiet(Act::Healthy, kind, running(world, done))),
            Some(new) => {
                let memory = self.protocol.noted(world.recorder, new);
                let commit = Commit { act: Act::ConfirmFallback, kind, new, memory };
                self.commit(world, commit, out, |after| after.phase = Phase::Linux(done));
            }
        }
    }

    fn restore(&mut self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let slot = linux.slot;
        let command = Command::RestoreAttempts { slot };
        let Some(new) = self.protocol.command(env, slot, command) else { return };
        if Some(new) == world.copies.newest {
            return;
        }
        let memory = self.protocol.noted(world.recorder, new);
        let commit = Commit { act: Act::RestoreAttempts, kind: Kind::Fair, new, memory };
        self.commit(world, commit, out, |_| {});
    }

    /// Somebody who is done reboots, and an agent into the update it has installed. The attempts
    /// are given back before, by a step of their own.
    fn reboot(&self, world: &World, linux: Linux, env: EnvId, out: &mut Vec<Step>) {
        let waits = self.waits_for_boot(linux, env);
        if linux.install.is_none() && (linux.verdict == Verdict::Done || waits) {
            out.push(off(world, Act::Reboot, Kind::Free));
        }
    }
}

/// What runs has proved itself.
fn prove(world: &mut World, linux: Linux) {
    let content = world.slots.get_mut(linux.slot);
    content.proof = Proof::Confirmed;
    content.starts = 0;
    if let Some(system) = content.complete() {
        world.condemned = world.condemned.without(system);
    }
}

/// The system goes down.
pub(crate) fn off(world: &World, act: Act, kind: Kind) -> Step {
    quiet(act, kind, World { phase: Phase::Off, ..*world })
}

/// A step that breaks nothing by itself.
pub(crate) const fn quiet(act: Act, kind: Kind, world: World) -> Step {
    Step { act, cut: None, kind, broken: None, world }
}
