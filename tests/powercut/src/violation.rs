// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was broken: the invariants of the design as far as a power cut can break them.

use std::fmt;

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// The next boot starts a slot whose content was verified complete.
    I1,
    /// The booted group is never written; an empty or writing slot is never started.
    I2,
    /// An update that never confirms is abandoned with no human action.
    I3,
    /// Running again after a cut converges.
    I6,
    /// Why a slot was left is known afterwards: the recorder keeps what it acknowledged, and knows
    /// the slots when the environment does not.
    I7,
    /// The last good slot is never given up.
    I8,
    /// A commit of the environment is there whole or not at all, and stays once it returned.
    Commit,
    /// What an operation did before it returned, no cut takes back.
    Durable,
    /// What an artifact's name leads to is there, and whole.
    Artifact,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::Commit => "commit",
            Self::Durable => "durable",
            Self::Artifact => "artifact",
        })
    }
}

/// An image on which an invariant does not hold: a brick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// How.
    pub what: String,
}

impl Violation {
    /// A violation of `invariant`.
    pub fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Makes a failed act a violation.
pub trait OrBreaks<T> {
    /// The value, or a violation of `invariant` that names the failed act.
    ///
    /// # Errors
    /// [`Violation`].
    fn or_breaks(self, invariant: Invariant, act: &str) -> Result<T, Violation>;
}

impl<T, E: Into<anyhow::Error>> OrBreaks<T> for Result<T, E> {
    fn or_breaks(self, invariant: Invariant, act: &str) -> Result<T, Violation> {
        self.map_err(|cause| Violation::new(invariant, format!("{act}: {:#}", cause.into())))
    }
}
