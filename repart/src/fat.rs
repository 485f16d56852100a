// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in this FAT, and how is one made so that the same input gives the same bytes?
//!
//! `fatfs` does the work over a block cache. Serial number, label and every timestamp are
//! arguments. Reading is bounded: sizes against the reader's limit, directories by a number of
//! entries, cluster chains by the cache's budget, the boot sector's arithmetic by a check here.

use crate::block_cache::{BlockCache, WriteBack};
use crate::fat_time::{CLOCK, FatTime};
use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use storage::{ByteLen, MemoryStorage, Storage, StorageError};

/// Most entries of one directory that are looked at: a crafted one could have millions.
const MAX_DIR_ENTRIES: usize = 4096;
/// Deepest path; stops a path of a million slashes.
const MAX_DEPTH: usize = 16;

/// Attributes of an entry that is part of a long name.
const LONG_NAME: u8 = 0x0f;

type Mounted<'a, S> = FileSystem<&'a mut BlockCache<S>>;
type Directory<'a, 'b, S> = Dir<'a, &'b mut BlockCache<S>>;

/// How a new FAT is named and dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FatOptions {
    /// Volume label.
    pub label: FatLabel,
    /// Volume serial number.
    pub serial: u32,
    /// Time of everything that is written.
    pub time: FatTime,
}

/// A volume label: at most 11 characters, stored in upper case and padded with spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FatLabel([u8; 11]);

