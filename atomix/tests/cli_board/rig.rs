// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices of the small board with what a file cannot have: a write-protect switch, a full or a
//! failing medium, other users.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use storage::{Access, Devices, Fault, Faulty, HostDevices, Storage, StorageError};

/// What is wrong with which device.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub read_only: BTreeSet<PathBuf>,
    /// Disks of which a partition is mounted: not to be had exclusively.
    pub in_use: BTreeSet<PathBuf>,
    pub media: BTreeMap<PathBuf, Fault>,
}

/// The board's devices with their faults.
pub struct RiggedDevices {
    inner: HostDevices,
    faults: Faults,
}

impl RiggedDevices {
    pub fn new(root: &Path, faults: Faults) -> Self {
        Self { inner: HostDevices::new(root), faults }
    }
}

impl Devices for RiggedDevices {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        if access.writes() && self.faults.read_only.contains(device) {
            return Err(StorageError::ReadOnly { label: device.display().to_string() });
        }
        if access == Access::ReadWrite && self.faults.in_use.contains(device) {
            return Err(StorageError::Busy { label: device.display().to_string() });
        }
        let medium = self.inner.open(device, access)?;
        Ok(match self.faults.media.get(device) {
            Some(fault) => Box::new(Faulty::new(medium, *fault)),
            None => medium,
        })
    }

    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        self.inner.mounted_at(device)
    }
}
