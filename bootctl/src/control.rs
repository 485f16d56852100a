// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state with its keeper and its memory: load, change by a command, store in one commit,
//! remember in the flight recorder. Decides nothing: [`transition`] does.
//!
//! What the environment lost and the recorder knows is recalled at each load, and not only by
//! `atomix boot started`: the environment, or the commit that restored it, can be lost under a
//! running system, whose commands would then take every slot for unknown and overwrite the last
//! good one. The next commit of any command stores what was recalled.

use crate::{
    BackendError, BootBackend, BootState, Command, DataReset, Death, Entry, Force, Mark, Numbered,
    Reason, Reconciled, Record, Recorder, RecorderFacts, Refused, SlotId, SlotState, Snapshot,
    Timestamp, recall, reconcile, transition,
};
use storage::{PartUuid, Storage, chain};

/// How often the begin of an install is told to the older copy again because another program
/// committed between.
const BEGIN_REPEATS: usize = 5;

/// Whether a system that confirmed itself may be left for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateFallback {
    /// It may.
    Allowed,
    /// The booted slot's confirmation gives the other one up (RAUC's `prevent-late-fallback`).
    Prevented,
}

/// What a boot state is controlled through.
pub struct ControlParts {
    /// Its keeper.
    pub backend: Box<dyn BootBackend>,
    /// Its memory, or why it cannot be used, in words.
    pub recorder: Result<Recorder<Box<dyn Storage>>, String>,
    /// The slot that runs now.
    pub booted: Option<SlotId>,
    /// Whether a confirmed system may be left.
    pub late_fallback: LateFallback,
    /// The time of what is remembered.
    pub at: Timestamp,
}

/// The boot state could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The keeper failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The boot state, open for change.
pub struct BootControl {
    backend: Box<dyn BootBackend>,
    recorder: Option<Recorder<Box<dyn Storage>>>,
    /// As the keeper has it.
    stored: BootState,
    /// With what the recorder knows better.
    state: BootState,
    booted: Option<SlotId>,
    late_fallback: LateFallback,
    at: Timestamp,
    warnings: Vec<String>,
    unnoted: Option<Unnoted>,
}

/// What could not be remembered, told in one warning.
struct Unnoted {
    /// Which of the warnings.
    at: usize,
    cause: String,
    count: usize,
}

impl BootControl {
    /// Loads the state. A recorder that cannot be used is a warning: updating and booting must not
    /// depend on it.
    ///
    /// # Errors
    /// [`BackendError`] when the state cannot be read.
    pub fn load(parts: ControlParts) -> Result<Self, BackendError> {
        let ControlParts { mut backend, recorder, booted, late_fallback, at } = parts;
        let stored = backend.load()?;
        let mut warnings = backend.warnings();
        let recorder = recorder.map_err(|why| warnings.push(why)).ok();
        warnings.extend(recorder.as_ref().and_then(Recorder::warning));
        let state = stored.clone();
        let unnoted = None;
        let mut control =
            Self { backend, recorder, stored, state, booted, late_fallback, at, warnings, unnoted };
        control.state = control.recalled();
        Ok(control)
    }

    fn reload(&mut self) -> Result<(), BackendError> {
        self.stored = self.backend.load()?;
        self.state = self.recalled();
        Ok(())
    }

    fn recalled(&self) -> BootState {
        match &self.recorder {
            // A boot loader that cannot be told does not go by what is remembered either.
            Some(recorder) if self.backend.copies() > 0 => {
                recall(&self.stored, self.booted, recorder.facts())
            }
            Some(_) | None => self.stored.clone(),
        }
    }

