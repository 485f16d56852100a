// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in this squashfs image, and what does this file of it say?
//!
//! Reads squashfs 4.0 (little endian; gzip, xz, zstd) out of any reader, without mount, loop
//! device or root. File contents stream block by block: whatever the file's size, one block, its
//! compressed form and one read-ahead buffer are in memory. Never follows symbolic links, never
//! writes, and never hands out a path that could lead out of the image.
//!
//! The parsing is `backhand`'s (`docs/decisions/0004-squashfs-library.md`). Here stand the limits
//! that it lacks, checked before it allocates anything: on the superblock, then on the tables
//! (`squashfs_tables.rs`). Layout of what is
//! checked (the kernel's `fs/squashfs/squashfs_fs.h`, all numbers little endian):
//!
//! ```text
//!  0 magic "hsqs"    4 inodes u32       8 mtime u32      12 block bytes u32   16 fragments u32
//! 20 compressor u16 22 block log u16   24 flags u16      26 ids u16           28 version 4.0 2×u16
//! 32 root inode u64 40 bytes used u64  48 id table u64   56 xattr table u64
//! 64 inode table u64  72 directory table u64  80 fragment table u64  88 export table u64
//! ```
//! A table is a run of metadata blocks: u16 length (bit 15 set = stored), then that many bytes,
//! which expand to at most 8192.

use crate::image_parts::PartPlace;
use crate::squashfs_limits::{BLOCK_CODEC, SquashfsLimits, check_superblock};
use crate::squashfs_read_ahead::ReadAhead;
use crate::squashfs_tables::check_tree;
use backhand::compression::Compressor;
use backhand::kind::Kind;
use backhand::traits::Compressor as KindOfCompressor;
use backhand::{BackhandError, FilesystemReader, InnerNode, SquashfsFileReader, SquashfsReadFile};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::{Component, Path, PathBuf};
use storage::ByteLen;

/// Why a squashfs image or a file in it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SquashfsError {
    /// The bytes below the image cannot be read; the cause is the reader's own.
    #[error("cannot read the squashfs image")]
    Read(#[source] io::Error),
    /// The image contradicts itself or the format.
    #[error("squashfs image is corrupt: {what}")]
    Corrupt {
        /// What does not fit.
        what: &'static str,
    },
    /// The image is well formed but larger than its reader allows.
    #[error("squashfs image has {found} {what}, more than the {limit} allowed")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The image uses a compression this program was built without.
    #[error("squashfs image uses an unsupported compression")]
    UnsupportedCompression,
    /// A path that is absolute, empty or has `.` or `..` in it.
    #[error("path {path:?} cannot name a file in a squashfs image")]
    BadPath {
        /// The path asked for.
        path: String,
    },
    /// No such file.
    #[error("no file {path:?} in the squashfs image")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// The path names something that is no regular file; symbolic links are not followed.
    #[error("{path:?} in the squashfs image is not a regular file")]
    NotAFile {
        /// The path asked for.
        path: String,
    },
    /// The file is larger than its reader allows.
    #[error("{path:?} in the squashfs image has {size}, more than the {limit} allowed")]
    FileTooLarge {
        /// The path asked for.
        path: String,
        /// Its size.
        size: ByteLen,
        /// Limit of the reader.
        limit: ByteLen,
    },
}

/// What stands at a path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SquashfsEntry {
    /// A regular file.
    File {
        /// Its size.
        size: ByteLen,
    },
    /// A directory.
    Directory,
    /// A symbolic link; never followed.
    Symlink {
        /// Where it points, as stored.
        target: PathBuf,
    },
    /// A device, pipe or socket.
    Special,
}

/// What an entry has beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryFacts {
    /// Permission bits, with those for set-uid, set-gid and sticky.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970 of its last change.
    pub mtime: u32,
}

/// An opened squashfs image.
pub struct SquashfsFiles {
    system: FilesystemReader<'static>,
    /// Relative path to the index in `system.root.nodes`.
    index: BTreeMap<PathBuf, usize>,
}

impl std::fmt::Debug for SquashfsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SquashfsFiles").field("entries", &self.index.len()).finish_non_exhaustive()
    }
}

