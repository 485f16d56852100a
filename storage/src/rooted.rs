// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a path of the board lie below a root directory?
//!
//! Links mean what they mean on the board: an absolute target starts at the root again and `..`
//! in a target stops there, so nothing outside is ever reached. A `..` in the path itself is
//! refused, since names come from configuration and manifests. Does not defend against somebody
//! who swaps directories for links meanwhile: who can write below the root owns it anyway.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// More links than this on one path are a loop; the kernel's own limit.
const MAX_LINKS: u32 = 40;

/// What to do when the path's last name is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastLink {
    /// Reading and opening mean the target.
    Follow,
    /// Replacing and removing mean the name itself.
    Keep,
}

/// The path leaves its root, or its links never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    Escapes,
    Loop,
}

impl From<Unresolved> for io::Error {
    fn from(cause: Unresolved) -> Self {
        match cause {
            Unresolved::Escapes => {
                Self::new(io::ErrorKind::InvalidInput, "path leaves its root directory")
            }
            Unresolved::Loop => nix::errno::Errno::ELOOP.into(),
        }
    }
}

/// Resolves `path` below `root`; parts that do not exist are kept as they are.
pub(crate) fn resolve_below(
    root: &Path,
    path: &Path,
    last: LastLink,
) -> Result<PathBuf, Unresolved> {
    if path.components().any(|part| matches!(part, Component::ParentDir | Component::Prefix(_))) {
        return Err(Unresolved::Escapes);
    }
    let mut todo: VecDeque<Step> = steps(path).collect();
    let mut done: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(step) = todo.pop_front() {
        let name = match step {
            Step::Root => {
                done.clear();
                continue;
            }
            Step::Up => {
                done.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        done.push(name);
        if todo.is_empty() && last == LastLink::Keep {
            break;
        }
        let here = below(root, &done);
        let is_link = fs::symlink_metadata(&here).is_ok_and(|facts| facts.is_symlink());
        // A node that cannot be looked at is kept: the open that follows says why it fails.
        let Some(target) = is_link.then(|| fs::read_link(&here).ok()).flatten() else { continue };
        links += 1;
        if links > MAX_LINKS {
            return Err(Unresolved::Loop);
        }
        done.pop();
        for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
            todo.push_front(step);
        }
    }
    Ok(below(root, &done))
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|part| match part {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

fn below(root: &Path, names: &[OsString]) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(names);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolve(root: &Path, path: &str) -> Result<PathBuf, Unresolved> {
        resolve_below(root, Path::new(path), LastLink::Follow)
    }

    #[test]
    fn links_are_read_as_on_the_board_and_never_lead_out() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        fs::create_dir_all(dir.join("dev/disk/by-partlabel")).unwrap();
        symlink("../../mmcblk1p4", dir.join("dev/disk/by-partlabel/boot-b")).unwrap();
        symlink("/dev/disk", dir.join("absolute")).unwrap();
        symlink("../../../../../etc", dir.join("climbs")).unwrap();
        let part = dir.join("dev/mmcblk1p4");
        assert_eq!(resolve(dir, "/dev/disk/by-partlabel/boot-b"), Ok(part.clone()));
        assert_eq!(resolve(dir, "/absolute/by-partlabel/boot-b"), Ok(part));
        assert_eq!(resolve(dir, "/climbs/passwd"), Ok(dir.join("etc/passwd")));
        assert_eq!(resolve(dir, "/not/there"), Ok(dir.join("not/there")));
        let kept = resolve_below(dir, Path::new("/climbs"), LastLink::Keep);
        assert_eq!(kept, Ok(dir.join("climbs")));
    }

    #[test]
    fn parent_parts_and_loops_are_refused() {
        let root = tempfile::tempdir().unwrap();
        symlink("turn", root.path().join("turn")).unwrap();
        assert_eq!(resolve(root.path(), "/data/../../etc"), Err(Unresolved::Escapes));
        assert_eq!(resolve(root.path(), "/turn"), Err(Unresolved::Loop));
    }
}
