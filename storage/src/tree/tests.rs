// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real file system and the one in memory do the same, and neither leaves its directory.

use super::*;
use nix::unistd::{getegid, geteuid};
use proptest::prelude::*;
use std::os::unix::fs::symlink;

fn meta(mode: u32) -> Meta {
    Meta { mode, uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

#[derive(Clone, Debug)]
enum Act {
    MakeDir(PathBuf, u32),
    Write(PathBuf, Vec<u8>, u32),
    Append(PathBuf, Vec<u8>),
    Link(PathBuf, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Give(PathBuf, u32),
    SyncDir(PathBuf),
    Replace(PathBuf, Vec<u8>),
    Relink(PathBuf),
    RemoveAll(PathBuf),
}

fn paths() -> impl Strategy<Value = PathBuf> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c")];
    proptest::collection::vec(name, 1..4).prop_map(|names| names.iter().collect())
}

fn acts() -> impl Strategy<Value = Act> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let mode = || prop_oneof![Just(0o600_u32), Just(0o755), Just(0o700)];
    prop_oneof![
        4 => (paths(), mode()).prop_map(|(path, mode)| Act::MakeDir(path, mode)),
        3 => (paths(), bytes(), mode()).prop_map(|(path, bytes, mode)| Act::Write(path, bytes, mode)),
        1 => (paths(), bytes()).prop_map(|(path, bytes)| Act::Append(path, bytes)),
        2 => (paths(), paths()).prop_map(|(path, target)| Act::Link(path, target)),
        3 => (paths(), paths()).prop_map(|(from, to)| Act::Rename(from, to)),
        1 => paths().prop_map(Act::Remove),
        1 => (paths(), mode()).prop_map(|(path, mode)| Act::Give(path, mode)),
        1 => paths().prop_map(Act::SyncDir),
        1 => (paths(), bytes()).prop_map(|(path, bytes)| Act::Replace(path, bytes)),
        1 => paths().prop_map(Act::Relink),
        1 => paths().prop_map(Act::RemoveAll),
    ]
}

fn perform(trees: &mut dyn Trees, act: &Act) -> Result<(), FilesError> {
    match act {
        Act::MakeDir(path, mode) => trees.make_dir(path, meta(*mode)),
        Act::Write(path, bytes, mode) => trees.write(path, &mut &**bytes, meta(*mode)),
        Act::Append(path, bytes) => trees.append(path, bytes, meta(0o600)),
        Act::Link(path, target) => trees.link(path, target),
        Act::Rename(from, to) => trees.rename(from, to),
        Act::Remove(path) => trees.remove(path),
        Act::Give(path, mode) => trees.give(path, meta(*mode)),
        Act::SyncDir(path) => trees.sync_dir(path),
        Act::Replace(path, bytes) => replace_file(trees, path, bytes, meta(0o640)),
        Act::Relink(path) => replace_link(trees, path, Path::new("b/c")),
        Act::RemoveAll(path) => remove_all(trees, path),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_real_tree_and_the_one_in_memory_do_the_same(
        all in proptest::collection::vec(acts(), 1..30)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut host = HostTrees::open(dir.path()).unwrap();
        let (mut memory, log) = MemoryTrees::recorded(TreeImage::new());
        for act in &all {
            let (real, modelled) = (perform(&mut host, act), perform(&mut memory, act));
            prop_assert_eq!(real.is_ok(), modelled.is_ok(), "{:?}: {:?} {:?}", act, real, modelled);
        }
        prop_assert_eq!(&scan(&host).unwrap(), memory.image());
        prop_assert_eq!(&scan(&memory).unwrap(), memory.image());
        // The crash model, with everything kept, is what memory holds.
        let steps = log.steps();
        let trees = crash_trees(&TreeImage::new(), &steps, steps.len(), 2, 1);
        prop_assert_eq!(&trees.tree(trees.count() - 1), memory.image());
    }
}

#[test]
fn a_swapped_directory_is_not_followed_out() {
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut trees = HostTrees::open(dir.path()).unwrap();
    symlink(outside.path(), dir.path().join("files")).unwrap();
    assert!(trees.write(Path::new("files/x"), &mut &b"x"[..], meta(0o600)).is_err());
    assert!(trees.make_dir(Path::new("files/d"), meta(0o755)).is_err());
    assert!(trees.append(Path::new("files/x"), b"x", meta(0o600)).is_err());
    assert!(trees.list(Path::new("files")).is_err());
    assert!(trees.sync_dir(Path::new("files")).is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn paths_that_lead_out_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = HostTrees::open(dir.path()).unwrap();
    let mut memory = MemoryTrees::default();
    for path in ["../x", "/etc/x", "a/../../x", "./x"] {
        for trees in [&mut host as &mut dyn Trees, &mut memory] {
            let path = Path::new(path);
            assert!(matches!(trees.entry(path), Err(FilesError::Escapes { .. })), "{path:?}");
            assert!(trees.write(path, &mut &b"x"[..], meta(0o600)).is_err());
        }
    }
}

#[test]
fn a_pipe_is_neither_waited_for_nor_read() {
    let dir = tempfile::tempdir().unwrap();
    let trees = HostTrees::open(dir.path()).unwrap();
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let pipe = Path::new("pipe");
    assert_eq!(trees.entry(pipe).unwrap().unwrap().kind, Kind::Other);
    assert!(trees.open(pipe).is_err());
}

#[test]
fn a_cut_leaves_a_file_whole_torn_or_nameless_until_both_are_synced() {
    let file = Path::new("f");
    let (mut trees, log) = MemoryTrees::recorded(TreeImage::new());
    trees.write(file, &mut &[7; 1000][..], meta(0o640)).unwrap();
    trees.sync_dir(Path::new("")).unwrap();
    let steps = log.steps();
    let all = |cut| {
        let trees = crash_trees(&TreeImage::new(), &steps, cut, 1000, 1);
        (0..trees.count())
            .map(|number| trees.tree(number))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let lens = |cut: usize| -> Vec<Option<usize>> {
        let len = |image: &TreeImage| match image.get(file) {
            Some(Node::File(_, content)) => Some(content.len()),
            Some(Node::Dir(_) | Node::Link(_)) | None => None,
        };
        let mut lens: Vec<_> = all(cut).iter().map(len).collect();
        lens.sort_unstable();
        lens.dedup();
        lens
    };
    assert_eq!(lens(0), [None, Some(0), Some(500), Some(512), Some(1000)], "being written");
    assert_eq!(lens(1), lens(0), "being synced");
    assert_eq!(lens(2), [None, Some(1000)], "the name is not synced");
    assert_eq!(lens(3), [Some(1000)]);
    assert_eq!(all(3).len(), 1, "mode and all");
}
