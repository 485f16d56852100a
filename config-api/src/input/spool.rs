// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the content of `files/` wait until it is promoted? In one file that the caller
//! opens, member after member; nothing big is held in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Takes the content of members, one after the other.
pub trait PayloadSink {
    /// Begins the next member and returns its number.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn begin(&mut self, path: &str) -> io::Result<usize>;

    /// Adds to the member that was begun last.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Counts members and forgets their content: for validation.
#[derive(Debug, Default)]
pub struct Discard {
    members: usize,
}

impl PayloadSink for Discard {
    fn begin(&mut self, _path: &str) -> io::Result<usize> {
        self.members += 1;
        Ok(self.members - 1)
    }

    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps all contents in one file, which as a rule has no name.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Where each member begins and how long it is.
    parts: Vec<(u64, u64)>,
    end: u64,
}

impl Spool {
    /// Takes an empty file that can be written and read.
    #[must_use]
    pub const fn new(file: File) -> Self {
        Self { file, parts: Vec::new(), end: 0 }
    }

    /// The content of a member.
    ///
    /// # Errors
    /// When the file cannot be read, or there is no such member.
    pub fn open(&mut self, member: usize) -> io::Result<impl Read + '_> {
        let part = self.parts.get(member).copied();
        let (start, len) = part.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.file.seek(SeekFrom::Start(start))?;
        Ok((&mut self.file).take(len))
    }
}

impl PayloadSink for Spool {
    fn begin(&mut self, _path: &str) -> io::Result<usize> {
        self.parts.push((self.end, 0));
        Ok(self.parts.len() - 1)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some((_, len)) = self.parts.last_mut() else {
            return Err(io::Error::other("no member was begun"));
        };
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        *len += bytes.len() as u64;
        self.end += bytes.len() as u64;
        Ok(())
    }
}
