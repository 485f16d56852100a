// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is one probe? A name, a weight and a question, already validated.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What a failure of the probe means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The boot is not healthy.
    Required,
    /// It is said, and changes nothing.
    Warning,
}

/// What a unit must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitCondition {
    /// Active, and not restarted between two samples.
    Active,
    /// Started at least once since boot and not failed: for work that comes to an end.
    Ran,
    /// Not failed; never having run is no failure, so this suits units whose own conditions
    /// may skip them.
    NotFailed,
}

/// How a file is to be read for one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

/// Where an expected address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSource {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: FileFormat,
    /// The keys that lead to the value.
    pub keys: Vec<String>,
    /// The address when the file or the key is absent; a malformed file has no fallback.
    pub fallback: Option<IpAddr>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// A systemd unit is in the wanted state.
    Unit {
        /// Unit name.
        unit: String,
        /// What it must be.
        condition: UnitCondition,
    },
    /// Every unit named in a JSON array is active; an absent file names none.
    RequiredUnits {
        /// The array's file.
        path: PathBuf,
    },
    /// An interface has an IPv4 address.
    InterfaceAddress {
        /// Interface name.
        interface: String,
    },
    /// One of the interface's addresses is the configured one.
    GatewayAddress {
        /// Interface name.
        interface: String,
        /// Where the wanted address stands.
        source: AddressSource,
    },
    /// A program exits with 0 in time.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// Its time.
        timeout: Duration,
    },
    /// A file exists, and contains a text when one is given.
    File {
        /// The file.
        path: PathBuf,
        /// The text it must contain.
        contains: Option<String>,
    },
    /// Something accepts TCP connections.
    TcpPort {
        /// Address and port.
        address: SocketAddr,
        /// How long to wait for it.
        timeout: Duration,
    },
}

/// One validated probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name, unique in the configuration.
    pub name: String,
    /// What its failure means.
    pub level: Level,
    /// What it asks.
    pub kind: ProbeKind,
}
