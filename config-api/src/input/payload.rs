// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a bundle bring along beside its `config.toml`? Names and sizes; the contents are
//! wherever the sink put them.

use crate::tree::Content;
use std::collections::BTreeMap;

/// One member of `files/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// The number under which the sink keeps its content.
        member: usize,
        /// Its length in bytes.
        len: u64,
    },
}

/// The members by their paths, which begin with `files`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    members: BTreeMap<String, Member>,
}

impl Payload {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Member> {
        self.members.get(path).copied()
    }

    /// The members, a directory before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Member)> {
        self.members.iter().map(|(path, member)| (path.as_str(), *member))
    }

    /// Adds a member; `false` when its path is taken by another one.
    #[must_use = "a path that is taken is a fault of the bundle"]
    pub(crate) fn add(&mut self, path: String, member: Member) -> bool {
        match self.members.get(&path) {
            None => self.members.insert(path, member).is_none(),
            Some(found) => *found == Member::Directory && member == Member::Directory,
        }
    }

    /// The members as entries of a tree.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Content)> {
        self.iter().map(|(path, member)| {
            let content = match member {
                Member::Directory => Content::Directory,
                Member::File { member, len } => Content::Payload { member, len },
            };
            (path, content)
        })
    }
}