impl SquashfsFiles {
    /// Opens the image that begins at byte 0 of `reader`; what follows the image is ignored.
    ///
    /// # Errors
    /// [`SquashfsError::Read`], [`SquashfsError::Corrupt`], [`SquashfsError::TooLarge`] or
    /// [`SquashfsError::UnsupportedCompression`].
    pub fn open<R>(reader: R, limits: &SquashfsLimits) -> Result<Self, SquashfsError>
    where
        R: Read + Seek + Send + 'static,
    {
        let mut reader = ReadAhead::new(reader);
        let tables = check_superblock(&mut reader, limits)?;
        check_tree(&mut reader, &tables, limits)?;
        // The library begins wherever the reader stands.
        reader.rewind().map_err(SquashfsError::Read)?;
        let kind = Kind::new_v4(&BLOCK_CODEC);
        let system =
            FilesystemReader::from_reader_with_offset_and_kind(reader, 0, kind).map_err(refusal)?;
        let mut index = BTreeMap::new();
        for (position, node) in system.root.nodes.iter().enumerate() {
            let Some(path) = inner_path(&node.fullpath) else {
                return Err(SquashfsError::Corrupt { what: "a file name leaves its directory" });
            };
            if index.insert(path.to_owned(), position).is_some() {
                return Err(SquashfsError::Corrupt { what: "two files have one name" });
            }
        }
        // The empty path is the root directory itself, which is no entry of itself.
        index.remove(Path::new(""));
        Ok(Self { system, index })
    }

    /// Everything in the image but the root directory, ordered by path; paths are relative.
    pub fn entries(&self) -> impl Iterator<Item = (&Path, SquashfsEntry)> {
        self.index.iter().filter_map(|(path, position)| {
            let node = self.system.root.nodes.get(*position)?;
            Some((path.as_path(), describe(&node.inner)))
        })
    }

    /// Mode, owner and time of the entry at `path`.
    #[must_use]
    pub fn facts(&self, path: &Path) -> Option<EntryFacts> {
        let header = self.system.root.nodes.get(*self.index.get(path)?)?.header;
        Some(EntryFacts {
            mode: header.permissions,
            uid: header.uid,
            gid: header.gid,
            mtime: header.mtime,
        })
    }

    /// The size of the regular file at `path`.
    ///
    /// # Errors
    /// [`SquashfsError::BadPath`], [`SquashfsError::NotFound`] or [`SquashfsError::NotAFile`].
    pub fn size(&self, path: &str) -> Result<ByteLen, SquashfsError> {
        Ok(ByteLen::new(self.file(path)?.file_len() as u64))
    }

