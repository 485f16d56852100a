// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device paths of a board, leading into the image files of a virtual one.
//!
//! `/dev/mmcblk1` is the eMMC image, `/dev/mmcblk1p3` and `/dev/disk/by-partlabel/boot-b` are
//! windows into it where its partition table says, `/dev/mtd0` is the flash image with the
//! behaviour of NOR flash. The same code above opens the same paths on a device.

use repart::read_table;
use std::io;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Devices, HostDevices, Lba, Shared, Storage, StorageError, View};

/// Where udev keeps partitions by label.
const BY_PARTLABEL: &str = "/dev/disk/by-partlabel";

/// What stands in for a device, as far as this user may use it: a board that was kept by root can
/// still be looked at.
pub enum Medium {
    /// Reads and writes.
    Writable(Shared<Box<dyn Storage>>),
    /// Reads; this user may not write the file.
    Readable(Shared<Box<dyn Storage>>, PathBuf),
    /// This user may not open the file.
    Closed(PathBuf),
}

impl Medium {
    /// The medium as the device `name`.
    fn open(&self, name: &str, access: Access) -> Result<Shared<Box<dyn Storage>>, StorageError> {
        match (self, access) {
            (Self::Writable(medium), _) | (Self::Readable(medium, _), Access::ReadOnly) => {
                Ok(medium.clone())
            }
            (Self::Readable(_, file), Access::ReadWrite | Access::WriteBeside)
            | (Self::Closed(file), _) => Err(StorageError::Open {
                label: format!("{name} ({})", file.display()),
                source: io::ErrorKind::PermissionDenied.into(),
            }),
        }
    }
}

/// The two devices of a board and their paths.
pub struct BoardDevices {
    disk_path: PathBuf,
    disk: Medium,
    flash_path: PathBuf,
    flash: Medium,
    mounts: HostDevices,
}

impl BoardDevices {
    /// A board whose disk is at `disk.0` and whose flash is at `flash.0`; the mount table is read
    /// below `root`.
    #[must_use]
    pub fn new(disk: (PathBuf, Medium), flash: (PathBuf, Medium), root: &Path) -> Self {
        Self {
            disk_path: disk.0,
            disk: disk.1,
            flash_path: flash.0,
            flash: flash.1,
            mounts: HostDevices::new(root),
        }
    }

    /// The partition that `device` names, if it names one.
    fn partition(
        &self,
        disk: &Shared<Box<dyn Storage>>,
        device: &Path,
    ) -> Result<Option<(Lba, Lba, u32)>, StorageError> {
        let label = device.strip_prefix(BY_PARTLABEL).ok().and_then(Path::to_str);
        let number = partition_number(&self.disk_path, device);
        if label.is_none() && number.is_none() {
            return Ok(None);
        }
        // A disk without a readable table has no partition devices, as under Linux.
        let Ok(table) = read_table(disk) else { return Ok(None) };
        Ok(table
            .partitions
            .iter()
            .find(|found| Some(found.number) == number || Some(found.label.as_str()) == label)
            .map(|found| (found.first_lba, found.last_lba, table.sector_bytes)))
    }

    fn window(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        let name = device.display().to_string();
        let absent = || StorageError::Absent { label: name.clone() };
        let disk = self.disk.open(&name, access)?;
        let (first, last, sector_bytes) = self.partition(&disk, device)?.ok_or_else(absent)?;
        let start = first.byte_offset(sector_bytes).ok_or_else(absent)?;
        let end = last.0.checked_add(1).map(Lba).and_then(|lba| lba.byte_offset(sector_bytes));
        let len = end.and_then(|end| end.checked_sub(start)).ok_or_else(absent)?;
        Ok(Box::new(View::new(disk, name.clone(), start, ByteLen::new(len))?))
    }
}

/// `N` of `/dev/mmcblk1pN` for the disk `/dev/mmcblk1`.
fn partition_number(disk: &Path, device: &Path) -> Option<u32> {
    let rest = device.to_str()?.strip_prefix(disk.to_str()?)?;
    rest.strip_prefix('p')?.parse().ok()
}

impl Devices for BoardDevices {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        if access == Access::ReadWrite && self.mounted_at(device)?.is_some() {
            return Err(StorageError::Busy { label: device.display().to_string() });
        }
        if device == self.disk_path {
            Ok(Box::new(self.disk.open(&device.display().to_string(), access)?))
        } else if device == self.flash_path {
            Ok(Box::new(self.flash.open(&device.display().to_string(), access)?))
        } else {
            self.window(device, access)
        }
    }

    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        self.mounts.mounted_at(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_numbers_are_those_of_the_board_disk_only() {
        let disk = Path::new("/dev/mmcblk1");
        assert_eq!(partition_number(disk, Path::new("/dev/mmcblk1p3")), Some(3));
        assert_eq!(partition_number(disk, Path::new("/dev/mmcblk1")), None);
        assert_eq!(partition_number(disk, Path::new("/dev/mmcblk12p3")), None);
    }
}