    /// Says which disk is in front of the board, by the identity of its table, or that its table names
    /// none: what the recorder remembers of another one is nothing to recall.
    pub fn of_disk(&mut self, front: Option<PartUuid>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.of_disk(front);
        }
        self.state = self.recalled();
    }

    /// The state as the keeper has it, which may have lost what [`Self::state`] recalls.
    #[must_use]
    pub const fn stored(&self) -> &BootState {
        &self.stored
    }

    /// The state that counts for decisions: as stored, and as remembered where that is lost.
    #[must_use]
    pub const fn state(&self) -> &BootState {
        &self.state
    }

    /// The slot that runs now.
    #[must_use]
    pub const fn booted(&self) -> Option<SlotId> {
        self.booted
    }

    /// What should be told to a person but does not stop anything.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the recorder remembers, oldest first; nothing when it cannot be read.
    pub fn history(&mut self) -> Vec<Record> {
        match self.recorder.as_ref().map(|recorder| recorder.entries()) {
            None => Vec::new(),
            Some(Ok(records)) => records,
            Some(Err(cause)) => {
                self.warnings.push(chain(&cause));
                Vec::new()
            }
        }
    }

    /// The recorder, where it could be opened.
    #[must_use]
    pub const fn recorder(&self) -> Option<&Recorder<Box<dyn Storage>>> {
        self.recorder.as_ref()
    }

    /// The firmware's decisions that are in its environment, oldest first.
    #[must_use]
    pub fn trail(&self) -> Vec<Numbered> {
        self.backend.trail()
    }

    /// What the recorder knows of the slots; nothing when it could not be opened.
    #[must_use]
    pub fn recorder_facts(&self) -> RecorderFacts {
        self.recorder.as_ref().map(|recorder| recorder.facts().clone()).unwrap_or_default()
    }

    /// Makes one change durable and remembers it. Where late fallback is prevented, the booted
    /// slot's confirmation turns the other slot bad, as in RAUC, and in the same commit: after a
    /// cut between two nobody would do the second, because a good slot is not marked again.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn apply(&mut self, command: &Command) -> Result<(), ControlError> {
        let (next, mut follows) = self.decide(command)?;
        match self.commit(next) {
            Err(BackendError::Changed) => {
                // An install began or ended meanwhile: the command is judged on what is there now.
                self.reload()?;
                let (next, now_follows) = self.decide(command)?;
                self.commit(next)?;
                follows = now_follows;
            }
            committed => committed?,
        }
        for done in [Some(command), follows.as_ref()].into_iter().flatten() {
            if let Some(entry) = marked(done) {
                self.note(&entry);
            }
        }
        Ok(())
    }

    /// Begins an install into `target`, and says so in every copy before it returns: an older copy
    /// would otherwise speak of what the target holds now, when it is something else already.
    ///
    /// # Errors
    /// [`ControlError`]; the target must not be written then.
    pub fn begin_install(&mut self, target: SlotId) -> Result<(), ControlError> {
        self.apply(&Command::BeginInstall { target })?;
        for _ in 1..self.backend.copies() {
            self.repeat_begun(target)?;
        }
        Ok(())
    }

    /// Stores the state as it is into the oldest copy, for as long as it says `writing`.
    fn repeat_begun(&mut self, target: SlotId) -> Result<(), BackendError> {
        for _ in 0..BEGIN_REPEATS {
            if self.stored.slot(target).state != SlotState::Writing {
                break;
            }
            match self.backend.store(&self.stored, &self.stored) {
                Err(BackendError::Changed) => self.reload()?,
                stored => return stored,
            }
        }
        Err(BackendError::Changed)
    }

    /// The state after `command` and what follows from it by the configuration.
    fn decide(&self, command: &Command) -> Result<(BootState, Option<Command>), Refused> {
        // A disk that begins its life is not the one that is remembered.
        let begins = matches!(command, Command::FirstBoot { .. });
        let from = if begins { &self.stored } else { &self.state };
        let next = transition(from, self.booted, command)?;
        if let Command::ConfirmFallback { slot } = *command
            && next.slot(slot.other()).state == SlotState::Bad
        {
            // A slot that was bad before is nothing that was fallen back from.
            let given_up = Command::MarkBad { slot: slot.other(), force: Force::No };
            return Ok((next, Some(given_up)));
        }
        let Command::MarkGood { slot } = *command else { return Ok((next, None)) };
        // An update that waits there for its first boot is nothing to fall back to.
        let falls_back =
            matches!(next.slot(slot.other()).state, SlotState::Good | SlotState::Unknown);
        let keeps = self.late_fallback == LateFallback::Allowed;
        if keeps || self.booted != Some(slot) || !falls_back {
            return Ok((next, None));
        }
        let gives_up = Command::MarkBad { slot: slot.other(), force: Force::No };
        let next = transition(&next, self.booted, &gives_up)?;
        Ok((next, Some(gives_up)))
    }

    /// Restores in one commit what the recorder knows and the environment lost, and remembers what
    /// the selector did: once per boot, with the reason of the kernel command line.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn reconcile(&mut self, reason: Option<Reason>) -> Result<(), BackendError> {
        let mut found = self.judge_boot(reason);
        match self.commit(found.state.clone()) {
            Err(BackendError::Changed) => {
                // An install or a verdict was stored meanwhile: this boot is judged on that.
                self.reload()?;
                found = self.judge_boot(reason);
                self.commit(found.state)?;
            }
            // The firmware begins it anew at the next boot. This one is remembered all the same.
            Err(lost @ BackendError::NoDefaults) => self.warnings.push(lost.to_string()),
            committed => committed?,
        }
        // The state first: an entry about a change that then does not happen would be a lie.
        for entry in found.entries.iter().filter(|entry| !is_fallback(entry)) {
            self.note(entry);
        }
        if self.backend.copies() == 0 {
            self.reload()?;
        }
        Ok(())
    }

    /// What to make of this boot. A slot that the selector left was left, whatever becomes of the
    /// commit: it is remembered before, since a cut right after the commit leaves no trace of it.
    fn judge_boot(&mut self, reason: Option<Reason>) -> Reconciled {
        let found = reconcile(&self.state, self.booted, reason, &self.recorder_facts());
        for entry in found.entries.iter().filter(|entry| is_fallback(entry)) {
            self.note(entry);
        }
        found
    }

    /// Remembers what the boots left behind that died before anybody could remember anything: the
    /// firmware's trail, and what `deaths` say. Before [`Self::reconcile`], which then knows why a
    /// slot was left. Told once, however often it is called.
    pub fn note_dead_boots(&mut self, deaths: &[Death]) {
        for entry in self.recorder_facts().news(&self.backend.trail(), deaths) {
            self.note(&entry);
        }
    }

    /// Stores `next` in one commit, unless nothing changed.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn commit(&mut self, next: BootState) -> Result<(), BackendError> {
        if next == self.stored {
            return Ok(());
        }
        self.backend.store(&self.stored, &next)?;
        self.stored = next.clone();
        self.state = next;
        self.hear_backend();
        let snapshot = Entry::States(Snapshot::from(&self.state));
        self.note(&snapshot);
        Ok(())
    }

    /// Whether the data partition is to be made anew at the next boot.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn data_reset(&mut self) -> Result<DataReset, BackendError> {
        self.backend.data_reset()
    }

    /// Makes that request durable, or takes it back.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn set_data_reset(&mut self, wanted: DataReset) -> Result<(), BackendError> {
        self.backend.set_data_reset(wanted)?;
        self.hear_backend();
        Ok(())
    }

    /// Takes over what the keeper has to say, once: it repeats what it said at loading.
    fn hear_backend(&mut self) {
        for warning in self.backend.warnings() {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// Appends to the flight recorder; a failure becomes a warning, and more of them its count.
    pub fn note(&mut self, entry: &Entry) {
        if let Some(recorder) = &mut self.recorder
            && let Err(cause) = recorder.append(self.at, entry)
        {
            self.miss(chain(&cause));
        }
    }

    fn miss(&mut self, cause: String) {
        let at = self.warnings.len();
        let unnoted = self.unnoted.get_or_insert(Unnoted { at, cause, count: 0 });
        unnoted.count += 1;
        let text = match unnoted.count {
            1 => unnoted.cause.clone(),
            count => format!("{}; {count} records are not written", unnoted.cause),
        };
        match self.warnings.get_mut(unnoted.at) {
            Some(warning) => *warning = text,
            None => self.warnings.push(text),
        }
    }
}

const fn is_fallback(entry: &Entry) -> bool {
    matches!(entry, Entry::FellBack { .. })
}

/// What the recorder calls a command that a person or a program gave.
const fn marked(command: &Command) -> Option<Entry> {
    match *command {
        Command::MarkGood { slot } => Some(Entry::Marked { slot, mark: Mark::Good }),
        Command::MarkBad { slot, .. } => Some(Entry::Marked { slot, mark: Mark::Bad }),
        Command::MarkActive { slot } => Some(Entry::Marked { slot, mark: Mark::Active }),
        Command::FirstBoot { disk } => Some(Entry::FirstBoot { disk }),
        Command::BeginInstall { .. }
        | Command::FinishInstall { .. }
        | Command::FailInstall { .. }
        | Command::RestoreAttempts { .. }
        | Command::ConfirmFallback { .. }
        | Command::Leave { .. }
        | Command::Rollback { .. } => None,
    }
}
