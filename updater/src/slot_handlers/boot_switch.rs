// SPDX-License-Identifier: MIT OR Apache-2.0
//! `boot-mbr-switch` and `boot-gpt-switch`: a boot partition whose entry in the partition table
//! names one half of a region or the other.
//!
//! | step | cut after it |
//! |---|---|
//! | 1 image into the half that is not named, rest of it zeroed, flushed, read back | old half boots |
//! | 2 hook; flushed | old half boots |
//! | 3 MBR: the one sector, flushed, read back; GPT: backup, then primary | old or new half |
//!
//! The new half is whole and proven before any entry names it. The sector of an MBR is the unit
//! that a medium writes whole; of a GPT one copy is whole at any moment.

use super::error::SlotHandlerError;
use super::job::{HookStep, ImageContent, SlotPlace, SlotProof, SlotWritten};
use super::region::{BootRecord, Half, Region};
use super::work::Work;
use repart::{TableError, move_partition, read_table};
use storage::{Access, ByteLen, Lba, Storage, StorageError, View};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Number of the entry in a GPT that is switched, from 1.
const BOOT_ENTRY: u32 = 1;
/// Where the first partition of a disk with a GPT can begin.
const GPT_FLOOR_BYTES: u64 = 34 * 512;
/// No disk has smaller sectors than this; flash claims 1.
const MIN_SECTOR_BYTES: u64 = 512;

/// Which table has the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    Mbr,
    Gpt,
}

impl TableKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Mbr => "MBR",
            Self::Gpt => "GPT",
        }
    }

    const fn floor(self) -> u64 {
        match self {
            Self::Mbr => 512,
            Self::Gpt => GPT_FLOOR_BYTES,
        }
    }
}

/// Bytes in a sector of this disk.
pub(super) fn sector_of(disk: &dyn Storage) -> u64 {
    u64::from(disk.geometry().sector_bytes).max(MIN_SECTOR_BYTES)
}

impl Work<'_, '_> {
    pub(super) fn region_failed(&self, reason: impl Into<String>) -> SlotHandlerError {
        SlotHandlerError::Region { slot: self.job.slot.name.clone(), reason: reason.into() }
    }

    fn table_failed(&self, reason: impl Into<String>) -> SlotHandlerError {
        SlotHandlerError::Table { slot: self.job.slot.name.clone(), reason: reason.into() }
    }

    /// Other partitions of the disk are in use, so it cannot be opened exclusively.
    pub(super) fn open_disk(&self) -> Result<Box<dyn Storage>, SlotHandlerError> {
        self.open(&self.job.slot.device, Access::WriteBeside)
    }

    pub(super) fn boot_switch(
        &mut self,
        content: ImageContent<'_>,
        kind: TableKind,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        let disk = self.open_disk()?;
        let sector = sector_of(&*disk);
        let region = Region::of(self.job.slot, disk.len(), sector, kind.floor())
            .map_err(|reason| self.region_failed(reason))?;
        let active = self.active_half(&*disk, kind, region)?;
        let target = active.other();
        drop(disk);
        let (start, room) = (region.start_of(target), ByteLen::new(region.half));
        if room < self.job.image.size {
            return Err(SlotHandlerError::TooSmall { room, size: self.job.image.size });
        }
        self.note(format!(
            "Found inactive ({}) half of boot partition region (pos. {start}B, size {}B)",
            target.name(),
            region.half
        ));
        let place = SlotPlace {
            mount_point: None,
            device: &self.job.slot.device,
            variables: vec![
                ("RAUC_BOOT_PARTITION_ACTIVATING", target.number().to_string()),
                ("RAUC_BOOT_PARTITION_START", start.to_string()),
                ("RAUC_BOOT_PARTITION_SIZE", region.half.to_string()),
            ],
        };
        self.hook(HookStep::PreInstall, &place)?;
        let half = self.window(self.open_disk()?, start, region.half)?;
        let written = self.copy_alone(half, source, 0)?;
        let count = written.count;
        // Closed before the hook, which may open the disk.
        drop(written);
        if self.hooks.wants(HookStep::PostInstall) {
            self.hook(HookStep::PostInstall, &place)?;
            self.open_disk()?.flush().map_err(|source| self.device_failed(source))?;
        }
        self.go_on()?;
        let mut disk = self.open_disk()?;
        if self.active_half(&*disk, kind, region)? != active {
            return Err(self.table_failed("it was changed while the image was written"));
        }
        self.note(format!(
            "Setting {} half of boot partition region active in {}",
            target.name(),
            kind.name()
        ));
        self.switch(&mut *disk, kind, region, target)?;
        Ok(SlotWritten { count, proof: SlotProof::ReadBack })
    }

