// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which chunks, in which order? The files `.caibx` (of an image) and `.caidx` (of an archive).
//!
//! All numbers are u64, little endian:
//!
//! ```text
//!  0 48                     8 magic 96824d9c7b129ff9   16 feature flags
//! 24 smallest chunk        32 average chunk            40 largest chunk
//! 48 ffffffffffffffff      56 magic e75b9e112f17417d
//! 64 items: end of the chunk in the image, 32 bytes of its id
//! then 0, 0, 48 (back to the head), length of the table from byte 48, magic 4b4f050e5549ecd1
//! ```
//! The length of an image is the end of its last chunk. Nothing may follow. Source: casync's
//! `caformat.h`.

use super::chunker::ChunkSizes;
use super::{CasyncError, ChunkId, FeatureFlags};
use storage::ByteLen;

/// The largest index that is read: chunks of 100 GiB of default size. Stops an index from taking
/// the memory of a small device.
pub const MAX_INDEX: ByteLen = ByteLen::mib(64);

const INDEX: u64 = 0x9682_4d9c_7b12_9ff9;
const TABLE: u64 = 0xe75b_9e11_2f17_417d;
const TABLE_TAIL: u64 = 0x4b4f_050e_5549_ecd1;
const HEAD_BYTES: u64 = 48;
const ITEMS_AT: usize = 64;
const ITEM_BYTES: usize = 40;

/// A chunk of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedChunk {
    /// Where it begins in the image.
    pub offset: u64,
    /// How many bytes it has; never 0.
    pub len: u32,
    /// Its name.
    pub id: ChunkId,
}

/// A parsed index: chunks without gaps, each within the sizes that the index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkIndex {
    features: FeatureFlags,
    sizes: ChunkSizes,
    chunks: Vec<IndexedChunk>,
}

impl ChunkIndex {
    /// An index without chunks yet.
    #[must_use]
    pub const fn new(features: FeatureFlags, sizes: ChunkSizes) -> Self {
        Self { features, sizes, chunks: Vec::new() }
    }

    /// Parses an index file.
    ///
    /// # Errors
    /// [`CasyncError::Index`] or [`CasyncError::IndexTooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CasyncError> {
        let found = ByteLen::new(bytes.len() as u64);
        if found > MAX_INDEX {
            return Err(CasyncError::IndexTooLarge { found, limit: MAX_INDEX });
        }
        let word = |offset: u64| {
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            word_at(bytes, at).ok_or(corrupt(offset, "it ends too early"))
        };
        let demand = |offset: u64, fits: bool, what: &'static str| {
            if fits { Ok(()) } else { Err(corrupt(offset, what)) }
        };
        demand(0, word(0)? == HEAD_BYTES && word(8)? == INDEX, "it does not begin like an index")?;
        let features = FeatureFlags::from_bits(word(16)?)
            .ok_or(corrupt(16, "its feature flags are unknown or redundant"))?;
        let sizes = ChunkSizes::new(word(24)?, word(32)?, word(40)?)
            .ok_or(corrupt(24, "its chunk sizes are out of order or range"))?;
        demand(48, word(48)? == u64::MAX && word(56)? == TABLE, "it has no table of chunks")?;
        let table = bytes.get(ITEMS_AT..).unwrap_or_default();
        let (items, rest) = table.as_chunks::<ITEM_BYTES>();
        let tail_at = found.get().saturating_sub(ITEM_BYTES as u64);
        demand(tail_at, rest.is_empty(), "it ends within an item")?;
        let Some((tail, items)) = items.split_last() else {
            return Err(corrupt(ITEMS_AT as u64, "it ends too early"));
        };
        let expected = [0, 0, HEAD_BYTES, found.get() - HEAD_BYTES, TABLE_TAIL];
        let tail_fits = (0..5).all(|n| word_at(tail, n * 8) == expected.get(n).copied());
        demand(tail_at, tail_fits, "its end does not match; it was cut short or continued")?;
        let mut index = Self::new(features, sizes);
        index.chunks.reserve_exact(items.len());
        for (number, item) in items.iter().enumerate() {
            let at = (ITEMS_AT + number * ITEM_BYTES) as u64;
            let (end, id) = split_item(item).ok_or(corrupt(at, "it ends within an item"))?;
            let start = index.len().get();
            let len = end.checked_sub(start).filter(|len| *len > 0);
            let len = len.ok_or(corrupt(at, "a chunk ends before it begins"))?;
            demand(at, len <= sizes.max() as u64, "a chunk is longer than the largest")?;
            index.push(id, u32::try_from(len).unwrap_or(u32::MAX));
        }
        Ok(index)
    }

    /// The file that says this.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let sizes = [self.sizes.min(), self.sizes.average(), self.sizes.max()].map(|n| n as u64);
        let mut out = Vec::with_capacity(ITEMS_AT + (self.chunks.len() + 1) * ITEM_BYTES);
        let head = [HEAD_BYTES, INDEX, self.features.bits(), sizes[0], sizes[1], sizes[2]];
        for word in head.into_iter().chain([u64::MAX, TABLE]) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for chunk in &self.chunks {
            out.extend_from_slice(&(chunk.offset + u64::from(chunk.len)).to_le_bytes());
            out.extend_from_slice(chunk.id.as_bytes());
        }
        let table = (out.len() + ITEM_BYTES) as u64 - HEAD_BYTES;
        for word in [0, 0, HEAD_BYTES, table, TABLE_TAIL] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Adds the next chunk.
    pub(crate) fn push(&mut self, id: ChunkId, len: u32) {
        let offset = self.len().get();
        self.chunks.push(IndexedChunk { offset, len, id });
    }

    /// What the index and its archive keep.
    #[must_use]
    pub const fn features(&self) -> FeatureFlags {
        self.features
    }

    /// The sizes that the chunks were cut to.
    #[must_use]
    pub const fn sizes(&self) -> ChunkSizes {
        self.sizes
    }

    /// The chunks in order.
    #[must_use]
    pub fn chunks(&self) -> &[IndexedChunk] {
        &self.chunks
    }

    /// The length of the image or archive.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        let end = |last: &IndexedChunk| last.offset.saturating_add(u64::from(last.len));
        ByteLen::new(self.chunks.last().map_or(0, end))
    }

    /// Whether it lists no chunk, as of an empty image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

