// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing the log. A record counts when it is on the medium; whoever acts on what it says writes
//! it first.
//!
//! Several programs write. Each holds the log's lock meanwhile (`crate::lock`) and reads the end of
//! the last segment anew, so that the chain is one.

use super::event::{AuditEvent, Family};
use super::line::{AuditLine, Chain, UnixTime};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use storage::tree::{Entry, Kind, Meta, Trees, dir_of};
use storage::{ByteLen, FilesError};

/// A segment that reached this is followed by the next.
pub const MAX_SEGMENT_BYTES: u64 = 256 * 1024;

/// So many segments are kept of each family.
pub const SEGMENTS: usize = 4;

/// Refused logins that are written one by one in a minute; the others are counted.
const ACCESS_PER_MINUTE: u64 = 20;

const DIR: &str = "atomix/audit";
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// A record that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The medium failed.
    #[error("cannot write the audit log")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
    /// The record has no text.
    #[error("cannot write the audit record down")]
    Encode {
        /// Cause.
        #[from]
        source: serde_json::Error,
    },
}

/// The log of a device.
pub struct AuditLog {
    trees: Box<dyn Trees>,
    owner: (u32, u32),
    boot: String,
    /// The minute that is counted, what was written in it, and what was not since.
    access: (u64, u64, u64),
}

impl AuditLog {
    /// The log below `trees` (`/data`).
    #[must_use]
    pub fn new(trees: Box<dyn Trees>, owner: (u32, u32), boot: impl Into<String>) -> Self {
        Self { trees, owner, boot: boot.into(), access: (0, 0, 0) }
    }

    /// The tree, for reading the log.
    #[must_use]
    pub fn trees(&self) -> &dyn Trees {
        &*self.trees
    }

    /// Writes a record; when this returns it is on the medium. Refused logins beyond a number per
    /// minute are counted into the next one instead.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn record(&mut self, time: UnixTime, mut event: AuditEvent) -> Result<(), AuditError> {
        if let AuditEvent::AuthenticationFailed { suppressed, .. } = &mut event {
            let minute = time.0 / 60;
            if self.access.0 != minute {
                (self.access.0, self.access.1) = (minute, 0);
            }
            if self.access.1 >= ACCESS_PER_MINUTE {
                self.access.2 += 1;
                return Ok(());
            }
            self.access.1 += 1;
            *suppressed += std::mem::take(&mut self.access.2);
        }
        self.append(time, event)
    }

    fn append(&mut self, time: UnixTime, event: AuditEvent) -> Result<(), AuditError> {
        let family = event.family();
        let (uid, gid) = self.owner;
        let meta = |mode| Meta { mode, uid, gid };
        make_dirs(&mut *self.trees, meta(DIR_MODE))?;
        let segments = segments(&*self.trees, family)?;
        let last = segments.last().copied();
        let (tail, is_torn, len) = match last {
            Some(number) => tail(&*self.trees, &segment(family, number), &segments, family)?,
            None => (None, false, 0),
        };
        let link =
            tail.map_or((1, Chain::beginning()), |line| (line.seq.saturating_add(1), line.chain));
        let mut bytes = AuditLine::new(link, time, &self.boot, event)?.encode()?;
        let is_full = len >= MAX_SEGMENT_BYTES;
        let number = match last {
            Some(number) if !is_full => number,
            Some(number) => number.saturating_add(1),
            None => 1,
        };
        if is_torn && !is_full {
            // What a cut left stays where it is, as a line of its own.
            bytes.insert(0, b'\n');
        }
        let path = segment(family, number);
        let is_new = self.trees.entry(&path)?.is_none();
        self.trees.append(&path, &bytes, meta(FILE_MODE))?;
        if is_new {
            self.trees.sync_dir(Path::new(DIR))?;
            self.forget_oldest(family)?;
        }
        Ok(())
    }

    fn forget_oldest(&mut self, family: Family) -> Result<(), AuditError> {
        let all = segments(&*self.trees, family)?;
        for number in all.iter().take(all.len().saturating_sub(SEGMENTS)) {
            self.trees.remove(&segment(family, *number))?;
        }
        Ok(self.trees.sync_dir(Path::new(DIR))?)
    }
}

fn make_dirs(trees: &mut dyn Trees, meta: Meta) -> Result<(), FilesError> {
    for dir in [dir_of(Path::new(DIR)), Path::new(DIR)] {
        if trees.entry(dir)?.is_none() {
            let mode = if dir == Path::new(DIR) { meta.mode } else { 0o755 };
            trees.make_dir(dir, Meta { mode, ..meta })?;
            trees.sync_dir(dir)?;
            trees.sync_dir(dir_of(dir))?;
        }
    }
    Ok(())
}

pub(super) fn segment(family: Family, number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{}-{number:06}.jsonl", family.name()))
}

/// The numbers of a family's segments, oldest first.
pub(super) fn segments(trees: &dyn Trees, family: Family) -> Result<Vec<u32>, FilesError> {
    let number = |name: OsString| {
        let name = name.to_string_lossy().into_owned();
        let rest = name.strip_prefix(family.name())?.strip_prefix('-')?;
        rest.strip_suffix(".jsonl")?.parse().ok()
    };
    let mut all: Vec<u32> = trees.list(Path::new(DIR))?.into_iter().filter_map(number).collect();
    all.sort_unstable();
    Ok(all)
}

pub(super) fn read_segment(trees: &dyn Trees, path: &Path) -> Result<Vec<u8>, FilesError> {
    // A segment ends with the line that passes its limit.
    let limit = ByteLen::new(MAX_SEGMENT_BYTES + 4 * super::line::MAX_LINE_BYTES as u64);
    match trees.entry(path)? {
        Some(Entry { kind: Kind::File(_), .. }) => Ok(trees.read(path, limit)?.unwrap_or_default()),
        Some(_) | None => Ok(Vec::new()),
    }
}

/// The last whole line, whether the file ends in a torn one, and how long it is. Where the last
/// segment has no whole line the one before it is asked.
fn tail(
    trees: &dyn Trees,
    path: &Path,
    segments: &[u32],
    family: Family,
) -> Result<(Option<AuditLine>, bool, u64), FilesError> {
    let bytes = read_segment(trees, path)?;
    let is_torn = bytes.last().is_some_and(|byte| *byte != b'\n');
    let last = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').rev().find_map(AuditLine::parse);
    let mut found = last(&bytes);
    let mut earlier = segments.iter().rev().skip(1);
    while found.is_none()
        && let Some(number) = earlier.next()
    {
        found = last(&read_segment(trees, &segment(family, *number))?);
    }
    Ok((found, is_torn, bytes.len() as u64))
}
