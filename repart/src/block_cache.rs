// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device as a seekable stream, with a write-back cache: FAT code reads and writes two bytes at
//! a time. Blocks that end up equal to the device are not written, so a sparse image stays sparse.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use storage::{Storage, StorageError};

/// Bytes in a cached block.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Blocks kept before the oldest is written back: 4 MiB.
const MAX_BLOCKS: usize = 64;
/// Added to twice the device's size, this bounds what one operation may read: a cluster chain
/// that leads back into itself would keep a reader busy for ever.
const BASE_BUDGET: u64 = 16 * 1024 * 1024;
/// What bounds the blocks that one operation may load: so many times the device's own, and so many
/// more. A chain that leads from block to block uses a few bytes of each, so the budget of bytes
/// alone would let it load a thousand times the device.
const LOADS_PER_BLOCK: u64 = 16;
const BASE_LOADS: u64 = 4096;

struct Block {
    used: u64,
    dirty: bool,
    bytes: Vec<u8>,
}

/// The name that `fatfs` writes into a new directory's entry for itself.
const DOT_NAME: &[u8] = b".          ";

/// When blocks may be written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteBack {
    /// Whenever the cache is full.
    AsNeeded,
    /// Only in [`BlockCache::finish`], the first sector last.
    HeadLast,
}

/// The stream.
pub(crate) struct BlockCache<S> {
    storage: S,
    len: u64,
    position: u64,
    clock: u64,
    budget: u64,
    loads: u64,
    write_back: WriteBack,
    blocks: BTreeMap<u64, Block>,
    dot_entry: Option<u64>,
}

impl<S: Storage> BlockCache<S> {
    pub(crate) fn new(storage: S, write_back: WriteBack) -> Self {
        let len = storage.len().get();
        let blocks = BTreeMap::new();
        Self {
            storage,
            len,
            position: 0,
            clock: 0,
            budget: 0,
            loads: 0,
            write_back,
            blocks,
            dot_entry: None,
        }
    }

    /// Starts an operation: from position 0, with a fresh budget.
    pub(crate) fn rewind_for_operation(&mut self) -> &mut Self {
        self.position = 0;
        self.dot_entry = None;
        self.budget = self.len.saturating_mul(2).saturating_add(BASE_BUDGET);
        let blocks = self.len.div_ceil(BLOCK_BYTES);
        self.loads = blocks.saturating_mul(LOADS_PER_BLOCK).saturating_add(BASE_LOADS);
        self
    }

    /// Where the running operation put a directory's entry for itself, if it did: `fatfs` tells
    /// nobody where a directory lies.
    pub(crate) fn dot_entry(&self) -> Option<u64> {
        self.dot_entry
    }

    pub(crate) fn storage(&self) -> &S {
        &self.storage
    }

    /// Makes everything durable, the first sector last and on its own: no cut tears a sector, so
    /// until it is there, the device's first sector is what it was.
    pub(crate) fn finish(&mut self) -> Result<(), StorageError> {
        let dirty: Vec<u64> =
            self.blocks.iter().filter(|(_, block)| block.dirty).map(|(index, _)| *index).collect();
        let sector = self.storage.geometry().sector_bytes.max(512) as usize;
        let mut changed = false;
        for index in dirty {
            changed |= self.write_block(index, if index == 0 { sector } else { 0 })?;
        }
        if changed {
            self.storage.flush()?;
        }
        if self.write_block(0, 0)? {
            self.storage.flush()?;
        }
        Ok(())
    }

    /// Gives the device back.
    pub(crate) fn into_storage(self) -> S {
        self.storage
    }

