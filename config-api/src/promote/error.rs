// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong while a configuration is promoted or taken back.

use super::layout::Generation;
use super::state::{Command, State};
use std::path::PathBuf;
use storage::FilesError;

/// A failed promotion, verdict or recovery. What counted before still counts.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// A file or directory could not be read or written.
    #[error("cannot change the configuration on the medium")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
    /// The new configuration could not be read from where it comes.
    #[error("cannot read {path} of the new configuration", path = path.display())]
    Source {
        /// Path within it.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A path of the new configuration leads out of it.
    #[error("{path} does not belong into a configuration", path = path.display())]
    Path {
        /// Path.
        path: PathBuf,
    },
    /// The medium gave back something else than was written.
    #[error("{path} reads back differently from what was written", path = path.display())]
    ReadBack {
        /// Path.
        path: PathBuf,
    },
    /// The record is there and cannot be understood. Whether the device was provisioned is not
    /// known then, so nobody may claim it.
    #[error("the promotion record is corrupt: {problem}")]
    CorruptRecord {
        /// What is wrong with it.
        problem: String,
    },
    /// The record names a generation that is not there.
    #[error("{generation} is recorded and not there")]
    Lost {
        /// Which one.
        generation: Generation,
    },
    /// In this state that is not done.
    #[error("{command:?} is refused while the configuration is {state:?}")]
    Refused {
        /// What was asked.
        command: Box<Command>,
        /// The state.
        state: Box<State>,
    },
}

impl PromoteError {
    /// The way out, where there is a usual one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::CorruptRecord { .. } | Self::Lost { .. } => {
                Some("apply a configuration again with the key of an administrator, or reset data")
            }
            Self::ReadBack { .. } => Some("look for a failing medium in the kernel's log"),
            Self::Refused { .. } => Some("wait for the promotion in work, or restart the service"),
            Self::Files { .. } | Self::Source { .. } | Self::Path { .. } => None,
        }
    }
}
