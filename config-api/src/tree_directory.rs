// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a tree become a directory on this machine, to look at? All of it, or nothing: it is
//! written beside the wanted place and renamed there at the end.
//!
//! This is for laptops: nothing is flushed, and owners are those of whoever runs it. On the device
//! a tree is promoted instead.

use crate::input::Spool;
use crate::tree::{Content, Entry, Tree};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a directory was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteTreeError {
    /// There is something already.
    #[error("{} is there and not an empty directory", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Writes `tree` as the directory `out`, which must be absent or empty.
///
/// # Errors
/// [`WriteTreeError`]; `out` is then as it was.
pub fn write_new_directory(
    tree: &Tree,
    spool: &mut Spool,
    out: &Path,
) -> Result<(), WriteTreeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteTreeError::Write { path, source }
    };
    let is_there = match fs::read_dir(out) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(WriteTreeError::Occupied { path: out.to_owned() });
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(WriteTreeError::Occupied { path: out.to_owned() });
        }
        Err(error) => return Err(failed(out)(error)),
    };
    let above = match out.parent() {
        Some(above) if above != Path::new("") => above,
        Some(_) | None => Path::new("."),
    };
    let beside = tempfile::Builder::new()
        .prefix(".atomix-render-")
        .tempdir_in(above)
        .map_err(failed(above))?;
    for (path, entry) in tree.iter() {
        let place = beside.path().join(path);
        write_entry(&place, entry, spool).map_err(failed(&place))?;
    }
    fs::set_permissions(beside.path(), Permissions::from_mode(0o755)).map_err(failed(out))?;
    if is_there {
        fs::remove_dir(out).map_err(failed(out))?;
    }
    rename(beside.path(), out).map_err(failed(out))?;
    // Renamed away: there is nothing left to clean up.
    let _ = beside.keep();
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a laptop's copy; durability is promotion's")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn write_entry(place: &Path, entry: &Entry, spool: &mut Spool) -> io::Result<()> {
    if entry.content == Content::Directory {
        fs::create_dir(place)?;
    } else {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(place)?;
        match &entry.content {
            Content::Directory => {}
            Content::Bytes(bytes) => file.write_all(bytes)?,
            Content::Payload { member, .. } => {
                io::copy(&mut spool.open(*member)?, &mut file)?;
            }
        }
    }
    // The mode of creation is cut by the caller's mask.
    fs::set_permissions(place, Permissions::from_mode(entry.mode))
}
