// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a rendered configuration consist of? Relative paths with modes, owners and contents:
//! a value, made by `render` and written by whoever promotes it. Nothing here touches a disk.
//!
//! The root directory itself is not an entry; it has mode 0755 and belongs to root.

use std::collections::BTreeMap;

/// Who owns an entry on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The superuser.
    Root,
    /// The account that runs rootless containers, [`crate::APP_USER`].
    AppUser,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file of the bundle's `files/`: the number under which the payload's sink keeps it.
    Payload {
        /// The member, see [`crate::input::Payload`].
        member: usize,
        /// Its length in bytes.
        len: u64,
    },
}

/// One file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits.
    pub mode: u32,
    /// Who owns it.
    pub owner: Owner,
    /// What it is.
    pub content: Content,
}

/// A rendered configuration. Paths are relative, `/` between their parts, no part is empty, `.` or
/// `..`; iterating gives every directory before what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// The entries, a directory before its content.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The bytes of the rendered file at `path`; `None` for directories and payload.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        match &self.entries.get(path)?.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Directory | Content::Payload { .. } => None,
        }
    }

    /// Adds a file of root's.
    pub fn file(&mut self, path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) {
        let content = Content::Bytes(bytes.into());
        self.entries.insert(path.into(), Entry { mode, owner: Owner::Root, content });
    }

    /// Adds a directory of root's.
    pub fn directory(&mut self, path: impl Into<String>, mode: u32) {
        let entry = Entry { mode, owner: Owner::Root, content: Content::Directory };
        self.entries.insert(path.into(), entry);
    }

    /// Adds an entry of the bundle's `files/`: for the application's account alone.
    pub fn payload(&mut self, path: impl Into<String>, content: Content) {
        let mode = if content == Content::Directory { 0o700 } else { 0o600 };
        self.entries.insert(path.into(), Entry { mode, owner: Owner::AppUser, content });
    }
}
