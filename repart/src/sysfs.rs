// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which partitions does Linux know, and how is it told of others? Reads `/sys/class/block`, where
//! numbers of sectors are of 512 bytes whatever the disk's sector is.

use crate::{KernelChange, KernelDisk, KnownPartition};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use storage::{Access, BlockDevice, ByteLen, Files, FilesError, HostFiles};

/// An attribute is one line.
const MAX_ATTRIBUTE: ByteLen = ByteLen::kib(4);
const SYSFS_SECTOR_BYTES: u64 = 512;
/// How often and how long is waited for a device node: 5 seconds in all, far more than a node
/// ever takes and short enough for a boot that goes on without it.
const WAITS: u32 = 100;
const WAIT: Duration = Duration::from_millis(50);

/// A disk below `/dev` and what the kernel says of it below `/sys`.
#[derive(Clone, Debug)]
pub struct SysfsDisk {
    files: HostFiles,
    node: PathBuf,
    waits_left: u32,
}

impl SysfsDisk {
    /// The disk that configuration calls `device`, which may be a link.
    ///
    /// # Errors
    /// When the path cannot be followed.
    pub fn new(files: &HostFiles, device: &Path) -> Result<Self, FilesError> {
        let node = files.resolve(device)?;
        Ok(Self { files: files.clone(), node, waits_left: WAITS })
    }

    fn dir(&self) -> PathBuf {
        let name = self.node.file_name().unwrap_or_default();
        Path::new("/sys/class/block").join(name)
    }

    fn attribute(&self, path: &Path) -> io::Result<Option<String>> {
        let bytes = self.files.read(path, MAX_ATTRIBUTE).map_err(io::Error::other)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    fn number(&self, path: &Path) -> io::Result<u64> {
        let text = self.attribute(path)?.unwrap_or_default();
        text.parse().map_err(|_| odd(path, &text))
    }

    fn open(&self) -> io::Result<BlockDevice> {
        let label = self.node.display().to_string();
        BlockDevice::open(&self.node, label, Access::ReadOnly).map_err(io::Error::other)
    }

    fn partition(&self, node: String) -> io::Result<Option<KnownPartition>> {
        let dir = self.dir().join(&node);
        let Some(number) = self.attribute(&dir.join("partition"))? else { return Ok(None) };
        let number = number.parse().map_err(|_| odd(&dir, &number))?;
        let sectors = |name: &str| {
            let sectors = self.number(&dir.join(name))?;
            Ok::<_, io::Error>(ByteLen::new(sectors.saturating_mul(SYSFS_SECTOR_BYTES)))
        };
        let (start, len) = (sectors("start")?, sectors("size")?);
        let text = self.attribute(&dir.join("dev"))?.unwrap_or_default();
        let device = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let device = device.ok_or_else(|| odd(&dir.join("dev"), &text))?;
        // Without its node nobody can use it yet.
        let path = self.files.resolve(&Path::new("/dev").join(&node)).map_err(io::Error::other)?;
        Ok(path.exists().then_some(KnownPartition { number, start, len, device, node }))
    }
}

fn odd(path: &Path, found: &str) -> io::Error {
    io::Error::other(format!("{} holds {found:?}", path.display()))
}

impl KernelDisk for SysfsDisk {
    fn known(&self) -> io::Result<Option<Vec<KnownPartition>>> {
        let dir = self.dir();
        let names = self.files.list(&dir).map_err(io::Error::other)?;
        if names.is_empty() {
            return Ok(None);
        }
        let disk = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts = names.into_iter().filter(|name| name.starts_with(&disk));
        let known: io::Result<Vec<_>> = parts.map(|name| self.partition(name)).collect();
        Ok(Some(known?.into_iter().flatten().collect()))
    }

    fn read_again(&mut self) -> io::Result<()> {
        self.open()?.read_partitions_again()
    }

    fn tell(&mut self, change: KernelChange) -> io::Result<()> {
        let disk = self.open()?;
        match change {
            KernelChange::Add { number, start, len } => disk.add_partition(number, start, len),
            KernelChange::Resize { number, start, len } => {
                disk.resize_partition(number, start, len)
            }
        }
    }

    fn wait(&mut self) -> bool {
        self.waits_left = self.waits_left.saturating_sub(1);
        if self.waits_left > 0 {
            sleep(WAIT);
        }
        self.waits_left > 0
    }
}
