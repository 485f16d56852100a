// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies on this stick? Its file system is read here, without the kernel: a hostile one meets
//! parsers that were fuzzed and a process without rights, and nothing is mounted.
//!
//! Only the names in [`NAMES`] in the topmost directory are looked for, and only regular files
//! are read: no link is followed, so a stick cannot point anywhere.

use super::patient::Patient;
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType};
use repart::{FatError, FatImage, FatTime};
use std::fmt;
use std::time::Instant;
use storage::{ByteLen, Storage, StorageError};

/// What is looked for, in this order.
pub const NAMES: [&str; 6] = [
    "config.toml",
    "config.tar.gz",
    "config.tgz",
    "config.tar.zst",
    "config.tar.zstd",
    "config.tzst",
];

/// Largest file that is read: what an upload may have.
const MAX_FILE: ByteLen = ByteLen::new(crate::protocol::MAX_UPLOAD_BYTES);

/// Most that is read of a file system for one look.
const MAX_READ: u64 = 512 << 20;

/// More than ext4's superblock and FAT's first sector need.
const SUPERBLOCK: usize = 1024;

/// Block groups of a file system of 16 TiB; each has a descriptor in memory.
const MAX_BLOCK_GROUPS: u64 = 131_072;

/// Blocks of 64 KiB, the largest that the kernel knows; the library caches some of them.
const MAX_LOG_BLOCK: u64 = 6;

/// A file system that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// ext2, ext3 or ext4.
    Ext4,
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vfat => "vfat",
            Self::Ext4 => "ext4",
        })
    }
}

/// Why a stick or a file of it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The device fails.
    #[error("it cannot be read")]
    Device(#[from] StorageError),
    /// It is a FAT, and damaged.
    #[error("its vfat file system is damaged")]
    Fat(#[from] FatError),
    /// It is an ext4, and damaged or of a kind that is not read.
    #[error("its ext4 file system is damaged or of an unusual kind")]
    Ext4(#[from] Ext4Error),
    /// It claims more than any stick has.
    #[error("its ext4 file system claims {groups} block groups with blocks of 2^{log_block} KiB")]
    Claims {
        /// How many.
        groups: u64,
        /// How large.
        log_block: u64,
    },
    /// The file is longer than any configuration.
    #[error("{name} of {len} is larger than {MAX_FILE}")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its length.
        len: ByteLen,
    },
    /// It is a link, a directory or a device.
    #[error("{name} is no ordinary file")]
    NoFile {
        /// Its name.
        name: String,
    },
    /// It was there a moment ago.
    #[error("{name} is gone")]
    Gone {
        /// Its name.
        name: String,
    },
    /// It ends before its length.
    #[error("{name} is shorter than its directory says")]
    Short {
        /// Its name.
        name: String,
    },
}

/// Everything with a name of ours: its content, or why it cannot be read. `put` gets one after the
/// other, so that only one is in memory. `None` when there is no file system that we read.
///
/// # Errors
/// [`LookError`] when nothing of it can be read.
pub fn look(
    storage: Box<dyn Storage>,
    until: Instant,
    put: &mut dyn FnMut(&'static str, Result<Vec<u8>, LookError>),
) -> Result<Option<FileSystem>, LookError> {
    let Some(mut opened) = Opened::open(storage, until)? else { return Ok(None) };
    for name in NAMES {
        match opened.read(name) {
            Ok(None) => {}
            Ok(Some(content)) => put(name, Ok(content)),
            Err(error) => put(name, Err(error)),
        }
    }
    Ok(Some(opened.kind()))
}

/// One of the files again.
///
/// # Errors
/// [`LookError`].
pub fn read_named(
    storage: Box<dyn Storage>,
    until: Instant,
    name: &str,
) -> Result<Vec<u8>, LookError> {
    let gone = || LookError::Gone { name: name.to_owned() };
    Opened::open(storage, until)?.ok_or_else(gone)?.read(name)?.ok_or_else(gone)
}

enum Opened {
    Vfat(Box<FatImage<Patient<Box<dyn Storage>>>>),
    Ext4(Ext4),
}

impl Opened {
    fn open(storage: Box<dyn Storage>, until: Instant) -> Result<Option<Self>, LookError> {
        let patient = Patient::new(storage, until, MAX_READ);
        if is_ext4(&patient)? {
            return Ok(Some(Self::Ext4(Ext4::load(Box::new(Reader(patient)))?)));
        }
        match FatImage::open(patient, FatTime::EPOCH) {
            Ok(fat) => Ok(Some(Self::Vfat(Box::new(fat)))),
            Err(FatError::NotFat { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    const fn kind(&self) -> FileSystem {
        match self {
            Self::Vfat(_) => FileSystem::Vfat,
            Self::Ext4(_) => FileSystem::Ext4,
        }
    }

    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, LookError> {
        match self {
            Self::Vfat(fat) => match fat.read_file(name, MAX_FILE) {
                Ok(content) => Ok(Some(content)),
                Err(FatError::Absent { .. }) => Ok(None),
                Err(FatError::TooLarge { path, len, .. }) => {
                    Err(LookError::TooLarge { name: path, len })
                }
                Err(FatError::Path { path, .. }) => Err(LookError::NoFile { name: path }),
                Err(error) => Err(error.into()),
            },
            Self::Ext4(ext4) => read_ext4(ext4, name),
        }
    }
}

fn read_ext4(ext4: &Ext4, name: &str) -> Result<Option<Vec<u8>>, LookError> {
    let path = format!("/{name}");
    let facts = match ext4.symlink_metadata(path.as_str()) {
        Ok(facts) => facts,
        Err(Ext4Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if facts.file_type() != FileType::Regular {
        return Err(LookError::NoFile { name: name.to_owned() });
    }
    let len = ByteLen::new(facts.len());
    if len > MAX_FILE {
        return Err(LookError::TooLarge { name: name.to_owned(), len });
    }
    let mut file = ext4.open(path.as_str())?;
    let mut content = vec![0; len.to_usize().unwrap_or_default()];
    let mut at = 0;
    while let Some(rest) = content.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match file.read_bytes(rest)? {
            0 => return Err(LookError::Short { name: name.to_owned() }),
            count => at += count,
        }
    }
    Ok(Some(content))
}

/// ext2's magic at 1024 + 56, and that its numbers are no larger than any stick's: the library
/// makes room for blocks and for every block group that is claimed before it reads one.
///
/// Superblock (source: the kernel's `Documentation/filesystems/ext4`): 4 and 336 blocks, 24 the
/// block's size as a power of two, 32 blocks per group, 56 magic 0xEF53.
fn is_ext4(storage: &dyn Storage) -> Result<bool, LookError> {
    if storage.len().get() < 2 * SUPERBLOCK as u64 {
        return Ok(false);
    }
    let mut block = [0; SUPERBLOCK];
    storage.read_at(SUPERBLOCK as u64, &mut block)?;
    let u32_at = |at: usize| {
        let bytes = block.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
    };
    if block.get(56..58) != Some(&[0x53, 0xef]) {
        return Ok(false);
    }
    let groups = (u32_at(4) | u32_at(336) << 32).div_ceil(u32_at(32).max(1));
    let log_block = u32_at(24);
    if groups > MAX_BLOCK_GROUPS || log_block > MAX_LOG_BLOCK {
        return Err(LookError::Claims { groups, log_block });
    }
    Ok(true)
}

/// A device as the library wants it.
struct Reader(Patient<Box<dyn Storage>>);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        start: u64,
        buf: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.0.read_at(start, buf)?)
    }
}