    /// Opens the regular file at `path` for reading from its start.
    ///
    /// # Errors
    /// As [`SquashfsFiles::size`], and [`SquashfsError::Corrupt`].
    pub fn open_file(&self, path: &str) -> Result<SquashfsFile<'_>, SquashfsError> {
        let file = self.file(path)?;
        let len = file.file_len() as u64;
        let content = self.system.file(file).reader_checked().map_err(refusal)?;
        Ok(SquashfsFile { content, len, left: len })
    }

    /// Reads the whole file at `path`, which may have at most `limit` bytes.
    ///
    /// # Errors
    /// As [`SquashfsFiles::open_file`], and [`SquashfsError::FileTooLarge`] or
    /// [`SquashfsError::Read`].
    pub fn read_file(&self, path: &str, limit: ByteLen) -> Result<Vec<u8>, SquashfsError> {
        let mut file = self.open_file(path)?;
        if file.len() > limit {
            return Err(SquashfsError::FileTooLarge {
                path: path.to_owned(),
                size: file.len(),
                limit,
            });
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(SquashfsError::Read)?;
        Ok(content)
    }

    /// Where the blocks of the regular file at `path` lie, what compressed them, the length of a
    /// block and that of the file.
    pub(crate) fn places(
        &self,
        path: &str,
    ) -> Result<(Vec<PartPlace>, Compressor, u64, u64), SquashfsError> {
        let file = self.file(path)?;
        let contradiction = SquashfsError::Corrupt { what: "its tables contradict each other" };
        let mut places = Vec::with_capacity(file.block_sizes().len() + 1);
        let mut at = file.blocks_start();
        for size in file.block_sizes() {
            let (stored, compressed) = (size.size(), !size.uncompressed());
            let block = PartPlace::Block { at, stored, compressed };
            places.push(if stored == 0 { PartPlace::Hole } else { block });
            let Some(next) = at.checked_add(u64::from(stored)) else { return Err(contradiction) };
            at = next;
        }
        // All ones: the file has no tail in a shared block.
        if file.frag_index() != u32::MAX as usize {
            let fragments = self.system.fragments.as_deref().unwrap_or_default();
            let Some(fragment) = fragments.get(file.frag_index()) else {
                return Err(contradiction);
            };
            let (stored, compressed) = (fragment.size.size(), !fragment.size.uncompressed());
            let (at, offset) = (fragment.start, file.block_offset());
            places.push(PartPlace::Fragment { at, stored, compressed, offset });
        }
        let compressor = match self.system.compressor {
            Some(KindOfCompressor::Gzip) => Compressor::Gzip,
            Some(KindOfCompressor::Xz) => Compressor::Xz,
            Some(KindOfCompressor::Zstd) => Compressor::Zstd,
            Some(
                KindOfCompressor::Uncompressed
                | KindOfCompressor::Lzma
                | KindOfCompressor::Lzo
                | KindOfCompressor::Lz4,
            )
            | None => return Err(SquashfsError::UnsupportedCompression),
        };
        Ok((places, compressor, u64::from(self.system.block_size), file.file_len() as u64))
    }

    fn file(&self, path: &str) -> Result<&SquashfsFileReader, SquashfsError> {
        let wanted = Path::new(path);
        let plain = wanted.components().all(|part| matches!(part, Component::Normal(_)));
        // Comparing with the rebuilt path refuses `a//b` and `a/`, which `components` forgives.
        let rebuilt: PathBuf = wanted.components().collect();
        if !plain || path.is_empty() || rebuilt.as_os_str() != wanted.as_os_str() {
            return Err(SquashfsError::BadPath { path: path.to_owned() });
        }
        let node = self
            .index
            .get(wanted)
            .and_then(|position| self.system.root.nodes.get(*position))
            .ok_or_else(|| SquashfsError::NotFound { path: path.to_owned() })?;
        match &node.inner {
            InnerNode::File(file) => Ok(file),
            InnerNode::Symlink(_)
            | InnerNode::Dir(_)
            | InnerNode::CharacterDevice(_)
            | InnerNode::BlockDevice(_)
            | InnerNode::NamedPipe
            | InnerNode::Socket => Err(SquashfsError::NotAFile { path: path.to_owned() }),
        }
    }
}

/// A regular file of an image, read from start to end.
///
/// Ends after exactly [`SquashfsFile::len`] bytes; an image that holds fewer is reported as an
/// [`io::ErrorKind::InvalidData`] failure, never as an early end. Failures of the reader below
/// arrive unchanged.
pub struct SquashfsFile<'a> {
    content: SquashfsReadFile<'a, 'static>,
    len: u64,
    left: u64,
}

impl std::fmt::Debug for SquashfsFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SquashfsFile").field("len", &self.len).field("left", &self.left).finish()
    }
}

impl SquashfsFile<'_> {
    /// The size of the whole file.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        ByteLen::new(self.len)
    }
}

impl Read for SquashfsFile<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buf.is_empty() {
            return Ok(0);
        }
        let read = self.content.read(buf)?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                SquashfsError::Corrupt { what: "a file ends before its recorded size" },
            ));
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The path below the root, or `None` when it has anything but plain names in it.
fn inner_path(full: &Path) -> Option<&Path> {
    let inner = full.strip_prefix("/").ok()?;
    inner.components().all(|part| matches!(part, Component::Normal(_))).then_some(inner)
}

fn describe(node: &InnerNode<SquashfsFileReader>) -> SquashfsEntry {
    match node {
        InnerNode::File(file) => SquashfsEntry::File { size: ByteLen::new(file.file_len() as u64) },
        InnerNode::Dir(_) => SquashfsEntry::Directory,
        InnerNode::Symlink(link) => SquashfsEntry::Symlink { target: link.link.clone() },
        InnerNode::CharacterDevice(_)
        | InnerNode::BlockDevice(_)
        | InnerNode::NamedPipe
        | InnerNode::Socket => SquashfsEntry::Special,
    }
}

/// The library's many shapes of "corrupt" are one to our callers; the reader's own failures keep
/// their identity.
pub(crate) fn refusal(error: BackhandError) -> SquashfsError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; the rest is one to us")]
    match error {
        BackhandError::UnsupportedCompression(_) | BackhandError::MissingCompressor => {
            SquashfsError::UnsupportedCompression
        }
        BackhandError::StdIo(source) => SquashfsError::Read(source),
        _ => SquashfsError::Corrupt { what: "its tables contradict each other" },
    }
}
