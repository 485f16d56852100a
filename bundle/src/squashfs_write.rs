// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes is this tree as a squashfs image?
//!
//! Same tree, same bytes: owner root, one modification time for everything, entries ordered by
//! path. Contents stream in as the image is written. The image is padded to whole 4096-byte
//! blocks, which the verity tree behind it needs. Device nodes and extended attributes are not
//! written: bundles have none.

use crate::squashfs_limits::{BLOCK_CODEC, STORING_CODEC};
use backhand::compression::Compressor;
use backhand::kind::Kind;
use backhand::{BackhandError, FilesystemCompressor, FilesystemWriter, NodeHeader};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use std::path::{Component, Path};
use storage::ByteLen;

/// The image is a multiple of this long: a verity tree hashes whole blocks.
const PADDING_KIB: u32 = 4;

/// How blocks are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SquashfsCompression {
    /// Every block as it is (the superblock names gzip, since the kernel knows no "none").
    Stored,
    /// zlib, which every kernel with squashfs can read. Blocks that hardly shrink are stored.
    Gzip,
    /// Zstandard: packs and reads several times faster than zlib. Needs a kernel with
    /// `CONFIG_SQUASHFS_ZSTD` where a kernel mounts the bundle. Blocks that hardly shrink are
    /// stored.
    #[default]
    Zstd,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteSquashfsError {
    /// A path that is absolute, empty or has `.` or `..` in it.
    #[error("path {path:?} cannot stand in a squashfs image")]
    BadPath {
        /// The path.
        path: String,
    },
    /// Two entries have one path, or an entry lies below one that is no directory.
    #[error("path {path:?} is taken or its parent is no directory of the squashfs image")]
    Conflict {
        /// The path.
        path: String,
    },
    /// A content could not be read or the image could not be written.
    #[error("cannot write the squashfs image")]
    Write(#[source] io::Error),
    /// The tree does not fit the format.
    #[error("tree does not fit the squashfs format")]
    Unfit,
}

enum Entry<'a> {
    File { mode: u16, content: Box<dyn Read + 'a> },
    Directory { mode: u16 },
    Symlink { target: String },
}

/// The tree to be written.
#[derive(Default)]
pub struct SquashfsTree<'a> {
    entries: BTreeMap<String, Entry<'a>>,
}

impl std::fmt::Debug for SquashfsTree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SquashfsTree").field(&self.entries.keys()).finish()
    }
}

impl<'a> SquashfsTree<'a> {
    /// A tree of nothing but its root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file; `content` is read when the image is written.
    ///
    /// # Errors
    /// [`WriteSquashfsError::BadPath`] or [`WriteSquashfsError::Conflict`].
    pub fn add_file(
        &mut self,
        path: &str,
        mode: u16,
        content: impl Read + 'a,
    ) -> Result<(), WriteSquashfsError> {
        self.add(path, Entry::File { mode, content: Box::new(content) })
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// As [`SquashfsTree::add_file`].
    pub fn add_directory(&mut self, path: &str, mode: u16) -> Result<(), WriteSquashfsError> {
        self.add(path, Entry::Directory { mode })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As [`SquashfsTree::add_file`].
    pub fn add_symlink(&mut self, path: &str, target: &str) -> Result<(), WriteSquashfsError> {
        self.add(path, Entry::Symlink { target: target.to_owned() })
    }

    fn add(&mut self, path: &str, entry: Entry<'a>) -> Result<(), WriteSquashfsError> {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !plain || path.ends_with('/') || path.contains("//") {
            return Err(WriteSquashfsError::BadPath { path: path.to_owned() });
        }
        let parent_fits = path.rsplit_once('/').is_none_or(|(parent, _)| {
            matches!(self.entries.get(parent), Some(Entry::Directory { .. }))
        });
        if !parent_fits || self.entries.contains_key(path) {
            return Err(WriteSquashfsError::Conflict { path: path.to_owned() });
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }
}

/// Writes `tree` to `out`, which must stand at its start, and returns the image's length, a
/// multiple of 4096. `mtime` (Unix seconds) becomes the time of everything.
///
/// # Errors
/// [`WriteSquashfsError::Write`] or [`WriteSquashfsError::Unfit`].
pub fn write_squashfs<W: Write + Seek>(
    tree: SquashfsTree<'_>,
    compression: SquashfsCompression,
    mtime: u32,
    out: W,
) -> Result<ByteLen, WriteSquashfsError> {
    let (compressor, kind) = match compression {
        SquashfsCompression::Stored => (Compressor::Gzip, Kind::new_v4(&STORING_CODEC)),
        SquashfsCompression::Gzip => (Compressor::Gzip, Kind::new_v4(&BLOCK_CODEC)),
        SquashfsCompression::Zstd => (Compressor::Zstd, Kind::new_v4(&BLOCK_CODEC)),
    };
    let mut writer = FilesystemWriter::default();
    writer.set_kind(kind);
    writer.set_compressor(FilesystemCompressor::new(compressor, None).map_err(refusal)?);
    writer.set_time(mtime);
    writer.set_root_mode(0o755);
    writer.set_only_root_id();
    writer.set_kib_padding(PADDING_KIB);
    // Deduplication seeks back over written data, and an output that hashes as it goes could not.
    writer.set_no_duplicate_files(false);
    for (path, entry) in tree.entries {
        let header = |mode| NodeHeader::new(mode, 0, 0, mtime);
        let added = match entry {
            Entry::File { mode, content } => writer.push_file(content, &path, header(mode)),
            Entry::Directory { mode } => writer.push_dir(&path, header(mode)),
            Entry::Symlink { target } => writer.push_symlink(target, &path, header(0o777)),
        };
        added.map_err(refusal)?;
    }
    let (_, written) = writer.write(out).map_err(refusal)?;
    Ok(ByteLen::new(written))
}

fn refusal(error: BackhandError) -> WriteSquashfsError {
    if let BackhandError::StdIo(source) = error {
        return WriteSquashfsError::Write(source);
    }
    WriteSquashfsError::Unfit
}
