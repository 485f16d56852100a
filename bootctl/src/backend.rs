// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the boot state is kept: the seam between the state machine and a boot loader.

use crate::{BootState, DataReset, Numbered, SlotId};
use std::path::PathBuf;
use uboot::EnvError;

/// Loads and stores the boot state of one kind of boot loader.
pub trait BootBackend {
    /// The name used in configuration and messages.
    fn name(&self) -> &'static str;

    /// Reads the state. A lost environment is a state of unknown slots, not a failure.
    ///
    /// # Errors
    /// [`BackendError`] when the place cannot be read.
    fn load(&mut self) -> Result<BootState, BackendError>;

    /// Makes `new` durable; `old` is what `load` gave, so that a backend which can only send
    /// changes knows them, and one that can look does not undo what others stored since. Where
    /// both are the same the state is written all the same: of two copies the older one gets it.
    ///
    /// # Errors
    /// [`BackendError::Changed`] when nothing was written because the stored state is not `old`
    /// any more; after any other it is unknown until `load` whether the change is on the medium.
    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError>;

    /// How many copies of the state there are, of which each store writes the oldest. Where none
    /// is kept, unknown slots are nothing that was lost.
    fn copies(&self) -> usize {
        1
    }

    /// What was odd about the state loaded last, or about how it was stored since, for people.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The firmware's decisions as found by the last `load`, oldest first; nothing where the boot
    /// loader leaves no trail.
    fn trail(&self) -> Vec<Numbered> {
        Vec::new()
    }

    /// Whether the data partition is to be made anew at the next boot.
    ///
    /// # Errors
    /// [`BackendError`] when the place cannot be read.
    fn data_reset(&mut self) -> Result<DataReset, BackendError> {
        Ok(DataReset::NotRequested)
    }

    /// Makes the request durable, or takes it back so that no older copy brings it back.
    ///
    /// # Errors
    /// [`BackendError`]; [`BackendError::NoRequests`] where it cannot be kept.
    fn set_data_reset(&mut self, _wanted: DataReset) -> Result<(), BackendError> {
        Err(BackendError::NoRequests { backend: self.name() })
    }

    /// The booted slot, where the boot loader itself can tell.
    ///
    /// # Errors
    /// [`BackendError`] when it could tell and the question failed.
    fn booted(&mut self) -> Result<Option<SlotId>, BackendError> {
        Ok(None)
    }
}

/// A failed act on a boot loader's state.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The environment could not be read or written.
    #[error("cannot access the boot loader's environment")]
    Environment {
        /// Cause.
        #[source]
        source: EnvError,
    },
    /// The environment is lost and there are no defaults to begin a new one from. U-Boot replaces
    /// its defaults by a stored environment whole, so one holding only the boot state would leave
    /// it without a boot command.
    #[error("the environment is lost and cannot be begun anew from here")]
    NoDefaults,
    /// Another program stored a state since this one was loaded; nothing was written.
    #[error("another program changed the boot state meanwhile")]
    Changed,
    /// What is stored is another state than was loaded, and a copy that was valid is not; nothing
    /// was written.
    #[error("the boot state is not what it was a moment ago: {warning}")]
    CopyLost {
        /// Which copy, and what is wrong with it.
        warning: String,
    },
    /// Our own lock cannot be had.
    #[error("cannot lock the environment with {path}", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Another program of this project holds our own lock.
    #[error("another atomix command has held {path} for {secs} seconds", path = path.display())]
    LockHeld {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        secs: u64,
    },
    /// The script of the `custom` backend could not be started.
    #[error("cannot run {program} {arguments}", program = program.display())]
    Start {
        /// The script.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The script of the `custom` backend failed.
    #[error("{program} {arguments} failed with {status}: {stderr}", program = program.display())]
    Failed {
        /// The script.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// Exit code or signal, in words.
        status: String,
        /// What it said, shortened.
        stderr: String,
    },
    /// The script of the `custom` backend answered something else than its contract allows.
    #[error("{program} {arguments} answered \"{answer}\"", program = program.display())]
    Answer {
        /// The script.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// The answer, shortened.
        answer: String,
    },
    /// The backend has no boot loader to ask or to tell.
    #[error("the {backend} backend cannot select slots")]
    Unsupported {
        /// Backend name.
        backend: &'static str,
    },
    /// The backend has no environment that a request could wait in.
    #[error("the {backend} backend cannot keep a request for the next boot")]
    NoRequests {
        /// Backend name.
        backend: &'static str,
    },
}

impl BackendError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Environment { source } => source.hint(),
            Self::NoDefaults => Some(
                "reboot once: the boot loader then stores an environment made from its defaults",
            ),
            Self::Changed => Some("look at the state again, then repeat the command"),
            Self::CopyLost { .. } => Some("repeat the command: it goes by the copy that is left"),
            Self::LockHeld { .. } => Some("wait until it ends, then repeat this one"),
            Self::Lock { .. } => Some("run as root; the directory of the lock must be writable"),
            Self::Start { .. } => Some("check that the script exists and is executable"),
            Self::Failed { .. } | Self::Answer { .. } => {
                Some("run the script by hand with the same arguments")
            }
            Self::Unsupported { .. } => Some("choose a backend that can select slots"),
            Self::NoRequests { .. } => Some("make the file system by hand, with data unmounted"),
        }
    }
}
