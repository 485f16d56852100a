// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does anybody still use these data?
//!
//! A lease on each file tells, as in RAUC: the kernel gives it only to the one descriptor of a
//! file, whoever has others: a process, a mapping, a loop device. Where a file system knows no
//! leases, the descriptors of all processes are compared. Something mounted below is a use too.

use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::parse_mountinfo;

/// Far above any real mount table.
const MAX_MOUNTINFO_BYTES: u64 = 4 * 1024 * 1024;
/// Deeper trees are no artifact but an attack on the stack.
const MAX_DEPTH: usize = 256;

/// A program that another thread is starting has copies of all descriptors of this process for an
/// instant, also of one that was closed meanwhile: asked again before it counts.
const ASKED_AGAIN: usize = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// What of the tree at `path` is in use, if anything is. Links are not followed.
pub(super) fn in_use(path: &Path) -> io::Result<Option<PathBuf>> {
    for _ in 0..ASKED_AGAIN {
        if in_use_now(path)?.is_none() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    in_use_now(path)
}

fn in_use_now(path: &Path) -> io::Result<Option<PathBuf>> {
    if let Some(place) = mounted_below(path)? {
        return Ok(Some(place));
    }
    let mut lease_less = BTreeSet::new();
    if let Some(open) = leased_away(path, &mut lease_less, 0)? {
        return Ok(Some(open));
    }
    if lease_less.is_empty() {
        return Ok(None);
    }
    opened_by_processes(path, &lease_less)
}

/// What is mounted at `path` or below it.
pub(super) fn mounted_below(path: &Path) -> io::Result<Option<PathBuf>> {
    let real = fs::canonicalize(path)?;
    let mut text = Vec::new();
    let table = File::open("/proc/self/mountinfo")?;
    table.take(MAX_MOUNTINFO_BYTES.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_MOUNTINFO_BYTES {
        // What is in the rest may be mounted just here.
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many mounts"));
    }
    let mounts = parse_mountinfo(&text).into_iter().map(|mount| mount.place);
    Ok(mounts.into_iter().find(|place| place.starts_with(&real)))
}

fn leased_away(
    path: &Path,
    lease_less: &mut BTreeSet<(u64, u64)>,
    depth: usize,
) -> io::Result<Option<PathBuf>> {
    let facts = fs::symlink_metadata(path)?;
    if facts.is_dir() {
        if depth > MAX_DEPTH {
            return Err(io::Error::from(Errno::ELOOP));
        }
        for entry in fs::read_dir(path)? {
            if let Some(open) = leased_away(&entry?.path(), lease_less, depth + 1)? {
                return Ok(Some(open));
            }
        }
    } else if facts.is_file() {
        let mut options = OpenOptions::new();
        let flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        let file = options.read(true).custom_flags(flags).open(path)?;
        match storage::is_open_here_only(&file) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(path.to_owned())),
            Err(_) => drop(lease_less.insert((facts.dev(), facts.ino()))),
        }
    }
    Ok(None)
}

fn opened_by_processes(path: &Path, files: &BTreeSet<(u64, u64)>) -> io::Result<Option<PathBuf>> {
    for process in fs::read_dir("/proc")?.flatten() {
        // Processes end while they are looked at, and some are not ours to look at.
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(facts) = fs::metadata(descriptor.path()) else { continue };
            if files.contains(&(facts.dev(), facts.ino())) {
                return Ok(Some(path.to_owned()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::disk::{HostDisk, RepositoryDisk};

    #[test]
    fn an_open_file_is_in_use_and_a_closed_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let file = deep.join("file");
        let make = || OpenOptions::new().write(true).create(true).truncate(false).open(&file);
        drop(make().unwrap());
        std::os::unix::fs::symlink("/dev/zero", deep.join("link")).unwrap();
        assert_eq!(in_use(dir.path()).unwrap(), None);
        let open = File::open(&file).unwrap();
        assert_eq!(in_use(dir.path()).unwrap(), Some(file.clone()));
        let facts = open.metadata().unwrap();
        let files = BTreeSet::from([(facts.dev(), facts.ino())]);
        assert!(opened_by_processes(dir.path(), &files).unwrap().is_some());
        drop(open);
        assert_eq!(opened_by_processes(dir.path(), &files).unwrap(), None);
        assert_eq!(in_use(dir.path()).unwrap(), None);
        HostDisk.remove(&dir.path().join("a")).unwrap();
        HostDisk.remove(&dir.path().join("a")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_mounted_below_is_a_use() {
        assert!(mounted_below(Path::new("/proc")).unwrap().is_some());
        assert_eq!(
            HostDisk.remove(Path::new("/proc")).unwrap_err().kind(),
            io::ErrorKind::ResourceBusy
        );
    }
}
