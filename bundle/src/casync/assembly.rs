// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image put together from chunks: out of old contents, and out of a store for the rest.
//!
//! First a plan (which chunk comes from where; known before a byte is fetched), then a
//! [`Read`] that follows it. Chunks of the store are fetched many at a time and ahead of the
//! reader. Every chunk is hashed, wherever it came from; a seed that lies is passed over. Zeros
//! are made here, and a chunk that stands in several places is fetched once, as long as keeping it
//! costs no more than [`KEEP_BYTES`].

use super::{
    CasyncError, ChunkDigest, ChunkId, ChunkIndex, ChunkStore, IndexedChunk, Prefetch, Seed,
    WantedChunk, unpack_chunk,
};
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use storage::ByteLen;

/// What may be held of chunks that are needed again later.
const KEEP_BYTES: u64 = 32 * 1024 * 1024;
/// Fetched in one go: enough requests to hide the way to a server, little enough to hold four times:
/// two batches in work, two that wait.
const BATCH_CHUNKS: usize = 64;
const BATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Batches in work at once, and batches that may wait for the reader.
const THREADS: usize = 2;
const WINDOW: usize = 2;

/// Where a chunk will come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Zeros,
    Seed {
        number: usize,
        place: u64,
    },
    Store,
    /// Fetched before and kept.
    Kept,
}

/// What an assembly will need, known before anything is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyPlan {
    /// Length of the image or archive.
    pub len: ByteLen,
    /// Bytes of the image that old contents hold.
    pub from_seeds: ByteLen,
    /// Zeros and repetitions, which cost nothing.
    pub made_here: ByteLen,
    /// Chunks to fetch.
    pub fetch_chunks: usize,
    /// Bytes of these chunks when expanded; what is fetched is this or, compressed, less.
    pub fetch_at_most: ByteLen,
}

/// What an assembly has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyTally {
    /// Chunks fetched.
    pub fetched_chunks: u64,
    /// Bytes fetched for them, as stored.
    pub fetched: ByteLen,
    /// Chunks taken from old contents.
    pub seed_chunks: u64,
    /// Chunks that an old content should have had and did not have any more.
    pub seed_misses: u64,
}

/// The image, read from start to end. Failures are [`io::Error`]s that hold a [`CasyncError`];
/// see [`CasyncError::cause`]. After a failure it stays failed.
pub struct Assembly {
    chunks: Vec<IndexedChunk>,
    origins: Vec<Origin>,
    digest: ChunkDigest,
    store: Arc<dyn ChunkStore>,
    fetches: Prefetch<Vec<Result<Fetched, CasyncError>>>,
    batch: std::vec::IntoIter<Result<Fetched, CasyncError>>,
    from_seeds: Prefetch<Option<Vec<u8>>>,
    /// Chunks that are needed again, and how often.
    repeats: HashMap<ChunkId, u32>,
    kept: HashMap<ChunkId, Arc<Vec<u8>>>,
    next: usize,
    current: Arc<Vec<u8>>,
    position: usize,
    plan: AssemblyPlan,
    tally: AssemblyTally,
    failed: bool,
}

struct Fetched {
    bytes: Vec<u8>,
    stored: u64,
}

impl std::fmt::Debug for Assembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly")
            .field("plan", &self.plan)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

impl Assembly {
    /// Plans the image of `index`. Nothing is fetched before the first read.
    ///
    /// # Errors
    /// [`CasyncError::NoDigest`].
    pub fn new(
        index: &ChunkIndex,
        seeds: Vec<Seed>,
        store: Arc<dyn ChunkStore>,
    ) -> Result<Self, CasyncError> {
        let digest = index.features().digest();
        let zeros = zero_id(index)?;
        let chunks = index.chunks().to_vec();
        let (origins, repeats, plan) = plan(&chunks, &seeds, zeros);
        let fetches = start_fetches(&chunks, &origins, &store, digest);
        let from_seeds = start_seeds(&chunks, &origins, seeds, digest);
        Ok(Self {
            chunks,
            origins,
            digest,
            store,
            fetches,
            batch: Vec::new().into_iter(),
            from_seeds,
            repeats,
            kept: HashMap::new(),
            next: 0,
            current: Arc::default(),
            position: 0,
            plan: AssemblyPlan { len: index.len(), ..plan },
            tally: AssemblyTally::default(),
            failed: false,
        })
    }

