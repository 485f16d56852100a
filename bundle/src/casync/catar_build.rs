// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree as the archive that casync would make of it, without that archive being anywhere.
//!
//! Only the records are held; contents are read where they lie, when they are asked for. So a tree
//! can be cut into chunks, and chunks can be taken from it, at any place of the archive.

use super::catar::{
    CatarEntry, CatarKind, DEVICE, DEVICE_BYTES, ENTRY, ENTRY_BYTES, FILENAME, GOODBYE,
    GOODBYE_ITEM_BYTES, GOODBYE_TAIL, GROUP, HEAD_BYTES, MAX_DEPTH, PAYLOAD, SYMLINK, USER,
    is_plain_name,
};
use super::goodbye::{NameItem, name_hash, search_tree};
use super::{CasyncError, FeatureFlags};
use crate::{Source, SourceError};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use storage::ByteLen;

/// Where the content of a file is.
#[derive(Clone)]
pub enum TreeContent {
    /// Nowhere: not a regular file, or an empty one.
    None,
    /// A file of a mounted tree. It may change; what is missing then reads as zeros, since
    /// whoever uses an old tree compares hashes anyway.
    File(PathBuf),
    /// A part of something larger.
    Part {
        /// The whole.
        source: Arc<dyn Source>,
        /// Where the content begins in it.
        offset: u64,
    },
}

/// A file of a tree, with everything below it.
#[derive(Clone)]
pub struct TreeNode {
    /// What it is.
    pub entry: CatarEntry,
    /// Its content, as long as `entry` says.
    pub content: TreeContent,
    /// What a directory holds, by name; empty for all else.
    pub children: BTreeMap<Vec<u8>, TreeNode>,
}

impl TreeNode {
    /// A node without children.
    #[must_use]
    pub const fn new(entry: CatarEntry, content: TreeContent) -> Self {
        Self { entry, content, children: BTreeMap::new() }
    }
}

enum Part {
    /// So many bytes of the records.
    Records {
        at: usize,
    },
    Content(TreeContent),
}

struct Segment {
    start: u64,
    len: u64,
    part: Part,
}

/// An archive, readable at any place.
pub struct CatarImage {
    name: String,
    features: FeatureFlags,
    records: Vec<u8>,
    segments: Vec<Segment>,
    len: u64,
    /// The file that was read last: contents are mostly read from start to end.
    opened: Mutex<Option<(PathBuf, Arc<File>)>>,
}

impl CatarImage {
    /// The archive of `root` that keeps `features`.
    ///
    /// # Errors
    /// [`CasyncError::Tree`] for what no archive can hold.
    pub fn build(
        name: impl Into<String>,
        root: &TreeNode,
        features: FeatureFlags,
    ) -> Result<Self, CasyncError> {
        let mut image = Self {
            name: name.into(),
            features,
            records: Vec::new(),
            segments: Vec::new(),
            len: 0,
            opened: Mutex::default(),
        };
        if root.entry.kind != CatarKind::Directory {
            return Err(tree_fault(b".", "is the root and no directory"));
        }
        image.add(b".", root, 0)?;
        Ok(image)
    }

    fn add(&mut self, name: &[u8], node: &TreeNode, depth: usize) -> Result<(), CasyncError> {
        if depth > MAX_DEPTH {
            return Err(tree_fault(name, "is too deep"));
        }
        let start = self.len;
        self.add_entry(name, &node.entry)?;
        match &node.entry.kind {
            CatarKind::File { len } => {
                self.add_words(&[HEAD_BYTES.saturating_add(*len), PAYLOAD]);
                self.add_content(*len, node.content.clone());
            }
            CatarKind::Symlink { target } => self.add_text(SYMLINK, target),
            CatarKind::Device { major, minor, .. } => {
                self.add_words(&[DEVICE_BYTES, DEVICE, (*major).into(), (*minor).into()]);
            }
            CatarKind::Directory => self.add_children(start, node, depth)?,
            CatarKind::Fifo | CatarKind::Socket => {}
        }
        Ok(())
    }

    fn add_entry(&mut self, name: &[u8], entry: &CatarEntry) -> Result<(), CasyncError> {
        let features = self.features;
        let kept = match entry.kind {
            CatarKind::Directory | CatarKind::File { .. } => true,
            CatarKind::Symlink { .. } => features.has(FeatureFlags::SYMLINKS),
            CatarKind::Device { .. } => features.has(FeatureFlags::DEVICE_NODES),
            CatarKind::Fifo => features.has(FeatureFlags::FIFOS),
            CatarKind::Socket => features.has(FeatureFlags::SOCKETS),
        };
        if !kept {
            return Err(tree_fault(name, "is of a type that this archive does not keep"));
        }
        let (mut uid, mut gid) = (u64::from(entry.uid), u64::from(entry.gid));
        if features.owner_limit() == 1 {
            (uid, gid) = (0, 0);
        } else if uid.max(gid) >= features.owner_limit() {
            return Err(tree_fault(
                name,
                "belongs to an owner above 65534, which 16 bits cannot keep",
            ));
        }
        let mtime = features.time_unit_nanos().map_or(0, |unit| entry.mtime_nanos / unit * unit);
        let mode = entry.stored_mode(features);
        self.add_words(&[ENTRY_BYTES, ENTRY, features.bits(), mode, 0, uid, gid, mtime]);
        if features.has(FeatureFlags::USER_NAMES) {
            for (kind, name) in [(USER, &entry.user), (GROUP, &entry.group)] {
                if let Some(name) = name {
                    self.add_text(kind, name.as_bytes());
                }
            }
        }
        Ok(())
    }