impl FatLabel {
    /// The label as FAT can store it: upper case, characters beyond the eleventh dropped,
    /// anything but letters, digits, `-` and `_` replaced by `_`.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut label = [b' '; 11];
        for (to, from) in label.iter_mut().zip(text.chars()) {
            let plain = from.is_ascii_alphanumeric() || from == '-' || from == '_';
            let byte = u8::try_from(from).unwrap_or(b'_').to_ascii_uppercase();
            *to = if plain { byte } else { b'_' };
        }
        Self(label)
    }
}

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatEntry {
    /// Name.
    pub name: String,
    /// File or directory.
    pub kind: FatEntryKind,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FatEntryKind {
    /// A file and its length.
    File(ByteLen),
    /// A directory.
    Directory,
}

/// A FAT cannot be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The boot sector is not a FAT's, or contradicts itself.
    #[error("{label} holds no usable FAT: {reason}")]
    NotFat {
        /// Device.
        label: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no such file.
    #[error("{path} does not exist on {label}")]
    Absent {
        /// Device.
        label: String,
        /// Path.
        path: String,
    },
    /// The path names the wrong kind of entry, is empty, too deep, or has `.` or `..` in it.
    #[error("{path} is not usable as a path: {reason}")]
    Path {
        /// Path.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file exceeds its reader's limit.
    #[error("{path} of {len} is larger than {limit}")]
    TooLarge {
        /// Path.
        path: String,
        /// Its size.
        len: ByteLen,
        /// The limit.
        limit: ByteLen,
    },
    /// The file system cannot be made.
    #[error("cannot format {label} as FAT")]
    Format {
        /// Device.
        label: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Reading or writing failed; a full or damaged file system counts here.
    #[error("cannot access {path} on {label}")]
    Access {
        /// Device.
        label: String,
        /// Path.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The device failed while everything was made durable.
    #[error("cannot write the FAT durably")]
    Storage(#[from] StorageError),
}

/// A FAT on a device or in memory. Changes are durable after [`FatImage::finish`] only.
pub struct FatImage<S: Storage> {
    cache: BlockCache<S>,
    time: FatTime,
}

impl FatImage<MemoryStorage> {
    /// An empty FAT of `size` in memory.
    ///
    /// # Errors
    /// [`FatError::Format`] when the size suits no FAT.
    pub fn create(size: ByteLen, options: &FatOptions) -> Result<Self, FatError> {
        let bytes = vec![0; size.to_usize().unwrap_or(usize::MAX)];
        Self::format(MemoryStorage::disk("FAT image", bytes), options)
    }
}

impl<S: Storage> FatImage<S> {
    /// Makes an empty FAT on `storage`.
    ///
    /// # Errors
    /// [`FatError::Format`] when the device is too small or too large, or fails.
    pub fn format(storage: S, options: &FatOptions) -> Result<Self, FatError> {
        Self::format_with(storage, options, WriteBack::AsNeeded)
    }

    /// Opens the FAT on `storage`; `time` is what later changes carry.
    ///
    /// # Errors
    /// [`FatError::NotFat`] or [`FatError::Storage`].
    pub fn open(storage: S, time: FatTime) -> Result<Self, FatError> {
        check_boot_sector(&storage)?;
        Ok(Self { cache: BlockCache::new(storage, WriteBack::AsNeeded), time })
    }

    fn format_with(storage: S, options: &FatOptions, how: WriteBack) -> Result<Self, FatError> {
        // FAT knows sectors of 512 to 4096 bytes; devices with smaller units take 512.
        let sector = storage.geometry().sector_bytes.clamp(512, 4096);
        let wanted = FormatVolumeOptions::new()
            .bytes_per_sector(u16::try_from(sector.next_power_of_two()).unwrap_or(512))
            .volume_id(options.serial)
            .volume_label(options.label.0);
        let label = storage.label().to_owned();
        if storage.len() < MIN_FAT {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "device is too small");
            return Err(FatError::Format { label, source });
        }
        let mut cache = BlockCache::new(storage, how);
        fatfs::format_volume(cache.rewind_for_operation(), wanted)
            .map_err(|source| FatError::Format { label, source })?;
        Ok(Self { cache, time: options.time })
    }

    /// Makes a directory; its parent must exist. An existing one is left as it is.
    ///
    /// # Errors
    /// [`FatError::Path`] or [`FatError::Access`].
    pub fn create_dir(&mut self, path: &str) -> Result<(), FatError> {
        let depth = check_path(path)?.len();
        self.with(path, |root| root.create_dir(path).map(drop))?;
        let Some(at) = self.cache.dot_entry() else { return Ok(()) };
        let label = self.cache.storage().label().to_owned();
        correct_dot_entries(self.cache.rewind_for_operation(), at, depth)
            .map_err(|source| FatError::Access { label, path: path.to_owned(), source })
    }

    /// Writes a file whole; its directory must exist. An existing file is replaced.
    ///
    /// # Errors
    /// [`FatError::Path`] or [`FatError::Access`].
    pub fn write_file(&mut self, path: &str, content: &mut dyn Read) -> Result<(), FatError> {
        check_path(path)?;
        self.with(path, |root| {
            let mut file = root.create_file(path)?;
            file.truncate()?;
            io::copy(content, &mut file)?;
            file.flush()
        })
    }

    /// Reads a file of at most `limit`.
    ///
    /// # Errors
    /// [`FatError::Absent`], [`FatError::TooLarge`], [`FatError::Path`] or [`FatError::Access`].
    pub fn read_file(&mut self, path: &str, limit: ByteLen) -> Result<Vec<u8>, FatError> {
        let parts = check_path(path)?;
        let label = self.cache.storage().label().to_owned();
        let outcome = self.with(path, |root| {
            let Some((name, parents)) = parts.split_last() else { return Ok(Found::Nothing) };
            let Some(dir) = descend(root, parents)? else { return Ok(Found::Nothing) };
            let Some(entry) = find(&dir, name)? else { return Ok(Found::Nothing) };
            if entry.is_dir() {
                return Ok(Found::Directory);
            }
            let len = ByteLen::new(entry.len());
            if len > limit {
                return Ok(Found::TooLarge(len));
            }
            let mut content = Vec::new();
            entry.to_file().take(limit.get()).read_to_end(&mut content)?;
            if content.len() as u64 != len.get() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "cluster chain is short"));
            }
            Ok(Found::Content(content))
        })?;
        let path = path.to_owned();
        match outcome {
            Found::Content(content) => Ok(content),
            Found::Nothing => Err(FatError::Absent { label, path }),
            Found::Directory => Err(FatError::Path { path, reason: "it is a directory" }),
            Found::TooLarge(len) => Err(FatError::TooLarge { path, len, limit }),
        }
    }

    /// Lists a directory, sorted by name; `""` is the root.
    ///
    /// # Errors
    /// [`FatError::Absent`], [`FatError::Path`] or [`FatError::Access`].
    pub fn list(&mut self, path: &str) -> Result<Vec<FatEntry>, FatError> {
        let parts = if path.is_empty() { Vec::new() } else { check_path(path)? };
        let label = self.cache.storage().label().to_owned();
        let found = self.with(path, |root| {
            let Some(dir) = descend(root, &parts)? else { return Ok(None) };
            let mut entries = Vec::new();
            for entry in dir.iter().take(MAX_DIR_ENTRIES) {
                let entry = entry?;
                let name = entry.file_name();
                if name != "." && name != ".." {
                    let kind = if entry.is_dir() {
                        FatEntryKind::Directory
                    } else {
                        FatEntryKind::File(ByteLen::new(entry.len()))
                    };
                    entries.push(FatEntry { name, kind });
                }
            }
            entries.sort_by(|left, right| left.name.cmp(&right.name));
            Ok(Some(entries))
        })?;
        found.ok_or_else(|| FatError::Absent { label, path: path.to_owned() })
    }

    /// The volume label in the root directory, without padding.
    ///
    /// # Errors
    /// [`FatError::Access`].
    pub fn label(&mut self) -> Result<Option<String>, FatError> {
        self.with_mounted("label", |mounted| mounted.read_volume_label_from_root_dir())
    }

    /// Makes every change durable and gives the device back.
    ///
    /// # Errors
    /// [`FatError::Storage`].
    pub fn finish(mut self) -> Result<S, FatError> {
        self.cache.finish()?;
        Ok(self.cache.into_storage())
    }

    fn with<T>(
        &mut self,
        path: &str,
        act: impl FnOnce(&Directory<'_, '_, S>) -> io::Result<T>,
    ) -> Result<T, FatError> {
        self.with_mounted(path, |mounted| act(&mounted.root_dir()))
    }

    fn with_mounted<T>(
        &mut self,
        path: &str,
        act: impl FnOnce(&Mounted<'_, S>) -> io::Result<T>,
    ) -> Result<T, FatError> {
        self.time.set();
        let label = self.cache.storage().label().to_owned();
        let options = FsOptions::new().time_provider(&CLOCK);
        let outcome = FileSystem::new(self.cache.rewind_for_operation(), options).and_then(|fs| {
            let value = act(&fs)?;
            fs.unmount()?;
            Ok(value)
        });
        outcome.map_err(|source| FatError::Access { label, path: path.to_owned(), source })
    }
}

/// Rewrites the first entries of a new directory as the specification wants them.
///
/// `fatfs` 0.3.6 writes each of `.` and `..` behind a long-name entry, which fsck rejects, and
/// lets `..` name the root's cluster on FAT32 where it must be 0. `at` is the entry for `.`.
fn correct_dot_entries<S: Storage>(
    cache: &mut BlockCache<S>,
    at: u64,
    depth: usize,
) -> io::Result<()> {
    let [long_dot, dot, long_dots, dots] = [at.saturating_sub(32), at, at + 32, at + 64];
    let mut read = |at| -> io::Result<[u8; 32]> {
        let mut entry = [0; 32];
        cache.seek(SeekFrom::Start(at))?;
        cache.read_exact(&mut entry)?;
        Ok(entry)
    };
    let (first, own, third, mut parent) =
        (read(long_dot)?, read(dot)?, read(long_dots)?, read(dots)?);
    if first[11] != LONG_NAME || third[11] != LONG_NAME || !parent.starts_with(b"..  ") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "unexpected directory layout"));
    }
    if depth == 1 {
        // Cluster number: high half at 20, low half at 26.
        parent[20..22].fill(0);
        parent[26..28].fill(0);
    }
    cache.seek(SeekFrom::Start(long_dot))?;
    cache.write_all(&own)?;
    cache.write_all(&parent)?;
    cache.write_all(&[0; 64])
}

