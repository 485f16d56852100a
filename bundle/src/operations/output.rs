// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file that gets its name when it is whole.
//!
//! On Linux it has none until then (`O_TMPFILE`), so that not even a kill leaves a part behind.
//! Where the file system does not know that, it has its name from the start and is removed when it
//! is not finished. Never an existing file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A new file on its way.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    /// Whether it stands under its name already.
    named: bool,
    finished: bool,
}

impl NewFile {
    /// Begins the file `path`; says `already exists` if it does.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        Self::begin_with(path, 0o644)
    }

    /// The same for a file that nobody else may read.
    pub(crate) fn begin_private(path: &Path) -> io::Result<Self> {
        Self::begin_with(path, 0o600)
    }

    fn begin_with(path: &Path, mode: u32) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let mut how = OpenOptions::new();
        how.read(true).write(true).mode(mode);
        let (file, named) = match unnamed(parent(path), how.clone()) {
            Some(file) => (file, false),
            None => (how.create_new(true).open(path).map_err(told)?, true),
        };
        Ok(Self { file, path: path.to_owned(), named, finished: false })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes it durable, then visible.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.named {
            give_name(&self.file, &self.path).map_err(told)?;
            self.named = true;
        }
        File::open(parent(&self.path))?.sync_all()?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NewFile {
    #[expect(clippy::disallowed_methods, reason = "a file we made and could not finish")]
    fn drop(&mut self) {
        if self.named && !self.finished {
            // The first failure is the one to report; what cannot be removed has no trailer.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn exists() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "it already exists")
}

fn told(failure: io::Error) -> io::Error {
    if failure.kind() == io::ErrorKind::AlreadyExists { exists() } else { failure }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(target_os = "linux")]
fn unnamed(dir: &Path, mut how: OpenOptions) -> Option<File> {
    // Without it the file could not be given a name by one who is not root.
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    how.custom_flags(nix::fcntl::OFlag::O_TMPFILE.bits()).open(dir).ok()
}

#[cfg(target_os = "linux")]
fn give_name(file: &File, path: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, AtFlags};
    use std::os::fd::AsRawFd;
    let here = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    nix::unistd::linkat(AT_FDCWD, &here, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_dir: &Path, _how: OpenOptions) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn give_name(_file: &File, _path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_when_it_is_finished_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let mut file = NewFile::begin(&path).unwrap();
        file.file().write_all(b"half").unwrap();
        drop(file);
        assert!(names(dir.path()).is_empty());
        let mut file = NewFile::begin(&path).unwrap();
        file.file().write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(io::read_to_string(File::open(&path).unwrap()).unwrap(), "whole");
    }

    #[test]
    fn an_existing_file_is_never_touched_whenever_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let early = NewFile::begin(&path).unwrap();
        let mut other = NewFile::begin(&path).unwrap();
        other.file().write_all(b"other").unwrap();
        other.finish().unwrap();
        let late = NewFile::begin(&path).map(|_| ()).unwrap_err();
        assert!(late.to_string().contains("already exists"), "{late}");
        let refused = early.finish().unwrap_err();
        assert!(refused.to_string().contains("already exists"), "{refused}");
        assert_eq!(io::read_to_string(File::open(&path).unwrap()).unwrap(), "other");
        assert_eq!(names(dir.path()), ["b"]);
    }
}
