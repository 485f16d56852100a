// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the data partition still take what an update writes there? Read only.

use crate::context::Context;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::path::Path;
use storage::ByteLen;

const DATA: &str = "/data";

/// Below this a file system is called full: an update's own files take some KiB.
const DATA_FREE_MIN: ByteLen = ByteLen::kib(256);

/// What a file system still takes.
pub struct Room {
    free: ByteLen,
    files: u64,
    /// How many files it can have; some count none.
    files_most: u64,
    is_read_only: bool,
}

impl Room {
    /// How much room the data partition has; nothing where that cannot be said.
    #[must_use]
    #[allow(clippy::useless_conversion, reason = "these have 32 bits on other systems")]
    pub fn of_data(context: &Context) -> Option<Self> {
        let found = statvfs(&context.files.resolve(Path::new(DATA)).ok()?).ok()?;
        Some(Self {
            free: ByteLen::new(
                u64::from(found.blocks_available()).saturating_mul(found.fragment_size()),
            ),
            files: u64::from(found.files_available()),
            files_most: u64::from(found.files()),
            is_read_only: found.flags().contains(FsFlags::ST_RDONLY),
        })
    }

    /// Most bytes of a file that leaves this much free.
    #[must_use]
    pub const fn beside(&self, spare: ByteLen) -> ByteLen {
        if self.is_read_only {
            return ByteLen::ZERO;
        }
        ByteLen::new(self.free.get().saturating_sub(spare.get()))
    }

    /// Whether a file of this length finds room there.
    #[must_use]
    pub fn takes(&self, len: ByteLen) -> bool {
        !self.is_read_only && self.free >= len
    }

    /// Why nothing can be written there, and the way out.
    #[must_use]
    pub fn trouble(&self) -> Option<(String, &'static str)> {
        const GO_ON: &str = "make room there; updates go on without, their status is kept until the \
                             next boot";
        if self.is_read_only {
            let hint = "look for its cause in the kernel's log; updates go on without it";
            return Some(("/data is read-only".to_owned(), hint));
        }
        if self.free < DATA_FREE_MIN {
            return Some((format!("/data is full: {} are left", self.free), GO_ON));
        }
        let no_file = self.files_most > 0 && self.files == 0;
        no_file.then(|| ("/data is full: it takes no more files".to_owned(), GO_ON))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_takes_nothing_more_is_not_called_whole() {
        let room = |free, files, is_read_only| Room {
            free: ByteLen::kib(free),
            files,
            files_most: 1000,
            is_read_only,
        };
        let said = |room: Room| room.trouble().map(|(text, _)| text).unwrap_or_default();
        assert_eq!(said(room(1024, 900, false)), "");
        assert!(said(room(4, 900, false)).starts_with("/data is full: 4.0 KiB"));
        assert_eq!(said(room(1024, 0, false)), "/data is full: it takes no more files");
        assert_eq!(said(Room { files_most: 0, ..room(1024, 0, false) }), "", "it counts none");
        assert_eq!(said(room(0, 0, true)), "/data is read-only");
    }
}
