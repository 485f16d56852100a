// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the wanted chunks does an old content hold, and where?
//!
//! The old content (the slot that runs, as a device, or its mounted tree as an archive) is cut as
//! the index was, and the places of wanted chunks are remembered. The content may change or lie
//! later: whoever takes a chunk from it hashes it again.

use super::cutter::cut_all;
use super::{CasyncError, ChunkId, ChunkIndex, Chunker, WantedChunk};
use crate::{Source, SourceError};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::Arc;
use storage::ByteLen;

/// An index with chunks smaller than this on average names so many that remembering the places of
/// an old content's would take more memory than the chunks themselves. casync's smallest useful
/// setting is far above.
const SMALLEST_AVERAGE: usize = 1024;

/// A file or block device that served before.
#[derive(Debug)]
pub struct SeedContent {
    file: File,
    name: String,
    len: u64,
}

impl SeedContent {
    /// Opens a regular file or block device for reading.
    ///
    /// # Errors
    /// [`CasyncError::File`]; also for anything else, such as the character device of a UBI
    /// volume.
    pub fn open(path: &Path) -> Result<Self, CasyncError> {
        let failed = |source| CasyncError::File { act: "open", path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(failed(io::Error::other("it is neither a file nor a block device")));
        }
        let mut file = File::open(path).map_err(failed)?;
        // The end of a device is where one can seek to; its metadata say 0.
        let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file, name: path.display().to_string(), len })
    }

    /// A file that is still being written; whoever reads from it knows where.
    pub(crate) fn growing(file: File, name: &str) -> Self {
        Self { file, name: name.to_owned(), len: 0 }
    }
}

impl Source for SeedContent {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        self.file.read_exact_at(buf, offset).map_err(|source| SourceError::Read {
            name: self.name.clone(),
            offset,
            len: buf.len(),
            source,
        })
    }
}

/// Reads a source from start to end.
pub(crate) struct SourceReader<'a> {
    source: &'a dyn Source,
    at: u64,
}

impl<'a> SourceReader<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, at: 0 }
    }
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len().get().saturating_sub(self.at);
        let count = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = buf.get_mut(..count).unwrap_or_default();
        self.source
            .read_at(self.at, part)
            .map_err(|failure| CasyncError::Source(failure).into_io())?;
        self.at += count as u64;
        Ok(count)
    }
}

/// An old content and the places of wanted chunks in it.
pub struct Seed {
    content: Arc<dyn Source>,
    places: HashMap<ChunkId, u64>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed")
            .field("content", &self.content.name())
            .field("chunks", &self.places.len())
            .finish_non_exhaustive()
    }
}

impl Seed {
    /// Reads all of `content` and remembers where it holds chunks of `index`.
    /// `progress` is told the bytes of each step; when it says `false` the scan ends.
    ///
    /// # Errors
    /// [`CasyncError`]; [`CasyncError::Stopped`] when asked to.
    pub fn scan(
        content: Arc<dyn Source>,
        index: &ChunkIndex,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Self, CasyncError> {
        let mut places = HashMap::new();
        if index.sizes().average() < SMALLEST_AVERAGE {
            return Ok(Self { content, places });
        }
        let wanted: HashSet<_> = index.chunks().iter().map(|chunk| chunk.id).collect();
        let digest = index.features().digest();
        let mut offset = 0_u64;
        let chunker = Chunker::new(index.sizes());
        let cut = cut_all(SourceReader::new(content.as_ref()), chunker, progress, &|chunk| {
            let id = digest.id_of(chunk).ok_or(CasyncError::NoDigest)?;
            Ok(wanted.contains(&id).then_some(id))
        })?;
        for (len, id) in cut {
            if let Some(id) = id {
                places.entry(id).or_insert(offset);
            }
            offset = offset.saturating_add(u64::from(len));
        }
        Ok(Self { content, places })
    }

    /// How many different chunks of the index it holds.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.places.len()
    }

    /// Where it holds this chunk.
    pub(crate) fn place(&self, id: ChunkId) -> Option<u64> {
        self.places.get(&id).copied()
    }

    /// Bytes that should be the chunk; the caller hashes them.
    pub(crate) fn read(&self, place: u64, chunk: &WantedChunk) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(chunk.len).ok()?];
        // A device that fails here is one more seed that does not have the chunk.
        self.content.read_at(place, &mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;
    use crate::casync::{ChunkSizes, FeatureFlags};

    #[test]
    fn moved_content_is_found_where_it_is_now() {
        let old: Vec<u8> =
            (0..800_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let sizes = ChunkSizes::new(2048, 8192, 32_768).unwrap();
        let mut index = ChunkIndex::new(FeatureFlags::IMAGE, sizes);
        let digest = index.features().digest();
        let mut never = |_| true;
        let cut = cut_all(&old[..], Chunker::new(sizes), &mut never, &|chunk| {
            Ok(digest.id_of(chunk).unwrap())
        });
        for (len, id) in cut.unwrap() {
            index.push(id, len);
        }
        let moved = [&[9; 12_345][..], &old].concat();
        let content = Arc::new(MemorySource::new("m", moved));
        let seed = Seed::scan(content, &index, &mut never).unwrap();
        assert!(seed.chunks() + 3 >= index.chunks().len(), "{seed:?}");
        let chunk = index.chunks().last().unwrap();
        let wanted = WantedChunk { id: chunk.id, len: chunk.len };
        let bytes = seed.read(seed.place(chunk.id).unwrap(), &wanted).unwrap();
        assert_eq!(digest.id_of(&bytes), Some(chunk.id));
    }

    #[test]
    fn scan_ends_when_asked_to() {
        let index = ChunkIndex::new(FeatureFlags::IMAGE, ChunkSizes::DEFAULT);
        let content = Arc::new(MemorySource::new("m", vec![0; 10 << 20]));
        let stopped = Seed::scan(content, &index, &mut |_| false);
        assert!(matches!(stopped, Err(CasyncError::Stopped)));
    }
}
