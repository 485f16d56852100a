// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do many files become durable at once?

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes contents and names of everything below the directory `dir` durable, and of whatever else
/// is on its file system: the kernel writes that out as a whole, which is quicker than file by
/// file.
///
/// # Errors
/// The system's; since Linux 5.8 also when an earlier write failed.
#[cfg(target_os = "linux")]
pub fn sync_all_below(dir: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(dir)?)?)
}

/// Makes contents and names of everything below the directory `dir` durable. Links and what is no
/// regular file are names only.
///
/// # Errors
/// The system's.
#[cfg(not(target_os = "linux"))]
pub fn sync_all_below(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_all_below(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}
