// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files are replaced whole or not at all, and never outside their root.

use std::path::{Path, PathBuf};
use storage::{
    ByteLen, CutAt, CutPlan, FileTree, Files, FilesError, HostFiles, Journal, MemoryFiles,
    PowerCutFiles, RecordingFiles,
};

const STATUS: &str = "/data/atomix/status";
const LIMIT: ByteLen = ByteLen::kib(64);

/// A journal of: write old, replace by new, remove; and where each of the three was complete.
fn life_of_a_file(old: &[u8], new: &[u8]) -> (Journal, [usize; 3]) {
    let journal = Journal::new();
    let mut files = RecordingFiles::new(MemoryFiles::new(), journal.clone());
    let path = Path::new(STATUS);
    files.replace(path, old).unwrap();
    let first = journal.op_count();
    files.replace(path, new).unwrap();
    let second = journal.op_count();
    files.remove(path).unwrap();
    let third = journal.op_count();
    (journal, [first, second, third])
}

#[test]
fn a_cut_at_any_step_leaves_the_old_or_the_new_file_whole() {
    let (old, new) = (vec![b'o'; 3000], vec![b'n'; 2000]);
    let (journal, [first, second, third]) = life_of_a_file(&old, &new);
    let mut seen = std::collections::BTreeSet::new();
    for cut in 0..=third {
        for tree in journal.crash_files(&FileTree::new(), cut, 7) {
            let found = tree.get(Path::new(STATUS));
            let allowed: Vec<Option<&Vec<u8>>> = match cut {
                cut if cut < first => vec![None, Some(&old)],
                cut if cut == first => vec![Some(&old)],
                cut if cut < second => vec![Some(&old), Some(&new)],
                // At `second` the removal is already in work.
                cut if cut < third => vec![Some(&new), None],
                _ => vec![None],
            };
            assert!(
                allowed.contains(&found),
                "cut at {cut} of {first}/{second}/{third}: {:?}",
                found.map(|bytes| (bytes.len(), bytes.first()))
            );
            seen.insert((cut, found.cloned()));
        }
    }
    let both = (first..second).filter(|cut| {
        seen.contains(&(*cut, Some(old.clone()))) && seen.contains(&(*cut, Some(new.clone())))
    });
    assert!(both.count() > 0, "the simulator offers both outcomes somewhere");
}

#[test]
fn a_replacement_that_returned_survives_a_cut() {
    let journal = Journal::new();
    let mut files = RecordingFiles::new(MemoryFiles::new(), journal.clone());
    for content in [b"one", b"two"] {
        files.replace(Path::new(STATUS), content).unwrap();
        let trees = journal.crash_files(&FileTree::new(), journal.op_count(), 1);
        let expected: FileTree = [(PathBuf::from(STATUS), content.to_vec())].into();
        assert!(!trees.is_empty() && trees.iter().all(|tree| *tree == expected), "{trees:?}");
    }
}

#[test]
fn steps_of_files_and_devices_share_one_order() {
    let (journal, [first, second, _]) = life_of_a_file(b"old", b"new");
    let initial: FileTree = [(PathBuf::from("/etc/kept"), b"kept".to_vec())].into();
    for tree in journal.crash_files(&initial, second, 1) {
        assert_eq!(tree.get(Path::new("/etc/kept")).map(Vec::as_slice), Some(&b"kept"[..]));
    }
    assert!(first > 4, "missing directories are made and synced as well");
}

#[test]
fn host_files_replace_remove_and_list() {
    let root = tempfile::tempdir().unwrap();
    let mut files = HostFiles::new(root.path());
    let path = Path::new(STATUS);
    assert_eq!(files.read(path, LIMIT).unwrap(), None);
    files.replace(path, b"one").unwrap();
    files.replace(path, b"two").unwrap();
    assert_eq!(files.read(path, LIMIT).unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(files.list(Path::new("/data/atomix")).unwrap(), ["status"]);
    assert!(matches!(files.read(path, ByteLen::new(2)), Err(FilesError::TooLarge { .. })));
    files.remove(path).unwrap();
    files.remove(path).unwrap();
    assert!(files.list(Path::new("/data/atomix")).unwrap().is_empty());
}

#[test]
fn host_files_never_leave_their_root() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "kept").unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut files = HostFiles::new(root.path());
    let escape = Path::new("/data/../../secret");
    assert!(matches!(files.read(escape, LIMIT), Err(FilesError::Escapes { .. })));
    assert!(matches!(files.replace(escape, b"x"), Err(FilesError::Escapes { .. })));
    assert!(matches!(files.remove(escape), Err(FilesError::Escapes { .. })));

    std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
    std::os::unix::fs::symlink(&secret, root.path().join("link")).unwrap();
    std::os::unix::fs::symlink(&secret, root.path().join("victim.new")).unwrap();
    assert_eq!(files.read(Path::new("/link"), LIMIT).unwrap(), None);
    assert_eq!(files.read(Path::new("/out/secret"), LIMIT).unwrap(), None);
    files.replace(Path::new("/link"), b"mine").unwrap();
    files.replace(Path::new("/out/secret"), b"mine").unwrap();
    files.remove(Path::new("/out/secret")).unwrap();
    assert!(files.replace(Path::new("/victim"), b"mine").is_err(), "a planted link is refused");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "kept");
}

#[test]
fn files_lose_their_power_with_the_devices() {
    let plan = CutPlan::new(CutAt::Operation(1), 3);
    let mut files = PowerCutFiles::new(MemoryFiles::new(), &plan);
    let path = Path::new(STATUS);
    files.replace(path, b"one").unwrap();
    assert!(files.replace(path, b"two").is_err());
    assert!(plan.is_cut());
    assert!(files.replace(path, b"three").is_err());
    let found = files.read(path, LIMIT).unwrap().unwrap();
    assert!(found == b"one" || found == b"two");
}

/// Fails when anybody but the owner can read a secret, also where a cut left a file behind that
/// everybody can read.
#[test]
fn a_secret_is_its_owners_alone() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut files = HostFiles::new(dir.path());
    let path = Path::new("/data/atomix/agent/report.key");
    files.replace(path, b"open to all").unwrap();
    let real = dir.path().join("data/atomix/agent/report.key");
    let left = dir.path().join("data/atomix/agent/report.key.new");
    fs::write(&left, b"left").unwrap();
    for file in [&real, &left] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    files.replace_secret(path, b"secret").unwrap();
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(files.read(path, LIMIT).unwrap().unwrap(), b"secret");
}
