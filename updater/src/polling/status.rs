// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known from the polls so far: the property `Status` of the D-Bus interface `Poller`.

use super::BootTime;
use crate::system::Updated;
use bundle::Manifest;
use storage::Digest;

/// How a bundle lies on its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedBundle {
    /// Its size in bytes.
    pub size: u64,
    /// Where it lies after redirects.
    pub effective_url: Option<String>,
    /// When it was changed, in seconds since 1970; zero where the server does not say.
    pub modified_time: u64,
    /// By what the server tells it from an older one.
    pub etag: Option<String>,
}

/// A bundle whose signature was verified and whose content was not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolledBundle {
    /// Digest of its manifest, by which it is locked for the install.
    pub hash: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// How it is served.
    pub served: ServedBundle,
}

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A bundle.
    Bundle(Box<PolledBundle>),
    /// The server has none (HTTP 204).
    NoContent,
    /// The server still has the one it had (HTTP 304).
    NotModified,
    /// It failed, with the whole chain in words.
    Failed(String),
}

/// What an install came to that a poll began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollInstall {
    /// It is done.
    Done {
        /// Whether it wrote slots.
        slots: Updated,
        /// Whether it wrote artifacts.
        artifacts: Updated,
    },
    /// It failed, with the whole chain in words.
    Failed {
        /// Why.
        why: String,
    },
    /// Another install is running; this one did not begin.
    Busy,
}

/// What is known from the polls so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollStatus {
    /// Polls since the service began.
    pub attempt_count: u64,
    /// Failed ones since the last that did not.
    pub recent_error_count: u64,
    /// When the last one began; zero before the first.
    pub last_attempt_time: BootTime,
    /// When the last one that did not fail ended; zero before it.
    pub last_success_time: BootTime,
    /// Why the last one failed; `None` when it did not.
    pub last_error_message: Option<String>,
    /// Whether there is a candidate.
    pub update_available: bool,
    /// The result in words; `None` before the first poll and after one that failed.
    pub summary: Option<String>,
    /// What was installed last by a poll, or tried to.
    pub attempted_hash: Option<Digest>,
    /// The bundle of the last poll that found one.
    pub bundle: Option<PolledBundle>,
}
