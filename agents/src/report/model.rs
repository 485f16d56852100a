// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a device report? JSON of version 1, described in `docs/agents-report.md`.
//!
//! Members have a fixed order and are left out where nothing is known, so the same report is the
//! same bytes. A reader ignores members that it does not know: new ones may come in version 1.

use serde::{Deserialize, Serialize};

/// The version of this shape.
pub const REPORT_VERSION: u32 = 1;

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Which device.
    pub device: ReportedDevice,
    /// This boot.
    pub boot: ReportedBoot,
    /// Slot A, then slot B.
    pub slots: Vec<ReportedSlot>,
    /// How the last update ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update: Option<LastUpdate>,
    /// The verifier's verdicts, newest first.
    pub verdicts: Vec<ReportedVerdict>,
    /// The last thing that went wrong: a fallback, a dead boot, an install that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trouble: Option<ReportedRecord>,
    /// Bundles that failed here, newest first: 32 hexadecimal digits each.
    pub failed: Vec<String>,
    /// The boot loader's environment; left out where the boot loader has none of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<ReportedEnvironment>,
    /// The clock.
    pub time: ReportedTime,
    /// The agent.
    pub agent: ReportedAgent,
    /// The flight recorder.
    pub recorder: ReportedRecorder,
    /// What could not be read, and why.
    pub missing: Vec<String>,
}

/// Which device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedDevice {
    /// Its name to servers.
    pub id: String,
    /// The product.
    pub compatible: String,
    /// The version of `atomix`.
    pub atomix: String,
    /// SHA-256 of the public key that signs, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// This boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedBoot {
    /// The kernel's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Boots on record.
    pub count: u64,
    /// Whether these are all since the board's first; else some are forgotten.
    pub counted_all: bool,
    /// The slot it runs from; left out where that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Why the firmware took it, a word of `docs/glossary.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The slot that boots next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_why: Option<String>,
}

/// A slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSlot {
    /// `A` or `B`.
    pub name: String,
    /// `empty`, `writing`, `trying`, `good`, `bad` or `unknown`.
    pub state: String,
    /// Boots it may still try.
    pub attempts_left: u8,
    /// The version in the manifest of what it was written from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the device remembers that bundle by: the first 32 digits of the manifest's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The whole SHA-256 of the manifest, where the status file has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// When it was installed, as the device's clock was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_at: Option<String>,
}

/// How the last update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateResult {
    /// It runs and was confirmed.
    Good,
    /// It was tried and left, or marked bad.
    FellBack,
    /// It is not decided: being written, waiting for its reboot, on trial.
    Pending,
    /// It was never whole: the install failed.
    Failed,
}

impl UpdateResult {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::FellBack => "fell-back",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// The last update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUpdate {
    /// The slot that it wrote.
    pub slot: String,
    /// The version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What the device remembers its bundle by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// How it ended.
    pub result: UpdateResult,
    /// Why, where that is not `good`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A verdict of the verifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedVerdict {
    /// Number of its record.
    pub sequence: u64,
    /// When, if the clock was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Of which slot.
    pub slot: String,
    /// The verdict.
    pub healthy: bool,
    /// The probes that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The environment's copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedEnvironment {
    /// How many there should be.
    pub copies: u8,
    /// How many are whole.
    pub whole: u8,
    /// Whether it survives the loss of one more copy.
    pub redundant: bool,
    /// What is wrong with the others.
    pub faults: Vec<String>,
}

/// The clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedTime {
    /// Whether somebody set it since the start.
    pub is_set: bool,
    /// What it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// It is later than this: what something signed has proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
}

/// The agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedAgent {
    /// `poll` or `hawkbit`; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// When a server last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<String>,
    /// What it last decided, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<String>,
    /// How often in a row the server could not be asked; left out where that is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// What was refused last, where nothing was taken since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ReportedRefusal>,
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRefusal {
    /// Its kind, a word of `docs/agents-report.md`.
    pub kind: String,
    /// The same in words.
    pub words: String,
    /// Since when it is refused in this way, if the clock was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The flight recorder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRecorder {
    /// Whether it could be read, all of it or in part.
    pub readable: bool,
    /// Blocks that could not.
    pub unreadable_blocks: u64,
    /// Number of the newest record there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<u64>,
    /// Older records that are not in this report.
    pub left_out: u64,
    /// Records, newest first.
    pub records: Vec<ReportedRecord>,
}

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRecord {
    /// Its number.
    pub sequence: u64,
    /// When, if the clock was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What happened, a name of `docs/flight-recorder.md`.
    pub kind: String,
    /// The same in words.
    pub text: String,
}