    /// A part of the disk as a device of its own.
    pub(super) fn window(
        &self,
        disk: Box<dyn Storage>,
        start: u64,
        len: u64,
    ) -> Result<Box<dyn Storage>, SlotHandlerError> {
        let label = disk.label().to_owned();
        let view = View::new(disk, label, start, ByteLen::new(len));
        Ok(Box::new(view.map_err(|source| self.device_failed(source))?))
    }

    /// The image, and zeros on everything behind it: what an older and longer one left there must
    /// not be found by a loader that searches.
    pub(super) fn copy_alone(
        &mut self,
        mut place: Box<dyn Storage>,
        source: &mut (dyn std::io::Read + Send),
        hold_back: usize,
    ) -> Result<crate::slot_writer::DurableSlot, SlotHandlerError> {
        let end = place.len().get();
        let mut at = self.job.image.size.get().min(end);
        let mut old = vec![0; CHUNK_BYTES];
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let old = old.get_mut(..len).unwrap_or_default();
            // What cannot be read is written.
            if place.read_at(at, old).is_err() || old.iter().any(|byte| *byte != 0) {
                old.fill(0);
                place.write_at(at, old).map_err(|source| self.device_failed(source))?;
            }
            at += len as u64;
            self.go_on()?;
        }
        self.copy(place, source, hold_back)
    }

    fn active_half(
        &self,
        disk: &dyn Storage,
        kind: TableKind,
        region: Region,
    ) -> Result<Half, SlotHandlerError> {
        let record = self.boot_record(disk)?;
        match kind {
            TableKind::Mbr => {
                record.active(region, sector_of(disk)).map_err(|reason| self.region_failed(reason))
            }
            TableKind::Gpt if !record.is_protective_alone() => {
                Err(self.table_failed("Hybrid GPT is not supported, use a protective MBR instead"))
            }
            TableKind::Gpt => self.active_in_gpt(disk, region),
        }
    }

    fn boot_record(&self, disk: &dyn Storage) -> Result<BootRecord, SlotHandlerError> {
        // At most 4096 bytes.
        let mut sector = vec![0; usize::try_from(sector_of(disk)).unwrap_or(512)];
        disk.read_at(0, &mut sector).map_err(|source| self.device_failed(source))?;
        BootRecord::parse(sector).map_err(|reason| self.table_failed(reason))
    }

    fn active_in_gpt(&self, disk: &dyn Storage, region: Region) -> Result<Half, SlotHandlerError> {
        let sector = sector_of(disk);
        let table = read_table(disk).map_err(|error| {
            if let TableError::Unreadable(source) = error {
                return self.device_failed(source);
            }
            self.table_failed(storage::chain(&error))
        })?;
        let (first, end) = (region.start / sector, (region.start + 2 * region.half) / sector);
        let inside = |lba: Lba| lba.0 < end;
        let others = table.partitions.iter().filter(|entry| entry.number != BOOT_ENTRY);
        for entry in others {
            if inside(entry.first_lba) && first <= entry.last_lba.0 {
                let number = entry.number;
                return Err(self.region_failed(format!("it overlaps with partition {number}")));
            }
        }
        if end > table.last_usable.0.saturating_add(1) {
            return Err(self.region_failed("region ends beyond the usable area of the disk"));
        }
        let boot = table.partitions.iter().find(|entry| entry.number == BOOT_ENTRY);
        let boot = boot.ok_or_else(|| self.table_failed("no boot partition found in entry 0"))?;
        region.half_at(boot.first_lba.0.saturating_mul(sector)).ok_or_else(|| {
            self.region_failed("boot partition's start address does not match region configuration")
        })
    }

    fn switch(
        &self,
        disk: &mut dyn Storage,
        kind: TableKind,
        region: Region,
        half: Half,
    ) -> Result<(), SlotHandlerError> {
        let sector = sector_of(disk);
        match kind {
            TableKind::Mbr => {
                let record = self.boot_record(disk)?;
                let switched = record.switched(region, half, sector);
                let switched = switched.map_err(|reason| self.region_failed(reason))?;
                let same = put_durably(disk, 0, switched.bytes());
                if !same.map_err(|source| self.device_failed(source))? {
                    return Err(self.table_failed("it does not read back as it was written"));
                }
                Ok(())
            }
            TableKind::Gpt => {
                let first = region.start_of(half) / sector;
                let last = first + region.half / sector - 1;
                move_partition(disk, BOOT_ENTRY, Lba(first), Lba(last))
                    .map_err(|error| self.table_failed(storage::chain(&error)))
            }
        }
    }
}

/// Writes a few bytes, flushes, and tells whether they are what is read past the cache.
pub(super) fn put_durably(
    disk: &mut dyn Storage,
    offset: u64,
    bytes: &[u8],
) -> Result<bool, StorageError> {
    disk.write_at(offset, bytes)?;
    disk.flush()?;
    disk.forget_cached(offset, bytes.len() as u64)?;
    let mut found = vec![0; bytes.len()];
    disk.read_at(offset, &mut found)?;
    Ok(found == bytes)
}
