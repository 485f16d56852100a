// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees of this machine, below a directory that is held open.
//!
//! The kernel itself refuses to leave the directory or to follow a link (`openat2`), so somebody
//! who swaps a directory for a link between two of our calls gets an error and nothing else.
//! Where there is no such call, or a service's `RestrictSUIDSGID=` refuses it, since a filter cannot see
//! with which mode it would make a file, the path is walked name by name without following, which ends
//! the same way.

use super::{Entry, Kind, Meta, Trees, dir_of};
use crate::{ByteLen, FilesError};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, symlinkat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A directory of this machine.
#[derive(Debug)]
pub struct HostTrees {
    root: OwnedFd,
    label: PathBuf,
}

/// More names in one directory are nothing of ours, and each takes memory.
const MAX_NAMES: usize = 1 << 17;

const DIR: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_RDONLY);

impl HostTrees {
    /// Holds `root` open; links in `root` itself are its owner's matter and are followed.
    ///
    /// # Errors
    /// [`FilesError::Read`] when it cannot be opened or is no directory.
    pub fn open(root: &Path) -> Result<Self, FilesError> {
        let flags = DIR | OFlag::O_CLOEXEC;
        let failed =
            |errno: Errno| FilesError::Read { path: root.to_owned(), source: errno.into() };
        let root_fd = nix::fcntl::open(root, flags, Mode::empty()).map_err(failed)?;
        Ok(Self { root: root_fd, label: root.to_owned() })
    }

    /// How messages call a path.
    fn named(&self, path: &Path) -> PathBuf {
        self.label.join(path)
    }

    fn unreadable(&self, path: &Path, source: impl Into<io::Error>) -> FilesError {
        FilesError::Read { path: self.named(path), source: source.into() }
    }

    fn unwritable(&self, path: &Path, source: impl Into<io::Error>) -> FilesError {
        FilesError::Write { path: self.named(path), source: source.into() }
    }

    fn check(&self, path: &Path) -> Result<(), FilesError> {
        if is_plain(path) {
            return Ok(());
        }
        Err(FilesError::Escapes { path: self.named(path) })
    }

    /// Opens what is below; a link anywhere on the way is an error.
    fn open_below(&self, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        if path.as_os_str().is_empty() {
            return openat(&self.root, ".", flags, mode);
        }
        beneath(&self.root, path, flags, mode)
    }

    /// The directory of a name, and the name in it.
    fn place<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let dir = self.open_below(dir_of(path), DIR, Mode::empty())?;
        Ok((dir, path.file_name().ok_or(Errno::EINVAL)?))
    }

    fn stat(&self, path: &Path) -> Result<Option<FileStat>, Errno> {
        let facts = self
            .place(path)
            .and_then(|(dir, name)| fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW));
        match facts {
            Err(Errno::ENOENT) => Ok(None),
            facts => facts.map(Some),
        }
    }

    fn open_file(&self, path: &Path) -> Result<File, Errno> {
        // A pipe must not be waited for.
        let file = self.open_below(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty())?;
        if kind_of(&fstat(&file)?) != SFlag::S_IFREG {
            return Err(Errno::EINVAL);
        }
        forget_cached(&file);
        Ok(File::from(file))
    }
}

