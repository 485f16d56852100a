// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does an install run already? One lock for every program and agent on the machine.
//!
//! The kernel drops the lock with the process, so a crash leaves nothing to clean up. The file
//! holds the process id for the message only; nobody decides by it.

use crate::LockError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use storage::HostFiles;

/// Below the root directory; `/run` is empty after each boot.
const LOCK_PATH: &str = "/run/atomix/install.lock";

/// A process id has at most this many digits; more is not one.
const MAX_PID_BYTES: u64 = 10;

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
        // Links are followed as on the board: below `--root`, somebody else's medium must not
        // choose a file of this machine to be overwritten.
        let path = HostFiles::new(root).resolve(Path::new(LOCK_PATH)).map_err(|source| {
            LockError::Unusable { path: LOCK_PATH.into(), source: io::Error::other(source) }
        })?;
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(unusable)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
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

    #[test]
    fn links_of_a_foreign_root_do_not_lead_the_lock_out_of_it() {
        let (root, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = machine.path().join("atomix/install.lock");
        fs::create_dir(machine.path().join("atomix")).unwrap();
        storage::Files::replace(&mut HostFiles::new("/"), &victim, b"precious").unwrap();
        std::os::unix::fs::symlink(machine.path(), root.path().join("run")).unwrap();
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
