// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may change the environment now? One at a time, and nobody can keep it for ever.
//!
//! Two locks, in this order. Our own excludes the programs of this project from each other; only
//! they can open its file, so whoever holds it ends. The other is the one of libubootenv's
//! `fw_setenv` and `fw_printenv`, and everybody who ever got its file open, for reading is enough,
//! could hold it without end: a trying slot would never be confirmed and a good one run out of
//! attempts. It is waited for so long as a commit on slow flash takes many times over, and then
//! gone without, with a warning.
//!
//! What is lost by going on: nothing between our own programs. Against `fw_setenv`, a store reads
//! all variables anew, refuses when the boot state is not the one that was decided on, writes the
//! copy that does not count and reads it back; so what was stored before that reading is kept.
//! What `fw_setenv` stores between our reading and our writing is lost, or our change is, one
//! whole environment or the other (unless the power fails just then, with a copy in work at each).
//! That needs a holder that lets go within this second, because while somebody else holds the lock
//! `fw_setenv` waits for it too, without end.
//!
//! The kernel drops the locks with the process, so a crash leaves nothing to clean up.

use crate::BackendError;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use storage::{open_own_lock, open_shared_lock};

/// How long `fw_setenv`'s lock is waited for; a commit holds it about a second on slow flash.
const SHARED_WAIT: Duration = Duration::from_secs(10);

/// How long our own lock is waited for: a holder that waits for the other one first, and two
/// commits. Both waits together end before the shortest time limit of a unit that calls us (30
/// seconds at shutdown).
const OWN_WAIT: Duration = Duration::from_secs(15);

/// Between two looks at a lock that is held.
const POLL: Duration = Duration::from_millis(50);

/// Our own lock file, in the directory in which `lock/` lies too (`/run`).
const OWN_LOCK: &str = "atomix/env.lock";

/// The right to change the environment, held until it is dropped.
#[derive(Debug)]
pub struct EnvLock {
    // Dropped in this order, the reverse of taking them.
    _shared: Option<File>,
    _own: File,
    warning: Option<String>,
}

impl EnvLock {
    /// Waits for our own lock and then for `fw_setenv`'s at `shared`, which is
    /// `/run/lock/fw_printenv.lock`: libubootenv's `/var/lock` is a link to there, and it locks
    /// the whole file exclusively (`flock`). Not followed when it is a link itself.
    ///
    /// # Errors
    /// [`BackendError::Lock`] when our own cannot be used, [`BackendError::LockHeld`] when it is
    /// still held after a bounded time.
    pub fn acquire(shared: &Path) -> Result<Self, BackendError> {
        Self::acquire_within(shared, OWN_WAIT, SHARED_WAIT)
    }

    /// What should be told to a person: the environment is changed without `fw_setenv`'s lock.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    fn acquire_within(
        shared: &Path,
        own_wait: Duration,
        shared_wait: Duration,
    ) -> Result<Self, BackendError> {
        let own = take_own(own_path(shared), own_wait)?;
        let (shared, warning) = match take_shared(shared, shared_wait) {
            Ok(file) => (Some(file), None),
            Err(why) => (None, Some(why)),
        };
        Ok(Self { _shared: shared, _own: own, warning })
    }
}

fn own_path(shared: &Path) -> PathBuf {
    let run = shared.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    run.join(OWN_LOCK)
}

fn take_own(path: PathBuf, wait: Duration) -> Result<File, BackendError> {
    let taken =
        open_own_lock(&path).and_then(|file| Ok(taken_within(&file, wait)?.then_some(file)));
    match taken {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(BackendError::LockHeld { path, secs: wait.as_secs() }),
        Err(source) => Err(BackendError::Lock { path, source }),
    }
}

/// The lock, or in words why it is gone without and what ends that.
fn take_shared(path: &Path, wait: Duration) -> Result<File, String> {
    let without = |why: String, way: &str| {
        let path = path.display();
        format!("changed the environment without fw_setenv's lock {path}: {why}; {way}")
    };
    let unusable =
        |source: io::Error| without(source.to_string(), "remove what lies there, as root");
    let file = open_shared_lock(path).map_err(unusable)?;
    if taken_within(&file, wait).map_err(unusable)? {
        return Ok(file);
    }
    let why = format!("a program has held it for {} seconds", wait.as_secs());
    Err(without(why, "end that program (fuser -v names it)"))
}

