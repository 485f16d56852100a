// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does an install run already? One lock for every program and agent on the machine.
//!
//! The kernel drops the lock with the process, so a crash leaves nothing to clean up. The file
//! holds the process id for the message only; nobody decides by it. Nobody else can open it: who
//! can, for reading is enough, could hold it, and every install would be told to wait for ever.

use crate::LockError;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{FileStat, stat};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError, HostFiles, open_own_lock};

/// Below the root directory; `/run` is empty after each boot.
const LOCK_DIR: &str = "/run/atomix";

/// The lock file in it. The directory is resolved and this is not: a link here is refused.
const LOCK_FILE: &str = "install.lock";

/// A process id has at most this many digits; more is not one.
const MAX_PID_BYTES: u64 = 10;

/// Every lock that is held on this machine, as the kernel tells.
const KERNEL_LOCKS: &str = "/proc/locks";

/// More locks than this are no board's.
const MAX_KERNEL_LOCKS: ByteLen = ByteLen::kib(256);

/// The right to install, held until it is dropped.
#[derive(Debug)]
pub struct InstallLock {
    _file: Flock<File>,
}

impl InstallLock {
    /// Takes the lock below `root`, at once or not at all; `pid` is what others will be told.
    ///
    /// # Errors
    /// [`LockError::Busy`] when somebody has it, [`LockError::Unusable`] otherwise.
    pub fn acquire(root: &Path, pid: u32) -> Result<Self, LockError> {
        let path = lock_path(root).map_err(|source| LockError::Unusable {
            path: LOCK_DIR.into(),
            source: io::Error::other(source),
        })?;
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let file = open_own_lock(&path).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                write_pid(&mut file, pid).map_err(unusable)?;
                Ok(Self { _file: file })
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(LockError::Busy { holder: read_pid(&file) })
            }
            Err((_, errno)) => Err(unusable(errno.into())),
        }
    }
}

/// Links are followed as on the board: below `--root`, somebody else's medium must not choose a
/// file of this machine to be overwritten.
fn lock_path(root: &Path) -> Result<PathBuf, FilesError> {
    Ok(HostFiles::new(root).resolve(Path::new(LOCK_DIR))?.join(LOCK_FILE))
}

/// The process that installs now below `root`, as far as the kernel tells; decides nothing. The lock
/// is not tried for it: an install that begins in that moment would find it taken.
#[must_use]
pub fn running_install(root: &Path) -> Option<u32> {
    let file = stat(&lock_path(root).ok()?).ok()?;
    let locks = HostFiles::new("/").read(Path::new(KERNEL_LOCKS), MAX_KERNEL_LOCKS).ok()??;
    holder_among(&String::from_utf8_lossy(&locks), &file)
}

/// The holder of `file` among lines as `1: FLOCK  ADVISORY  WRITE 4711 00:1a:815 0 EOF`; those that
/// wait have `->` before the kind.
fn holder_among(locks: &str, file: &FileStat) -> Option<u32> {
    let place = format!("{}:{}", device_of(file)?, file.st_ino);
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        }
    })
}

/// The number of a file's device, as the kernel writes it.
#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps, reason = "there is none on other systems")]
fn device_of(file: &FileStat) -> Option<String> {
    use nix::sys::stat::{major, minor};
    Some(format!("{:02x}:{:02x}", major(file.st_dev), minor(file.st_dev)))
}

/// No other kernel lists its locks so.
#[cfg(not(target_os = "linux"))]
fn device_of(_file: &FileStat) -> Option<String> {
    None
}

fn write_pid(file: &mut File, pid: u32) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{pid}")
}

fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_BYTES + 1).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn who_installs_is_told_while_it_does_and_not_after() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(running_install(root.path()), None);
        let lock = InstallLock::acquire(root.path(), 4711).unwrap();
        assert_eq!(running_install(root.path()), Some(std::process::id()));
        drop(lock);
        assert_eq!(running_install(root.path()), None);
        drop(InstallLock::acquire(root.path(), 4711).unwrap());
    }

    #[test]
    fn nobody_else_can_open_the_lock_and_keep_installs_waiting() {
        let root = tempfile::tempdir().unwrap();
        let (dir, path) =
            (root.path().join("run/atomix"), root.path().join("run/atomix/install.lock"));
        drop(InstallLock::acquire(root.path(), 4711).unwrap());
        assert_eq!((mode(&dir) & 0o022, mode(&path)), (0, 0o600));
        // As it was made before, and worse.
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        drop(InstallLock::acquire(root.path(), 4712).unwrap());
        assert_eq!((mode(&dir), mode(&path)), (0o755, 0o600));
    }

    #[test]
    fn lock_file_is_put_right_also_while_another_install_holds_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/atomix/install.lock");
        let first = InstallLock::acquire(root.path(), 4711).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let second = InstallLock::acquire(root.path(), 4712).unwrap_err();
        assert!(matches!(second, LockError::Busy { holder: Some(4711) }), "{second}");
        assert_eq!(mode(&path), 0o600);
        drop(first);
    }

    #[test]
    fn link_in_the_place_of_the_lock_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (dir, other) = (root.path().join("run/atomix"), root.path().join("other"));
        fs::create_dir_all(&dir).unwrap();
        OpenOptions::new().write(true).create_new(true).open(&other).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        symlink("../../other", dir.join("install.lock")).unwrap();
        let refused = InstallLock::acquire(root.path(), 4711).unwrap_err();
        assert!(matches!(refused, LockError::Unusable { .. }) && refused.hint().is_some());
        assert_eq!((mode(&other), fs::metadata(&other).unwrap().len()), (0o644, 0));
    }

    #[test]
    fn links_of_a_foreign_root_do_not_lead_the_lock_out_of_it() {
        let (root, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = machine.path().join("atomix/install.lock");
        fs::create_dir(machine.path().join("atomix")).unwrap();
        storage::Files::replace(&mut HostFiles::new("/"), &victim, b"precious").unwrap();
        symlink(machine.path(), root.path().join("run")).unwrap();
        InstallLock::acquire(root.path(), 4711).unwrap();
        let kept = storage::Files::read(&HostFiles::new("/"), &victim, storage::ByteLen::kib(1));
        assert_eq!(kept.unwrap().unwrap(), b"precious");
    }

    #[test]
    fn second_install_is_told_who_holds_the_lock_and_gets_it_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let first = InstallLock::acquire(root.path(), 4711).unwrap();
        let second = InstallLock::acquire(root.path(), 4712).unwrap_err();
        assert!(matches!(second, LockError::Busy { holder: Some(4711) }), "{second}");
        assert_eq!(second.to_string(), "another install is running (process 4711)");
        drop(first);
        InstallLock::acquire(root.path(), 4712).unwrap();
    }
}
