// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a handler or hook did not do what it is for. The words about its end are GLib's, as RAUC's
//! clients know them.

use super::BoxedError;
use std::path::PathBuf;

/// A program that did not do what it is for.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// It could not be started.
    #[error("failed to start {program}", program = program.display())]
    Start {
        /// It.
        program: PathBuf,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// It ended with another status than 0; GLib's words, as RAUC's clients see them.
    #[error("Child process exited with code {code}")]
    Exit {
        /// Its status.
        code: i32,
    },
    /// A signal ended it.
    #[error("Child process killed by signal {signal}")]
    Signal {
        /// The signal.
        signal: i32,
    },
    /// Words around a failure.
    #[error("{what}")]
    During {
        /// What it was for.
        what: String,
        /// Cause.
        #[source]
        source: Box<ProgramFailure>,
    },
    /// Arguments that no shell would take.
    #[error("arguments of the handler are not quoted as a shell would take them")]
    Arguments,
    /// Somebody wanted it to end, and so it was ended.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
}

impl ProgramFailure {
    /// Puts what the program was for in front.
    #[must_use]
    pub fn during(self, what: impl Into<String>) -> Self {
        Self::During { what: what.into(), source: Box::new(self) }
    }
}
