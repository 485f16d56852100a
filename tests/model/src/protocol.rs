// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol itself: `bootctl`, `updater` and `verifier` asked by name of state.
//!
//! Nothing is decided here. Each answer of a real function is kept, since all of them are pure: the
//! same question comes up in thousands of worlds. Mutations change a question or an answer, never a
//! function.

use crate::install_rules::InstallRules;
use crate::intern::Interner;
use crate::mutation::Mutation;
use crate::quick_hash::Quick;
use crate::world::{EnvId, SnapshotId, System, SystemSet};
use bootctl::{
    AttemptsLeft, BackendError, BootBackend, BootControl, BootState, Command, ControlError,
    ControlParts, Entry, FirmwareFacts, Force, LateFallback, PerSlot, Reason, RecorderFacts,
    Refused, Selection, SlotId, SlotState, Snapshot, Timestamp, is_left_when_unhealthy, recall,
    reconcile, select,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use storage::PartUuid;
use uboot::Env;
use updater::PlanInstallError;
use verifier::{AfterVerdict, Reaction, Verdict, decide_after};

/// The model could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The board's configuration does not parse.
    #[error("the model's system configuration is refused")]
    Config(#[from] updater::SystemConfError),
    /// The disk has no identity.
    #[error("the model's disk has no identity: {0}")]
    Disk(String),
}

/// Whether the firmware can save the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Saves {
    /// It can.
    Work,
    /// It cannot.
    Fail,
}

/// What the selector did, by name.
#[derive(Clone, Copy, Debug)]
pub struct Selected {
    /// The slot whose kernel starts.
    pub boots: Option<SlotId>,
    /// The state to be saved.
    pub state: EnvId,
    /// Whether it is saved.
    pub saves: bool,
    /// The reason given.
    pub reason: Reason,
    /// What the environment said of that slot when it was read; unknown where it was lost.
    pub found: Option<SlotState>,
    /// That slot's attempts then.
    pub had: AttemptsLeft,
    /// Good slots that are bad afterwards.
    pub good_turned_bad: bool,
}

/// Why an install is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanRefused {
    /// The bundle failed before.
    KnownFailed,
    /// The running slot must be left first.
    BootedUnconfirmed,
    /// Another rule.
    Other,
}

/// A planned install, by name of state.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Where to.
    pub target: SlotId,
    /// The first commit.
    pub writing: EnvId,
}

/// What a counter holds; `None` is nothing.
pub type Text = Option<&'static str>;

type SelectKey = (Option<EnvId>, PerSlot<bool>, Saves);
type ReconcileKey = (EnvId, SlotId, Option<SnapshotId>);
type PlanKey = (EnvId, SlotId, System, Force);

/// The functions, their answers, and the states they are about.
pub struct Protocol {
    /// The boot states met so far.
    pub envs: Interner<BootState>,
    /// The recorder's memories met so far.
    pub snapshots: Interner<Snapshot>,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
    late_fallback: LateFallback,
    disk: PartUuid,
    install: InstallRules,
    factory: EnvId,
    lost: EnvId,
    selected: HashMap<SelectKey, Selected, Quick>,
    commanded: HashMap<(EnvId, SlotId, Command), Option<EnvId>, Quick>,
    reconciled: HashMap<ReconcileKey, (EnvId, Option<SnapshotId>), Quick>,
    planned: HashMap<PlanKey, Result<Planned, PlanRefused>, Quick>,
    noted: HashMap<(Option<SnapshotId>, EnvId), SnapshotId, Quick>,
    recalled: HashMap<ReconcileKey, EnvId, Quick>,
    flipped: HashMap<(EnvId, SlotId, Text), Option<EnvId>, Quick>,
}

/// A keeper in memory.
struct Keeper(Rc<RefCell<BootState>>);

impl BootBackend for Keeper {
    fn name(&self) -> &'static str {
        "model"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        Ok(self.0.borrow().clone())
    }

    fn store(&mut self, _old: &BootState, new: &BootState) -> Result<(), BackendError> {
        *self.0.borrow_mut() = new.clone();
        Ok(())
    }
}

