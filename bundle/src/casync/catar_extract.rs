// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unpacks an archive into a directory, and never beside it.
//!
//! Every step starts from an open directory and names one plain file in it; no link is followed,
//! and what stood under a name is replaced, never written through. Owner, permissions and times are
//! set through the handle that wrote. What the file system cannot keep (owners and links on FAT)
//! is left out and counted, as casync does; on others it is an error.

use super::catar::CatarEntry;
use super::{CasyncError, CatarItem, CatarKind, CatarReader};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    Mode, SFlag, UtimensatFlags, fchmod, futimens, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::statfs::{MSDOS_SUPER_MAGIC, fstatfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use storage::set_xattr;

/// Read and written at once; runs of zeros this long become holes.
const COPY_BYTES: usize = 64 * 1024;

/// Whether owners, devices and special attributes are set, for which one must be root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// All of them.
    Apply,
    /// None; everything belongs to whoever runs this, and devices are left out.
    Ignore,
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtractOutcome {
    /// Files of every type, the root included.
    pub entries: u64,
    /// Entries or attributes that the file system cannot keep.
    pub left_out: u64,
}

struct Open {
    handle: OwnedFd,
    name: Vec<u8>,
    entry: CatarEntry,
}

struct Extractor<'a> {
    root: &'a Path,
    open: Vec<Open>,
    ownership: Ownership,
    fat: bool,
    outcome: ExtractOutcome,
    buffer: Vec<u8>,
}

