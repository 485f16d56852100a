// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where chunks are kept: a directory `.castr` with `abcd/abcd….cacnk`.
//!
//! A store is believed nothing: whoever takes a chunk out hashes it. Writing is durable before
//! [`LocalStore::settle`] returns, so that no index is ever written of which a chunk is missing
//! after a power cut. It is made so once, for all chunks: syncing each of some thousand files costs
//! five times what everything else does. A cut before that may leave chunks without content, which
//! count as absent.

use super::chunker::CHUNK_LIMIT;
use super::{CasyncError, ChunkDigest, ChunkId, pack_chunk, unpack_chunk};
use crate::source::open_at_once;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Suffix of compressed chunks; desync keeps uncompressed ones without any.
pub(crate) const COMPRESSED_SUFFIX: &str = ".cacnk";

/// A chunk that is asked for, and how long the index says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedChunk {
    /// Its name.
    pub id: ChunkId,
    /// Bytes it must expand to.
    pub len: u32,
}

impl WantedChunk {
    /// The most bytes that a stored form of it can have: what compression adds to noise is far
    /// less than this. Stops a store from sending without end.
    #[must_use]
    pub fn stored_limit(&self) -> u64 {
        u64::from(self.len).saturating_add(u64::from(self.len) / 64).saturating_add(4096)
    }
}

/// Whoever has chunks.
pub trait ChunkStore: Send + Sync {
    /// The name a user knows the store by, without secrets.
    fn name(&self) -> &str;

    /// The stored bytes of each of these chunks, in this order; `None` for one that is not there.
    /// All at once, so that a store far away can be asked for many in one go.
    ///
    /// # Errors
    /// [`CasyncError`].
    fn fetch(&self, wanted: &[WantedChunk]) -> Result<Vec<Option<Vec<u8>>>, CasyncError>;
}

/// A store in a directory.
#[derive(Debug)]
pub struct LocalStore {
    dir: PathBuf,
    name: String,
    /// Whether something was put that is not durable yet.
    changed: AtomicBool,
    temporary: AtomicU64,
}

impl LocalStore {
    /// The store in `dir`, which need not exist before something is put into it.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        let name = dir.display().to_string();
        let (changed, temporary) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { dir: dir.to_owned(), name, changed, temporary }
    }

    fn read(&self, id: ChunkId, limit: u64) -> Result<Option<Vec<u8>>, CasyncError> {
        for suffix in [COMPRESSED_SUFFIX, ""] {
            let path = self.dir.join(id.store_path(suffix));
            match read_limited(&path, limit) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(failure) if failure.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CasyncError::File { act: "read", path, source }),
            }
        }
        Ok(None)
    }

    /// Whether the chunk is there, looked at as a whole: a file of that name that was damaged or
    /// cut short counts as absent, and is replaced by whoever puts the chunk.
    ///
    /// # Errors
    /// [`CasyncError::File`] when it cannot be read.
    pub fn has(&self, id: ChunkId, len: u32, digest: ChunkDigest) -> Result<bool, CasyncError> {
        let limit = WantedChunk { id, len }.stored_limit();
        Ok(match self.read(id, limit) {
            Ok(Some(stored)) => unpack_chunk(stored, id, len, digest).is_ok(),
            Ok(None) => false,
            Err(CasyncError::File { source, .. })
                if source.kind() == io::ErrorKind::FileTooLarge =>
            {
                false
            }
            Err(failure) => return Err(failure),
        })
    }

    /// Puts a chunk into the store, unless it is there. Returns the bytes that were written.
    ///
    /// # Errors
    /// [`CasyncError::File`].
    pub fn put(
        &self,
        id: ChunkId,
        bytes: &[u8],
        digest: ChunkDigest,
    ) -> Result<Option<u64>, CasyncError> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if self.has(id, len, digest)? {
            return Ok(None);
        }
        let stored = pack_chunk(bytes)?;
        let path = self.dir.join(id.store_path(COMPRESSED_SUFFIX));
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        let failed =
            |act, path: &Path, source| CasyncError::File { act, path: path.to_owned(), source };
        fs::create_dir_all(&folder).map_err(|source| failed("make", &folder, source))?;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}.{number}.tmp", std::process::id()));
        write_whole(&temporary, &path, &stored).map_err(|source| failed("write", &path, source))?;
        self.changed.store(true, Ordering::Relaxed);
        Ok(Some(stored.len() as u64))
    }

    /// Makes everything that was put durable. Call it before an index is written.
    ///
    /// # Errors
    /// [`CasyncError::File`].
    pub fn settle(&self) -> Result<(), CasyncError> {
        if !self.changed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let sync = || {
            storage::sync_all_below(&self.dir)?;
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        let failed = |source| CasyncError::File { act: "sync", path: self.dir.clone(), source };
        sync().map_err(failed)?;
        self.changed.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl ChunkStore for LocalStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch(&self, wanted: &[WantedChunk]) -> Result<Vec<Option<Vec<u8>>>, CasyncError> {
        wanted.iter().map(|chunk| self.read(chunk.id, chunk.stored_limit())).collect()
    }
}

fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Asked before opening, for opening some devices does something, and of what was opened.
    let regular = |facts: fs::Metadata| {
        let refused = || io::Error::other("it is not a regular file");
        facts.is_file().then_some(()).ok_or_else(refused)
    };
    regular(fs::metadata(path)?)?;
    let file = open_at_once(path)?;
    regular(file.metadata()?)?;
    let mut bytes = Vec::new();
    let limit = limit.min(CHUNK_LIMIT.saturating_mul(2));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "everything is made durable at once by settle")]
fn write_whole(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
    let written = file.write_all(bytes);
    drop(file);
    let renamed = written.and_then(|()| fs::rename(temporary, path));
    if renamed.is_err() {
        // The first failure is the one to report.
        let _ = fs::remove_file(temporary);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: ChunkDigest = ChunkDigest::Sha512Slash256;

    #[test]
    fn damaged_file_counts_as_absent_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(&dir.path().join("s.castr"));
        let bytes = vec![7; 5000];
        let id = DIGEST.id_of(&bytes).unwrap();
        assert!(store.put(id, &bytes, DIGEST).unwrap().is_some());
        assert!(store.put(id, &bytes, DIGEST).unwrap().is_none());
        store.settle().unwrap();
        let path = dir.path().join("s.castr").join(id.store_path(".cacnk"));
        #[expect(clippy::disallowed_methods, reason = "the test does damage")]
        std::fs::write(&path, b"").unwrap();
        assert!(!store.has(id, 5000, DIGEST).unwrap());
        assert!(store.put(id, &bytes, DIGEST).unwrap().is_some());
        let fetched = store.fetch(&[WantedChunk { id, len: 5000 }]).unwrap().remove(0).unwrap();
        assert_eq!(unpack_chunk(fetched, id, 5000, DIGEST).unwrap(), bytes);
    }

    #[test]
    fn endless_file_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(dir.path());
        let id = DIGEST.id_of(b"x").unwrap();
        let path = dir.path().join(id.store_path(".cacnk"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let refused = store.fetch(&[WantedChunk { id, len: 1 }]).unwrap_err();
        assert!(matches!(refused, CasyncError::File { act: "read", .. }));
        assert!(!store.has(id, 1, DIGEST).unwrap());
    }
}
