// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the tables of this image describe a tree that its reader can afford?
//!
//! The library believes what an inode says: it reserves memory for as many blocks as the size of a
//! file promises, and cuts the directory table where a directory says, in 32 bits. Every path that
//! it lists repeats the names above it, and directories may share a listing, so that a few KiB of
//! tables can stand for gigabytes of paths. Here the same tables are walked once before the
//! library sees them, and refused where they promise more than they hold or than was allowed.
//! Never reads a file's content; its memory is that of the expanded tables, and is given back.
//!
//! Layout (the kernel's `fs/squashfs/squashfs_fs.h`, little endian). An inode begins
//!
//! ```text
//! 0 kind u16   2 mode, user, group 3×u16   8 mtime u32   12 number u32   16 by its kind:
//!  1 directory  block u32, links u32, size u16, offset u16, parent u32
//!  2 file       start u32, fragment u32, offset u32, size u32, u32 for each block
//!  3 link       links u32, length u32, target
//!  4,5 device   links u32, device u32         6,7 pipe, socket  links u32
//!  8 directory  links u32, size u32, block u32, parent u32, indexes u16, offset u16, xattr u32,
//!               and of each index: index u32, start u32, length less one u32, name
//!  9 file       start u64, size u64, sparse u64, links u32, fragment u32, offset u32, xattr u32,
//!               u32 for each block
//!  10 .. 14     as 3 .. 7, and xattr u32 at the end
//! ```
//! and a listing is runs of: entries less one u32, start u32, number u32, and for each entry:
//! offset u16, number relative to the run's i16, kind u16, length less one u16, name.

use crate::squashfs_limits::{BLOCK_CODEC, METADATA_BLOCK_BYTES, SquashfsLimits, read_at};
use crate::{SquashfsError, squashfs::refusal};
use backhand::compression::{CompressionAction, Compressor};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::ops::Range;
use storage::ByteLen;

/// Deepest directory: the library walks them by recursion.
const MAX_LEVELS: u32 = 1024;
/// Most entries of one run (format).
const MAX_RUN: u32 = 256;
/// Stands for "no fragment".
const NO_FRAGMENT: u32 = u32::MAX;

/// What the superblock says about the tables.
pub(crate) struct Tables {
    pub compressor: u16,
    pub block_log: u16,
    pub root: u64,
    pub inodes: Range<u64>,
    pub directories: Range<u64>,
}

/// Refuses a tree that is larger than `limits` or that its tables do not hold.
pub(crate) fn check_tree<R: Read + Seek>(
    reader: &mut R,
    tables: &Tables,
    limits: &SquashfsLimits,
) -> Result<(), SquashfsError> {
    let compressor = match tables.compressor {
        1 => Compressor::Gzip,
        4 => Compressor::Xz,
        6 => Compressor::Zstd,
        _ => return Err(SquashfsError::UnsupportedCompression),
    };
    if tables.block_log > 20 {
        return Err(SquashfsError::Corrupt { what: "its blocks are larger than squashfs allows" });
    }
    let inodes = expand(reader, &tables.inodes, compressor)?;
    let broken = SquashfsError::Corrupt { what: "an inode is larger than its table" };
    let mut nodes = BTreeMap::new();
    let mut rest = Bytes(&inodes.bytes);
    while !rest.0.is_empty() {
        let Some((number, node)) = rest.inode(tables.block_log) else { return Err(broken) };
        nodes.insert(number, node);
    }
    let block = u32::try_from(tables.root >> 16).ok();
    let offset = u16::try_from(tables.root & 0xffff).unwrap_or(u16::MAX);
    let root = block.and_then(|block| inodes.from(block, offset));
    let Some((number, Node::Directory(listing))) =
        root.and_then(|bytes| Bytes(bytes).inode(tables.block_log))
    else {
        return Err(SquashfsError::Corrupt { what: "its root is no directory" });
    };
    let directories = expand(reader, &tables.directories, compressor)?;
    let mut walk = Walk {
        nodes,
        directories,
        limits,
        entries: 0,
        path_bytes: 0,
        seen: BTreeSet::from([number]),
        pending: vec![Pending { listing, path_bytes: 1, level: 1 }],
    };
    while let Some(next) = walk.pending.pop() {
        walk.list(&next)?;
    }
    Ok(())
}