/// Unpacks `archive` into the directory `root`, which exists; what it holds under other names
/// stays. `progress` is told the bytes of each step, and ends the work by saying `false`.
/// Nothing is synced: that is for whoever unmounts the file system.
///
/// # Errors
/// [`CasyncError`]; part of the archive may then be there.
pub fn extract_catar(
    archive: impl Read,
    root: &Path,
    ownership: Ownership,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<ExtractOutcome, CasyncError> {
    let mut reader = CatarReader::new(archive);
    let mut extractor = Extractor {
        root,
        open: Vec::new(),
        ownership,
        fat: false,
        outcome: ExtractOutcome::default(),
        buffer: vec![0; COPY_BYTES],
    };
    while let Some(item) = reader.next_item()? {
        match item {
            CatarItem::Enter { name: None, entry } => extractor.enter_root(entry)?,
            CatarItem::Enter { name: Some(name), entry } => {
                if !progress(0) {
                    return Err(CasyncError::Stopped);
                }
                extractor.outcome.entries += 1;
                extractor.enter(name, entry, &mut reader, progress)?;
            }
            CatarItem::Leave => extractor.leave()?,
        }
    }
    Ok(extractor.outcome)
}

impl Extractor<'_> {
    fn enter_root(&mut self, entry: CatarEntry) -> Result<(), CasyncError> {
        let failed = |source: io::Error| self.failed("open", b"", source);
        let file = File::open(self.root).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(Errno::ENOTDIR.into()));
        }
        let system = fstatfs(file.as_fd()).map_err(|errno| failed(errno.into()))?;
        self.fat = system.filesystem_type() == MSDOS_SUPER_MAGIC;
        self.outcome.entries = 1;
        self.open.push(Open { handle: file.into(), name: Vec::new(), entry });
        Ok(())
    }

    fn enter<R: Read>(
        &mut self,
        name: Vec<u8>,
        entry: CatarEntry,
        reader: &mut CatarReader<R>,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CasyncError> {
        match &entry.kind {
            CatarKind::Directory => {
                let handle = self.make_directory(&name)?;
                self.open.push(Open { handle, name, entry });
                Ok(())
            }
            CatarKind::File { len } => {
                let file = self.make_file(&name)?;
                self.copy(&name, &file, *len, &mut reader.content(), progress)?;
                self.finish(&name, file.as_fd(), &entry)
            }
            CatarKind::Symlink { .. }
            | CatarKind::Device { .. }
            | CatarKind::Fifo
            | CatarKind::Socket => self.make_special(&name, &entry),
        }
    }

    fn leave(&mut self) -> Result<(), CasyncError> {
        let Some(Open { handle, name, entry }) = self.open.pop() else { return Ok(()) };
        self.finish(&name, handle.as_fd(), &entry)
    }

    fn parent(&self) -> Result<BorrowedFd<'_>, CasyncError> {
        self.open.last().map(|open| open.handle.as_fd()).ok_or(CasyncError::Poisoned)
    }

    fn make_directory(&self, name: &[u8]) -> Result<OwnedFd, CasyncError> {
        let (parent, path) = (self.parent()?, OsStr::from_bytes(name));
        let make = || mkdirat(parent, path, Mode::S_IRWXU);
        let open = || {
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
            openat(parent, path, flags, Mode::empty())
        };
        let made = match make() {
            // A fresh file system has lost+found; any other directory is as good. What is not a
            // directory gives way.
            Err(Errno::EEXIST) => match open() {
                Err(Errno::ENOTDIR | Errno::ELOOP) => {
                    unlinkat(parent, path, UnlinkatFlags::NoRemoveDir).and_then(|()| make())
                }
                other => return other.map_err(|errno| self.failed("open", name, errno.into())),
            },
            other => other,
        };
        made.and_then(|()| open()).map_err(|errno| self.failed("make", name, errno.into()))
    }

    fn make_file(&self, name: &[u8]) -> Result<File, CasyncError> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        self.replacing(name, |parent, path| openat(parent, path, flags, mode)).map(File::from)
    }

    fn make_special(&mut self, name: &[u8], entry: &CatarEntry) -> Result<(), CasyncError> {
        let device = matches!(entry.kind, CatarKind::Device { .. });
        if self.fat || (device && self.ownership == Ownership::Ignore) {
            self.outcome.left_out += 1;
            return Ok(());
        }
        let mode = Mode::from_bits_truncate(entry.permissions);
        let node = |kind: SFlag, device| {
            self.replacing(name, |parent, path| mknodat(parent, path, kind, mode, device))
        };
        match &entry.kind {
            CatarKind::Symlink { target } => {
                let target = OsStr::from_bytes(target);
                self.replacing(name, |parent, path| symlinkat(target, parent, path))?;
            }
            CatarKind::Device { block, major, minor } => {
                let kind = if *block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
                node(kind, makedev((*major).into(), (*minor).into()))?;
            }
            CatarKind::Fifo => node(SFlag::S_IFIFO, 0)?,
            CatarKind::Socket => node(SFlag::S_IFSOCK, 0)?,
            CatarKind::Directory | CatarKind::File { .. } => {}
        }
        self.finish_special(name, entry)
    }

    /// Makes something under a name that must be new; what is there and no directory gives way.
    fn replacing<T>(
        &self,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> nix::Result<T>,
    ) -> Result<T, CasyncError> {
        let (parent, path) = (self.parent()?, OsStr::from_bytes(name));
        let made = match make(parent, path) {
            Err(Errno::EEXIST) => {
                unlinkat(parent, path, UnlinkatFlags::NoRemoveDir).and_then(|()| make(parent, path))
            }
            other => other,
        };
        made.map_err(|errno| self.failed("make", name, errno.into()))
    }

    fn copy(
        &mut self,
        name: &[u8],
        file: &File,
        len: u64,
        content: &mut dyn Read,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CasyncError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0_u64;
        while at < len {
            let count = fill(content, &mut buffer).map_err(CasyncError::cause)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if count == 0 {
                return Err(CasyncError::Poisoned);
            }
            if bytes.iter().any(|byte| *byte != 0) {
                file.write_all_at(bytes, at)
                    .map_err(|source| self.failed("write", name, source))?;
            }
            at += count as u64;
            if !progress(count as u64) {
                return Err(CasyncError::Stopped);
            }
        }
        self.buffer = buffer;
        file.set_len(len).map_err(|source| self.failed("write", name, source))
    }

    /// Owner before permissions, since changing the owner clears set-id bits; times last.
    fn finish(
        &mut self,
        name: &[u8],
        file: BorrowedFd<'_>,
        entry: &CatarEntry,
    ) -> Result<(), CasyncError> {
        let failed = |act, errno: Errno| self.failed(act, name, errno.into());
        if !self.fat {
            if self.ownership == Ownership::Apply {
                fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                    .map_err(|errno| failed("change the owner of", errno))?;
            }
            fchmod(file, Mode::from_bits_truncate(entry.permissions))
                .map_err(|errno| failed("change the permissions of", errno))?;
        }
        let mut left_out = 0;
        for (attribute, value) in &entry.xattrs {
            let applies = self.ownership == Ownership::Apply || attribute.starts_with(b"user.");
            match applies.then(|| set_xattr(file, attribute, value)).transpose() {
                Ok(Some(())) => {}
                Ok(None) => left_out += 1,
                Err(failure) if failure.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {
                    left_out += 1;
                }
                Err(source) => return Err(self.failed("set an attribute of", name, source)),
            }
        }
        let time = time_of(entry);
        futimens(file, &time, &time).map_err(|errno| failed("set the time of", errno))?;
        self.outcome.left_out += left_out;
        Ok(())
    }

    fn finish_special(&self, name: &[u8], entry: &CatarEntry) -> Result<(), CasyncError> {
        let (parent, path) = (self.parent()?, OsStr::from_bytes(name));
        let failed = |act, errno: Errno| self.failed(act, name, errno.into());
        if self.ownership == Ownership::Apply {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            fchownat(parent, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(|errno| failed("change the owner of", errno))?;
        }
        if !matches!(entry.kind, CatarKind::Symlink { .. }) {
            // The umask took bits away when it was made. Nobody else can have replaced it: the
            // directory is ours alone and was made with no permission for others.
            let mode = Mode::from_bits_truncate(entry.permissions);
            nix::sys::stat::fchmodat(
                parent,
                path,
                mode,
                nix::sys::stat::FchmodatFlags::FollowSymlink,
            )
            .map_err(|errno| failed("change the permissions of", errno))?;
        }
        let time = time_of(entry);
        utimensat(parent, path, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(|errno| failed("set the time of", errno))
    }

    fn failed(&self, act: &'static str, name: &[u8], source: io::Error) -> CasyncError {
        let mut path = PathBuf::from(self.root);
        path.extend(self.open.iter().skip(1).map(|open| OsStr::from_bytes(&open.name)));
        if !name.is_empty() {
            path.push(OsStr::from_bytes(name));
        }
        CasyncError::File { act, path, source }
    }
}

fn time_of(entry: &CatarEntry) -> TimeSpec {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    TimeSpec::new(
        signed(entry.mtime_nanos / 1_000_000_000),
        signed(entry.mtime_nanos % 1_000_000_000),
    )
}

/// Reads until the buffer is full or the input ends, so that holes stand at even places.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match input.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
