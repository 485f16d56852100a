// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why did a program not do its work?

use crate::ProgramEnd;
use std::io;
use std::time::Duration;

/// A program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Its pipes failed.
    #[error("cannot talk with {program}")]
    Talk {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What it should read could not be had.
    #[error("cannot read the input for {program}")]
    Input {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("{program} took longer than {} s and was killed", limit.as_secs())]
    TimedOut {
        /// Program.
        program: String,
        /// The longest it may take.
        limit: Duration,
    },
    /// Somebody wanted the whole to end; the program was killed.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
    /// It ended with a failure.
    #[error("{program} failed ({})", end.describe())]
    Failed {
        /// Program.
        program: String,
        /// How it ended.
        end: ProgramEnd,
    },
}

impl ProgramError {
    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("install the program, or put its directory into PATH")
            }
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it executable, on a file system that is not mounted noexec")
            }
            Self::Start { .. }
            | Self::Talk { .. }
            | Self::Input { .. }
            | Self::TimedOut { .. }
            | Self::Stopped { .. }
            | Self::Failed { .. } => None,
        }
    }
}
