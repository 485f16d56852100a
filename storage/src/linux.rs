// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real devices of Linux: disks and partitions, and flash chips.

use crate::file::{Handle, exclusive, open_node};
use crate::ioctl;
use crate::nor::check_erase;
use crate::{Access, ByteLen, Geometry, Storage, StorageError};
use std::io;
use std::path::Path;

/// `MTD_WRITEABLE`: the flash accepts writes.
const FLASH_WRITEABLE: u32 = 0x400;
/// `MTD_BIT_WRITEABLE`: single bits can be cleared in a page written before. NAND and flash with
/// error correction lack it, and an environment's "obsolete" mark would not stick there.
const FLASH_BIT_WRITEABLE: u32 = 0x800;

/// A disk or partition node such as `/dev/mmcblk1p4`.
#[derive(Debug)]
pub struct BlockDevice {
    handle: Handle,
    sector_bytes: u32,
}

impl BlockDevice {
    /// Opens a block device; messages call it `label`. With [`Access::ReadWrite`] it is opened
    /// exclusively: the kernel refuses when it, or a partition of it, is mounted or opened this
    /// way already.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::Busy`], [`StorageError::ReadOnly`] or
    /// [`StorageError::Open`].
    pub fn open(
        path: &Path,
        label: impl Into<String>,
        access: Access,
    ) -> Result<Self, StorageError> {
        let label = label.into();
        let failed = |source| StorageError::Open { label: label.clone(), source };
        let file = match access {
            Access::ReadOnly => open_node(path, &label, access, 0)?,
            Access::ReadWrite | Access::WriteBeside => {
                // Asked before opening for writing, which fails with different codes per driver.
                let probe = open_node(path, &label, Access::ReadOnly, 0)?;
                if ioctl::read_only(&probe).map_err(failed)? {
                    return Err(StorageError::ReadOnly { label });
                }
                open_node(path, &label, access, exclusive(access))?
            }
        };
        let size = ByteLen::new(ioctl::block_size(&file).map_err(failed)?);
        let sector_bytes = ioctl::sector_size(&file).map_err(failed)?;
        let handle = Handle::new(file, label, size, access).with_direct(path);
        Ok(Self { handle, sector_bytes })
    }

    /// Makes the kernel read the disk's partition table again, with all names in it. It refuses
    /// while a partition of the disk is in use; [`BlockDevice::add_partition`] works then too.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_partitions_again(&self) -> io::Result<()> {
        ioctl::read_partitions(self.handle.file())
    }

    /// Tells the kernel of a partition with a number that it does not know.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_partition(&self, number: u32, start: ByteLen, len: ByteLen) -> io::Result<()> {
        let act = ioctl::PartitionAct::Add;
        ioctl::change_partition(self.handle.file(), act, number, start.get(), len.get())
    }

    /// Tells the kernel that a partition got longer or shorter; its start cannot change.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize_partition(&self, number: u32, start: ByteLen, len: ByteLen) -> io::Result<()> {
        let act = ioctl::PartitionAct::Resize;
        ioctl::change_partition(self.handle.file(), act, number, start.get(), len.get())
    }
}

impl Storage for BlockDevice {
    fn label(&self) -> &str {
        self.handle.label()
    }

    fn len(&self) -> ByteLen {
        self.handle.size()
    }

    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: self.sector_bytes, erase_bytes: None }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.handle.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.handle.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.fill_erased(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.handle.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.forget_cached(offset, len)
    }
}

/// A NOR flash chip or partition through its character device, `/dev/mtdN`.
///
/// The kernel caches nothing here: a write or erase is on the chip when its call returns. So
/// `flush` has nothing to do (the node knows no `fsync` and would refuse one), and a read always
/// comes from the chip.
#[derive(Debug)]
pub struct MtdDevice {
    handle: Handle,
    erase_bytes: u32,
}

impl MtdDevice {
    /// Opens a flash device; messages call it `label`.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::ReadOnly`] or [`StorageError::Open`], also when
    /// it is no flash whose single bits can be cleared (NAND).
    pub fn open(
        path: &Path,
        label: impl Into<String>,
        access: Access,
    ) -> Result<Self, StorageError> {
        let label = label.into();
        let failed = |source| StorageError::Open { label: label.clone(), source };
        let mut file = open_node(path, &label, Access::ReadOnly, 0)?;
        let info = ioctl::flash_info(&file).map_err(failed)?;
        if info.flags & FLASH_BIT_WRITEABLE == 0 || info.erase_bytes == 0 {
            let source = io::Error::new(io::ErrorKind::Unsupported, "not a NOR flash");
            return Err(failed(source));
        }
        if access.writes() {
            if info.flags & FLASH_WRITEABLE == 0 {
                return Err(StorageError::ReadOnly { label });
            }
            file = open_node(path, &label, access, 0)?;
        }
        let size = ByteLen::new(u64::from(info.size));
        Ok(Self { handle: Handle::new(file, label, size, access), erase_bytes: info.erase_bytes })
    }
}

impl Storage for MtdDevice {
    fn label(&self) -> &str {
        self.handle.label()
    }

    fn len(&self) -> ByteLen {
        self.handle.size()
    }

    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: 1, erase_bytes: Some(self.erase_bytes) }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.handle.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.handle.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.check_write(offset, len)?;
        check_erase(self.handle.label(), self.erase_bytes, offset, len)?;
        let block = self.erase_bytes;
        for at in (offset..offset + len).step_by(block as usize) {
            // The range was checked against a size that came as a u32.
            let start = u32::try_from(at).unwrap_or(u32::MAX);
            let range = ioctl::FlashRange { start, len: block };
            let erased = ioctl::flash_erase(self.handle.file(), range);
            erased.map_err(|source| self.handle.write_failed(at, u64::from(block), source))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.handle.check(0, 0)
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.check(offset, len)
    }
}
