// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rendered tree as the source of a generation.

use super::candidate::{Content, Item, Owner, Source};
use super::error::PromoteError;
use crate::tree::{self, Tree};
use std::io::{self, Read};
use std::path::Path;

/// The directory of the units, and what it becomes on a device.
const UNITS: &str = "quadlet";
const UNITS_MODE: u32 = 0o700;

/// Whoever kept the contents of a bundle's `files/`.
pub trait Members {
    /// Opens the content of a member.
    ///
    /// # Errors
    /// The keeper's.
    fn open(&mut self, member: usize) -> io::Result<Box<dyn Read + '_>>;
}

/// No contents at all: for a configuration that came without a bundle.
pub struct NoMembers;

impl Members for NoMembers {
    fn open(&mut self, _: usize) -> io::Result<Box<dyn Read + '_>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A rendered tree with its contents.
pub struct Rendered<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// The contents of its `files/`.
    pub members: &'a mut dyn Members,
}

impl Source for Rendered<'_> {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        for (path, entry) in self.tree.iter() {
            let path = Path::new(path);
            let owner = match entry.owner {
                tree::Owner::Root => Owner::Root,
                tree::Owner::AppUser => Owner::AppService,
            };
            // Units hold secrets, and their files' modes are the contract's: nobody gets that far.
            let mode = if path == Path::new(UNITS) { UNITS_MODE } else { entry.mode };
            match &entry.content {
                tree::Content::Directory => {
                    put(Item { path, owner, mode, content: Content::Dir })?;
                }
                tree::Content::Bytes(bytes) => {
                    put(Item { path, owner, mode, content: Content::Bytes(bytes) })?;
                }
                tree::Content::Payload { member, len } => {
                    let failed = |source| PromoteError::Source { path: path.to_owned(), source };
                    let opened = self.members.open(*member).map_err(failed)?;
                    let mut exact = Exact { inner: opened, left: *len };
                    let content = Content::Payload(&mut exact);
                    put(Item { path, owner, mode, content })?;
                }
            }
        }
        Ok(())
    }
}

/// Exactly so many bytes; fewer or more are another content than was judged.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.left = match self.left.checked_sub(count as u64) {
            Some(left) => left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        };
        if count == 0 && self.left > 0 && !buf.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}
