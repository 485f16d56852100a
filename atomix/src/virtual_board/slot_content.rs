// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a slot? Its boot partition as U-Boot would load it, its root file system's `/etc`
//! as Linux would mount it. Reads only.

use crate::failure::Failure;
use crate::failure::chain;
use board_rock64::{Board, Role};
use bootctl::SlotId;
use bundle::{SquashfsEntry, SquashfsFiles, SquashfsLimits};
use repart::{FatEntryKind, FatImage, FatTime};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Devices, Storage, StorageError};

/// The slot script's name in a boot partition.
pub(crate) const SCRIPT_NAME: &str = "boot.scr";

/// Longest slot script; U-Boot's own are a few KiB.
const MAX_SCRIPT: ByteLen = ByteLen::mib(1);

/// Longest file of `/etc` that is laid out; configuration is small.
const MAX_ETC_FILE: ByteLen = ByteLen::kib(256);

/// Most files of `/etc` that are laid out: those that any command here reads are a few dozen.
const MAX_ETC_FILES: usize = 512;

/// What the firmware finds in a boot partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotLoad {
    /// There is no such partition.
    NoPartition,
    /// Script and everything it loads are there.
    Starts,
    /// Something does not load.
    Fails(String),
}

impl SlotLoad {
    /// Whether a kernel starts.
    #[must_use]
    pub const fn starts(&self) -> bool {
        match self {
            Self::Starts => true,
            Self::NoPartition | Self::Fails(_) => false,
        }
    }
}

/// Loads a slot as its script would: the script by its checksums, then every file it names.
///
/// # Errors
/// [`Failure::Storage`] when the disk cannot be opened.
pub(crate) fn load(
    devices: &dyn Devices,
    board: &Board,
    slot: SlotId,
) -> Result<SlotLoad, Failure> {
    let Some(device) = open(devices, board, Role::Boot(slot))? else {
        return Ok(SlotLoad::NoPartition);
    };
    Ok(match boot_partition_starts(device) {
        Ok(()) => SlotLoad::Starts,
        Err(why) => SlotLoad::Fails(why),
    })
}

/// Whether a boot file system starts a kernel: script by its checksums, and what it loads.
///
/// # Errors
/// Why not, in words.
pub fn boot_partition_starts(device: Box<dyn Storage>) -> Result<(), String> {
    let mut fat = FatImage::open(device, FatTime::EPOCH).map_err(|error| chain(&error))?;
    let image = fat.read_file(SCRIPT_NAME, MAX_SCRIPT).map_err(|error| chain(&error))?;
    let script = uboot::parse_script(&image).map_err(|error| chain(&error))?;
    for path in loaded_paths(&String::from_utf8_lossy(&script.text)) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let entries = fat.list(dir).map_err(|error| chain(&error))?;
        let found = entries.iter().any(|entry| {
            entry.name.eq_ignore_ascii_case(name) && matches!(entry.kind, FatEntryKind::File(_))
        });
        if !found {
            return Err(format!("{SCRIPT_NAME} loads {path}, which is not there"));
        }
    }
    Ok(())
}

/// The files that `load INTERFACE DEVICE ADDRESS PATH` commands name.
fn loaded_paths(script: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for command in script.split(['\n', ';']) {
        let words: Vec<&str> = command.split_whitespace().collect();
        // Where a command may begin; elsewhere the word may be part of a message.
        let begins = |at: &usize| match at.checked_sub(1).and_then(|before| words.get(before)) {
            None => true,
            Some(before) => ["if", "then", "else", "elif", "do", "&&", "||"].contains(before),
        };
        let load = (0..words.len()).find(|at| words.get(*at) == Some(&"load") && begins(at));
        let path = load.and_then(|at| words.get(at.saturating_add(4)));
        // A path that the script computes cannot be known here.
        if let Some(path) = path.filter(|path| !path.contains('$')) {
            paths.push(path.trim_start_matches('/').to_owned());
        }
    }
    paths
}

/// The `/etc` of a slot's root file system, by absolute path.
///
/// # Errors
/// Why there is none, in words: the root file system may be of another kind than squashfs.
pub(crate) fn etc(
    devices: &dyn Devices,
    board: &Board,
    slot: SlotId,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let device = open(devices, board, Role::Rootfs(slot)).map_err(|error| error.chain())?;
    let device = device.ok_or_else(|| format!("slot {slot} has no root partition"))?;
    let limits = SquashfsLimits::ROOT_FILE_SYSTEM;
    let system = SquashfsFiles::open(DeviceReader { device, at: 0 }, &limits)
        .map_err(|error| chain(&error))?;
    let mut files = BTreeMap::new();
    for (path, entry) in system.entries() {
        let SquashfsEntry::File { .. } = entry else { continue };
        let (true, Some(name)) = (path.starts_with("etc"), path.to_str()) else { continue };
        if files.len() == MAX_ETC_FILES {
            return Err(format!("more than {MAX_ETC_FILES} files in /etc"));
        }
        let content = system.read_file(name, MAX_ETC_FILE).map_err(|error| chain(&error))?;
        files.insert(Path::new("/").join(path), content);
    }
    Ok(files)
}

fn open(
    devices: &dyn Devices,
    board: &Board,
    role: Role,
) -> Result<Option<Box<dyn Storage>>, Failure> {
    let Some(partition) = board.partition(role) else { return Ok(None) };
    // By label, as the selector finds it.
    let path = Path::new("/dev/disk/by-partlabel").join(partition.label);
    match devices.open(&path, Access::ReadOnly) {
        Ok(device) => Ok(Some(device)),
        Err(StorageError::Absent { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// A device read from any position.
struct DeviceReader {
    device: Box<dyn Storage>,
    at: u64,
}

impl Read for DeviceReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.device.len().get().saturating_sub(self.at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let Some(part) = buf.get_mut(..count) else { return Ok(0) };
        self.device.read_at(self.at, part).map_err(io::Error::other)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for DeviceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.device.len().get();
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_boards_own_script_loads_is_found_in_its_text() {
        let script = board_rock64::ROCK64.slot_script(&board_rock64::InitPath::default());
        assert_eq!(loaded_paths(&script), ["Image", "dtbs/rockchip/rk3328-rock64.dtb", "initrd"]);
    }

    #[test]
    fn computed_paths_are_not_guessed() {
        assert!(loaded_paths("load mmc 1:3 0x100 ${kernel}; load mmc").is_empty());
    }
}