/// What a path led to.
enum Found {
    Content(Vec<u8>),
    Nothing,
    Directory,
    TooLarge(ByteLen),
}

fn find<'a, T: Read + Write + Seek>(
    dir: &Dir<'a, T>,
    name: &str,
) -> io::Result<Option<fatfs::DirEntry<'a, T>>> {
    for entry in dir.iter().take(MAX_DIR_ENTRIES) {
        let entry = entry?;
        if entry.file_name().eq_ignore_ascii_case(name) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The directory below `root`, or `None` where a part is missing or a file.
fn descend<'a, T: Read + Write + Seek>(
    root: &Dir<'a, T>,
    parts: &[&str],
) -> io::Result<Option<Dir<'a, T>>> {
    let mut dir = root.clone();
    for part in parts {
        match find(&dir, part)? {
            Some(entry) if entry.is_dir() => dir = entry.to_dir(),
            Some(_) | None => return Ok(None),
        }
    }
    Ok(Some(dir))
}

/// The parts of a path relative to the root, `/` between them.
fn check_path(path: &str) -> Result<Vec<&str>, FatError> {
    let wrong = |reason| Err(FatError::Path { path: path.to_owned(), reason });
    let parts: Vec<&str> = path.split('/').take(MAX_DEPTH + 1).collect();
    if parts.len() > MAX_DEPTH {
        return wrong("it is too deep");
    }
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return wrong("it has an empty part, . or ..");
    }
    Ok(parts)
}

