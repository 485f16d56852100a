// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state with its keeper and its memory: load, change by a command, store in one commit,
//! remember in the flight recorder. Decides nothing: `bootctl::transition` does.

use crate::context::{BoardRecorder, Context};
use crate::failure::{Failure, chain};
use bootctl::{
    BackendError, BootBackend, BootState, Command, DataReset, Entry, Force, Mark, Record,
    RecorderFacts, SlotId, SlotState, Snapshot, Timestamp, transition,
};
use storage::Access;

/// The boot state, open for change.
pub struct BootControl {
    backend: Box<dyn BootBackend>,
    recorder: Option<BoardRecorder>,
    state: BootState,
    booted: Option<SlotId>,
    /// `prevent-late-fallback`: a system that confirmed itself is never left for the one before.
    prevent_late_fallback: bool,
    at: Timestamp,
    warnings: Vec<String>,
}

impl BootControl {
    /// Opens the boot state of `context`. A recorder that cannot be opened is a warning: updating
    /// and booting must not depend on it.
    ///
    /// # Errors
    /// [`Failure`] of the configuration or the backend.
    pub fn open(context: &Context, access: Access) -> Result<Self, Failure> {
        let config = context.system_conf()?;
        let recorder = match (context.settings(), access) {
            // Those who only look need the rest of the answer, most of all then.
            (Err(failure), Access::ReadOnly) => Err(failure),
            (settings, Access::ReadOnly | Access::ReadWrite | Access::WriteBeside) => {
                context.recorder(&settings?, access)
            }
        };
        let mut backend = context.backend(&config, access)?;
        let state = backend.load()?;
        let mut warnings = backend.warnings();
        let recorder = match recorder {
            Ok(recorder) => Some(recorder),
            Err(failure) => {
                warnings.push(failure.as_warning());
                None
            }
        };
        let booted = context.booted()?;
        Ok(Self {
            backend,
            recorder,
            state,
            booted,
            prevent_late_fallback: config.system.prevent_late_fallback,
            at: context.now.timestamp(),
            warnings,
        })
    }

    /// The state as stored.
    #[must_use]
    pub const fn state(&self) -> &BootState {
        &self.state
    }

    /// The slot that runs now.
    #[must_use]
    pub const fn booted(&self) -> Option<SlotId> {
        self.booted
    }

    /// The slot that runs now.
    ///
    /// # Errors
    /// [`Failure::NotBootedFromSlot`].
    pub fn require_booted(&self) -> Result<SlotId, Failure> {
        self.booted.ok_or(Failure::NotBootedFromSlot)
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

    /// What the recorder knows of the slots; nothing when it could not be opened.
    #[must_use]
    pub fn recorder_facts(&self) -> RecorderFacts {
        self.recorder.as_ref().map(|recorder| recorder.facts().clone()).unwrap_or_default()
    }

    /// Makes one change durable and remembers it. With `prevent-late-fallback` the booted slot's
    /// confirmation turns the other slot bad, as in RAUC, and in the same commit: after a cut
    /// between two nobody would do the second, because a good slot is not marked again.
    ///
    /// # Errors
    /// [`Failure::BootState`] when the state does not allow it, [`Failure::Backend`].
    pub fn apply(&mut self, command: &Command) -> Result<(), Failure> {
        let (next, mut follows) = self.decide(command)?;
        match self.commit(next) {
            Err(Failure::Backend(BackendError::Changed)) => {
                // An install began or ended meanwhile: the command is judged on what is there now.
                self.state = self.backend.load()?;
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

    /// The state after `command` and what follows from it by the configuration.
    fn decide(&self, command: &Command) -> Result<(BootState, Option<Command>), Failure> {
        let next = transition(&self.state, self.booted, command)?;
        let Command::MarkGood { slot } = *command else { return Ok((next, None)) };
        // An update that waits there for its first boot is nothing to fall back to.
        let falls_back =
            matches!(next.slot(slot.other()).state, SlotState::Good | SlotState::Unknown);
        if !self.prevent_late_fallback || self.booted != Some(slot) || !falls_back {
            return Ok((next, None));
        }
        let gives_up = Command::MarkBad { slot: slot.other(), force: Force::No };
        let next = transition(&next, self.booted, &gives_up)?;
        Ok((next, Some(gives_up)))
    }

    /// Stores `next` in one commit, unless nothing changed.
    ///
    /// # Errors
    /// [`Failure::Backend`].
    pub fn commit(&mut self, next: BootState) -> Result<(), Failure> {
        if next == self.state {
            return Ok(());
        }
        self.backend.store(&self.state, &next)?;
        self.state = next;
        let snapshot = Entry::States(Snapshot::from(&self.state));
        self.note(&snapshot);
        Ok(())
    }

    /// Whether the data partition is to be made anew at the next boot.
    ///
    /// # Errors
    /// [`Failure::Backend`].
    pub fn data_reset(&mut self) -> Result<DataReset, Failure> {
        Ok(self.backend.data_reset()?)
    }

    /// Makes that request durable, or takes it back.
    ///
    /// # Errors
    /// [`Failure::Backend`].
    pub fn set_data_reset(&mut self, wanted: DataReset) -> Result<(), Failure> {
        Ok(self.backend.set_data_reset(wanted)?)
    }

    /// Appends to the flight recorder; a failure becomes a warning.
    pub fn note(&mut self, entry: &Entry) {
        if let Some(recorder) = &mut self.recorder
            && let Err(cause) = recorder.append(self.at, entry)
        {
            self.warnings.push(chain(&cause));
        }
    }
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
        | Command::Rollback { .. } => None,
    }
}
