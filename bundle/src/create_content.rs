// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may go into a bundle, and does it stay the same while it is packed?
//!
//! The rules are RAUC's: regular files, directories that are not hidden at the top, relative
//! symbolic links without a slash. Everything is checked before a byte of output is written.
//! Contents are read twice (digest, then packing); the second reading is compared with the first.

use crate::CreateError;
use openssl::sha::Sha256;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest};

/// Where RAUC stages the content, inside the content.
const RAUC_WORKDIR: &str = ".rauc-workdir";

/// Where the manifest lies in the content.
pub(crate) const MANIFEST_NAME: &str = "manifest.raucm";

/// Where composefs keeps file contents, at the root of the bundle.
pub(crate) const OBJECT_STORE: &str = ".rauc-cfs-store";

/// A manifest larger than this would not fit a signature that readers accept. Stops a mistaken
/// image in its place from being read whole.
const MANIFEST_LIMIT: ByteLen = ByteLen::kib(64);

/// Entries and depth beyond this would not be read back by [`crate::SquashfsLimits::BUNDLE`].
const ENTRIES_LIMIT: usize = 1000;

/// What a bundle is made from.
#[derive(Clone, Copy, Debug)]
pub enum BundleContent<'a> {
    /// A directory with `manifest.raucm` and everything that it names.
    Directory(&'a Path),
    /// The same in memory: plain file names and their bytes.
    Memory {
        /// Text of the manifest.
        manifest: &'a str,
        /// Files beside it.
        files: &'a BTreeMap<String, Vec<u8>>,
    },
}

/// One thing to pack.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    File(FileItem<'a>),
    Directory,
    Symlink { target: String },
}

/// A file whose content can be opened again and again.
#[derive(Debug)]
pub(crate) struct FileItem<'a> {
    place: Place<'a>,
    /// `0o755` or `0o644`: what a checkout and every umask agree on.
    pub(crate) mode: u16,
    pub(crate) size: ByteLen,
}

#[derive(Debug)]
enum Place<'a> {
    Host(PathBuf),
    Memory(&'a [u8]),
    /// Made while the bundle is.
    Made(Vec<u8>),
}

impl FileItem<'_> {
    pub(crate) fn made(bytes: Vec<u8>) -> Self {
        let size = ByteLen::new(bytes.len() as u64);
        Self { place: Place::Made(bytes), mode: 0o644, size }
    }

    /// Where it is a file of its own.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Host(path) => Some(path),
            Place::Memory(_) | Place::Made(_) => None,
        }
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.place {
            Place::Host(path) => Box::new(File::open(path)?),
            Place::Memory(bytes) => Box::new(Cursor::new(*bytes)),
            Place::Made(bytes) => Box::new(Cursor::new(bytes.as_slice())),
        })
    }
}

impl BundleContent<'_> {
    /// The directory, for messages.
    pub(crate) fn dir(&self) -> PathBuf {
        match self {
            Self::Directory(dir) => dir.to_path_buf(),
            Self::Memory { .. } => PathBuf::new(),
        }
    }
}

/// Text of the manifest, when there is one, and everything beside it.
type Gathered<'a> = (Option<Vec<u8>>, BTreeMap<String, Item<'a>>);

/// Manifest text, when there is one, and everything beside it, ordered by path.
pub(crate) fn gather<'a>(content: BundleContent<'a>) -> Result<Gathered<'a>, CreateError> {
    gather_beside(content, &[])
}

/// The same without what lies in these directories and in the object store beside them.
pub(crate) fn gather_beside<'a>(
    content: BundleContent<'a>,
    trees: &[String],
) -> Result<Gathered<'a>, CreateError> {
    match content {
        BundleContent::Memory { manifest, files } => {
            let item = |bytes: &'a Vec<u8>| {
                let size = ByteLen::new(bytes.len() as u64);
                Item::File(FileItem { place: Place::Memory(bytes), mode: 0o644, size })
            };
            let items = files.iter().map(|(name, bytes)| (name.clone(), item(bytes))).collect();
            Ok((Some(manifest.as_bytes().to_vec()), items))
        }
        BundleContent::Directory(dir) => {
            let mut items = BTreeMap::new();
            scan(dir, "", trees, &mut items)?;
            let Some(Item::File(manifest)) = items.remove(MANIFEST_NAME) else {
                return Ok((None, items));
            };
            let path = dir.join(MANIFEST_NAME);
            let failed = |source| CreateError::ReadContent { path: path.clone(), source };
            if manifest.size > MANIFEST_LIMIT {
                return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
            }
            let mut text = Vec::new();
            let opened = manifest.open().map_err(failed)?;
            opened.take(MANIFEST_LIMIT.get()).read_to_end(&mut text).map_err(failed)?;
            Ok((Some(text), items))
        }
    }
}

