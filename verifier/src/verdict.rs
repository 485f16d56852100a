// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found out about this boot, for people and for programs.

use crate::round::Trouble;
use serde::Serialize;

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The probe that found it.
    pub probe: String,
    /// A stable word for programs, such as `unit-restarted`.
    pub code: &'static str,
    /// The sentence for people.
    pub text: String,
}

impl Finding {
    /// What `probe` found.
    #[must_use]
    pub fn new(probe: &str, trouble: &Trouble) -> Self {
        Self { probe: probe.to_owned(), code: trouble.code(), text: trouble.to_string() }
    }
}

/// The judgement over a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every required probe held for the whole window.
    Healthy {
        /// What warning probes found in the last round.
        warnings: Vec<Finding>,
    },
    /// At least one required probe did not hold.
    Unhealthy {
        /// All of them, not only the first.
        reasons: Vec<Finding>,
        /// What warning probes found in the same round.
        warnings: Vec<Finding>,
    },
}

impl Verdict {
    /// Whether the boot may be confirmed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        match self {
            Self::Healthy { .. } => true,
            Self::Unhealthy { .. } => false,
        }
    }

    /// One line for the flight recorder: the reasons, or `healthy`.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Healthy { .. } => "healthy".to_owned(),
            Self::Unhealthy { reasons, .. } => reasons
                .iter()
                .map(|finding| format!("{}: {}", finding.probe, finding.text))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    /// The exit code of the act "verify the health of this boot". A question asked once
    /// (`health probe`) ends with 10 instead of 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Healthy { .. } => 0,
            Self::Unhealthy { .. } => 1,
        }
    }
}
