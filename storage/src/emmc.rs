// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of its two boot partitions does an eMMC boot from?
//!
//! Register 179 (`PARTITION_CONFIG`) of the extended registers: bit 6 `BOOT_ACK`, which some ROM
//! loaders need and nobody here changes; bits 5..3 the partition that is booted from: 0 none, 1
//! `boot0`, 2 `boot1`, 7 the user area, others reserved; bits 2..0 are the kernel's own.

use crate::file::{exclusive, open_node};
use crate::{Access, StorageError, ioctl};
use std::fs::File;
use std::io;
use std::path::Path;

const PARTITION_CONFIG: u8 = 179;
const BOOT_ACK: u8 = 1 << 6;

/// What an eMMC boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootPartition {
    /// It was never set up.
    None,
    /// `boot0`.
    Boot0,
    /// `boot1`.
    Boot1,
    /// The user area.
    User,
    /// A reserved value.
    Reserved(u8),
}

/// What the register's value says.
#[must_use]
const fn parse_partition_config(value: u8) -> BootPartition {
    match value >> 3 & 7 {
        0 => BootPartition::None,
        1 => BootPartition::Boot0,
        2 => BootPartition::Boot1,
        7 => BootPartition::User,
        other => BootPartition::Reserved(other),
    }
}

/// The register's value for another partition; `None` for one that cannot be asked for.
const fn switched(value: u8, partition: BootPartition) -> Option<u8> {
    let number = match partition {
        BootPartition::Boot0 => 1,
        BootPartition::Boot1 => 2,
        BootPartition::None | BootPartition::User | BootPartition::Reserved(_) => return None,
    };
    // Bits 2..0 are zero here as in RAUC: the kernel puts its own value there.
    Some(value & BOOT_ACK | number << 3)
}

/// The registers of an eMMC, by the node of the disk or of one of its boot partitions.
#[derive(Debug)]
pub struct EmmcRegisters {
    file: File,
    label: String,
}

impl EmmcRegisters {
    /// Opens them.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::Busy`] or [`StorageError::Open`].
    pub fn open(
        path: &Path,
        label: impl Into<String>,
        access: Access,
    ) -> Result<Self, StorageError> {
        let label = label.into();
        // Exclusive as in RAUC: the boot partition must not be in use while it becomes another.
        let file = open_node(path, &label, access, exclusive(access))?;
        Ok(Self { file, label })
    }

    /// What it boots from.
    ///
    /// # Errors
    /// [`StorageError::Read`].
    pub fn boot_partition(&self) -> Result<BootPartition, StorageError> {
        self.config().map(parse_partition_config)
    }

    /// Makes it boot from `boot0` or `boot1`; stored when this returns.
    ///
    /// # Errors
    /// [`StorageError::Read`] or [`StorageError::Write`].
    pub fn set_boot_partition(&self, partition: BootPartition) -> Result<(), StorageError> {
        let offset = u64::from(PARTITION_CONFIG);
        let label = self.label.clone();
        let failed = |source| StorageError::Write { label, offset, len: 1, source };
        match switched(self.config()?, partition) {
            Some(value) => {
                ioctl::write_ext_csd(&self.file, PARTITION_CONFIG, value).map_err(failed)
            }
            None => Err(failed(io::ErrorKind::InvalidInput.into())),
        }
    }

    fn config(&self) -> Result<u8, StorageError> {
        let offset = u64::from(PARTITION_CONFIG);
        let label = self.label.clone();
        let failed = |source| StorageError::Read { label, offset, len: 1, source };
        let registers = ioctl::read_ext_csd(&self.file).map_err(failed)?;
        Ok(registers.get(usize::from(PARTITION_CONFIG)).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read_and_a_switch_keeps_the_acknowledge_bit_alone() {
        let named = [0x00, 0x08, 0x10, 0x38, 0x48, 0x51, 0x4f].map(parse_partition_config);
        use BootPartition as P;
        assert_eq!(named, [P::None, P::Boot0, P::Boot1, P::User, P::Boot0, P::Boot1, P::Boot0]);
        assert_eq!(parse_partition_config(0x18), P::Reserved(3));
        for value in 0..=u8::MAX {
            for target in [P::Boot0, P::Boot1] {
                let new = switched(value, target).unwrap();
                assert_eq!(parse_partition_config(new), target);
                assert_eq!(new & !0x38, value & BOOT_ACK);
            }
            assert_eq!(switched(value, P::User), None);
        }
    }

    #[test]
    fn a_file_has_no_registers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let registers = EmmcRegisters::open(file.path(), "slot", Access::ReadOnly).unwrap();
        assert!(matches!(registers.boot_partition(), Err(StorageError::Read { .. })));
        let set = registers.set_boot_partition(BootPartition::Boot1);
        assert!(matches!(set, Err(StorageError::Read { .. })));
    }
}
