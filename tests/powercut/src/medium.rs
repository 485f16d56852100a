// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a device hold, how does it differ from before, and back again?
//!
//! A device in memory that pays only for what changes: every changed sector is remembered until
//! the change is taken back or kept, and the sum over all sectors follows each change, so that two
//! contents are compared without being read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{ByteLen, Geometry, MemoryStorage, Storage, StorageError};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Unit of remembering and of the sum.
const SECTOR_BYTES: usize = 512;

/// A device; clones are the same one.
#[derive(Clone)]
pub struct Medium {
    label: Arc<str>,
    len: ByteLen,
    geometry: Geometry,
    state: Arc<Mutex<State>>,
}

struct State {
    bytes: Vec<u8>,
    /// The first sectors of the regions after the first.
    borders: Vec<usize>,
    /// A sum per region.
    sums: Vec<u128>,
    /// Sectors as they were before each change, oldest first.
    undo: Vec<(usize, [u8; SECTOR_BYTES])>,
}

impl Medium {
    /// A device with the content and geometry of `storage`.
    #[must_use]
    pub fn new(storage: &MemoryStorage) -> Self {
        Self::in_regions(storage, &[])
    }

    /// The same, with sums of its own for each region; `borders` are the first sectors of all
    /// regions but the first, in order.
    #[must_use]
    pub fn in_regions(storage: &MemoryStorage, borders: &[usize]) -> Self {
        let bytes = storage.bytes().to_vec();
        let borders = borders.to_vec();
        let mut sums = vec![0; borders.len() + 1];
        for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if let Some(sum) = sums.get_mut(region_of(&borders, number)) {
                *sum ^= sector_sum(number, sector);
            }
        }
        Self {
            label: Arc::from(storage.label()),
            len: storage.len(),
            geometry: storage.geometry(),
            state: Arc::new(Mutex::new(State { bytes, borders, sums, undo: Vec::new() })),
        }
    }

    /// The sum over the content; equal contents of equal length have equal sums.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.lock().sums.iter().fold(0, |all, sum| all ^ sum)
    }

    /// What the sum would be if sector `number` held this.
    #[must_use]
    pub fn sum_with(&self, number: usize, content: &[u8]) -> u128 {
        let before = sector_sum(number, self.lock().sector(number));
        self.sum() ^ before ^ sector_sum(number, content)
    }

    /// The sum over one region.
    #[must_use]
    pub fn region(&self, number: usize) -> u128 {
        self.lock().sums.get(number).copied().unwrap_or_default()
    }

    /// Where taking back can lead to.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().undo.len()
    }

    /// Takes every change since `mark` back.
    pub fn roll_back(&self, mark: usize) {
        let mut state = self.lock();
        while state.undo.len() > mark {
            if let Some((sector, old)) = state.undo.pop() {
                state.put(sector, &old);
            }
        }
    }

    /// Makes every change final.
    pub fn keep(&self) {
        self.lock().undo.clear();
    }

    /// Changes the bytes from `offset` on behind the seam's back.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`].
    pub fn change(
        &self,
        offset: u64,
        len: u64,
        act: impl FnOnce(&mut [u8]),
    ) -> Result<(), StorageError> {
        let range = self.range(offset, len)?;
        let mut state = self.lock();
        let mut new = state.bytes.get(range.clone()).unwrap_or_default().to_vec();
        act(&mut new);
        state.write(range.start, &new);
        Ok(())
    }

    fn range(&self, offset: u64, len: u64) -> Result<std::ops::Range<usize>, StorageError> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len.get());
        let usize_of = |value: u64| usize::try_from(value).ok();
        match (usize_of(offset), end.and_then(usize_of)) {
            (Some(start), Some(end)) => Ok(start..end),
            (_, _) => {
                let label = self.label.to_string();
                Err(StorageError::OutOfBounds { label, offset, len, size: self.len })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not change what the medium holds, so the guard is taken over.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sum of a content: independent of the order in which it came to be.
#[must_use]
pub fn sum_of(bytes: &[u8]) -> u128 {
    let sectors = bytes.chunks(SECTOR_BYTES).enumerate();
    sectors.fold(0, |sum, (number, sector)| sum ^ sector_sum(number, sector))
}

fn region_of(borders: &[usize], sector: usize) -> usize {
    borders.partition_point(|border| *border <= sector)
}

fn sector_sum(number: usize, sector: &[u8]) -> u128 {
    xxh3_128_with_seed(sector, number as u64)
}

impl State {
    fn sector(&self, number: usize) -> &[u8] {
        let start = number * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Writes `new` from `offset` on, sector by sector; what is equal is not touched.
    fn write(&mut self, offset: usize, new: &[u8]) {
        let mut at = offset;
        let mut rest = new;
        while !rest.is_empty() {
            let number = at / SECTOR_BYTES;
            let within = at % SECTOR_BYTES;
            let (part, later) = rest.split_at(rest.len().min(SECTOR_BYTES - within));
            let mut sector = [0; SECTOR_BYTES];
            let old = self.sector(number);
            let len = old.len();
            if let Some(copy) = sector.get_mut(..len) {
                copy.copy_from_slice(old);
            }
            let before = sector;
            if let Some(changed) = sector.get_mut(within..within + part.len()) {
                changed.copy_from_slice(part);
            }
            if sector != before {
                self.undo.push((number, before));
                self.put(number, &sector);
            }
            at += part.len();
            rest = later;
        }
    }

    fn put(&mut self, number: usize, sector: &[u8; SECTOR_BYTES]) {
        let before = sector_sum(number, self.sector(number));
        let start = number * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.bytes.len());
        if let (Some(place), Some(new)) =
            (self.bytes.get_mut(start..end), sector.get(..end.saturating_sub(start)))
        {
            place.copy_from_slice(new);
        }
        let after = sector_sum(number, self.sector(number));
        if let Some(sum) = self.sums.get_mut(region_of(&self.borders, number)) {
            *sum ^= before ^ after;
        }
    }
}

impl Storage for Medium {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        self.len
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let range = self.range(offset, buf.len() as u64)?;
        if let Some(found) = self.lock().bytes.get(range) {
            buf.copy_from_slice(found);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        let flash = self.geometry.erase_bytes.is_some();
        self.change(offset, data.len() as u64, |bytes| {
            for (old, new) in bytes.iter_mut().zip(data) {
                *old = if flash { *old & *new } else { *new };
            }
        })
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        if let Some(block) = self.geometry.erase_bytes.map(u64::from)
            && !(offset.is_multiple_of(block) && len.is_multiple_of(block))
        {
            let label = self.label.to_string();
            return Err(StorageError::UnalignedErase { label, offset, len });
        }
        self.change(offset, len, |bytes| bytes.fill(0xff))
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.range(offset, len).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_back_restores_content_and_sum() {
        let content: Vec<u8> = (0..2000_usize).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let mut medium = Medium::new(&MemoryStorage::disk("disk", content.clone()));
        let before = medium.sum();
        assert_eq!(before, sum_of(&content));
        medium.write_at(100, &[7; 900]).unwrap();
        let mark = medium.mark();
        let between = medium.sum();
        medium.write_at(50, &[9; 1900]).unwrap();
        medium.write_at(60, &[8; 3]).unwrap();
        assert_ne!(medium.sum(), between);
        medium.roll_back(mark);
        assert_eq!(medium.sum(), between);
        medium.roll_back(0);
        let mut found = vec![0; 2000];
        medium.read_at(0, &mut found).unwrap();
        assert_eq!((found, medium.sum()), (content, before));
    }

    #[test]
    fn regions_have_sums_of_their_own() {
        let disk = MemoryStorage::disk("disk", vec![0; 4096]);
        let mut medium = Medium::in_regions(&disk, &[2, 6]);
        let before = [0, 1, 2].map(|region| medium.region(region));
        medium.write_at(1024, &[1; 2048]).unwrap();
        let after = [0, 1, 2].map(|region| medium.region(region));
        assert_eq!((before[0], before[2]), (after[0], after[2]));
        assert_ne!(before[1], after[1]);
        assert_eq!(medium.sum(), after[0] ^ after[1] ^ after[2]);
        let wanted = medium.sum_with(7, &[9; 512]);
        medium.write_at(7 * 512, &[9; 512]).unwrap();
        assert_eq!(medium.sum(), wanted);
    }

    #[test]
    fn sum_follows_every_change_as_if_made_anew() {
        let mut medium = Medium::new(&MemoryStorage::nor("flash", vec![0xff; 4096], 4096));
        medium.write_at(5, &[0xf0; 1000]).unwrap();
        medium.write_at(500, &[0x3f; 1000]).unwrap();
        let mut found = vec![0; 4096];
        medium.read_at(0, &mut found).unwrap();
        assert_eq!(medium.sum(), sum_of(&found));
        assert_eq!((found[4], found[5], found[500], found[1400]), (0xff, 0xf0, 0x30, 0x3f));
        medium.erase(0, 4096).unwrap();
        assert_eq!(medium.sum(), sum_of(&[0xff; 4096]));
        assert!(medium.erase(0, 100).is_err());
    }
}