    /// What will be needed.
    #[must_use]
    pub fn plan(&self) -> AssemblyPlan {
        self.plan
    }

    /// What was needed so far.
    #[must_use]
    pub fn tally(&self) -> AssemblyTally {
        self.tally
    }

    /// The length of the image.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        self.plan.len
    }

    /// Whether the image has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether every byte was handed out.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.next >= self.chunks.len() && self.position >= self.current.len() && !self.failed
    }

    /// The next chunk's bytes; `None` at the end.
    fn advance(&mut self) -> Result<Option<Arc<Vec<u8>>>, CasyncError> {
        let next = self.chunks.get(self.next).zip(self.origins.get(self.next));
        let Some((chunk, origin)) = next.map(|(chunk, origin)| (*chunk, *origin)) else {
            return Ok(None);
        };
        self.next += 1;
        let bytes = match origin {
            Origin::Zeros => {
                return Ok(Some(Arc::new(vec![0; usize::try_from(chunk.len).unwrap_or(0)])));
            }
            Origin::Kept => match self.kept.get(&chunk.id) {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(self.fetch_one(chunk)?),
            },
            Origin::Seed { .. } => match self.from_seeds.next().flatten() {
                Some(bytes) => {
                    self.tally.seed_chunks += 1;
                    return Ok(Some(Arc::new(bytes)));
                }
                None => {
                    self.tally.seed_misses += 1;
                    return Ok(Some(Arc::new(self.fetch_one(chunk)?)));
                }
            },
            Origin::Store => Arc::new(self.next_fetched()?),
        };
        if let Some(times) = self.repeats.get_mut(&chunk.id) {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.kept.remove(&chunk.id);
            } else {
                self.kept.entry(chunk.id).or_insert_with(|| Arc::clone(&bytes));
            }
        }
        Ok(Some(bytes))
    }

    fn next_fetched(&mut self) -> Result<Vec<u8>, CasyncError> {
        loop {
            if let Some(fetched) = self.batch.next() {
                return self.count(fetched?);
            }
            self.batch = self.fetches.next().ok_or(CasyncError::Poisoned)?.into_iter();
        }
    }

    fn fetch_one(&mut self, chunk: IndexedChunk) -> Result<Vec<u8>, CasyncError> {
        let wanted = WantedChunk { id: chunk.id, len: chunk.len };
        let fetched = fetch_batch(self.store.as_ref(), &[wanted], self.digest).pop();
        self.count(fetched.ok_or(CasyncError::Poisoned)??)
    }

    fn count(&mut self, fetched: Fetched) -> Result<Vec<u8>, CasyncError> {
        self.tally.fetched_chunks += 1;
        self.tally.fetched = ByteLen::new(self.tally.fetched.get().saturating_add(fetched.stored));
        Ok(fetched.bytes)
    }
}

impl Read for Assembly {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(CasyncError::Poisoned.into_io());
        }
        while self.position >= self.current.len() && !buf.is_empty() {
            match self.advance() {
                Ok(Some(bytes)) => (self.current, self.position) = (bytes, 0),
                Ok(None) => return Ok(0),
                Err(failure) => {
                    self.failed = true;
                    return Err(failure.into_io());
                }
            }
        }
        let rest = self.current.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        let (to, from) = (buf.get_mut(..count), rest.get(..count));
        to.unwrap_or_default().copy_from_slice(from.unwrap_or_default());
        self.position += count;
        Ok(count)
    }
}

/// The id of the largest chunk of zeros: what every long run of them is made of.
fn zero_id(index: &ChunkIndex) -> Result<Option<ChunkId>, CasyncError> {
    // Larger ones are legal and rare; they are fetched like others.
    let len = index.sizes().max();
    if len > usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    let id = index.features().digest().id_of(&vec![0; len]);
    id.map(Some).ok_or(CasyncError::NoDigest)
}

