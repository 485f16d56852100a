// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a serial line fail?

use atomix_repart::Class;
use std::io;
use std::path::PathBuf;

/// A failed act on a serial line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No such device.
    #[error("{path} does not exist", path = path.display())]
    Absent {
        /// The device.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{path} is no serial line", path = path.display())]
    NotALine {
        /// What was named.
        path: PathBuf,
    },
    /// This user may not use it.
    #[error("cannot open {path}", path = path.display())]
    Denied {
        /// The device.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another program listens on it.
    #[error("{path} is in use by another program", path = path.display())]
    InUse {
        /// The device.
        path: PathBuf,
    },
    /// It was there and went away.
    #[error("{path} went away", path = path.display())]
    Gone {
        /// The device.
        path: PathBuf,
    },
    /// What is sent is not taken.
    #[error("{path} takes no more bytes", path = path.display())]
    Stuck {
        /// The device.
        path: PathBuf,
    },
    /// The log cannot be kept.
    #[error("cannot {act} the log {path}", path = path.display())]
    Log {
        /// The verb.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The system says something else.
    #[error("cannot {act} {path}", path = path.display())]
    Io {
        /// The verb.
        act: &'static str,
        /// The device.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl LineError {
    /// What the exit code means.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Absent { .. } | Self::NotALine { .. } => Class::Usage,
            Self::InUse { .. } => Class::Busy,
            Self::Denied { .. }
            | Self::Gone { .. }
            | Self::Stuck { .. }
            | Self::Log { .. }
            | Self::Io { .. } => Class::Failed,
        }
    }

    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Absent { .. } => {
                "plug in the adapter; `ls /dev/serial/by-id /dev/ttyUSB* /dev/ttyACM*` shows those \
                 that are there"
            }
            Self::NotALine { .. } => "name the adapter's device, such as /dev/ttyUSB0",
            Self::Denied { .. } => {
                "become a member of the group that owns the device (dialout, uucp), or run it as \
                 root"
            }
            Self::InUse { .. } => "end the other terminal program (screen, minicom, picocom, tio)",
            Self::Gone { .. } => {
                "look at the adapter's USB plug and start again; what was saved on the board stays \
                 saved"
            }
            Self::Stuck { .. } => {
                "the line waits for flow control that nobody gives: unplug and plug in the adapter"
            }
            Self::Log { .. } => {
                "give --log a file in a directory that is there and writable, on a disk with free \
                 space"
            }
            Self::Io { .. } => "unplug and plug in the adapter, then start again",
        }
    }
}