/// Whether the lock was had before the wait was over. Looked for again and again, because a wait
/// inside the kernel could only be ended by a signal.
fn taken_within(file: &File, wait: Duration) -> io::Result<bool> {
    for _ in 0..wait.as_millis() / POLL.as_millis() {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(POLL),
            Err(TryLockError::Error(source)) => return Err(source),
        }
    }
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::mpsc;

    const SHORT: Duration = Duration::from_millis(150);
    const LONG: Duration = Duration::from_secs(60);

    struct Run {
        _dir: tempfile::TempDir,
        shared: PathBuf,
    }

    /// As `/run` is when `fw_setenv` ran before us.
    fn run() -> Run {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("lock/fw_printenv.lock");
        fs::create_dir(dir.path().join("lock")).unwrap();
        OpenOptions::new().write(true).create_new(true).open(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o644)).unwrap();
        Run { _dir: dir, shared }
    }

    /// Opened for reading only, as every local process could.
    fn held_by_a_stranger(run: &Run) -> File {
        let stranger = File::open(&run.shared).unwrap();
        stranger.lock().unwrap();
        stranger
    }

    #[test]
    fn stranger_who_never_lets_go_delays_a_change_and_does_not_stop_it() {
        let run = run();
        let _held = held_by_a_stranger(&run);
        let lock = EnvLock::acquire_within(&run.shared, SHORT, SHORT).unwrap();
        let warning = lock.warning().unwrap();
        assert!(warning.contains(&run.shared.display().to_string()), "{warning}");
        assert!(warning.contains("fuser"), "{warning}");
    }

    #[test]
    fn fw_setenv_is_waited_for_and_waits_for_us() {
        let run = run();
        let held = held_by_a_stranger(&run);
        let (done, finished) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let lock = EnvLock::acquire_within(&run.shared, SHORT, LONG).unwrap();
                done.send(()).unwrap();
                lock
            });
            assert!(finished.recv_timeout(SHORT).is_err(), "did not wait");
            held.unlock().unwrap();
            finished.recv_timeout(LONG).unwrap();
        });
        let lock = EnvLock::acquire_within(&run.shared, SHORT, SHORT).unwrap();
        assert_eq!(lock.warning(), None);
        // As libubootenv opens it.
        let fw_setenv = OpenOptions::new().write(true).truncate(true).open(&run.shared).unwrap();
        assert!(matches!(fw_setenv.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        fw_setenv.try_lock().unwrap();
    }

    #[test]
    fn our_programs_exclude_each_other_also_while_a_stranger_holds_the_shared_lock() {
        let run = run();
        let _held = held_by_a_stranger(&run);
        let first = EnvLock::acquire_within(&run.shared, SHORT, SHORT).unwrap();
        let second = EnvLock::acquire_within(&run.shared, SHORT, SHORT).unwrap_err();
        assert!(matches!(second, BackendError::LockHeld { .. }), "{second}");
        assert!(second.hint().is_some());
        drop(first);
        EnvLock::acquire_within(&run.shared, SHORT, SHORT).unwrap();
    }

    #[test]
    fn nobody_else_can_open_the_lock_that_is_waited_for_first() {
        let run = run();
        drop(EnvLock::acquire(&run.shared).unwrap());
        let own = own_path(&run.shared);
        assert_eq!(own, run.shared.parent().unwrap().with_file_name("atomix").join("env.lock"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&own), 0o600);
        assert_eq!(mode(own.parent().unwrap()) & 0o022, 0);
        assert_eq!(mode(&run.shared), 0o640, "closed to those who have not opened it yet");
    }

    #[test]
    fn whatever_lies_in_the_place_of_the_shared_lock_stops_no_change() {
        for lay in [
            (|path| fs::create_dir(path).unwrap()) as fn(&Path),
            |path| symlink("fw_printenv.lock", path).unwrap(),
            |path| symlink("nowhere", path).unwrap(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let shared = dir.path().join("lock/fw_printenv.lock");
            fs::create_dir(dir.path().join("lock")).unwrap();
            lay(&shared);
            let lock = EnvLock::acquire_within(&shared, SHORT, LONG).unwrap();
            assert!(lock.warning().unwrap().contains("remove what lies there"));
            assert!(!dir.path().join("lock/nowhere").exists());
        }
    }

    #[test]
    fn both_waits_end_before_the_shortest_time_limit_of_a_unit() {
        let unit = include_str!("../../atomix/units/atomix-orderly-shutdown.service");
        let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        let limit = Duration::from_secs(limit.parse().unwrap());
        assert!(OWN_WAIT > SHARED_WAIT, "who waits behind one that waits for a stranger gives up");
        assert!(OWN_WAIT + SHARED_WAIT < limit);
    }
}