/// A table with its metadata blocks expanded.
struct Expanded {
    bytes: Vec<u8>,
    /// Where a block begins in the image, counted from the table's start, and in `bytes`.
    starts: BTreeMap<u64, usize>,
}

impl Expanded {
    /// What lies from a place on, which is told by its block and the offset in that.
    fn from(&self, block: u32, offset: u16) -> Option<&[u8]> {
        let start = self.starts.get(&u64::from(block))?;
        self.bytes.get(start.checked_add(usize::from(offset))?..)
    }
}

/// Reads a table whose blocks were walked and counted before.
fn expand<R: Read + Seek>(
    reader: &mut R,
    table: &Range<u64>,
    compressor: Compressor,
) -> Result<Expanded, SquashfsError> {
    let mut expanded = Expanded { bytes: Vec::new(), starts: BTreeMap::new() };
    let mut at = table.start;
    while at < table.end {
        let mut length = [0; 2];
        read_at(reader, at, &mut length)?;
        let length = u16::from_le_bytes(length);
        let mut block = vec![0; usize::from(length & 0x7fff)];
        read_at(reader, at.saturating_add(2), &mut block)?;
        expanded.starts.insert(at.saturating_sub(table.start), expanded.bytes.len());
        at = at.saturating_add(2).saturating_add(block.len() as u64);
        if length & 0x8000 != 0 {
            expanded.bytes.append(&mut block);
            continue;
        }
        let mut out = Vec::with_capacity(METADATA_BLOCK_BYTES);
        BLOCK_CODEC.decompress(&block, &mut out, compressor).map_err(refusal)?;
        expanded.bytes.append(&mut out);
    }
    Ok(expanded)
}

/// What an inode is to a walk over directories.
#[derive(Clone, Copy)]
enum Node {
    Directory(Listing),
    Other,
}

/// Where a directory says that its entries are.
#[derive(Clone, Copy)]
struct Listing {
    block: u32,
    offset: u16,
    /// Three more than the bytes of the entries.
    size: u32,
}

/// Takes numbers off the front of a table.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The next inode with its number; `None` where the table ends before it does.
    fn inode(&mut self, block_log: u16) -> Option<(u32, Node)> {
        let kind = self.u16()?;
        self.take(10)?;
        let number = self.u32()?;
        let xattr = if kind > 9 { 4 } else { 0 };
        match kind {
            1 => {
                let block = self.u32()?;
                self.take(4)?;
                let (size, offset) = (self.u16()?.into(), self.u16()?);
                self.take(4)?;
                return Some((number, Node::Directory(Listing { block, offset, size })));
            }
            2 => {
                self.take(4)?;
                let fragment = self.u32()?;
                self.take(4)?;
                let size = self.u32()?;
                self.blocks(size.into(), fragment, block_log)?;
            }
            3 | 10 => {
                self.take(4)?;
                let target = self.u32()?;
                self.take(u64::from(target) + xattr)?;
            }
            4 | 5 | 11 | 12 => {
                self.take(8 + xattr)?;
            }
            6 | 7 | 13 | 14 => {
                self.take(4 + xattr)?;
            }
            8 => {
                self.take(4)?;
                let (size, block) = (self.u32()?, self.u32()?);
                self.take(4)?;
                let (indexes, offset) = (self.u16()?, self.u16()?);
                self.take(4)?;
                for _ in 0..indexes {
                    self.take(8)?;
                    let name = self.u32()?;
                    self.take(u64::from(name) + 1)?;
                }
                return Some((number, Node::Directory(Listing { block, offset, size })));
            }
            9 => {
                self.take(8)?;
                let size = self.u64()?;
                self.take(12)?;
                let fragment = self.u32()?;
                self.take(8)?;
                self.blocks(size, fragment, block_log)?;
            }
            _ => return None,
        }
        Some((number, Node::Other))
    }

    /// The words of a file's blocks, as many as its size promises.
    fn blocks(&mut self, size: u64, fragment: u32, block_log: u16) -> Option<()> {
        let whole = size.checked_shr(block_log.into())?;
        let tail = fragment == NO_FRAGMENT && size != whole << block_log;
        self.take((whole + u64::from(tail)).checked_mul(4)?).map(drop)
    }
}

