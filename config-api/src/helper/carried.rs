// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the configuration in force, for a change that brings none of its own. Their owner
//! is the account of the containers, which may put anything there: only directories and regular
//! files are carried, no more than a bundle may hold, and nothing is followed.

use super::PipelineError;
use super::in_force::broken;
use crate::input::{Limits, Member, Payload};
use crate::jobs::ReportedFault;
use crate::promote::{Generation, Members};
use std::io::{self, Read};
use std::path::PathBuf;
use storage::tree::{HostTrees, Kind, Trees};
use storage::{FilesError, chain};

/// The files of a generation.
pub(super) struct Carried {
    data: HostTrees,
    files: Vec<PathBuf>,
}

/// Deepest directory; a bundle's are no deeper.
const MAX_PARTS: usize = 64;

/// Files that cannot be carried over.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    /// They cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// More, larger or deeper than a bundle may hold.
    #[error("the files in force have grown beyond what a bundle may hold")]
    TooMuch,
}

/// What a bundle may hold, less what was met.
struct Room {
    members: usize,
    bytes: u64,
}

impl Room {
    fn take(&mut self, name: &str, bytes: u64) -> Result<(), CarryError> {
        let members = self.members.checked_sub(1);
        let left = self.bytes.checked_sub(bytes);
        let (Some(members), Some(left)) = (members, left) else { return Err(CarryError::TooMuch) };
        if bytes > Limits::default().member || name.split('/').count() > MAX_PARTS {
            return Err(CarryError::TooMuch);
        }
        *self = Self { members, bytes: left };
        Ok(())
    }
}

/// Lists the files of `generation`.
pub(super) fn carry(
    data: HostTrees,
    generation: Generation,
) -> Result<(Payload, Carried), CarryError> {
    let limits = Limits::default();
    let mut room = Room { members: limits.members, bytes: limits.expanded };
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
                    room.take(&name, 0)?;
                    let _ = payload.add(name.clone(), Member::Directory);
                    open.push((path, name));
                }
                Some(found) => {
                    if let Kind::File(len) = found.kind {
                        room.take(&name, len.get())?;
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

/// What a container left among the files keeps nobody from sending others.
pub(super) fn uncarried(error: &CarryError) -> PipelineError {
    match error {
        CarryError::Files(error) => broken(error),
        CarryError::TooMuch => PipelineError::Invalid(vec![ReportedFault {
            path: "files".to_owned(),
            problem: chain(error),
            hint: Some("send the whole configuration, as a bundle with its files".to_owned()),
            ..ReportedFault::default()
        }]),
    }
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
