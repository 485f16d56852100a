// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes does the data of a verity payload have, for certain?
//!
//! Every block is compared with its hash on its way in, and that hash with the one above it, up
//! to the signed root. Verified hash blocks are kept in a bounded cache. Bytes that did not pass
//! are never handed out: on an error the caller's buffer is zeroed.

use crate::verity::{
    BLOCK, BLOCK_BYTES, BlockKind, HASH_BYTES, HASHES_PER_BLOCK, VerityError, VerityLayout,
};
use crate::verity_build::block_hash;
use crate::{BundleError, Source, VerityParams};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Hash blocks kept: 1 MiB, the leaves of 128 MiB of data.
const CACHED_BLOCKS: usize = 256;

/// Hash blocks of a level fetched at once: the leaves of 8 MiB. One by one they would interrupt
/// the long reads of the data twice per MiB.
const FETCHED_BLOCKS: u64 = 16;

/// The verified data of a payload.
pub(crate) struct VerityReader {
    source: Arc<dyn Source>,
    layout: VerityLayout,
    params: VerityParams,
    cache: Mutex<HashCache>,
}

/// Verified hash blocks by their number in the payload.
#[derive(Default)]
struct HashCache {
    blocks: BTreeMap<u64, (u64, Arc<[u8; BLOCK_BYTES]>)>,
    clock: u64,
}

impl HashCache {
    fn get(&mut self, block: u64) -> Option<Arc<[u8; BLOCK_BYTES]>> {
        self.clock += 1;
        let (used, bytes) = self.blocks.get_mut(&block)?;
        *used = self.clock;
        Some(Arc::clone(bytes))
    }

    fn put(&mut self, block: u64, bytes: Arc<[u8; BLOCK_BYTES]>) {
        self.clock += 1;
        self.blocks.insert(block, (self.clock, bytes));
        if self.blocks.len() > CACHED_BLOCKS {
            let oldest = self.blocks.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(block, _)| *block) {
                self.blocks.remove(&oldest);
            }
        }
    }
}

impl VerityReader {
    /// A reader of the first `payload_bytes` of `source`; checks sizes, reads nothing.
    pub fn new(
        source: Arc<dyn Source>,
        payload_bytes: u64,
        params: VerityParams,
    ) -> Result<Self, VerityError> {
        let layout = VerityLayout::of_payload(payload_bytes, &params)?;
        source.end_of_data(layout.data_bytes());
        Ok(Self { source, layout, params, cache: Mutex::default() })
    }

    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    pub fn data_bytes(&self) -> u64 {
        self.layout.data_bytes()
    }