impl Protocol {
    /// Nothing asked yet.
    pub fn new(
        late_fallback: LateFallback,
        mutation: Option<Mutation>,
    ) -> Result<Self, ModelError> {
        let text = "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a001";
        let disk = text.parse().map_err(|_| ModelError::Disk(text.to_owned()))?;
        let state = BootState::factory(disk);
        let (snapshots, _) = Interner::new(Snapshot::from(&state));
        let (mut envs, factory) = Interner::new(state);
        let lost = envs.name(BootState::lost());
        Ok(Self {
            envs,
            snapshots,
            mutation,
            late_fallback,
            disk,
            install: InstallRules::new()?,
            factory,
            lost,
            selected: HashMap::default(),
            commanded: HashMap::default(),
            reconciled: HashMap::default(),
            planned: HashMap::default(),
            noted: HashMap::default(),
            recalled: HashMap::default(),
            flipped: HashMap::default(),
        })
    }

    /// The state of a freshly flashed board, and what its recorder remembers.
    pub fn flashed(&mut self) -> (EnvId, Option<SnapshotId>) {
        let entry = Entry::FirstBoot { disk: self.disk };
        (self.factory, self.remember(None, &[entry]))
    }

    /// What Linux reads where `newest` counts.
    pub fn loaded(&self, newest: Option<EnvId>) -> EnvId {
        newest.unwrap_or(self.lost)
    }

    /// What Linux decides on then: with what the recorder knows better.
    pub fn recalled(
        &mut self,
        newest: Option<EnvId>,
        booted: SlotId,
        memory: Option<SnapshotId>,
    ) -> EnvId {
        let env = self.loaded(newest);
        if matches!(self.mutation, Some(Mutation::NoRecall | Mutation::NoReconcile)) {
            return env;
        }
        let key = (env, booted, memory);
        if let Some(known) = self.recalled.get(&key) {
            return *known;
        }
        let state = recall(self.envs.value(env), Some(booted), &self.facts(memory, &[]));
        let recalled = self.envs.name(state);
        self.recalled.insert(key, recalled);
        recalled
    }

    /// The state itself.
    pub fn state(&self, env: EnvId) -> &BootState {
        self.envs.value(env)
    }

    /// The firmware's half.
    pub fn select(&mut self, env: Option<EnvId>, loads: PerSlot<bool>, save: Saves) -> Selected {
        if let Some(known) = self.selected.get(&(env, loads, save)) {
            return *known;
        }
        let facts = FirmwareFacts { disk: Some(self.disk), save_works: save == Saves::Work, loads };
        let before = env.map(|env| self.envs.value(env).clone());
        let mut selection = select(self.read_by_selector(before.clone()).as_ref(), &facts);
        self.spoil(before.as_ref(), loads, &mut selection);
        // Another disk's environment says nothing about these slots.
        let ours = before.as_ref().filter(|state| state.disk == Some(self.disk));
        let read = |slot: SlotId| ours.map(|state| *state.slot(slot));
        let about = selection.boots.and_then(read);
        let turned = |slot: SlotId| {
            read(slot).is_some_and(|record| record.state == SlotState::Good)
                && selection.state.slot(slot).state == SlotState::Bad
        };
        let selected = Selected {
            boots: selection.boots,
            saves: selection.save,
            reason: selection.reason,
            found: about.map(|record| record.state),
            had: about.map(|record| record.attempts).unwrap_or_default(),
            good_turned_bad: SlotId::ALL.into_iter().any(turned),
            state: self.envs.name(selection.state),
        };
        self.selected.insert((env, loads, save), selected);
        selected
    }

    fn read_by_selector(&self, env: Option<BootState>) -> Option<BootState> {
        let mut env = env?;
        if self.mutation == Some(Mutation::TrustAttemptsAlone) {
            for slot in SlotId::ALL {
                env.slot_mut(slot).state = SlotState::Unknown;
                if !env.order.contains(&slot) {
                    env.order.push(slot);
                }
            }
        }
        Some(env)
    }

    /// The mistakes that a selector can make.
    fn spoil(&self, before: Option<&BootState>, loads: PerSlot<bool>, selection: &mut Selection) {
        let fails = selection.reason == Reason::LoadFailed && selection.boots.is_none();
        match (self.mutation, before) {
            (Some(Mutation::IgnoreEnvironment), _) => {
                let loading = SlotId::ALL.into_iter().rev().find(|slot| *loads.get(*slot));
                selection.boots = loading.or(selection.boots);
            }
            (Some(Mutation::GoodTurnsBad), _) => spoil_exhausted(&mut selection.state),
            (Some(Mutation::LoadFailureUnpaid), Some(before)) if fails => {
                for slot in SlotId::ALL {
                    selection.state.slot_mut(slot).attempts = before.slot(slot).attempts;
                }
            }
            (Some(Mutation::TrustAttemptsAlone), Some(before)) => {
                for slot in SlotId::ALL {
                    selection.state.slot_mut(slot).state = before.slot(slot).state;
                }
                selection.state.order.clone_from(&before.order);
            }
            (Some(_) | None, _) => {}
        }
    }