/// Smallest device that `fatfs` formats without failing an assertion.
const MIN_FAT: ByteLen = ByteLen::kib(64);

/// Checks the sums that `fatfs` computes from the boot sector without checking: they must not
/// overflow, and every area must lie on the device.
///
/// BIOS parameter block (source: Microsoft's FAT specification): 11 bytes per sector, 13 sectors
/// per cluster, 14 reserved sectors, 16 number of FATs, 17 root entries, 19 and 32 total sectors,
/// 22 and 36 sectors per FAT, 48 FSInfo sector, 510 0x55 0xAA.
fn check_boot_sector(storage: &dyn Storage) -> Result<(), FatError> {
    let label = storage.label().to_owned();
    let wrong = |reason| FatError::NotFat { label: label.clone(), reason };
    if storage.len() < MIN_FAT {
        return Err(wrong("too small"));
    }
    let mut boot = [0; 512];
    storage.read_at(0, &mut boot)?;
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    if boot[510..] != [0x55, 0xaa] {
        return Err(wrong("no boot sector signature"));
    }
    let (sector, cluster) = (u16_at(11), u64::from(boot[13]));
    let powers = sector.is_power_of_two() && cluster.is_power_of_two();
    if !powers || !(512..=4096).contains(&sector) {
        return Err(wrong("sector or cluster size"));
    }
    let either = |short: u64, long: u64| if short == 0 { long } else { short };
    let total = either(u16_at(19), u32_at(32));
    let fats = u64::from(boot[16]).saturating_mul(either(u16_at(22), u32_at(36)));
    let root = (u16_at(17) * 32).div_ceil(sector);
    let data = u16_at(14).saturating_add(fats).saturating_add(root);
    if total.saturating_mul(sector) > storage.len().get() {
        return Err(wrong("larger than its device"));
    }
    // Only FAT32 leaves the short field 0 and has an FSInfo sector; others have code there.
    let fs_info = if u16_at(22) == 0 { u16_at(48) } else { 0 };
    if boot[16] == 0 || data >= total || fs_info >= total {
        return Err(wrong("areas do not fit"));
    }
    Ok(())
}

/// Makes an empty FAT on `device` with the first block written last, and reads it back: after a
/// cut the device's head is blank or the file system is whole.
///
/// # Errors
/// [`FatError`].
pub(crate) fn format_vfat(device: &mut dyn Storage, options: &FatOptions) -> Result<(), FatError> {
    let device = FatImage::format_with(device, options, WriteBack::HeadLast)?.finish()?;
    let len = device.len().get();
    device.forget_cached(0, len)?;
    let mut found = FatImage::open(device, options.time)?;
    let wanted = String::from_utf8_lossy(&options.label.0).trim_end().to_owned();
    if found.label()?.map(|label| label.trim_end().to_owned()) != Some(wanted) {
        let label = found.cache.storage().label().to_owned();
        return Err(FatError::NotFat { label, reason: "label reads back different" });
    }
    Ok(())
}
