// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong between a write and the medium.

use crate::ByteLen;
use std::io;
use std::path::PathBuf;

/// A failed act on a device. `label` names the device as the user knows it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The device could not be opened.
    #[error("cannot open {label}")]
    Open {
        /// Device path.
        label: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The device does not exist.
    #[error("{label} does not exist")]
    Absent {
        /// Device path.
        label: String,
    },
    /// Somebody else holds the device open exclusively or has it mounted.
    #[error("{label} is in use")]
    Busy {
        /// Device path.
        label: String,
    },
    /// The device or its handle does not accept writes.
    #[error("{label} is read-only")]
    ReadOnly {
        /// Device path.
        label: String,
    },
    /// A read failed.
    #[error("cannot read {len} bytes at offset {offset:#x} of {label}")]
    Read {
        /// Device path.
        label: String,
        /// Byte offset.
        offset: u64,
        /// Bytes wanted.
        len: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A write failed; the handle refuses further use.
    #[error("cannot write {len} bytes at offset {offset:#x} of {label}")]
    Write {
        /// Device path.
        label: String,
        /// Byte offset.
        offset: u64,
        /// Bytes wanted.
        len: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A flush failed; what was written before it may or may not be on the medium.
    #[error("cannot flush {label}")]
    Flush {
        /// Device path.
        label: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The range lies outside the device.
    #[error("range of {len} bytes at offset {offset:#x} lies outside {label} of {size}")]
    OutOfBounds {
        /// Device path.
        label: String,
        /// Byte offset.
        offset: u64,
        /// Bytes wanted.
        len: u64,
        /// Size of the device.
        size: ByteLen,
    },
    /// An erase does not start or end at an erase block's edge.
    #[error("erase of {len} bytes at offset {offset:#x} of {label} is not in whole erase blocks")]
    UnalignedErase {
        /// Device path.
        label: String,
        /// Byte offset.
        offset: u64,
        /// Bytes wanted.
        len: u64,
    },
    /// The handle failed before and refuses to go on.
    #[error("{label} failed before and is not used further")]
    Poisoned {
        /// Device path.
        label: String,
    },
    /// A simulated power cut: nothing reaches the medium any more.
    #[error("power was cut while writing {label}")]
    PowerCut {
        /// Device path.
        label: String,
    },
}

impl StorageError {
    /// The way out, where there is a known one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent { .. } => Some("check the device's path in the configuration"),
            Self::Busy { .. } => Some("unmount it, or stop the program that holds it open"),
            Self::ReadOnly { .. } => Some("remove its write protection, or open it for writing"),
            Self::Write { .. } | Self::Flush { .. } | Self::Poisoned { .. } => {
                Some("look for a failing device in the kernel's log, then repeat the whole act")
            }
            Self::PowerCut { .. } => Some("restart the virtual board and repeat the act"),
            Self::Open { .. }
            | Self::Read { .. }
            | Self::OutOfBounds { .. }
            | Self::UnalignedErase { .. } => None,
        }
    }
}

/// A failed act on a small file.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file exists and cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// File path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file is larger than its reader allows.
    #[error("{path} is larger than {limit}", path = path.display())]
    TooLarge {
        /// File path.
        path: PathBuf,
        /// Limit of the reader.
        limit: ByteLen,
    },
    /// The file could not be written durably; the old content is still in place or the new one is.
    #[error("cannot write {path} durably", path = path.display())]
    Write {
        /// File path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The path leaves the root it belongs to.
    #[error("{path} leaves its root directory", path = path.display())]
    Escapes {
        /// File path.
        path: PathBuf,
    },
}