/// Whether a path has names alone, none of which leads elsewhere than down.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(target_os = "linux")]
fn beneath(root: &OwnedFd, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags).mode(mode).resolve(resolve);
    match openat2(root, path, how) {
        Err(Errno::ENOSYS) => walk(root, path, flags, mode),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn beneath(root: &OwnedFd, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    walk(root, path, flags, mode)
}

/// Opens each name of `path` in the directory before; what leads elsewhere (`..`, `/`) is refused as
/// the kernel refuses it.
fn walk(root: &OwnedFd, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    if !is_plain(path) {
        return Err(Errno::EXDEV);
    }
    let mut dir = root.try_clone().map_err(|_| Errno::EMFILE)?;
    for name in dir_of(path) {
        dir = openat(&dir, name, DIR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    }
    openat(&dir, path.file_name().ok_or(Errno::EINVAL)?, flags, mode)
}

/// What is read next comes from the medium, as far as nothing of it is dirty.
#[cfg(target_os = "linux")]
fn forget_cached(file: &OwnedFd) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    // An advice; a file system that ignores it lets us read the cache, which is no worse.
    let _ignored = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

#[cfg(not(target_os = "linux"))]
fn forget_cached(_file: &OwnedFd) {}

const fn kind_of(facts: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits())
}

/// Permission bits; none of them where the system has no room for these.
#[allow(clippy::unnecessary_fallible_conversions, reason = "a mode has 16 bits on other systems")]
fn mode_of(bits: u32) -> Mode {
    Mode::from_bits_truncate(nix::libc::mode_t::try_from(bits).unwrap_or_default())
}

#[allow(clippy::useless_conversion, reason = "a mode has 16 bits on other systems")]
fn meta_of(facts: &FileStat) -> Meta {
    Meta { mode: u32::from(facts.st_mode) & 0o7777, uid: facts.st_uid, gid: facts.st_gid }
}

/// Owner before mode: what is given away must not be open to its former group in between.
fn give(fd: &OwnedFd, meta: Meta) -> Result<(), Errno> {
    let facts = fstat(fd)?;
    if (facts.st_uid, facts.st_gid) != (meta.uid, meta.gid) {
        fchown(fd, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    }
    fchmod(fd, mode_of(meta.mode))
}

fn write_to(fd: OwnedFd, content: &mut dyn Read, meta: Meta) -> io::Result<()> {
    let mut file = File::from(fd);
    io::copy(content, &mut file)?;
    file.flush()?;
    let fd = OwnedFd::from(file);
    give(&fd, meta)?;
    // Through the handle that wrote: one opened later may miss a write's failure.
    File::from(fd).sync_all()
}

/// A directory's identity: one that was moved meanwhile has another parent.
fn identity(dir: &OwnedFd) -> Result<(u64, u64), Errno> {
    let facts = fstat(dir)?;
    #[allow(clippy::useless_conversion, reason = "other systems have other widths")]
    Ok((u64::try_from(facts.st_dev).unwrap_or(0), facts.st_ino.into()))
}

/// Removes what a directory holds, up to the first directory that is not empty; gives its name.
fn thin_out(dir: &OwnedFd) -> Result<Option<OsString>, Errno> {
    let mut listed = Dir::openat(dir, ".", DIR | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in listed.iter() {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name == "." || name == ".." {
            continue;
        }
        let facts = match fstatat(dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            facts => facts?,
        };
        let is_dir = kind_of(&facts) == SFlag::S_IFDIR;
        let flags = if is_dir { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        match unlinkat(dir, name.as_os_str(), flags) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => return Ok(Some(name)),
            Err(Errno::ENOENT) => {}
            removed => removed?,
        }
    }
    Ok(None)
}

/// Removes the directory `name` of `dir`, however deep it is: whoever owns a part of it may have
/// made it deeper than a path can be long. One directory is held open at a time, and the way back
/// up is believed only where it leads to the directory that it came from.
fn remove_deep(dir: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let flags = DIR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut above = vec![(identity(dir)?, name.to_owned())];
    let mut current = openat(dir, name, flags, Mode::empty())?;
    loop {
        if let Some(next) = thin_out(&current)? {
            let child = openat(&current, next.as_os_str(), flags, Mode::empty())?;
            above.push((identity(&current)?, next));
            current = child;
            continue;
        }
        let Some((wanted, name)) = above.pop() else { return Ok(()) };
        let parent = if above.is_empty() {
            dir.try_clone().map_err(|_| Errno::EMFILE)?
        } else {
            openat(&current, "..", flags, Mode::empty())?
        };
        if identity(&parent)? != wanted {
            return Err(Errno::EXDEV);
        }
        unlinkat(&parent, name.as_os_str(), UnlinkatFlags::RemoveDir)?;
        if above.is_empty() {
            return Ok(());
        }
        current = parent;
    }
}

impl Trees for HostTrees {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, FilesError> {
        self.check(path)?;
        let facts = self.stat(path).map_err(|errno| self.unreadable(path, errno))?;
        Ok(facts.map(|facts| {
            let kind = match kind_of(&facts) {
                SFlag::S_IFDIR => Kind::Dir,
                SFlag::S_IFREG => {
                    Kind::File(ByteLen::new(u64::try_from(facts.st_size).unwrap_or(0)))
                }
                SFlag::S_IFLNK => Kind::Link,
                _ => Kind::Other,
            };
            Entry { kind, meta: meta_of(&facts) }
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, FilesError> {
        self.check(dir)?;
        let failed = |errno: Errno| self.unreadable(dir, errno);
        let fd = match self.open_below(dir, DIR, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(Vec::new()),
            fd => fd.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in Dir::from_fd(fd).map_err(failed)?.iter() {
            let name = OsStr::from_bytes(entry.map_err(failed)?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() > MAX_NAMES {
                return Err(failed(Errno::EFBIG));
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FilesError> {
        self.check(path)?;
        let file = self.open_file(path).map_err(|errno| self.unreadable(path, errno))?;
        Ok(Box::new(file))
    }

    fn link_target(&self, path: &Path) -> Result<PathBuf, FilesError> {
        self.check(path)?;
        self.place(path)
            .and_then(|(dir, name)| readlinkat(dir, name))
            .map(PathBuf::from)
            .map_err(|errno| self.unreadable(path, errno))
    }

    fn make_dir(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError> {
        self.check(path)?;
        self.place(path)
            .and_then(|(dir, name)| mkdirat(dir, name, mode_of(Meta::PRIVATE_DIR)))
            .and_then(|()| give(&self.open_below(path, DIR, Mode::empty())?, meta))
            .map_err(|errno| self.unwritable(path, errno))
    }

    fn write(&mut self, path: &Path, content: &mut dyn Read, meta: Meta) -> Result<(), FilesError> {
        self.check(path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let private = mode_of(Meta::PRIVATE_FILE);
        let file =
            self.open_below(path, flags, private).map_err(|errno| self.unwritable(path, errno))?;
        write_to(file, content, meta).map_err(|source| self.unwritable(path, source))
    }

    fn append(&mut self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FilesError> {
        self.check(path)?;
        if self.entry(path)?.is_none() {
            self.write(path, &mut io::empty(), meta)?;
        }
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK;
        let file = self
            .open_below(path, flags, Mode::empty())
            .map_err(|errno| self.unwritable(path, errno))?;
        let mut file = File::from(file);
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|source| self.unwritable(path, source))
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), FilesError> {
        self.check(path)?;
        self.place(path)
            .and_then(|(dir, name)| symlinkat(target, dir, name))
            .map_err(|errno| self.unwritable(path, errno))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), FilesError> {
        self.check(from)?;
        self.check(to)?;
        if dir_of(from) != dir_of(to) {
            return Err(self.unwritable(to, Errno::EXDEV));
        }
        let renamed = self.place(from).and_then(|(dir, name)| {
            renameat(dir.as_fd(), name, dir.as_fd(), to.file_name().ok_or(Errno::EINVAL)?)
        });
        renamed.map_err(|errno| self.unwritable(to, errno))
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.check(path)?;
        let removed = self.stat(path).and_then(|facts| {
            let Some(facts) = facts else { return Ok(()) };
            let (dir, name) = self.place(path)?;
            let flags = match kind_of(&facts) {
                SFlag::S_IFDIR => UnlinkatFlags::RemoveDir,
                _ => UnlinkatFlags::NoRemoveDir,
            };
            unlinkat(dir, name, flags)
        });
        removed.map_err(|errno| self.unwritable(path, errno))
    }

    fn remove_tree(&mut self, path: &Path) -> Result<(), FilesError> {
        self.check(path)?;
        let removed = self.stat(path).and_then(|facts| {
            let Some(facts) = facts else { return Ok(()) };
            let (dir, name) = self.place(path)?;
            if kind_of(&facts) == SFlag::S_IFDIR {
                remove_deep(&dir, name)
            } else {
                unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
            }
        });
        removed.map_err(|errno| self.unwritable(path, errno))
    }

    fn give(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError> {
        self.check(path)?;
        let given = self
            .open_below(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty())
            .and_then(|fd| match kind_of(&fstat(&fd)?) {
                SFlag::S_IFDIR | SFlag::S_IFREG => give(&fd, meta),
                _ => Err(Errno::EINVAL),
            });
        given.map_err(|errno| self.unwritable(path, errno))
    }

    fn sync_dir(&mut self, dir: &Path) -> Result<(), FilesError> {
        self.check(dir)?;
        let fd = self
            .open_below(dir, DIR, Mode::empty())
            .map_err(|errno| self.unwritable(dir, errno))?;
        File::from(fd).sync_all().map_err(|source| self.unwritable(dir, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test lays out what is read")]
    fn what_is_walked_to_is_found_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("a/b")).unwrap();
        std::fs::write(place.path().join("a/b/file"), "content").unwrap();
        symlink("a", place.path().join("dir-link")).unwrap();
        symlink("file", place.path().join("a/b/file-link")).unwrap();
        let root = HostTrees::open(place.path()).unwrap().root;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let open = |path: &str| walk(&root, Path::new(path), flags, Mode::empty());
        let mut content = String::new();
        File::from(open("a/b/file").unwrap()).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        assert_eq!(open("a/b/file-link").unwrap_err(), Errno::ELOOP);
        assert!(matches!(open("dir-link/b/file").unwrap_err(), Errno::ELOOP | Errno::ENOTDIR));
        assert_eq!(open("a/b/absent").unwrap_err(), Errno::ENOENT);
        // Out of the root, out and in again, and from the root of the machine.
        for out in ["../x", "a/../../x", "a/../a/b/file", "..", "a/b/..", "/etc/passwd", "./a"] {
            assert_eq!(open(out).unwrap_err(), Errno::EXDEV, "{out}");
        }
    }
}
