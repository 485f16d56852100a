// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the selector took the slot it took; its word on the kernel command line.

use std::fmt;
use std::str::FromStr;

/// Why a slot was booted. The text form travels in `atomix_reason` and `atomix.reason=`.
///
/// The numbers are stored by the flight recorder: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The primary is good and was taken.
    Normal = 0,
    /// An update on its way to confirmation was taken.
    Trying = 1,
    /// The primary could not be taken; a later slot of the order was.
    Fallback = 2,
    /// The environment was lost; the slots' states are unknown.
    EnvLost = 3,
    /// The environment cannot be saved; only a confirmed or unknown slot is taken.
    EnvUnwritable = 4,
    /// The slot taken did not load; the board resets and chooses again.
    LoadFailed = 5,
    /// No slot was permitted; a bad one that still loads was taken.
    LastResort = 6,
    /// The environment belongs to another disk and was not believed.
    ForeignDisk = 7,
    /// Nothing loads; the board waits for a technician.
    Recovery = 8,
    /// Every good slot had run out of attempts; all got them back.
    AttemptsReset = 9,
}

/// The text names no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a boot reason")]
pub struct UnknownReason {
    /// The text found.
    pub text: String,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Normal,
        Self::Trying,
        Self::Fallback,
        Self::EnvLost,
        Self::EnvUnwritable,
        Self::LoadFailed,
        Self::LastResort,
        Self::ForeignDisk,
        Self::Recovery,
        Self::AttemptsReset,
    ];

    /// The word in variables and on the kernel command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Trying => "trying",
            Self::Fallback => "fallback",
            Self::EnvLost => "env-lost",
            Self::EnvUnwritable => "env-unwritable",
            Self::LoadFailed => "load-failed",
            Self::LastResort => "last-resort",
            Self::ForeignDisk => "foreign-disk",
            Self::Recovery => "recovery",
            Self::AttemptsReset => "attempts-reset",
        }
    }

    /// The stored number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason stored as `code`.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownReason { text: text.chars().take(32).collect() })
    }
}
