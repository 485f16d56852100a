// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the configuration in force, for a change that brings none of its own. Their owner
//! is the account of the containers, which may put anything there: only directories and regular
//! files are carried, and nothing is followed.

use crate::input::{Member, Payload};
use crate::promote::{Generation, Members};
use std::io::{self, Read};
use std::path::PathBuf;
use storage::FilesError;
use storage::tree::{HostTrees, Kind, Trees};

/// The files of a generation.
pub(super) struct Carried {
    data: HostTrees,
    files: Vec<PathBuf>,
}

/// Lists the files of `generation`.
pub(super) fn carry(
    data: HostTrees,
    generation: Generation,
) -> Result<(Payload, Carried), FilesError> {
    let root = generation.path().join("files");
    let (mut payload, mut files) = (Payload::default(), Vec::new());
    let mut open = Vec::new();
    if data.entry(&root)?.is_some_and(|found| found.kind == Kind::Dir) {
        let _ = payload.add("files".to_owned(), Member::Directory);
        open.push((root, "files".to_owned()));
    }
    while let Some((dir, name)) = open.pop() {
        for entry in data.list(&dir)? {
            let path = dir.join(&entry);
            // Names that are no text came from no bundle of ours.
            let Some(entry) = entry.to_str() else { continue };
            let name = format!("{name}/{entry}");
            match data.entry(&path)? {
                Some(found) if found.kind == Kind::Dir => {
                    let _ = payload.add(name.clone(), Member::Directory);
                    open.push((path, name));
                }
                Some(found) => {
                    if let Kind::File(len) = found.kind {
                        let member = Member::File { member: files.len(), len: len.get() };
                        if payload.add(name, member) {
                            files.push(path);
                        }
                    }
                }
                None => {}
            }
        }
    }
    Ok((payload, Carried { data, files }))
}

impl Members for Carried {
    fn open(&mut self, member: usize) -> io::Result<Box<dyn Read + '_>> {
        let path = self.files.get(member).ok_or(io::ErrorKind::NotFound)?;
        match self.data.open(path) {
            Ok(file) => Ok(file),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