fn split_item(item: &[u8; ITEM_BYTES]) -> Option<(u64, ChunkId)> {
    let (end, id) = item.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*end), ChunkId::from_bytes(id.try_into().ok()?)))
}

/// The little-endian number at `offset`.
pub(crate) fn word_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

const fn corrupt(offset: u64, what: &'static str) -> CasyncError {
    CasyncError::Index { offset, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ChunkIndex {
        let mut index = ChunkIndex::new(FeatureFlags::IMAGE, ChunkSizes::DEFAULT);
        for (len, fill) in [(16_384, 1), (262_144, 2), (1, 3)] {
            index.push(ChunkId::from_bytes([fill; 32]), len);
        }
        index
    }

    #[test]
    fn what_is_written_is_read() {
        let index = sample();
        assert_eq!(ChunkIndex::parse(&index.encode()).unwrap(), index);
        assert_eq!(index.len(), ByteLen::new(278_529));
        let empty = ChunkIndex::new(FeatureFlags::UNIX, ChunkSizes::DEFAULT);
        assert_eq!(ChunkIndex::parse(&empty.encode()).unwrap(), empty);
    }

    #[test]
    fn every_shorter_and_longer_file_is_refused() {
        let bytes = sample().encode();
        for len in 0..bytes.len() {
            assert!(ChunkIndex::parse(&bytes[..len]).is_err(), "{len}");
        }
        for extra in [1, 8, 40] {
            let longer = [&bytes[..], &vec![0; extra]].concat();
            assert!(ChunkIndex::parse(&longer).is_err(), "{extra}");
        }
    }

    #[test]
    fn lying_numbers_are_refused() {
        let bytes = sample().encode();
        // Each place, and a value that must not stand there.
        for (at, value) in [
            (0, 47),
            (8, 0),
            (16, 3),
            (24, 0),
            (24, 1 << 20),
            (40, u64::MAX),
            (48, 0),
            (56, 1),
            (64, 0),
            (64, 262_145),
            (104, 5),
            (104, u64::MAX),
            (144, 278_528),
        ] {
            let mut changed = bytes.clone();
            changed[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert!(ChunkIndex::parse(&changed).is_err(), "{at} {value}");
        }
    }
}
