// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a probe ask of the running system?
//!
//! The trait only reads. A question that cannot be answered is a [`ProbeError`], which is never
//! taken for a good answer.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use storage::ByteLen;

/// The coarse state of a systemd unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActiveState {
    /// Started and running, or finished well and remembered.
    Active,
    /// Running and re-reading its configuration.
    Reloading,
    /// Not started.
    Inactive,
    /// Ended badly.
    Failed,
    /// On its way up.
    Activating,
    /// On its way down.
    Deactivating,
    /// A state this program does not know.
    Other(String),
}

impl ActiveState {
    /// Reads systemd's word.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "reloading" | "refreshing" => Self::Reloading,
            "inactive" => Self::Inactive,
            "failed" => Self::Failed,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            other => Self::Other(other.to_owned()),
        }
    }

    /// systemd's word.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Other(word) => word,
        }
    }
}

/// What systemd says about a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStatus {
    /// Whether a unit of that name exists at all: systemd calls a missing one `inactive`.
    pub exists: bool,
    /// The coarse state.
    pub active: ActiveState,
    /// Whether it was started at least once since boot.
    pub was_started: bool,
    /// The state in the words of the unit's type, such as `running` or `auto-restart`.
    pub sub: String,
    /// How often systemd itself restarted it since it was last started by hand; 0 for units
    /// that are not services.
    pub restarts: u32,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// It exited with this code; the text is the end of its standard error.
    Exited {
        /// Exit code.
        code: i32,
        /// The last bytes of standard error.
        stderr: String,
    },
    /// A signal ended it.
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// It was still running after its time and was killed.
    TimedOut,
}

/// A question that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The message bus is not there or does not let us in.
    #[error("cannot reach the system bus at {address}")]
    Bus {
        /// Where the bus was looked for.
        address: String,
        /// Cause.
        #[source]
        source: Box<zbus::Error>,
    },
    /// systemd did not answer for a unit.
    #[error("cannot ask systemd about {unit}")]
    Unit {
        /// Unit name.
        unit: String,
        /// Cause.
        #[source]
        source: Box<zbus::Error>,
    },
    /// The list of network interfaces is not readable.
    #[error("cannot list the network interfaces")]
    Interfaces {
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file exists and cannot be read.
    #[error("cannot read a probe's file")]
    File {
        /// Cause, which names the file.
        #[source]
        source: storage::FilesError,
    },
    /// A command cannot be started.
    #[error("cannot run {program}")]
    Run {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Nobody accepted a connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Address and port.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

impl ProbeError {
    /// The way out, where there is a usual one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Bus { .. } => Some("start dbus.socket, or run where systemd runs"),
            Self::Run { .. } => Some("name the program by an absolute path in the probe"),
            Self::Unit { .. }
            | Self::Interfaces { .. }
            | Self::File { .. }
            | Self::Connect { .. } => None,
        }
    }

    /// The failure and its causes on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        storage::chain(self)
    }
}

/// The running system as probes see it.
pub trait System {
    /// The state of a systemd unit; a unit that does not exist is an answer, not a failure.
    ///
    /// # Errors
    /// [`ProbeError::Bus`] or [`ProbeError::Unit`].
    fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError>;

    /// The addresses of an interface; `None` when there is no such interface.
    ///
    /// # Errors
    /// [`ProbeError::Interfaces`].
    fn addresses(&mut self, interface: &str) -> Result<Option<Vec<IpAddr>>, ProbeError>;

    /// The content of a file of at most `limit` bytes; `None` when it does not exist.
    ///
    /// # Errors
    /// [`ProbeError::File`].
    fn read_file(&mut self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, ProbeError>;

    /// Runs a program to its end, or kills it when its time is over.
    ///
    /// # Errors
    /// [`ProbeError::Run`] when it cannot be started.
    fn run(&mut self, argv: &[String], timeout: Duration) -> Result<CommandEnd, ProbeError>;

    /// Opens and closes a TCP connection.
    ///
    /// # Errors
    /// [`ProbeError::Connect`].
    fn connect(&mut self, address: SocketAddr, timeout: Duration) -> Result<(), ProbeError>;
}