    /// Writes a block from byte `skip` on if the device holds something else; says whether it did.
    fn write_block(&mut self, index: u64, skip: usize) -> Result<bool, StorageError> {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.dirty) else {
            return Ok(false);
        };
        let start = index.saturating_mul(BLOCK_BYTES).saturating_add(skip as u64);
        let new = block.bytes.get(skip..).unwrap_or_default();
        let mut old = vec![0; new.len()];
        self.storage.read_at(start, &mut old)?;
        let changed = old != new;
        if changed {
            self.storage.write_at(start, new)?;
        }
        block.dirty = skip != 0;
        Ok(changed)
    }

    /// The block with `index`, read if it is not there.
    fn block(&mut self, index: u64) -> io::Result<&mut Block> {
        if !self.blocks.contains_key(&index) {
            self.loads = self.loads.checked_sub(1).ok_or_else(endless)?;
        }
        if self.blocks.len() >= MAX_BLOCKS
            && self.write_back == WriteBack::AsNeeded
            && !self.blocks.contains_key(&index)
            && let Some(oldest) = self.blocks.iter().min_by_key(|(_, block)| block.used)
        {
            let oldest = *oldest.0;
            self.write_block(oldest, 0).map_err(io::Error::other)?;
            self.blocks.remove(&oldest);
        }
        self.clock += 1;
        let start = index.saturating_mul(BLOCK_BYTES);
        let size = self.len.saturating_sub(start).min(BLOCK_BYTES);
        let entry = match self.blocks.entry(index) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
                self.storage.read_at(start, &mut bytes).map_err(io::Error::other)?;
                entry.insert(Block { used: 0, dirty: false, bytes })
            }
        };
        entry.used = self.clock;
        Ok(entry)
    }

    /// The part of `len` bytes at the position that lies in one block: index, offset, length.
    fn piece(&self, len: usize) -> (u64, usize, usize) {
        let offset = self.position % BLOCK_BYTES;
        let room = (BLOCK_BYTES - offset).min(self.len.saturating_sub(self.position));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        (self.position / BLOCK_BYTES, usize::try_from(offset).unwrap_or(0), room.min(len))
    }
}

/// An operation that reads more than the device can hold reads in a circle.
fn endless() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "cluster chain leads back into itself")
}

impl<S: Storage> Read for BlockCache<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (index, offset, count) = self.piece(buf.len());
        if count == 0 {
            return Ok(0);
        }
        self.budget = self.budget.checked_sub(count as u64).ok_or_else(endless)?;
        let block = self.block(index)?;
        let from = block.bytes.get(offset..offset + count).unwrap_or_default();
        if let Some(to) = buf.get_mut(..from.len()) {
            to.copy_from_slice(from);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl<S: Storage> Write for BlockCache<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (index, offset, count) = self.piece(data.len());
        if count == 0 {
            return Ok(0);
        }
        if data == DOT_NAME {
            self.dot_entry = Some(self.position);
        }
        let block = self.block(index)?;
        let to = block.bytes.get_mut(offset..offset + count).unwrap_or_default();
        if let Some(from) = data.get(..to.len()) {
            to.copy_from_slice(from);
        }
        block.dirty = true;
        self.position += count as u64;
        Ok(count)
    }

    /// Nothing: durability is [`BlockCache::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Storage> Seek for BlockCache<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryStorage;

    /// Each byte came from another block: the budget of bytes let 144 MiB of them pass, each with
    /// a load of 64 KiB.
    #[test]
    fn reads_that_hop_from_block_to_block_end_soon() {
        const BLOCKS: u64 = 128;
        let bytes = vec![0; usize::try_from(BLOCKS * BLOCK_BYTES).unwrap()];
        let mut cache = BlockCache::new(MemoryStorage::disk("d", bytes), WriteBack::AsNeeded);
        cache.rewind_for_operation();
        let most = BLOCKS * LOADS_PER_BLOCK + BASE_LOADS;
        let mut hops = 0;
        let mut hop = |cache: &mut BlockCache<MemoryStorage>| {
            cache.seek(SeekFrom::Start(hops % BLOCKS * BLOCK_BYTES)).unwrap();
            hops += 1;
            cache.read(&mut [0]).map_err(|error| error.kind())
        };
        for _ in 0..most {
            assert_eq!(hop(&mut cache), Ok(1));
        }
        assert_eq!(hop(&mut cache), Err(io::ErrorKind::InvalidData));
        cache.rewind_for_operation();
        assert_eq!(hop(&mut cache), Ok(1), "the next operation begins anew");
    }

    #[test]
    fn every_block_of_a_device_is_read_many_times_without_a_refusal() {
        const BLOCKS: u64 = 80;
        let bytes = vec![7; usize::try_from(BLOCKS * BLOCK_BYTES).unwrap()];
        let mut cache = BlockCache::new(MemoryStorage::disk("d", bytes), WriteBack::AsNeeded);
        cache.rewind_for_operation();
        for cluster in 0..BLOCKS * 64 {
            // Clusters of 1 KiB, as far from each other as the device allows.
            let place = cluster % BLOCKS * BLOCK_BYTES + cluster / BLOCKS * 1024;
            cache.seek(SeekFrom::Start(place)).unwrap();
            cache.read_exact(&mut [0; 1024]).unwrap();
        }
    }
}
