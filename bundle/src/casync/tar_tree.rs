// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tar as the tree that unpacking it would make.
//!
//! Nothing is unpacked: names and metadata are held, contents go one after the other into a file
//! that has no name. Owners are numbers, as RAUC unpacks (`--numeric-owner`). Hard links become
//! files of the same content, as in every archive of casync's.

use super::catar::{CatarEntry, CatarKind, MAX_DEPTH, is_plain_name};
use super::catar_build::{TreeContent, TreeNode};
use super::tar::{TarHeader, TarReader};
use super::{CasyncError, SeedContent};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

/// Files of one tar.
const MAX_FILES: usize = 1 << 21;

/// Memory for an xz decoder: `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 128 * 1024 * 1024;

/// Reads a tar, plain or compressed by gzip, xz or zstd, and puts contents into `spool`.
/// `progress` is told the bytes of each file, and ends the work by saying `false`.
///
/// # Errors
/// [`CasyncError::Tar`], [`CasyncError::Tree`], [`CasyncError::Input`] or
/// [`CasyncError::Stopped`].
pub fn read_tar(
    tar: impl Read,
    spool: File,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<TreeNode, CasyncError> {
    let content: Arc<SeedContent> = Arc::new(SeedContent::growing(
        spool.try_clone().map_err(CasyncError::Input)?,
        "content of the tar",
    ));
    let mut reader = TarReader::new(expand(BufReader::with_capacity(256 * 1024, tar))?);
    let mut spool = BufWriter::with_capacity(256 * 1024, spool);
    let mut root = TreeNode::new(CatarEntry::new(CatarKind::Directory, 0o755), TreeContent::None);
    let (mut at, mut files) = (0_u64, 0_usize);
    while let Some(header) = reader.next_header()? {
        files += 1;
        if files > MAX_FILES {
            return Err(reader.fault("it has too many files"));
        }
        let path = split_path(&header.path).map_err(|what| fault(&header.path, what))?;
        let mut node = describe(&header, &root)?;
        if matches!(node.entry.kind, CatarKind::File { .. }) && header.kind != b'1' {
            let source: Arc<dyn crate::Source> = content.clone();
            node.content = TreeContent::Part { source, offset: at };
            let count = io::copy(&mut reader.content(), &mut spool);
            at = at.saturating_add(count.map_err(CasyncError::cause)?);
        }
        if !progress(header.size) {
            return Err(CasyncError::Stopped);
        }
        put(&mut root, &path, node).map_err(|what| fault(&header.path, what))?;
    }
    spool.flush().map_err(CasyncError::Input)?;
    Ok(root)
}

fn expand<'a>(mut input: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, CasyncError> {
    let start = input.fill_buf().map_err(CasyncError::Input)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(input)));
    }
    if start.starts_with(b"\xfd7zXZ\0") {
        let stream = liblzma::stream::Stream::new_stream_decoder(
            XZ_MEMORY_BYTES,
            liblzma::stream::CONCATENATED,
        );
        let stream = stream.map_err(|failure| CasyncError::Input(failure.into()))?;
        return Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input);
        return Ok(Box::new(decoder.map_err(CasyncError::Input)?));
    }
    if start.starts_with(b"BZh") || start.starts_with(b"LZIP") || start.starts_with(b"\x5d\0\0") {
        let what = "it is compressed by bzip2, lzip or lzma; use gzip, xz or zstd";
        return Err(CasyncError::Tar { offset: 0, what });
    }
    Ok(Box::new(input))
}

fn describe(header: &TarHeader, root: &TreeNode) -> Result<TreeNode, CasyncError> {
    let kind = match header.kind {
        b'0' | 0 | b'7' if header.path.ends_with(b"/") => CatarKind::Directory,
        b'0' | 0 | b'7' => CatarKind::File { len: header.size },
        b'1' => {
            let target = split_path(&header.link).map_err(|what| fault(&header.link, what))?;
            let found = find(root, &target).filter(|node| node.children.is_empty());
            let found = found.filter(|node| node.entry.kind != CatarKind::Directory);
            let found = found.ok_or_else(|| fault(&header.link, "is linked to and is no file"))?;
            return Ok(found.clone());
        }
        b'2' => CatarKind::Symlink { target: header.link.clone() },
        b'3' | b'4' => CatarKind::Device {
            block: header.kind == b'4',
            major: header.major,
            minor: header.minor,
        },
        b'5' => CatarKind::Directory,
        b'6' => CatarKind::Fifo,
        _ => return Err(fault(&header.path, "is of a type that no archive keeps")),
    };
    let mut entry = CatarEntry::new(kind, header.permissions);
    let owner = |id: u64| {
        u32::try_from(id).map_err(|_| fault(&header.path, "belongs to an owner above 32 bits"))
    };
    (entry.uid, entry.gid) = (owner(header.uid)?, owner(header.gid)?);
    entry.mtime_nanos = header.mtime_nanos;
    Ok(TreeNode::new(entry, TreeContent::None))
}

/// The names of a path below the root; a leading `/` or `./` counts for nothing, as in tar.
fn split_path(path: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<_> = parts.collect();
    if parts.iter().any(|part| !is_plain_name(part)) {
        return Err("has a name that leads out of its directory");
    }
    if parts.len() > MAX_DEPTH {
        return Err("is too deep");
    }
    Ok(parts)
}

fn find<'a>(root: &'a TreeNode, path: &[&[u8]]) -> Option<&'a TreeNode> {
    path.iter().try_fold(root, |node, name| node.children.get(*name))
}

/// Puts a node where `tar` would: a later entry replaces an earlier one, a directory keeps what
/// it holds, and directories that no entry describes are root's.
fn put(root: &mut TreeNode, path: &[&[u8]], mut node: TreeNode) -> Result<(), &'static str> {
    let Some((last, above)) = path.split_last() else {
        if node.entry.kind != CatarKind::Directory {
            return Err("is the root and no directory");
        }
        root.entry = node.entry;
        return Ok(());
    };
    let mut parent = root;
    for name in above {
        let missing =
            || TreeNode::new(CatarEntry::new(CatarKind::Directory, 0o755), TreeContent::None);
        parent = parent.children.entry(name.to_vec()).or_insert_with(missing);
        if parent.entry.kind != CatarKind::Directory {
            return Err("lies below something that is no directory");
        }
    }
    if let Some(old) = parent.children.remove(*last) {
        if node.entry.kind == CatarKind::Directory {
            node.children = old.children;
        } else if !old.children.is_empty() {
            return Err("would replace a directory that holds files");
        }
    }
    parent.children.insert(last.to_vec(), node);
    Ok(())
}

fn fault(path: &[u8], what: &'static str) -> CasyncError {
    CasyncError::Tree { path: String::from_utf8_lossy(path).into_owned(), what }
}
