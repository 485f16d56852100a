// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::casync::catar_build::read_whole;
use crate::casync::{CatarImage, FeatureFlags, TreeContent, TreeNode, scan_tree};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// Owners are set where the test may: as root.
fn ownership() -> Ownership {
    if nix::unistd::geteuid().is_root() { Ownership::Apply } else { Ownership::Ignore }
}

fn archive_of(dir: &Path) -> Vec<u8> {
    let tree = scan_tree(dir, &mut |_| true).unwrap();
    read_whole(&CatarImage::build("t", &tree, FeatureFlags::UNIX).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "the test makes the tree to pack")]
fn fill(dir: &Path) {
    std::fs::create_dir_all(dir.join("sub/deeper")).unwrap();
    std::fs::write(dir.join("sub/file"), vec![7; 200_000]).unwrap();
    let mut sparse = vec![0; 300_000];
    sparse[150_000] = 1;
    std::fs::write(dir.join("sparse"), sparse).unwrap();
    std::fs::write(dir.join("empty"), b"").unwrap();
    symlink("/nowhere", dir.join("sub/link")).unwrap();
    std::fs::set_permissions(dir.join("sub/file"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::fs::set_permissions(dir.join("sub/deeper"), PermissionsExt::from_mode(0o500)).unwrap();
    nix::unistd::mkfifo(&dir.join("pipe"), Mode::S_IRUSR).unwrap();
}

#[test]
fn unpacked_tree_is_the_packed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fill(&from);
    std::fs::create_dir(&to).unwrap();
    let packed = archive_of(&from);
    let outcome = extract_catar(&packed[..], &to, ownership(), &mut |_| true).unwrap();
    assert_eq!(outcome, ExtractOutcome { entries: 8, left_out: 0 });
    // The archive keeps names, contents, modes, owners and times: all are the same again.
    assert_eq!(archive_of(&to), packed);
    assert_eq!(to.join("sub/file").metadata().unwrap().mode() & 0o7777, 0o4751);
    // And once more over itself.
    extract_catar(&packed[..], &to, ownership(), &mut |_| true).unwrap();
    assert_eq!(archive_of(&to), packed);
}

#[test]
fn links_in_the_way_are_replaced_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, outside) =
        (dir.path().join("from"), dir.path().join("to"), dir.path().join("outside"));
    fill(&from);
    std::fs::create_dir(&to).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, to.join("sub")).unwrap();
    symlink(outside.join("victim"), to.join("empty")).unwrap();
    let packed = archive_of(&from);
    extract_catar(&packed[..], &to, ownership(), &mut |_| true).unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(archive_of(&to), packed);
}

#[test]
fn extraction_ends_when_asked_to_and_files_cut_short_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fill(&from);
    std::fs::create_dir(&to).unwrap();
    let mut asked = 0;
    let scanned = scan_tree(&from, &mut |_| {
        asked += 1;
        asked < 3
    });
    assert!(matches!(scanned, Err(CasyncError::Stopped)) && asked == 3);
    let packed = archive_of(&from);
    let mut seen = 0;
    let stopped = extract_catar(&packed[..], &to, ownership(), &mut |_| {
        seen += 1;
        seen < 3
    });
    assert!(matches!(stopped, Err(CasyncError::Stopped)));
    let cut = extract_catar(&packed[..packed.len() / 2], &to, ownership(), &mut |_| true);
    assert!(matches!(cut, Err(CasyncError::Archive { .. })), "{cut:?}");
}

#[test]
fn attributes_of_users_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut root = TreeNode::new(CatarEntry::new(CatarKind::Directory, 0o755), TreeContent::None);
    let mut entry = CatarEntry::new(CatarKind::Directory, 0o755);
    entry.xattrs.push((b"user.note".to_vec(), b"kept".to_vec()));
    root.entry = entry;
    let handle = File::open(dir.path()).unwrap();
    if set_xattr(handle.as_fd(), b"user.probe", b"1").is_err() {
        // The file system of temporary files keeps none; another test run has one that does.
        return;
    }
    let mut extractor = Extractor {
        root: dir.path(),
        open: Vec::new(),
        ownership: ownership(),
        fat: false,
        outcome: ExtractOutcome::default(),
        buffer: Vec::new(),
    };
    extractor.finish(b"", handle.as_fd(), &root.entry).unwrap();
    assert_eq!(extractor.outcome.left_out, 0);
}
