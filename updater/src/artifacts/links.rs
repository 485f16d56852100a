// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links that are switched by a rename: whoever opens one gets the old or the new target.

use super::disk::{HostDisk, RepositoryDisk, RepositoryEntry};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What a link is called until it is renamed.
const UNDER_WAY: &str = ".tmp-link";

/// Makes `link` on this machine lead to `target`, durably. What was there is replaced if it is a
/// link; anything else is left and is an error.
pub(crate) fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    switch_link(&mut HostDisk, link, target)
}

pub(super) fn switch_link(
    disk: &mut impl RepositoryDisk,
    link: &Path,
    target: &Path,
) -> io::Result<()> {
    match disk.entry(link)? {
        Some(RepositoryEntry::Link(known)) if known == target => return Ok(()),
        Some(RepositoryEntry::Link(_)) | None => {}
        Some(_) => return Err(io::ErrorKind::AlreadyExists.into()),
    }
    let mut temporary = OsString::from(link);
    temporary.push(UNDER_WAY);
    let temporary = Path::new(&temporary);
    // A cut may have left one.
    disk.remove(temporary)?;
    disk.make_link(temporary, target)?;
    disk.rename(temporary, link)?;
    disk.sync_dir(&parent(link))
}

/// Removes a link durably; an absent one is no error.
pub(super) fn remove_link(disk: &mut impl RepositoryDisk, link: &Path) -> io::Result<()> {
    match disk.entry(link)? {
        None => return Ok(()),
        Some(RepositoryEntry::Link(_)) => {}
        Some(_) => return Err(io::ErrorKind::InvalidInput.into()),
    }
    disk.remove(link)?;
    disk.sync_dir(&parent(link))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Whether a name is that of a link under way, which a cut left.
pub(super) fn is_under_way(name: &str) -> bool {
    name.ends_with(UNDER_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_made_and_replaced_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("active/rootfs");
        // A cut left this.
        fs::create_dir(dir.path().join("active")).unwrap();
        symlink("x", dir.path().join("active/rootfs.tmp-link")).unwrap();
        for target in ["/dev/one", "/dev/two", "/dev/two"] {
            replace_link(&link, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
            assert_eq!(fs::read_dir(dir.path().join("active")).unwrap().count(), 1);
        }
        remove_link(&mut HostDisk, &link).unwrap();
        remove_link(&mut HostDisk, &link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(replace_link(&link, Path::new("x")).is_err());
        assert!(remove_link(&mut HostDisk, &link).is_err());
    }
}
