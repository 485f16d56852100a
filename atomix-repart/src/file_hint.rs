// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the way out where the system refuses a file? One answer for each cause: a technician
//! who mistyped a path is not sent to look for free space.

use std::io::{self, ErrorKind};
use storage::FilesError;

/// The way out of a failed act on a file.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library adds kinds")]
pub fn file_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "look at the path: it is not there, or a directory above it is not",
        ErrorKind::IsADirectory => "name a file: this is a directory",
        ErrorKind::NotADirectory => "look at the path: a part of it is a file, not a directory",
        ErrorKind::PermissionDenied => "run it as root, or as whoever may use this path",
        ErrorKind::ReadOnlyFilesystem => {
            "its file system is read-only: the medium or `dmesg` may tell why"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its file system",
        _ => "look at its permissions, its file system and, in `dmesg`, its medium",
    }
}

/// The same for the small files of a device.
#[must_use]
pub fn files_hint(error: &FilesError) -> &'static str {
    match error {
        FilesError::Read { source, .. } | FilesError::Write { source, .. } => file_hint(source),
        FilesError::TooLarge { .. } => "this is not the file that belongs there: look at it",
        FilesError::Escapes { .. } => "correct the configured path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_way_out_of_its_own_that_fits_a_line() {
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::IsADirectory,
            ErrorKind::NotADirectory,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::StorageFull,
            ErrorKind::Other,
        ];
        let mut hints: Vec<&str> = kinds.map(|kind| file_hint(&kind.into())).to_vec();
        assert!(hints.iter().all(|hint| hint.len() + "hint: ".len() <= 80), "{hints:?}");
        hints.sort_unstable();
        hints.dedup();
        assert_eq!(hints.len(), kinds.len());
    }
}
