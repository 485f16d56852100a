// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a tree become a directory on this machine, to look at? All of it, or nothing: it is
//! written beside the wanted place, or within it where that is an empty directory, and renamed at
//! the end.
//!
//! This is for laptops: nothing is flushed, and owners are those of whoever runs it. On the device
//! a tree is promoted instead.

use crate::input::Spool;
use crate::tree::{Content, Entry, Tree};
use nix::unistd::Uid;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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
    /// The empty directory is somebody else's, who could swap what is written into it.
    #[error("{} belongs to the user {owner}", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
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

/// Writes `tree` as the directory `out`, which must be absent or empty; directories above it are
/// made. An empty one is filled and keeps its own mode: it may be where something is mounted, or
/// the one that its owner stands in.
///
/// # Errors
/// [`WriteTreeError`]; `out` is then as it was.
pub fn write_new_directory(
    tree: &Tree,
    spool: &mut Spool,
    out: &Path,
) -> Result<(), WriteTreeError> {
    write_as(Uid::effective(), tree, spool, out)
}

fn write_as(user: Uid, tree: &Tree, spool: &mut Spool, out: &Path) -> Result<(), WriteTreeError> {
    if is_there(out)? {
        demand_own(out, user)?;
        let beside = write_beside(tree, spool, out)?;
        return fill(out, beside.path()).map_err(failed(out));
    }
    let made = make_above(out)?;
    let written = write_beside(tree, spool, above(out)).and_then(|beside| {
        fs::set_permissions(beside.path(), Permissions::from_mode(0o755)).map_err(failed(out))?;
        rename(beside.path(), out).map_err(failed(out))?;
        // Renamed away: there is nothing left to clean up.
        let _ = beside.keep();
        Ok(())
    });
    if written.is_err() {
        take_back(&made);
    }
    written
}

/// Takes away what was made above, the lowest first. Empty ones alone can be, so nothing of others is
/// lost.
fn take_back(made: &[PathBuf]) {
    made.iter().for_each(|dir| drop(fs::remove_dir(dir)));
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WriteTreeError {
    let path = path.to_owned();
    move |source| WriteTreeError::Write { path, source }
}

/// Whether `out` is an empty directory and not absent.
fn is_there(out: &Path) -> Result<bool, WriteTreeError> {
    let occupied = || Err(WriteTreeError::Occupied { path: out.to_owned() });
    match fs::read_dir(out) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return occupied();
            }
            Ok(true)
        }
        Err(_) if fs::symlink_metadata(out).is_ok_and(|meta| !meta.is_dir()) => occupied(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(out)(error)),
    }
}

/// An empty directory that is filled has to be the writer's own: its owner may rename what is in it,
/// and put a link there while root writes.
fn demand_own(out: &Path, user: Uid) -> Result<(), WriteTreeError> {
    let owner = fs::metadata(out).map_err(failed(out))?.uid();
    if owner == user.as_raw() {
        return Ok(());
    }
    Err(WriteTreeError::Foreign { path: out.to_owned(), owner })
}

/// The directory that `out` is in.
fn above(out: &Path) -> &Path {
    match out.parent() {
        Some(above) if above != Path::new("") => above,
        Some(_) | None => Path::new("."),
    }
}

/// Makes what is missing above `out`; the result is what was made, the lowest first.
fn make_above(out: &Path) -> Result<Vec<PathBuf>, WriteTreeError> {
    let above = above(out);
    let missing = above
        .ancestors()
        .take_while(|dir| *dir != Path::new("") && fs::symlink_metadata(dir).is_err());
    let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    if let Err(source) = fs::create_dir_all(above) {
        // The upper ones of them may have been made.
        take_back(&missing);
        return Err(failed(above)(source));
    }
    Ok(missing)
}

/// Writes the tree into a new directory in `place`, which disappears unless it is kept.
fn write_beside(
    tree: &Tree,
    spool: &mut Spool,
    place: &Path,
) -> Result<tempfile::TempDir, WriteTreeError> {
    let beside = tempfile::Builder::new()
        .prefix(".atomix-render-")
        .tempdir_in(place)
        .map_err(failed(place))?;
    for (path, entry) in tree.iter() {
        let place = beside.path().join(path);
        write_entry(&place, entry, spool).map_err(failed(&place))?;
    }
    Ok(beside)
}

/// Moves what `from`, a directory in `out`, holds up into `out`; all of it, or nothing.
fn fill(out: &Path, from: &Path) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(from)?.collect::<io::Result<_>>()?;
    let mut moved = Vec::with_capacity(entries.len());
    let outcome = (|| {
        for entry in entries {
            let name = entry.file_name();
            rename(&from.join(&name), &out.join(&name))?;
            moved.push(name);
        }
        Ok(())
    })();
    if outcome.is_err() {
        // Back to what disappears with the failure.
        for name in moved {
            let _ = rename(&out.join(&name), &from.join(&name));
        }
    }
    outcome
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(out: &Path, user: Uid) -> Result<(), WriteTreeError> {
        let mut tree = Tree::default();
        tree.file("config.toml", 0o644, "version = 2\n");
        write_as(user, &tree, &mut Spool::new(tempfile::tempfile().unwrap()), out)
    }

    /// A reviewer's finding: what had been made above stayed there.
    #[test]
    fn a_name_that_cannot_be_made_leaves_nothing_of_the_names_above_it() {
        let place = tempfile::tempdir().unwrap();
        let long = "x".repeat(300);
        for out in [format!("new1/{long}/y"), format!("new1/new2/{long}")] {
            let failed = write(&place.path().join(&out), Uid::effective());
            assert!(matches!(failed, Err(WriteTreeError::Write { .. })), "{failed:?}");
            assert!(!place.path().join("new1").exists(), "{out}");
        }
        fs::create_dir(place.path().join("mine")).unwrap();
        write(&place.path().join(format!("mine/{long}/y")), Uid::effective()).unwrap_err();
        assert!(place.path().join("mine").exists());
    }

    #[test]
    fn an_empty_directory_of_somebody_elses_is_not_filled() {
        let out = tempfile::tempdir().unwrap();
        let other = Uid::from_raw(Uid::effective().as_raw().wrapping_add(1));
        let refused = write(out.path(), other);
        assert!(matches!(refused, Err(WriteTreeError::Foreign { .. })), "{refused:?}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
        write(out.path(), Uid::effective()).unwrap();
        assert!(out.path().join("config.toml").exists());
    }
}
