// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of this machine, below a root directory.
//!
//! What a path is decides how it is opened: a block device, a flash device, or a plain file that
//! stands for one (virtual boards, tests, laptops).

use crate::mounts::parse_mountinfo;
use crate::rooted::{LastLink, resolve_below};
use crate::{Access, Devices, FileStorage, Storage, StorageError};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Far above any real mount table; stops a file below a foreign root that never ends.
const MAX_MOUNTINFO_BYTES: u64 = 4 * 1024 * 1024;

/// Opens devices by their path below `root` (`/` on a board, `--root DIR` elsewhere).
#[derive(Clone, Debug)]
pub struct HostDevices {
    root: PathBuf,
}

impl HostDevices {
    /// Devices below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn resolve(&self, device: &Path) -> Result<PathBuf, StorageError> {
        resolve_below(&self.root, device, LastLink::Follow)
            .map_err(|cause| open_failed(device, cause.into()))
    }

    /// The mount table, or `None` where the root is not the running system and has none.
    fn mountinfo(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.root.join("proc/self/mountinfo");
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.root != Path::new("/") =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX_MOUNTINFO_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_MOUNTINFO_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(text))
    }
}

fn open_failed(device: &Path, source: io::Error) -> StorageError {
    let label = device.display().to_string();
    if source.kind() == io::ErrorKind::NotFound {
        StorageError::Absent { label }
    } else {
        StorageError::Open { label, source }
    }
}

impl Devices for HostDevices {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        let path = self.resolve(device)?;
        let label = device.display().to_string();
        let kind = fs::metadata(&path).map_err(|error| open_failed(device, error))?.file_type();
        if kind.is_file() {
            return Ok(Box::new(FileStorage::open_as(&path, label, access)?));
        }
        #[cfg(target_os = "linux")]
        if kind.is_block_device() {
            return Ok(Box::new(crate::BlockDevice::open(&path, label, access)?));
        } else if kind.is_char_device() {
            return Ok(Box::new(crate::MtdDevice::open(&path, label, access)?));
        }
        #[cfg(not(target_os = "linux"))]
        if kind.is_block_device() || kind.is_char_device() {
            let source = io::Error::new(io::ErrorKind::Unsupported, "real devices need Linux");
            return Err(StorageError::Open { label, source });
        }
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a device or image file");
        Err(StorageError::Open { label, source })
    }

    /// By device number, and by the source's name for images and for roots other than `/`.
    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        let failed = |error| StorageError::Open {
            label: self.root.join("proc/self/mountinfo").display().to_string(),
            source: error,
        };
        let Some(text) = self.mountinfo().map_err(failed)? else { return Ok(None) };
        let path = self.resolve(device)?;
        let number = fs::metadata(&path).ok().and_then(|facts| block_number(&facts));
        let found = parse_mountinfo(&text).into_iter().find(|mount| {
            number == Some(mount.device)
                || (mount.source.is_absolute()
                    && resolve_below(&self.root, &mount.source, LastLink::Follow).as_ref()
                        == Ok(&path))
        });
        Ok(found.map(|mount| mount.place))
    }
}

/// Major and minor number of a block device.
#[cfg(target_os = "linux")]
fn block_number(facts: &fs::Metadata) -> Option<(u64, u64)> {
    use nix::sys::stat::{major, minor};
    use std::os::unix::fs::MetadataExt;
    let number = facts.rdev();
    facts.file_type().is_block_device().then(|| (major(number), minor(number)))
}

/// Numbers are split in another way elsewhere; the source's name has to do.
#[cfg(not(target_os = "linux"))]
fn block_number(_facts: &fs::Metadata) -> Option<(u64, u64)> {
    None
}
