// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told about a job: the body of `GET /api/jobs/{id}`, whose names and words are the
//! contract's.

use super::JobId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most events that a job keeps; later ones replace the last, so that the newest step shows.
pub const MAX_EVENTS: usize = 500;

/// Longest text of an event or error.
pub const MAX_TEXT_CHARS: usize = 2000;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, not begun.
    Submitted,
    /// Under way.
    Running,
    /// Done, and its services are healthy.
    Succeeded,
    /// Not done; `rollback_status` says what is in force now.
    Failed,
}

impl JobState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Submitted | Self::Running => false,
            Self::Succeeded | Self::Failed => true,
        }
    }
}

/// What a failure left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RollbackStatus {
    /// The configuration before is in force again, and its services run.
    Completed,
    /// It is in force again, but its services do not all run.
    Failed,
    /// Nothing had been changed yet.
    Skipped,
    /// There was none before: the device is as it was delivered.
    Discarded,
}

/// One step on the way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobEvent {
    /// The step's name, for example `validate`.
    pub step: String,
    /// Seconds since the job began, with two decimals.
    pub elapsed_seconds: f64,
    /// What happens, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The unit that the step is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `rootful` or `rootless`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `running`, `failed`, `building`, `starting` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl JobEvent {
    /// An event of which only the step is known.
    #[must_use]
    pub fn step(step: impl Into<String>) -> Self {
        Self { step: step.into(), ..Self::default() }
    }

    /// The event with its texts cut to what is kept.
    #[must_use]
    pub fn bounded(self) -> Self {
        let cut = |text: Option<String>| text.map(|text| bounded_text(&text));
        Self {
            step: bounded_text(&self.step),
            elapsed_seconds: self.elapsed_seconds,
            message: cut(self.message),
            service: cut(self.service),
            mode: cut(self.mode),
            status: cut(self.status),
        }
    }
}

/// What a job that succeeded came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobResult {
    /// What was accepted and may surprise.
    pub warnings: Vec<String>,
    /// Whether a configuration was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reapply: Option<bool>,
    /// Whether the configuration before is in force again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<bool>,
    /// Where the device answers from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding_url: Option<String>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReportedFault {
    /// Line of the file from 1; 0 where the fault has no place.
    pub line: u32,
    /// Column in characters from 1; 0 where the fault has no place.
    pub column: u32,
    /// The key, for example `containers.container.web.Container.PublishPort[1]`.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for ReportedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

/// A change and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its name.
    #[cfg_attr(feature = "server", schema(value_type = String, format = "uuid"))]
    pub id: JobId,
    /// How far it is.
    pub state: JobState,
    /// The newest step.
    pub current_step: String,
    /// All steps so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<JobEvent>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is wrong with the configuration, when that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<ReportedFault>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// What a failure left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_status: Option<RollbackStatus>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
}

impl Job {
    /// A job that was just accepted.
    #[must_use]
    pub fn new(id: JobId) -> Self {
        Self {
            id,
            state: JobState::Submitted,
            current_step: "submitted".to_owned(),
            events: Vec::new(),
            error: None,
            faults: Vec::new(),
            result: None,
            rollback_status: None,
            duration_seconds: None,
        }
    }
}

/// A text cut to what is kept, in one line: a unit's output may hold anything.
pub(super) fn bounded_text(text: &str) -> String {
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(MAX_TEXT_CHARS).map(clean).collect()
}

/// Milliseconds as the contract tells time: in seconds with two decimals.
#[must_use]
pub fn seconds(millis: u64) -> f64 {
    let hundredths = u32::try_from(millis / 10).unwrap_or(u32::MAX);
    f64::from(hundredths) / 100.0
}
