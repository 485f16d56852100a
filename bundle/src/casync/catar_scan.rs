// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mounted tree, as a seed: what is in the slot that runs?
//!
//! Reads names and metadata only; contents are read when a chunk of them is wanted. Stays on one
//! file system, follows no link, and leaves out what cannot be read: a seed may be incomplete.

use super::CasyncError;
use super::catar::{CatarEntry, CatarKind, MAX_DEPTH};
use super::catar_build::{TreeContent, TreeNode};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Files of a tree. Each takes some hundred bytes until the install is over.
const MAX_FILES: usize = 1 << 21;

/// The tree below the directory `root`. `go_on` is asked with each file that was found.
///
/// # Errors
/// [`CasyncError::File`] when the root cannot be read, [`CasyncError::Tree`] when the tree is too
/// large, [`CasyncError::Stopped`] when asked to.
pub fn scan_tree(root: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<TreeNode, CasyncError> {
    let failed = |source| CasyncError::File { act: "read", path: root.to_owned(), source };
    let facts = fs::symlink_metadata(root).map_err(failed)?;
    if !facts.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let mut node = describe(root, &facts).ok_or(CasyncError::Poisoned)?;
    let mut scan = Scan { device: facts.dev(), left: MAX_FILES, go_on };
    scan.fill(root, &mut node, 0)?;
    Ok(node)
}

struct Scan<'a> {
    device: u64,
    left: usize,
    go_on: &'a mut dyn FnMut(u64) -> bool,
}

impl Scan<'_> {
    fn fill(&mut self, dir: &Path, node: &mut TreeNode, depth: usize) -> Result<(), CasyncError> {
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        for entry in entries {
            let Ok(entry) = entry else { break };
            if !(self.go_on)(1) {
                return Err(CasyncError::Stopped);
            }
            let path = entry.path();
            let Some(mut child) =
                fs::symlink_metadata(&path).ok().and_then(|facts| self.take(&path, &facts))
            else {
                continue;
            };
            self.left = self.left.checked_sub(1).ok_or_else(|| CasyncError::Tree {
                path: dir.display().to_string(),
                what: "has too many files",
            })?;
            if child.entry.kind == CatarKind::Directory && depth + 1 < MAX_DEPTH {
                self.fill(&path, &mut child, depth + 1)?;
            }
            node.children.insert(entry.file_name().as_bytes().to_vec(), child);
        }
        Ok(())
    }

    fn take(&self, path: &Path, facts: &Metadata) -> Option<TreeNode> {
        let mut node = describe(path, facts)?;
        if facts.dev() != self.device {
            // Another file system is mounted here: in the image there is an empty directory.
            node.content = TreeContent::None;
            return (node.entry.kind == CatarKind::Directory).then_some(node);
        }
        Some(node)
    }
}

fn describe(path: &Path, facts: &Metadata) -> Option<TreeNode> {
    let kind = facts.file_type();
    let mut content = TreeContent::None;
    let kind = if kind.is_dir() {
        CatarKind::Directory
    } else if kind.is_file() {
        content = TreeContent::File(path.to_owned());
        CatarKind::File { len: facts.len() }
    } else if kind.is_symlink() {
        let target = fs::read_link(path).ok()?;
        CatarKind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
    } else if kind.is_fifo() {
        CatarKind::Fifo
    } else if kind.is_socket() {
        CatarKind::Socket
    } else {
        let (major, minor) = split_device(facts.rdev())?;
        CatarKind::Device { block: kind.is_block_device(), major, minor }
    };
    let mut entry = CatarEntry::new(kind, facts.mode() & 0o7777);
    (entry.uid, entry.gid) = (facts.uid(), facts.gid());
    let seconds = u64::try_from(facts.mtime()).unwrap_or(0).saturating_mul(1_000_000_000);
    entry.mtime_nanos = seconds.saturating_add(u64::try_from(facts.mtime_nsec()).unwrap_or(0));
    Some(TreeNode::new(entry, content))
}

/// Linux's layout of a device number in user space.
fn split_device(number: u64) -> Option<(u32, u32)> {
    let major = (number >> 8 & 0xfff) | (number >> 32 & !0xfff);
    let minor = (number & 0xff) | (number >> 12 & !0xff);
    Some((u32::try_from(major).ok()?, u32::try_from(minor & 0xffff_ffff).ok()?))
}