fn plan(
    chunks: &[IndexedChunk],
    seeds: &[Seed],
    zeros: Option<ChunkId>,
) -> (Vec<Origin>, HashMap<ChunkId, u32>, AssemblyPlan) {
    let mut uses: HashMap<ChunkId, u32> = HashMap::new();
    for chunk in chunks {
        *uses.entry(chunk.id).or_default() += 1;
    }
    let mut plan = AssemblyPlan::default();
    let (mut repeats, mut kept_bytes) = (HashMap::new(), 0_u64);
    let mut origins = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let len = u64::from(chunk.len);
        let left = uses.entry(chunk.id).or_default();
        *left = left.saturating_sub(1);
        let again = repeats.contains_key(&chunk.id);
        let seed = || {
            let places = seeds.iter().enumerate();
            places.filter_map(|(number, seed)| Some((number, seed.place(chunk.id)?))).next()
        };
        let origin = if zeros == Some(chunk.id) {
            Origin::Zeros
        } else if again {
            if *left == 0 {
                kept_bytes = kept_bytes.saturating_sub(len);
            }
            Origin::Kept
        } else if let Some((number, place)) = seed() {
            Origin::Seed { number, place }
        } else {
            if *left > 0 && kept_bytes.saturating_add(len) <= KEEP_BYTES {
                kept_bytes += len;
                repeats.insert(chunk.id, left.saturating_add(1));
            }
            Origin::Store
        };
        let sum = match origin {
            Origin::Zeros | Origin::Kept => &mut plan.made_here,
            Origin::Seed { .. } => &mut plan.from_seeds,
            Origin::Store => {
                plan.fetch_chunks += 1;
                &mut plan.fetch_at_most
            }
        };
        *sum = ByteLen::new(sum.get().saturating_add(len));
        origins.push(origin);
    }
    (origins, repeats, plan)
}

/// Fetches what the plan takes from the store, in batches.
fn start_fetches(
    chunks: &[IndexedChunk],
    origins: &[Origin],
    store: &Arc<dyn ChunkStore>,
    digest: ChunkDigest,
) -> Prefetch<Vec<Result<Fetched, CasyncError>>> {
    let mut batches: Vec<Vec<WantedChunk>> = Vec::new();
    let mut bytes = 0_u64;
    for (chunk, origin) in chunks.iter().zip(origins) {
        if *origin != Origin::Store {
            continue;
        }
        let wanted = WantedChunk { id: chunk.id, len: chunk.len };
        bytes += u64::from(chunk.len);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_CHUNKS && bytes <= BATCH_BYTES => batch.push(wanted),
            Some(_) | None => {
                bytes = u64::from(chunk.len);
                batches.push(vec![wanted]);
            }
        }
    }
    let store = Arc::clone(store);
    Prefetch::new(batches.len(), THREADS, WINDOW, move |number| {
        let batch = batches.get(number).map(Vec::as_slice).unwrap_or_default();
        fetch_batch(store.as_ref(), batch, digest)
    })
}

fn fetch_batch(
    store: &dyn ChunkStore,
    batch: &[WantedChunk],
    digest: ChunkDigest,
) -> Vec<Result<Fetched, CasyncError>> {
    let found = match store.fetch(batch) {
        Ok(found) if found.len() == batch.len() => found,
        Ok(_) => return vec![Err(CasyncError::Poisoned)],
        Err(failure) => return vec![Err(failure)],
    };
    let named = || store.name().to_owned();
    let unpack = |(wanted, stored): (&WantedChunk, Option<Vec<u8>>)| {
        let stored =
            stored.ok_or_else(|| CasyncError::ChunkMissing { id: wanted.id, store: named() })?;
        let size = stored.len() as u64;
        let bytes = unpack_chunk(stored, wanted.id, wanted.len, digest)
            .map_err(|source| CasyncError::Chunk { id: wanted.id, store: named(), source })?;
        Ok(Fetched { bytes, stored: size })
    };
    batch.iter().zip(found).map(unpack).collect()
}

/// Reads and hashes ahead what the plan takes from old contents; `None` for a chunk that is not
/// there any more.
fn start_seeds(
    chunks: &[IndexedChunk],
    origins: &[Origin],
    seeds: Vec<Seed>,
    digest: ChunkDigest,
) -> Prefetch<Option<Vec<u8>>> {
    let jobs: Vec<_> = chunks
        .iter()
        .zip(origins)
        .filter_map(|(chunk, origin)| match origin {
            Origin::Seed { number, place } => {
                Some((WantedChunk { id: chunk.id, len: chunk.len }, *number, *place))
            }
            Origin::Zeros | Origin::Store | Origin::Kept => None,
        })
        .collect();
    Prefetch::new(jobs.len(), THREADS, BATCH_CHUNKS / 2, move |number| {
        let (wanted, seed, place) = jobs.get(number)?;
        let bytes = seeds.get(*seed)?.read(*place, wanted)?;
        (digest.id_of(&bytes) == Some(wanted.id)).then_some(bytes)
    })
}

#[cfg(test)]
mod tests;
