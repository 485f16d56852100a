// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests and their answers.

use super::{Change, Grounds};
use crate::jobs::{JobEvent, JobId, JobResult, ReportedFault, RollbackStatus};
use crate::promote::Seeds;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::Ipv4Addr;

/// The version of the protocol; both sides come from one image, so another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest upload.
pub const MAX_UPLOAD_BYTES: u64 = 32 << 20;

/// What travels in the first frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFrame {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// The request.
    pub request: Request,
}

/// The name of a spooled body: 32 hexadecimal digits, chosen by the HTTP process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolName(String);

impl SpoolName {
    /// The name made of these random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(hex::encode(random))
    }

    /// The text: one part of a path, with nothing in it that leads elsewhere.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for SpoolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 16];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(Self(text)),
            Ok(()) | Err(_) => Err(serde::de::Error::custom("not a spooled body's name")),
        }
    }
}

/// What the sender calls the file; its ending tells what kind of file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileName(String);

impl FileName {
    /// Takes a name as the contract does: without space around it, cut to 255 characters;
    /// `config.toml` when anything but letters, digits, `_`, `-`, `.` and spaces is in it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let name: String = text.trim().chars().take(255).collect();
        let known = |letter: char| letter.is_alphanumeric() || "_-. ".contains(letter);
        if name.is_empty() || !name.chars().all(known) || name.chars().all(|one| one == '.') {
            return Self("config.toml".to_owned());
        }
        Self(name)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::new(&text))
    }
}

/// A body in the spool. The helper reads it once, into a place of its own, and goes on only when
/// length and digest are what is said here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Its name in the spool.
    pub spool: SpoolName,
    /// What the sender calls it.
    pub file_name: FileName,
    /// Its length.
    pub length: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a configuration is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A whole file or bundle.
    Upload {
        /// The body.
        upload: Upload,
    },
    /// The configuration in force, with one part changed: which one is said by the signed request.
    Change {
        /// The signed request's body.
        body: String,
    },
}

/// Who wants it, as the helper found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Whoever came first to a device without a configuration: refused as soon as there is one.
    FirstClaim,
    /// The search of the first boot: refused as soon as there is a configuration.
    FirstBoot {
        /// Where it was found, for people.
        place: String,
        /// Whether a person at the console asked for it; what was found without that is refused
        /// when it was taken before.
        asked: bool,
    },
    /// An administrator.
    Admin {
        /// The key that signed, as OpenSSH prints it.
        fingerprint: String,
    },
}

/// One line of the audit log that the HTTP process may cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AuditEntry {
    /// Somebody was not believed.
    Denied {
        /// From where.
        client: String,
        /// What was asked.
        target: String,
        /// Why not, as a stable word.
        code: String,
    },
    /// Later ones of the same kind are only counted, so that nobody can fill the log.
    DeniedMore {
        /// How many.
        count: u64,
    },
    /// The first boot found a configuration that is none.
    SeedRefused {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What is in force? (With braces, since serde reads past unknown keys without.)
    Current {},
    /// A nonce for one signed request.
    Nonce {},
    /// Is this upload valid?
    Validate {
        /// The body.
        upload: Upload,
    },
    /// Would the configuration be valid with this change?
    Check {
        /// The change.
        change: Change,
        /// The configuration that it was made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_match: Option<String>,
    },
    /// Put it in force.
    Apply {
        /// The job that tells of it.
        job: JobId,
        /// What to put in force.
        source: Source,
        /// Who wants it.
        grounds: Grounds,
        /// The configuration that it was made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_match: Option<String>,
        /// How long the operator wants to have for his confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_secs: Option<u32>,
    },
    /// The `config.toml` in force.
    Export {
        /// Who wants it.
        grounds: Grounds,
    },
    /// What became of a job that this service no longer watches?
    Recover {
        /// The job.
        job: JobId,
    },
    /// The operator reached the device under its new address.
    Confirm {
        /// The job.
        job: JobId,
        /// Who.
        grounds: Grounds,
    },
    /// Write this down.
    Audit {
        /// What happened.
        entry: AuditEntry,
    },
}

impl Request {
    /// Whether it changes the device: only one of these runs at a time.
    #[must_use]
    pub const fn is_mutation(&self) -> bool {
        match self {
            Self::Apply { .. } => true,
            Self::Current {}
            | Self::Nonce {}
            | Self::Validate { .. }
            | Self::Check { .. }
            | Self::Export { .. }
            | Self::Recover { .. }
            | Self::Confirm { .. }
            | Self::Audit { .. } => false,
        }
    }
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// Whether the device has, or ever had, a configuration. Once it had one, nobody may claim it.
    pub provisioned: bool,
    /// The administrators' keys, one line each.
    pub admin_signers: String,
    /// The device's address on its LAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<String>,
    /// The device's names on its LAN, whole.
    #[serde(default)]
    pub names: Vec<String>,
    /// The configuration's tag: another one after every change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The change that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<JobId>,
    /// Whether the configuration has still to prove itself.
    #[serde(default)]
    pub unproven: bool,
    /// The configurations that the device found and took.
    #[serde(default, skip_serializing_if = "Seeds::is_empty")]
    pub seeds: Seeds,
    /// Where a device without a configuration is reached now, as far as it is known: for people
    /// at its console, so only the search is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<HostAddress>,
}

/// An address of this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAddress {
    /// The interface that has it.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// It is in force and healthy.
    Succeeded {
        /// What it came to.
        result: JobResult,
    },
    /// It is not in force.
    Failed {
        /// Why.
        error: String,
        /// What is wrong with the configuration, when that is why.
        #[serde(default)]
        faults: Vec<ReportedFault>,
        /// What is in force.
        rollback: RollbackStatus,
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// Another change is under way.
    Busy,
    /// There is no configuration.
    NotProvisioned,
    /// There is one, and the request is none of an administrator.
    AlreadyProvisioned,
    /// The device took this one by itself before.
    SeedTaken,
    /// No such user, container, network or volume, or no such job.
    NotFound,
    /// Nobody who may ask signed it.
    Denied,
    /// The configuration is another one than the request was made for.
    ConfigChanged,
    /// The body in the spool is not the one that was announced.
    BadUpload,
    /// The message is not understood, or of another version.
    BadRequest,
    /// The device could not do it.
    Internal,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// What is in force.
    Current {
        /// It.
        current: Current,
    },
    /// A nonce.
    Nonce {
        /// 64 hexadecimal digits.
        nonce: String,
    },
    /// It is valid.
    Valid {
        /// What may surprise.
        warnings: Vec<String>,
    },
    /// It is not.
    Invalid {
        /// Everything that is wrong.
        faults: Vec<ReportedFault>,
    },
    /// A step on the way; more follows.
    Event {
        /// The step.
        event: JobEvent,
    },
    /// Nothing new, still at work; more follows.
    Alive,
    /// The end of a change.
    Finished {
        /// What became of it.
        outcome: Outcome,
    },
    /// So many bytes follow.
    Exported {
        /// How many.
        length: u64,
        /// The configuration's tag.
        etag: String,
    },
    /// The job is still under way.
    Running,
    /// What recovery found.
    Recovered {
        /// What is in force.
        rollback: RollbackStatus,
    },
    /// It is done.
    Done,
    /// It is not.
    Failed {
        /// Why, for programs.
        code: FailureCode,
        /// Why, for people.
        message: String,
    },
}

impl Reply {
    /// Whether another answer follows.
    #[must_use]
    pub const fn more_follows(&self) -> bool {
        matches!(self, Self::Event { .. } | Self::Alive)
    }
}
