// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a slot still hold what was installed? Its content is hashed again, from the medium, and
//! compared with the digest in the status file. Never writes, never judges health.

use crate::read_ahead::{fill_from_device, for_each_chunk};
use crate::{ErrorClass, Slot, SlotName, SlotStatus, SlotStatusState};
use openssl::sha::Sha256;
use storage::{Access, ByteLen, Devices, Digest, StorageError};

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotCheck {
    /// Every byte is as installed.
    Matches {
        /// How many bytes were compared.
        size: ByteLen,
    },
    /// Some byte is not.
    Differs {
        /// The digest recorded at install.
        expected: Digest,
        /// The digest now.
        found: Digest,
    },
}

/// A slot that cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum SlotCheckError {
    /// Nothing is recorded to compare with, or the last write did not finish.
    #[error("no finished install of slot {slot} is recorded")]
    NotRecorded {
        /// The slot.
        slot: SlotName,
    },
    /// The record speaks of more bytes than the device has.
    #[error("slot {slot} has {room}, less than the {size} recorded")]
    TooShort {
        /// The slot.
        slot: SlotName,
        /// Recorded length.
        size: ByteLen,
        /// Length of the device.
        room: ByteLen,
    },
    /// The device cannot be read.
    #[error("cannot check slot {slot}")]
    Device {
        /// The slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: StorageError,
    },
}

impl SlotCheckError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::NotRecorded { .. } => ErrorClass::Refused,
            Self::TooShort { .. } => ErrorClass::NotVerified,
            Self::Device { .. } => ErrorClass::Failed,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotRecorded { .. } => Some("install a bundle into the slot first"),
            Self::TooShort { .. } => Some("compare system.conf with the partition table"),
            Self::Device { .. } => None,
        }
    }
}

/// Hashes the installed length of a slot again; `progress` is told the bytes of each step.
///
/// # Errors
/// [`SlotCheckError`]; a difference is no error but an outcome.
pub fn check_slot(
    slot: &Slot,
    status: &SlotStatus,
    devices: &dyn Devices,
    progress: &mut dyn FnMut(ByteLen),
) -> Result<SlotCheck, SlotCheckError> {
    let (Some(expected), Some(size), Some(SlotStatusState::Ok)) =
        (status.sha256, status.size, status.state)
    else {
        return Err(SlotCheckError::NotRecorded { slot: slot.name.clone() });
    };
    let failed = |source| SlotCheckError::Device { slot: slot.name.clone(), source };
    let mut device = devices.open(&slot.device, Access::ReadOnly).map_err(failed)?;
    let room = device.len();
    if size > room {
        return Err(SlotCheckError::TooShort { slot: slot.name.clone(), size, room });
    }
    device.forget_cached(0, size.get()).map_err(failed)?;
    let mut hash = Sha256::new();
    for_each_chunk(
        size,
        |offset, buffer, _| fill_from_device(&mut device, size, offset, buffer).map_err(failed),
        |chunk| {
            hash.update(chunk);
            progress(ByteLen::new(chunk.len() as u64));
            Ok(())
        },
    )?;
    let found = Digest::from_bytes(hash.finish());
    if found == expected {
        Ok(SlotCheck::Matches { size })
    } else {
        Ok(SlotCheck::Differs { expected, found })
    }
}
