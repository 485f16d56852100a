// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was this device's agent told to be? `/data/config/os-upgrade.json`, as the config API renders
//! it of `[os_upgrade]`, or as the program before us did: `{"server_url": …}` alone.
//!
//! Who obeys does not believe who rendered: the file is bounded, unknown keys are errors, and every
//! value is judged again. A file that is no settings is an error and never "no updates".

mod file;
mod texts;

use crate::json::Members;
use crate::policy::Policy;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{ByteLen, Files, FilesError};

/// Where they are.
pub const SETTINGS_PATH: &str = "/data/config/os-upgrade.json";

/// The directories that the operator's tokens, keys and certificates are in. No promotion of a
/// configuration touches them, and no container without privileges has them.
pub const OPERATOR_DIRS: [&str; 2] = ["/data/config/hawkbit", "/data/config/os-upgrade"];

/// A `config.toml` has 256 KiB at most, and no letter of it takes more than six in JSON.
const MAX_BYTES: ByteLen = ByteLen::new(2 * 1024 * 1024);

/// Settings that are none.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings of the update agent")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
    /// It is no settings.
    #[error("{SETTINGS_PATH} holds no settings of the update agent")]
    Invalid {
        /// Cause.
        #[source]
        source: Box<serde_json::Error>,
    },
    /// Two agents would write the same slot.
    #[error("{SETTINGS_PATH} has keys of polling and of hawkBit, and one agent runs, not two")]
    TwoAgents,
    /// A key is missing.
    #[error("{SETTINGS_PATH} has no {key}")]
    Missing {
        /// Which one.
        key: &'static str,
    },
    /// A device logs in in one way.
    #[error("{SETTINGS_PATH} says not in which one way the device logs in to hawkBit")]
    Login,
}

impl SettingsError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Files { .. } => "look at the medium, or apply the configuration again",
            Self::Invalid { .. } | Self::TwoAgents | Self::Missing { .. } | Self::Login => {
                "apply the configuration again; the file is rendered, never written by hand"
            }
        }
    }
}

/// The settings of the device's one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who tells of updates.
    pub source: Source,
    /// What requests go through.
    pub proxy: Option<String>,
    /// What the owner allows.
    pub policy: Policy,
    /// Programs of the image that are run before a restart, in this order, by their names.
    pub before_reboot: Vec<String>,
}

/// Who tells of updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A server that is polled.
    Poll(PollSettings),
    /// hawkBit.
    Hawkbit(HawkbitSettings),
}

/// Polling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// Without a `/` at its end.
    pub server_url: String,
    /// What the server speaks.
    pub metadata: Metadata,
    /// Between two questions, where the owner says so.
    pub interval: Option<Duration>,
    /// Where the device reports to.
    pub report_url: Option<String>,
    /// Directories that hold the same bundles by the same names, before the server's own places.
    pub mirrors: Vec<String>,
    /// Of the connections.
    pub tls: TlsFiles,
}

/// What a polled server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metadata {
    /// A signed document.
    Signed,
    /// The JSON of the former contract.
    Original,
}

/// Files of a TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who the device is.
    pub identity: Option<Identity>,
    /// Authorities that are believed instead of the system's.
    pub ca: Option<PathBuf>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's.
    pub key: PathBuf,
}

/// hawkBit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HawkbitSettings {
    /// Without a `/` at its end, and without tenant.
    pub url: String,
    /// The tenant.
    pub tenant: String,
    /// The device's name there; its own where nothing is said.
    pub target_id: Option<String>,
    /// Who answers an action that wants a yes first.
    pub confirm: ConfirmRule,
    /// How it proves who it is.
    pub login: Login,
    /// Authorities that are believed instead of the system's.
    pub ca: Option<PathBuf>,
}

/// Who answers an action of hawkBit's that wants a yes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfirmRule {
    /// The device, by what it would decide.
    #[default]
    Auto,
    /// Somebody at it.
    Operator,
}

/// How a device proves to hawkBit who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By the token in this file, its own.
    TargetToken(PathBuf),
    /// By the token in this file, the tenant's.
    GatewayToken(PathBuf),
    /// By a certificate.
    Certificate(Identity),
}

/// The tenant of a hawkBit that has but one.
pub(crate) const DEFAULT_TENANT: &str = "DEFAULT";

impl Settings {
    /// Reads those of the device; nothing where its configuration says nothing of updates.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(files: &dyn Files) -> Result<Option<Self>, SettingsError> {
        let bytes = files.read(Path::new(SETTINGS_PATH), MAX_BYTES)?;
        bytes.map(|bytes| Self::parse(&bytes)).transpose()
    }

    /// Reads the file's content.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SettingsError> {
        let Members(file): Members<file::File> = serde_json::from_slice(bytes)
            .map_err(|source| SettingsError::Invalid { source: Box::new(source) })?;
        file.into_settings()
    }
}

#[cfg(test)]
mod tests;
