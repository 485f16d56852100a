// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may change the configurations, or write the audit log? One program at a time, by a lock on
//! a file of our own that nobody else can open.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Held by whoever changes the configurations.
pub const CONFIG_LOCK: &str = "run/atomix/config.lock";

/// Held by whoever writes the audit log.
pub const AUDIT_LOCK: &str = "run/atomix/audit.lock";

/// A lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// A lock that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another program holds {path}", path = path.display())]
    Busy {
        /// Its file.
        path: PathBuf,
    },
    /// Its file cannot be opened.
    #[error("cannot lock {path}", path = path.display())]
    Failed {
        /// Its file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Takes the lock `name` below the system's root, at once or not at all.
///
/// # Errors
/// [`LockError`].
pub fn try_lock(root: &Path, name: &str) -> Result<Lock, LockError> {
    take(root, name, FlockArg::LockExclusiveNonblock)
}

/// Waits for the lock `name`: for locks that are held for the length of one record, and for work at
/// boot.
///
/// # Errors
/// [`LockError::Failed`].
pub fn wait_for_lock(root: &Path, name: &str) -> Result<Lock, LockError> {
    take(root, name, FlockArg::LockExclusive)
}

fn take(root: &Path, name: &str, how: FlockArg) -> Result<Lock, LockError> {
    let path = root.join(name);
    let file = storage::open_own_lock(&path)
        .map_err(|source| LockError::Failed { path: path.clone(), source })?;
    match Flock::lock(file, how) {
        Ok(file) => Ok(Lock { _file: file }),
        Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Busy { path }),
        Err((_, errno)) => Err(LockError::Failed { path, source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = try_lock(root.path(), CONFIG_LOCK).unwrap();
        assert!(matches!(try_lock(root.path(), CONFIG_LOCK), Err(LockError::Busy { .. })));
        wait_for_lock(root.path(), AUDIT_LOCK).unwrap();
        drop(held);
        try_lock(root.path(), CONFIG_LOCK).unwrap();
    }
}