    /// Fills `buf`, which must lie inside the data, from byte `offset`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        self.read_blocks(offset, buf).inspect_err(|_| buf.fill(0))
    }

    fn read_blocks(&self, offset: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        let within = usize::try_from(offset % BLOCK).unwrap_or(0);
        let first = offset - offset % BLOCK;
        if within == 0 && buf.len().is_multiple_of(BLOCK_BYTES) {
            return self.read_whole(first, buf);
        }
        // In one piece all the same: a read of its own for each end costs a server's latency.
        let len = buf.len().saturating_add(within).next_multiple_of(BLOCK_BYTES);
        let mut blocks = vec![0; len];
        self.read_whole(first, &mut blocks)?;
        // The blocks begin `within` bytes before the buffer and end behind it.
        buf.copy_from_slice(blocks.get(within..within + buf.len()).unwrap_or_default());
        Ok(())
    }

    /// Fills `buf`, whole blocks, from a block's first byte.
    fn read_whole(&self, at: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        loop {
            let copy = self.source.copy();
            self.source.read_at(at, buf)?;
            let mut blocks = (at / BLOCK..).zip(buf.chunks(BLOCK_BYTES));
            match blocks.try_for_each(|(block, bytes)| self.check_data(block, bytes)) {
                // Each copy is rejected once, so this ends.
                Err(BundleError::Verity(_)) if self.source.reject(copy, at) => {}
                checked => return checked,
            }
        }
    }

    fn check_data(&self, block: u64, bytes: &[u8]) -> Result<(), BundleError> {
        let expected = self.expected(0, block)?;
        if block_hash(&self.params.salt, bytes) == expected {
            return Ok(());
        }
        Err(self.tampered(BlockKind::Data, block).into())
    }

    /// The verified hash of the `index`th block below level `level`.
    fn expected(&self, level: usize, index: u64) -> Result<[u8; HASH_BYTES], BundleError> {
        let block = self.hash_block(level, index / HASHES_PER_BLOCK)?;
        let at = usize::try_from(index % HASHES_PER_BLOCK).unwrap_or(0) * HASH_BYTES;
        let mut hash = [0; HASH_BYTES];
        // 128 hashes of 32 bytes fill a block, so the range lies inside it.
        hash.copy_from_slice(block.get(at..at + HASH_BYTES).unwrap_or(&[0; HASH_BYTES]));
        Ok(hash)
    }

    /// The verified `index`th block of level `level`. Recursion is as deep as the tree: 9 levels
    /// at most, by its layout.
    fn hash_block(&self, level: usize, index: u64) -> Result<Arc<[u8; BLOCK_BYTES]>, BundleError> {
        let top = level + 1 == self.layout.levels.len();
        let kind = if top { BlockKind::Root } else { BlockKind::HashTree { level } };
        let place = self.layout.levels.get(level).filter(|place| index < place.blocks);
        let Some(place) = place else {
            // Only a caller outside the data gets here; there is no hash for it.
            return Err(self.tampered(kind, index).into());
        };
        let block = place.first_block + index;
        if let Some(bytes) = self.lock().get(block) {
            return Ok(bytes);
        }
        loop {
            let copy = self.source.copy();
            if let Some(bytes) = self.fetch_hashes(level, index)? {
                return Ok(bytes);
            }
            if !self.source.reject(copy, block * BLOCK) {
                return Err(self.tampered(kind, block).into());
            }
        }
    }

    /// As [`Self::hash_block`], from the source; none if what is there is not what was signed.
    fn fetch_hashes(
        &self,
        level: usize,
        index: u64,
    ) -> Result<Option<Arc<[u8; BLOCK_BYTES]>>, BundleError> {
        let Some(place) = self.layout.levels.get(level) else { return Ok(None) };
        let top = level + 1 == self.layout.levels.len();
        // In groups with fixed borders: threads that need neighbours ask for the same bytes.
        let first = index - index % FETCHED_BLOCKS;
        let blocks = FETCHED_BLOCKS.min(place.blocks - first);
        // At most FETCHED_BLOCKS.
        let mut fetched = vec![0; usize::try_from(blocks).unwrap_or(1) * BLOCK_BYTES];
        self.source.read_at((place.first_block + first) * BLOCK, &mut fetched)?;
        let mut found = None;
        for (at, bytes) in (first..).zip(fetched.as_chunks::<BLOCK_BYTES>().0) {
            let expected =
                if top { *self.params.hash.as_bytes() } else { self.expected(level + 1, at)? };
            if block_hash(&self.params.salt, bytes) != expected {
                // The others are not asked for yet, and refused when they are.
                continue;
            }
            let bytes = Arc::new(*bytes);
            self.lock().put(place.first_block + at, Arc::clone(&bytes));
            if at == index {
                found = Some(bytes);
            }
        }
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashCache> {
        // Every entry was verified before it went in, whoever panicked since.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tampered(&self, kind: BlockKind, block: u64) -> VerityError {
        VerityError::Tampered {
            name: self.source.name().to_owned(),
            kind,
            block,
            offset: block.saturating_mul(BLOCK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySource, build_tree};
    use proptest::prelude::*;
    use storage::{ByteLen, Digest};

    const SALT: [u8; 32] = [9; 32];

    fn sample(blocks: usize) -> (Vec<u8>, VerityParams, Vec<u8>) {
        let data: Vec<u8> =
            (0..blocks * BLOCK_BYTES).map(|i| u8::try_from(i / 97 % 251).unwrap()).collect();
        let tree = build_tree(&mut data.as_slice(), data.len() as u64, &SALT).unwrap();
        let size = ByteLen::new(tree.bytes.len() as u64);
        let payload = [data.clone(), tree.bytes].concat();
        (payload, VerityParams { hash: tree.root, salt: SALT, size }, data)
    }

    fn reader(payload: Vec<u8>, params: VerityParams) -> VerityReader {
        let bytes = payload.len() as u64;
        VerityReader::new(Arc::new(MemorySource::new("b", payload)), bytes, params).unwrap()
    }

    fn read_all(reader: &VerityReader) -> Result<Vec<u8>, BundleError> {
        let mut data = vec![0xee; usize::try_from(reader.data_bytes()).unwrap()];
        reader.read_at(0, &mut data).map(|()| data)
    }

    /// Blocks: 300 data, then the top block 300, then leaf blocks 301, 302, 303.
    #[test]
    fn each_tampered_block_is_named_with_kind_number_and_place() {
        for (block, kind) in [
            (0, BlockKind::Data),
            (150, BlockKind::Data),
            (299, BlockKind::Data),
            (300, BlockKind::Root),
            (301, BlockKind::HashTree { level: 0 }),
            (303, BlockKind::HashTree { level: 0 }),
        ] {
            for bit in [0, BLOCK_BYTES * 8 - 1] {
                let (mut payload, params, _) = sample(300);
                payload[block * BLOCK_BYTES + bit / 8] ^= 1 << (bit % 8);
                let found = read_all(&reader(payload, params)).unwrap_err();
                let block = block as u64;
                let expected =
                    VerityError::Tampered { name: "b".into(), kind, block, offset: block * BLOCK };
                assert!(
                    matches!(&found, BundleError::Verity(e) if *e == expected),
                    "{block}: {found}"
                );
            }
        }
    }

    #[test]
    fn wrong_root_hash_and_wrong_salt_are_refused_at_the_root() {
        let (payload, params, data) = sample(300);
        assert_eq!(read_all(&reader(payload.clone(), params)).unwrap(), data);
        for wrong in [
            VerityParams { hash: Digest::from_bytes([0; 32]), ..params },
            VerityParams { salt: [8; 32], ..params },
        ] {
            let found = read_all(&reader(payload.clone(), wrong)).unwrap_err();
            let root = matches!(
                found,
                BundleError::Verity(VerityError::Tampered { kind: BlockKind::Root, .. })
            );
            assert!(root, "{found}");
        }
    }

    #[test]
    fn unverified_bytes_never_reach_the_caller() {
        let (mut payload, params, _) = sample(4);
        payload[2 * BLOCK_BYTES] ^= 1;
        let mut buf = vec![0xee; 4 * BLOCK_BYTES];
        assert!(reader(payload, params).read_at(0, &mut buf).is_err());
        assert!(buf.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn cache_stays_bounded() {
        let mut cache = HashCache::default();
        for block in 0..10 * CACHED_BLOCKS as u64 {
            cache.put(block, Arc::new([0; BLOCK_BYTES]));
            // The first block stays in use, so it is never the oldest.
            assert!(cache.get(0).is_some());
            assert!(cache.blocks.len() <= CACHED_BLOCKS);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_range_reads_the_data_itself(start in 0_usize..130 * 4096, len in 0_usize..20_000) {
            let (payload, params, data) = sample(130);
            let end = (start + len).min(data.len());
            let mut buf = vec![0; end - start];
            reader(payload, params).read_at(start as u64, &mut buf).unwrap();
            prop_assert_eq!(&buf[..], &data[start..end]);
        }
    }
}
