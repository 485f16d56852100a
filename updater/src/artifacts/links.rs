// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links that are switched by a rename: whoever opens one gets the old or the new target.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What a link is called until it is renamed.
const UNDER_WAY: &str = ".tmp-link";

/// Makes `link` lead to `target`, durably, and the directories above it. What was there is
/// replaced if it is a link; anything else is left and is an error.
///
/// # Errors
/// The system's.
#[expect(clippy::disallowed_methods, reason = "links are no content that could be torn")]
pub fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(facts) if !facts.is_symlink() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if fs::read_link(link)? == target => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let dir = parent(link);
    fs::create_dir_all(&dir)?;
    let mut temporary = OsString::from(link);
    temporary.push(UNDER_WAY);
    // A cut may have left one.
    remove_name(Path::new(&temporary))?;
    symlink(target, &temporary)?;
    fs::rename(&temporary, link)?;
    sync_dir(&dir)
}

/// Removes a link durably; an absent one is no error.
pub(super) fn remove_link(link: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(facts) if !facts.is_symlink() => return Err(io::ErrorKind::InvalidInput.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map(drop)?,
    }
    remove_name(link)?;
    sync_dir(&parent(link))
}

/// Removes a name that is no directory; an absent one is no error.
#[expect(clippy::disallowed_methods, reason = "callers sync the directory where it matters")]
pub(super) fn remove_name(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
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
        remove_link(&link).unwrap();
        remove_link(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(replace_link(&link, Path::new("x")).is_err() && remove_link(&link).is_err());
    }
}