    /// A command through the control that every `atomix` verb uses; `None` when it is refused.
    pub fn command(&mut self, env: EnvId, booted: SlotId, command: Command) -> Option<EnvId> {
        let key = (env, booted, command);
        if let Some(known) = self.commanded.get(&key) {
            return *known;
        }
        let stored = Rc::new(RefCell::new(self.envs.value(env).clone()));
        let after = self.apply(&stored, booted, &command).ok().map(|()| {
            let after = stored.borrow().clone();
            self.envs.name(after)
        });
        self.commanded.insert(key, after);
        after
    }

    fn apply(
        &self,
        stored: &Rc<RefCell<BootState>>,
        booted: SlotId,
        command: &Command,
    ) -> Result<(), ControlError> {
        let mut control = BootControl::load(ControlParts {
            backend: Box::new(Keeper(Rc::clone(stored))),
            recorder: Err("kept beside".to_owned()),
            booted: Some(booted),
            late_fallback: self.late_fallback,
            // No clock: the time of an entry decides nothing.
            at: Timestamp::UNKNOWN,
        })?;
        match (self.mutation, command) {
            (Some(Mutation::RestoreUnconfirmed), Command::RestoreAttempts { slot }) => {
                let mut next = control.state().clone();
                next.slot_mut(*slot).attempts = AttemptsLeft::DEFAULT;
                Ok(control.commit(next)?)
            }
            (Some(_) | None, _) => control.apply(command),
        }
    }

    /// What the recorder remembers after the state `env` was committed and noted.
    pub fn noted(&mut self, memory: Option<SnapshotId>, env: EnvId) -> Option<SnapshotId> {
        if let Some(known) = self.noted.get(&(memory, env)) {
            return Some(*known);
        }
        let entry = Entry::States(Snapshot::from(self.envs.value(env)));
        let after = self.remember(memory, &[entry])?;
        self.noted.insert((memory, env), after);
        Some(after)
    }

    /// What the recorder remembers after these entries.
    pub fn remember(
        &mut self,
        memory: Option<SnapshotId>,
        entries: &[Entry],
    ) -> Option<SnapshotId> {
        if self.mutation == Some(Mutation::NoRecorder) {
            return None;
        }
        let facts = self.facts(memory, entries);
        facts.snapshot().map(|snapshot| self.snapshots.name(snapshot.clone()))
    }

    fn facts(&self, memory: Option<SnapshotId>, entries: &[Entry]) -> RecorderFacts {
        let before = memory.map(|memory| Entry::States(self.snapshots.value(memory).clone()));
        RecorderFacts::from_entries(before.iter().chain(entries))
    }

    /// What Linux makes of the state it finds: the state to store, and the memory after that.
    pub fn reconcile(
        &mut self,
        env: EnvId,
        booted: SlotId,
        memory: Option<SnapshotId>,
    ) -> (EnvId, Option<SnapshotId>) {
        if self.mutation == Some(Mutation::NoReconcile) {
            return (env, memory);
        }
        if let Some(known) = self.reconciled.get(&(env, booted, memory)) {
            return *known;
        }
        let state = self.envs.value(env);
        let found = reconcile(state, Some(booted), state.reason, &self.facts(memory, &[]));
        let mut entries = Vec::new();
        if found.state != *state {
            entries.push(Entry::States(Snapshot::from(&found.state)));
        }
        entries.extend(found.entries);
        let answer = (self.envs.name(found.state), self.remember(memory, &entries));
        self.reconciled.insert((env, booted, memory), answer);
        answer
    }