/// A directory that was named and not yet listed.
struct Pending {
    listing: Listing,
    /// Length of its path.
    path_bytes: u64,
    level: u32,
}

/// A walk over all directories, as the library will do it.
struct Walk<'a> {
    nodes: BTreeMap<u32, Node>,
    directories: Expanded,
    limits: &'a SquashfsLimits,
    entries: u64,
    path_bytes: u64,
    seen: BTreeSet<u32>,
    pending: Vec<Pending>,
}

impl Walk<'_> {
    fn list(&mut self, directory: &Pending) -> Result<(), SquashfsError> {
        let Listing { block, offset, size } = directory.listing;
        let Some(bytes) = size.checked_sub(3).filter(|bytes| *bytes > 0) else { return Ok(()) };
        let outside = SquashfsError::Corrupt { what: "a directory lies outside its table" };
        let from = self.directories.from(block, offset);
        let Some(listing) = usize::try_from(bytes).ok().and_then(|len| from?.get(..len)) else {
            return Err(outside);
        };
        for entry in entries(listing)? {
            self.enter(directory, &entry)?;
        }
        Ok(())
    }

    /// Counts an entry, and remembers a directory.
    fn enter(&mut self, parent: &Pending, entry: &Entry) -> Result<(), SquashfsError> {
        let path_bytes = parent.path_bytes + 1 + entry.name_bytes;
        self.entries += 1;
        self.path_bytes += path_bytes;
        within("directory entries", self.entries, self.limits.inodes.into())?;
        within("bytes of paths", self.path_bytes, ByteLen::get(self.limits.tables))?;
        let node = self.nodes.get(&entry.number).ok_or(SquashfsError::Corrupt {
            what: "a directory names an inode that is not there",
        })?;
        if !entry.is_directory {
            return Ok(());
        }
        match node {
            Node::Directory(listing) if self.seen.insert(entry.number) => {
                let level = parent.level + 1;
                within("levels of directories", level.into(), MAX_LEVELS.into())?;
                self.pending.push(Pending { listing: *listing, path_bytes, level });
                Ok(())
            }
            Node::Directory(_) => {
                Err(SquashfsError::Corrupt { what: "a directory stands at two places" })
            }
            Node::Other => Err(SquashfsError::Corrupt { what: "an entry is not of its kind" }),
        }
    }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), SquashfsError> {
    if found > limit { Err(SquashfsError::TooLarge { what, found, limit }) } else { Ok(()) }
}

/// One entry of a listing.
struct Entry {
    number: u32,
    is_directory: bool,
    name_bytes: u64,
}

/// All entries of a listing; no more than its bytes allow.
fn entries(listing: &[u8]) -> Result<Vec<Entry>, SquashfsError> {
    let mut rest = Bytes(listing);
    let mut found = Vec::new();
    while !rest.0.is_empty() {
        run(&mut rest, &mut found).ok_or(SquashfsError::Corrupt {
            what: "a directory's entries are cut or misnumbered",
        })?;
    }
    Ok(found)
}

fn run(rest: &mut Bytes, found: &mut Vec<Entry>) -> Option<()> {
    let more = rest.u32().filter(|more| *more < MAX_RUN)?;
    rest.take(4)?;
    let base = i32::try_from(rest.u32()?).ok()?;
    for _ in 0..=more {
        rest.take(2)?;
        let relative = i16::from_le_bytes(rest.take(2)?.try_into().ok()?);
        let kind = rest.u16()?;
        let name_bytes = u64::from(rest.u16()?) + 1;
        rest.take(name_bytes)?;
        let number = u32::try_from(base.checked_add(relative.into())?).ok()?;
        found.push(Entry { number, is_directory: matches!(kind, 1 | 8), name_bytes });
    }
    Some(())
}
