// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a slot hold what was to be installed, byte by byte? Knows nothing of states.

use crate::board::QEMU;
use crate::parts::bundle::UPDATE_VERSION;
use crate::parts::{disk, rootfs};
use anyhow::{Context as _, Result};
use board_rock64::{PartitionFacts, Role, build_boot_vfat};
use bootctl::SlotId;
use openssl::sha::Sha256;
use std::fs;
use std::path::Path;
use storage::{Access, ByteLen, Digest, FileStorage, Storage};

/// Unit of hashing.
const HASH_BYTES: usize = 1024 * 1024;
/// Unit of what an install writes.
const BLOCK_BYTES: usize = 4096;

/// What a complete slot holds: length and SHA-256 of each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Of the boot partition's.
    pub boot: (ByteLen, Digest),
    /// Of the root file system's.
    pub rootfs: (ByteLen, Digest),
}

impl Content {
    /// That of the update's images, made once more from its parts in a directory for scratch.
    ///
    /// # Errors
    /// When a part is not there.
    pub fn of_update(scratch: &Path) -> Result<Self> {
        let path = scratch.join("boot.vfat");
        let size =
            place_of(Role::Boot(SlotId::A))?.size.context("a boot partition without size")?;
        let mut boot = FileStorage::create_sparse(&path, size)?;
        let tree = disk::boot_tree(&disk::boot_parts()?)?;
        build_boot_vfat(&QEMU, &tree, UPDATE_VERSION, disk::EPOCH.into(), &mut boot)?;
        let rootfs = rootfs::release(UPDATE_VERSION)?.join("rootfs.squashfs");
        let rootfs = FileStorage::open(&rootfs, Access::ReadOnly)?;
        let whole = |image: &FileStorage| -> Result<(ByteLen, Digest)> {
            Ok((image.len(), digest(image, 0, image.len().get())?))
        };
        let content = Self { boot: whole(&boot)?, rootfs: whole(&rootfs)? };
        fs::remove_file(path)?;
        Ok(content)
    }

    /// What a slot holds now, both partitions whole.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn whole_slot(disk: &dyn Storage, slot: SlotId) -> Result<Self> {
        let whole = |role| -> Result<(ByteLen, Digest)> {
            let (start, end) = range(role)?;
            Ok((ByteLen::new(end - start), digest(disk, start, end)?))
        };
        Ok(Self { boot: whole(Role::Boot(slot))?, rootfs: whole(Role::Rootfs(slot))? })
    }

    /// Whether the slot holds this.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_in(&self, disk: &dyn Storage, slot: SlotId) -> Result<bool> {
        for (role, (len, expected)) in self.parts(slot) {
            let (start, _) = range(role)?;
            if digest(disk, start, start + len.get())? != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn parts(&self, slot: SlotId) -> [(Role, (ByteLen, Digest)); 2] {
        [(Role::Boot(slot), self.boot), (Role::Rootfs(slot), self.rootfs)]
    }
}

/// A block that an install of the update writes near its end.
#[derive(Debug)]
pub struct LateBlock {
    at: u64,
    bytes: Vec<u8>,
}

impl LateBlock {
    /// Nine tenths through the blocks of the update's root file system that the slot lacks. None
    /// when it lacks none.
    ///
    /// # Errors
    /// When the disk or the update cannot be read.
    pub fn of_update(disk: &dyn Storage, slot: SlotId) -> Result<Option<Self>> {
        let image = rootfs::release(UPDATE_VERSION)?.join("rootfs.squashfs");
        Self::between(disk, range(Role::Rootfs(slot))?.0, &fs::read(image)?)
    }

    fn between(disk: &dyn Storage, start: u64, image: &[u8]) -> Result<Option<Self>> {
        let mut there = vec![0; image.len()];
        disk.read_at(start, &mut there)?;
        let pairs = image.chunks(BLOCK_BYTES).zip(there.chunks(BLOCK_BYTES));
        let at = (start..).step_by(BLOCK_BYTES);
        let mut lacking: Vec<_> = at
            .zip(pairs)
            .filter(|(_, (new, old))| new != old)
            .map(|(at, (new, _))| (at, new))
            .collect();
        lacking.truncate(lacking.len() * 9 / 10 + 1);
        Ok(lacking.pop().map(|(at, bytes)| Self { at, bytes: bytes.to_vec() }))
    }

    /// Whether it is on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_in(&self, disk: &dyn Storage) -> Result<bool> {
        let mut there = vec![0; self.bytes.len()];
        disk.read_at(self.at, &mut there)?;
        Ok(there == self.bytes)
    }
}

/// SHA-256 of a range.
fn digest(storage: &dyn Storage, start: u64, end: u64) -> Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASH_BYTES];
    let mut at = start;
    while at < end {
        buffer.truncate(usize::try_from(end - at)?);
        storage.read_at(at, &mut buffer)?;
        hash.update(&buffer);
        at += buffer.len() as u64;
    }
    Ok(Digest::from_bytes(hash.finish()))
}

/// The board's facts about a partition.
pub(super) fn place_of(role: Role) -> Result<&'static PartitionFacts> {
    QEMU.partition(role).with_context(|| format!("the board has no {role:?}"))
}

/// First byte of a partition, and the first behind it.
pub(super) fn range(role: Role) -> Result<(u64, u64)> {
    let facts = place_of(role)?;
    let end = facts.end().context("a partition without an end")?;
    Ok((facts.start.get(), end.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::DISK_LEN;

    #[test]
    fn a_slot_with_one_wrong_byte_does_not_hold_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = FileStorage::create_sparse(&dir.path().join("disk"), DISK_LEN).unwrap();
        let image = vec![7; 2 * HASH_BYTES + 5];
        let digest = Digest::from_bytes(openssl::sha::sha256(&image));
        let part = (ByteLen::new(image.len() as u64), digest);
        let content = Content { boot: part, rootfs: part };
        let places = [Role::Boot(SlotId::B), Role::Rootfs(SlotId::B)].map(|role| {
            let start = range(role).unwrap().0;
            disk.write_at(start, &image).unwrap();
            start
        });
        assert!(content.is_in(&disk, SlotId::B).unwrap());
        assert!(!content.is_in(&disk, SlotId::A).unwrap());
        for start in places {
            for at in [start, start + image.len() as u64 - 1] {
                disk.write_at(at, &[8]).unwrap();
                assert!(!content.is_in(&disk, SlotId::B).unwrap(), "{at}");
                disk.write_at(at, &[7]).unwrap();
            }
        }
        assert!(content.is_in(&disk, SlotId::B).unwrap());
    }
    #[test]
    fn the_late_block_is_nine_tenths_through_what_the_slot_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = FileStorage::create_sparse(&dir.path().join("disk"), DISK_LEN).unwrap();
        let image: Vec<u8> = (1..=40).flat_map(|n| [n; BLOCK_BYTES]).collect();
        let start = range(Role::Rootfs(SlotId::B)).unwrap().0;
        let number = |late: &LateBlock| late.bytes[0];
        let late = LateBlock::between(&disk, start, &image).unwrap().unwrap();
        assert_eq!(number(&late), 37);
        assert!(!late.is_in(&disk).unwrap());
        disk.write_at(start, &image[..20 * BLOCK_BYTES]).unwrap();
        let late = LateBlock::between(&disk, start, &image).unwrap().unwrap();
        assert_eq!(number(&late), 39);
        disk.write_at(start, &image).unwrap();
        assert!(late.is_in(&disk).unwrap());
        assert!(LateBlock::between(&disk, start, &image).unwrap().is_none());
    }
}