    /// Whether a bundle may be installed, and the first commit of it.
    pub fn plan(
        &mut self,
        env: EnvId,
        booted: SlotId,
        system: System,
        force: Force,
    ) -> Result<Planned, PlanRefused> {
        let key = (env, booted, system, force);
        if let Some(known) = self.planned.get(&key) {
            return *known;
        }
        let state = self.envs.value(env).clone();
        let answer = match self.install.plan(state.clone(), booted, system, force) {
            Ok(plan) => {
                Ok(Planned { target: plan.group.slot_id, writing: self.envs.name(plan.writing) })
            }
            Err(PlanInstallError::KnownFailed { .. }) => Err(PlanRefused::KnownFailed),
            Err(PlanInstallError::BootedUnconfirmed { .. })
                if self.mutation == Some(Mutation::OverwriteLastGood) =>
            {
                let begin = Command::BeginInstall { target: booted.other() };
                // Asked of a state without a good slot, so that this rule is silent as well.
                let mut blind = state;
                blind.slot_mut(booted.other()).state = SlotState::Bad;
                bootctl::transition(&blind, Some(booted), &begin)
                    .map(|next| Planned { target: booted.other(), writing: self.envs.name(next) })
                    .map_err(|_: Refused| PlanRefused::Other)
            }
            Err(PlanInstallError::BootedUnconfirmed { .. }) => Err(PlanRefused::BootedUnconfirmed),
            Err(_) => Err(PlanRefused::Other),
        };
        self.planned.insert(key, answer);
        answer
    }

    /// What follows from a verdict over the running slot.
    pub fn after_verdict(
        &self,
        env: EnvId,
        slot: SlotId,
        reason: Reason,
        verdict: &Verdict,
    ) -> AfterVerdict {
        let state = self.envs.value(env);
        let reaction = if self.stays(env, slot) { Reaction::Stay } else { Reaction::Reboot };
        decide_after(verdict, state, slot, Some(reason), reaction)
    }

    /// Whether the deadline leaves the running slot when there is no verdict.
    pub fn leaves_silent(&self, env: EnvId, slot: SlotId, reason: Reason) -> bool {
        is_left_when_unhealthy(self.envs.value(env), slot, Some(reason)) && !self.stays(env, slot)
    }

    /// [`Mutation::StayBesideGood`].
    fn stays(&self, env: EnvId, slot: SlotId) -> bool {
        let trying = self.envs.value(env).slot(slot).state == SlotState::Trying;
        self.mutation == Some(Mutation::StayBesideGood) && !trying
    }

    /// The bundles that this state knows as failed.
    pub fn known_failed(&self, env: Option<EnvId>) -> SystemSet {
        let Some(env) = env else { return SystemSet::default() };
        let state = self.envs.value(env);
        System::bundles()
            .filter(|system| system.bundle().is_some_and(|id| state.is_known_failed(&id)))
            .fold(SystemSet::default(), SystemSet::with)
    }

    /// The bundles that the recorder knows as failed.
    pub fn remembered_failed(&self, memory: Option<SnapshotId>) -> SystemSet {
        let Some(memory) = memory else { return SystemSet::default() };
        let snapshot = self.snapshots.value(memory);
        System::bundles()
            .filter(|system| system.bundle().is_some_and(|id| snapshot.failed.contains(&id)))
            .fold(SystemSet::default(), SystemSet::with)
    }

    /// The environment with another text in a slot's counter, as its readers find it.
    pub fn flip(&mut self, env: EnvId, slot: SlotId, text: Text) -> Option<EnvId> {
        if let Some(known) = self.flipped.get(&(env, slot, text)) {
            return *known;
        }
        let flipped = self.edit(env, slot, text);
        self.flipped.insert((env, slot, text), flipped);
        flipped
    }

    fn edit(&mut self, env: EnvId, slot: SlotId, text: Text) -> Option<EnvId> {
        let mut variables = Env::default();
        self.envs.value(env).write_to(&mut variables).ok()?;
        let name = format!("BOOT_{slot}_LEFT");
        match text {
            Some(text) => variables.set(&name, text).ok()?,
            None => variables.unset(&name),
        }
        let state = BootState::from_env(&variables).ok()?;
        Some(self.envs.name(state))
    }
}

/// [`Mutation::GoodTurnsBad`].
fn spoil_exhausted(state: &mut BootState) {
    for slot in SlotId::ALL {
        let record = state.slot_mut(slot);
        if record.state == SlotState::Good && record.attempts == AttemptsLeft::ZERO {
            record.state = SlotState::Bad;
        }
    }
}