fn scan(
    dir: &Path,
    below: &str,
    trees: &[String],
    items: &mut BTreeMap<String, Item<'_>>,
) -> Result<(), CreateError> {
    let failed = |source| CreateError::ReadContent { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let refuse = |why| CreateError::ForbiddenContent { path: path.clone(), why };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refuse("its name is not UTF-8"))?;
        let inner = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        if trees.contains(&inner) || (!trees.is_empty() && inner == OBJECT_STORE) {
            continue;
        }
        // RAUC's own, of a run that was killed or failed; it removes it at the next.
        if inner == RAUC_WORKDIR {
            continue;
        }
        let read = |source| CreateError::ReadContent { path: path.clone(), source };
        let facts = std::fs::symlink_metadata(&path).map_err(read)?;
        let kind = facts.file_type();
        let item = if kind.is_file() {
            let mode = if facts.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            let size = ByteLen::new(facts.len());
            Item::File(FileItem { place: Place::Host(path.clone()), mode, size })
        } else if kind.is_dir() {
            if below.is_empty() && name.starts_with('.') {
                return Err(refuse(
                    "hidden directories are not supported as top-level bundle contents",
                ));
            }
            Item::Directory
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(read)?;
            let target = target.to_str().ok_or_else(|| refuse("its target is not UTF-8"))?;
            if target.starts_with('/') {
                return Err(refuse("absolute symlinks are not supported as bundle contents"));
            }
            if target.contains('/') {
                return Err(refuse(
                    "symlinks containing slashes are not supported as bundle contents",
                ));
            }
            Item::Symlink { target: target.to_owned() }
        } else {
            return Err(refuse("only regular files are supported as bundle contents"));
        };
        let descend = matches!(item, Item::Directory);
        items.insert(inner.clone(), item);
        if items.len() > ENTRIES_LIMIT {
            return Err(refuse("a bundle holds at most 1000 entries"));
        }
        if descend {
            scan(&path, &inner, trees, items)?;
        }
    }
    Ok(())
}

/// Reads `file` once: its digest and true size. `read` hears of every chunk.
pub(crate) fn digest_of(
    file: &FileItem<'_>,
    read: &mut dyn FnMut(usize),
) -> io::Result<(Digest, ByteLen)> {
    let mut reader = file.open()?;
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let count = reader.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        size = size.saturating_add(bytes.len() as u64);
        read(count);
    }
    Ok((Digest::from_bytes(hasher.finish()), ByteLen::new(size)))
}

/// Passes a content on and fails at its end unless it is the content that was digested before.
pub(crate) struct Unchanged<R> {
    inner: R,
    /// `None` once finished.
    hasher: Option<Sha256>,
    wanted: Digest,
}

impl<R: Read> Unchanged<R> {
    pub(crate) fn new(inner: R, wanted: Digest) -> Self {
        Self { inner, hasher: Some(Sha256::new()), wanted }
    }
}

impl<R: Read> Read for Unchanged<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, buf.get(..count)) {
            hasher.update(bytes);
        }
        if count == 0
            && !buf.is_empty()
            && let Some(hasher) = self.hasher.take()
            && Digest::from_bytes(hasher.finish()) != self.wanted
        {
            return Err(io::Error::other("file changed while it was packed"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_changes_between_two_readings_is_noticed() {
        let digest = Digest::from_bytes(openssl::sha::sha256(b"before"));
        let mut same = Unchanged::new(&b"before"[..], digest);
        assert_eq!(io::read_to_string(&mut same).unwrap(), "before");
        let other = Unchanged::new(&b"behind"[..], digest);
        assert!(io::read_to_string(other).is_err());
    }
}
