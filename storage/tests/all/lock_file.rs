// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lock files: ours, which nobody else can open, and those that other programs share.

use nix::unistd::geteuid;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use storage::{open_own_lock, open_shared_lock};

const NOBODY: u32 = 65534;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn file_with_mode(path: &Path, mode: u32) {
    fs::write(path, "kept").unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Whether an unprivileged process can hold the lock of this file. It is one where we are root;
/// where we are not, another user is judged by what everybody may do with the file.
fn anybody_can_hold(path: &Path) -> bool {
    if !geteuid().is_root() {
        return mode(path) & 0o006 != 0;
    }
    let nobody = NOBODY.to_string();
    let command = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "flock", "-n"];
    let held = Command::new("setpriv").args(command).arg(path).arg("true").output().unwrap();
    held.status.success()
}

#[test]
fn nobody_else_can_hold_our_own_lock_nor_a_shared_one_from_now_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for (name, open) in [
        ("own.lock", open_own_lock as fn(&Path) -> std::io::Result<fs::File>),
        ("shared.lock", open_shared_lock),
    ] {
        let path = dir.path().join(name);
        file_with_mode(&path, 0o644);
        assert!(anybody_can_hold(&path), "{name}: the question cannot be answered no");
        open(&path).unwrap();
        assert!(!anybody_can_hold(&path), "{name} as it was found");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        fs::remove_file(&path).unwrap();
        open(&path).unwrap();
        assert!(!anybody_can_hold(&path), "{name} as it was made");
        assert_eq!(mode(&path), 0o600);
    }
}

#[test]
fn shared_lock_stays_open_to_a_group_that_was_given_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.lock");
    file_with_mode(&path, 0o664);
    open_shared_lock(&path).unwrap();
    assert_eq!(mode(&path), 0o660);
}

#[test]
fn directories_that_are_missing_are_made_and_ours_is_closed_to_writers() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, shared) = (dir.path().join("run/ours"), dir.path().join("run/shared"));
    open_own_lock(&ours.join("own.lock")).unwrap();
    open_shared_lock(&shared.join("shared.lock")).unwrap();
    assert_eq!((mode(&ours) & 0o022, mode(&shared) & 0o022), (0, 0));
    for dir in [&ours, &shared] {
        fs::set_permissions(dir, Permissions::from_mode(0o1777)).unwrap();
    }
    open_own_lock(&ours.join("own.lock")).unwrap();
    open_shared_lock(&shared.join("shared.lock")).unwrap();
    assert_eq!((mode(&ours), mode(&shared)), (0o1755, 0o1777), "a shared directory is not ours");
}

/// In everybody's directory (`/run/lock`) anything may lie under the name: it is refused at once,
/// and nothing is made, changed or waited for through it.
#[test]
fn what_somebody_laid_in_the_place_of_a_lock_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    file_with_mode(&at("precious"), 0o644);
    symlink(at("precious"), at("link")).unwrap();
    symlink(at("made"), at("dangling")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    for name in ["link", "dangling", "loop", "directory", "pipe"] {
        let before = fs::symlink_metadata(at(name)).unwrap().mode();
        assert!(open_shared_lock(&at(name)).is_err(), "{name} as a shared lock");
        assert!(open_own_lock(&at(name)).is_err(), "{name} as our own");
        assert_eq!(fs::symlink_metadata(at(name)).unwrap().mode(), before, "{name}");
    }
    fs::hard_link(at("precious"), at("second name")).unwrap();
    let refused = open_shared_lock(&at("second name")).unwrap_err();
    assert!(refused.to_string().contains("another name"), "{refused}");
    assert_eq!((mode(&at("precious")), at("made").exists()), (0o644, false));
}

/// Where we are root the file is given to somebody else; where we are not, root's own are.
#[test]
fn shared_lock_that_belongs_to_somebody_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().join("shared.lock");
    if geteuid().is_root() {
        file_with_mode(&path, 0o666);
        chown(&path, Some(NOBODY), None).unwrap();
    } else {
        path = "/etc/passwd".into();
    }
    let before = fs::metadata(&path).unwrap();
    let refused = open_shared_lock(&path).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.mode(), after.uid()), (before.mode(), before.uid()));
}

/// Root takes a file of somebody else's for its own; everybody else is refused.
#[test]
fn our_own_lock_belongs_to_us_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().join("own.lock");
    if geteuid().is_root() {
        file_with_mode(&path, 0o666);
        chown(&path, Some(NOBODY), None).unwrap();
        open_own_lock(&path).unwrap();
    } else {
        path = "/etc/passwd".into();
        assert!(open_own_lock(&path).is_err());
        return assert_ne!(fs::metadata(&path).unwrap().uid(), geteuid().as_raw());
    }
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.mode() & 0o7777), (0, 0o600));
}
