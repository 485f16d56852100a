// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::MemorySource;
use crate::casync::{ChunkFault, ChunkSizes, FeatureFlags, LocalStore, encode_image};
use std::collections::HashSet;
use std::sync::Mutex;

/// Passes on to a store, counts, and may cheat.
struct Watched {
    inner: LocalStore,
    asked: Mutex<Vec<ChunkId>>,
    swap: bool,
}

impl ChunkStore for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn fetch(&self, wanted: &[WantedChunk]) -> Result<Vec<Option<Vec<u8>>>, CasyncError> {
        self.asked.lock().unwrap().extend(wanted.iter().map(|chunk| chunk.id));
        let mut found = self.inner.fetch(wanted)?;
        if self.swap {
            found.reverse();
        }
        Ok(found)
    }
}

fn image() -> Vec<u8> {
    let noise = |seed: u32| {
        (0..200_000_u32).flat_map(move |n| ((n ^ seed).wrapping_mul(2_654_435_761)).to_le_bytes())
    };
    let mut image: Vec<u8> = noise(1).collect();
    image.extend(vec![0; 3 << 20]);
    image.extend(noise(77));
    image.extend(noise(1));
    image
}

fn encoded(image: &[u8], dir: &std::path::Path) -> (ChunkIndex, Watched) {
    let store = LocalStore::new(dir);
    let (index, _) = encode_image(image, ChunkSizes::DEFAULT, &store, &mut |_| true).unwrap();
    (index, Watched { inner: store, asked: Mutex::default(), swap: false })
}

fn read(assembly: &mut Assembly) -> Result<Vec<u8>, CasyncError> {
    let mut bytes = Vec::new();
    assembly.read_to_end(&mut bytes).map_err(CasyncError::cause)?;
    Ok(bytes)
}

#[test]
fn image_is_put_together_and_nothing_is_fetched_twice() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let (index, store) = encoded(&image, dir.path());
    assert_eq!(index.features(), FeatureFlags::IMAGE);
    let store = Arc::new(store);
    let mut assembly = Assembly::new(&index, Vec::new(), store.clone()).unwrap();
    let plan = assembly.plan();
    assert!(store.asked.lock().unwrap().is_empty());
    assert!(plan.made_here.get() > 3 << 20, "{plan:?}");
    assert_eq!(read(&mut assembly).unwrap(), image);
    let asked = store.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), asked.iter().collect::<HashSet<_>>().len());
    assert_eq!(asked.len(), plan.fetch_chunks);
    assert!(assembly.kept.is_empty());
    let tally = assembly.tally();
    assert_eq!(tally.fetched_chunks, plan.fetch_chunks as u64);
    assert!(tally.fetched <= plan.fetch_at_most);
}

#[test]
fn old_content_saves_all_but_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let mut old = image.clone();
    // In the part that stands there only once.
    old[800_000 + (3 << 20) + 100_000] ^= 1;
    let (index, store) = encoded(&image, dir.path());
    let store = Arc::new(store);
    let content = Arc::new(MemorySource::new("old", old));
    let seed = Seed::scan(content, &index, &mut |_| true).unwrap();
    let mut assembly = Assembly::new(&index, vec![seed], store.clone()).unwrap();
    assert_eq!(assembly.plan().fetch_chunks, 1);
    assert_eq!(read(&mut assembly).unwrap(), image);
    assert_eq!(store.asked.lock().unwrap().len(), 1);
    assert_eq!(assembly.tally().seed_misses, 0);
}

/// A source that gives other bytes the second time.
struct Changing(MemorySource, std::sync::atomic::AtomicU64);

impl crate::Source for Changing {
    fn name(&self) -> &str {
        "changing"
    }
    fn len(&self) -> ByteLen {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), crate::SourceError> {
        use std::sync::atomic::Ordering;
        self.0.read_at(offset, buf)?;
        if self.1.fetch_add(buf.len() as u64, Ordering::SeqCst) >= self.0.len().get() {
            buf.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }
        Ok(())
    }
}

#[test]
fn seed_that_changes_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let (index, store) = encoded(&image, dir.path());
    let content = Changing(MemorySource::new("old", image.clone()), 0.into());
    let seed = Seed::scan(Arc::new(content), &index, &mut |_| true).unwrap();
    let mut assembly = Assembly::new(&index, vec![seed], Arc::new(store)).unwrap();
    assert_eq!(assembly.plan().fetch_chunks, 0);
    assert_eq!(read(&mut assembly).unwrap(), image);
    assert!(assembly.tally().seed_misses > 10);
}

#[test]
fn wrong_chunks_are_refused_and_the_reader_stays_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (index, mut store) = encoded(&image(), dir.path());
    store.swap = true;
    let mut assembly = Assembly::new(&index, Vec::new(), Arc::new(store)).unwrap();
    let failure = read(&mut assembly).unwrap_err();
    let fault = matches!(
        failure,
        CasyncError::Chunk { source: ChunkFault::Hash | ChunkFault::TooLong { .. }, .. }
    );
    assert!(fault, "{failure:?}");
    assert!(matches!(read(&mut assembly), Err(CasyncError::Poisoned)));
}

#[test]
fn missing_chunk_is_named_with_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = encoded(&image(), dir.path());
    let empty = Arc::new(LocalStore::new(&dir.path().join("none")));
    let mut assembly = Assembly::new(&index, Vec::new(), empty).unwrap();
    let failure = read(&mut assembly).unwrap_err();
    let first = index.chunks()[0].id;
    assert!(matches!(&failure, CasyncError::ChunkMissing { id, .. } if *id == first), "{failure}");
    assert!(failure.hint().is_some());
}

#[test]
fn index_that_records_another_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (index, store) = encoded(&image(), dir.path());
    let mut bytes = index.encode();
    // The end of the first chunk, one byte later; its hash stays right.
    bytes[64] ^= 1;
    let lying = ChunkIndex::parse(&bytes).unwrap();
    let mut assembly = Assembly::new(&lying, Vec::new(), Arc::new(store)).unwrap();
    assert!(matches!(read(&mut assembly), Err(CasyncError::Chunk { .. })));
}