    fn add_children(
        &mut self,
        entry_at: u64,
        node: &TreeNode,
        depth: usize,
    ) -> Result<(), CasyncError> {
        let mut items = Vec::with_capacity(node.children.len());
        for (name, child) in &node.children {
            if !is_plain_name(name) {
                return Err(tree_fault(name, "has a name that no file can have"));
            }
            let start = self.len;
            self.add_text(FILENAME, name);
            self.add(name, child, depth + 1)?;
            items.push(NameItem { hash: name_hash(name), start, end: self.len });
        }
        let start = self.len;
        let size = HEAD_BYTES + GOODBYE_ITEM_BYTES * (items.len() as u64 + 1);
        self.add_words(&[size, GOODBYE]);
        for item in search_tree(items) {
            self.add_words(&[start - item.start, item.end - item.start, item.hash]);
        }
        self.add_words(&[start - entry_at, size, GOODBYE_TAIL]);
        Ok(())
    }

    fn add_text(&mut self, kind: u64, text: &[u8]) {
        self.add_words(&[HEAD_BYTES + text.len() as u64 + 1, kind]);
        self.add_bytes(text);
        self.add_bytes(&[0]);
    }

    fn add_words(&mut self, words: &[u64]) {
        for word in words {
            self.add_bytes(&word.to_le_bytes());
        }
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        let count = bytes.len() as u64;
        match self.segments.last_mut() {
            Some(Segment { len, part: Part::Records { .. }, .. }) => *len += count,
            Some(_) | None => {
                let part = Part::Records { at: self.records.len() };
                self.segments.push(Segment { start: self.len, len: count, part });
            }
        }
        self.records.extend_from_slice(bytes);
        self.len += count;
    }

    fn add_content(&mut self, len: u64, content: TreeContent) {
        if len > 0 {
            self.segments.push(Segment { start: self.len, len, part: Part::Content(content) });
            self.len = self.len.saturating_add(len);
        }
    }

    fn read_segment(&self, segment: &Segment, at: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        match &segment.part {
            Part::Records { at: records } => {
                let start = records + usize::try_from(at).unwrap_or(usize::MAX);
                let bytes = self.records.get(start..start.saturating_add(buf.len()));
                buf.copy_from_slice(bytes.unwrap_or(&vec![0; buf.len()]));
                Ok(())
            }
            Part::Content(TreeContent::Part { source, offset }) => {
                source.read_at(offset.saturating_add(at), buf)
            }
            Part::Content(TreeContent::File(path)) => {
                if self.read_file(path, at, buf).is_err() {
                    buf.fill(0);
                }
                Ok(())
            }
            Part::Content(TreeContent::None) => {
                buf.fill(0);
                Ok(())
            }
        }
    }

    fn read_file(&self, path: &Path, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let file = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            match opened.as_ref() {
                Some((known, file)) if known == path => Arc::clone(file),
                Some(_) | None => {
                    let mut options = OpenOptions::new();
                    // What is a link or pipe by now is not what was found here.
                    options.read(true).custom_flags(NO_SURPRISES);
                    let file = Arc::new(options.open(path)?);
                    *opened = Some((path.to_owned(), Arc::clone(&file)));
                    file
                }
            }
        };
        file.read_exact_at(buf, at)
    }
}

#[cfg(target_os = "linux")]
const NO_SURPRISES: i32 = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
#[cfg(not(target_os = "linux"))]
const NO_SURPRISES: i32 = 0;

impl Source for CatarImage {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        let outside = || SourceError::OutOfBounds {
            name: self.name.clone(),
            offset,
            len: buf.len(),
            size: self.len,
        };
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(outside());
        }
        let mut at = offset;
        let mut rest = buf;
        let first = self.segments.partition_point(|segment| segment.start + segment.len <= offset);
        for segment in self.segments.get(first..).unwrap_or_default() {
            if rest.is_empty() {
                break;
            }
            let inner = at - segment.start;
            let left = usize::try_from(segment.len - inner).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at_mut(left.min(rest.len()));
            self.read_segment(segment, inner, part)?;
            at += part.len() as u64;
            rest = behind;
        }
        Ok(())
    }
}

fn tree_fault(name: &[u8], what: &'static str) -> CasyncError {
    CasyncError::Tree { path: String::from_utf8_lossy(name).into_owned(), what }
}

/// The whole archive as a stream.
#[cfg(test)]
pub(crate) fn read_whole(image: &CatarImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut super::seed::SourceReader::new(image), &mut bytes).unwrap();
    bytes
}
