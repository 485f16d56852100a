// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `mksquashfs` packs, our reader gives back; what is no squashfs is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use bundle::{SquashfsEntry, SquashfsError, SquashfsFiles, SquashfsLimits};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use storage::ByteLen;

/// Every third default block compresses to nothing, the others not at all.
fn mixed(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..len)
        .map(|n| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if (n / 131_072) % 3 == 0 { 0x55 } else { state.to_le_bytes()[0] }
        })
        .collect()
}

fn packed(options: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let content = mixed(1_000_003);
    std::fs::create_dir_all(tree.join("etc/deep")).unwrap();
    std::fs::write(tree.join("rootfs.img"), &content).unwrap();
    std::fs::write(tree.join("etc/deep/os-release"), b"ID=test\n").unwrap();
    std::fs::write(tree.join("empty"), b"").unwrap();
    std::fs::write(tree.join("zeros"), vec![0; 300_000]).unwrap();
    std::os::unix::fs::symlink("rootfs.img", tree.join("link.img")).unwrap();
    let image = dir.path().join("image");
    let status = Command::new("mksquashfs")
        .arg(&tree)
        .arg(&image)
        .args(["-noappend", "-no-progress", "-quiet", "-all-root"])
        .args(options)
        .status()
        .expect("mksquashfs is needed");
    assert!(status.success());
    (std::fs::read(&image).unwrap(), content)
}

fn open(image: Vec<u8>) -> Result<SquashfsFiles, SquashfsError> {
    SquashfsFiles::open(Cursor::new(image), &SquashfsLimits::BUNDLE)
}

#[test]
fn every_compression_of_mksquashfs_reads_back_identically() {
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "xz"],
        &["-comp", "zstd"],
        &["-noI", "-noD", "-noF"],
        &["-b", "4096", "-comp", "gzip"],
        &["-b", "1M", "-comp", "zstd"],
        &["-no-fragments", "-no-exports"],
        &["-always-use-fragments"],
    ] {
        let (image, content) = packed(options);
        let files = open(image).unwrap();
        let limit = ByteLen::mib(2);
        assert_eq!(files.size("rootfs.img").unwrap(), ByteLen::new(1_000_003), "{options:?}");
        assert!(files.read_file("rootfs.img", limit).unwrap() == content, "{options:?}");
        assert_eq!(files.read_file("etc/deep/os-release", limit).unwrap(), b"ID=test\n");
        assert_eq!(files.read_file("empty", limit).unwrap(), b"");
        assert!(files.read_file("zeros", limit).unwrap() == vec![0; 300_000], "{options:?}");
    }
}

#[test]
fn listing_names_every_entry_once_in_order() {
    let files = open(packed(&[]).0).unwrap();
    let listed: Vec<_> = files.entries().map(|(path, _)| path.to_str().unwrap()).collect();
    let wanted =
        ["empty", "etc", "etc/deep", "etc/deep/os-release", "link.img", "rootfs.img", "zeros"];
    assert_eq!(listed, wanted);
    let link = files.entries().find(|(path, _)| *path == Path::new("link.img")).unwrap().1;
    assert_eq!(link, SquashfsEntry::Symlink { target: "rootfs.img".into() });
}

#[test]
fn tricky_paths_and_links_open_nothing() {
    let files = open(packed(&[]).0).unwrap();
    for path in ["", "/", "/empty", "..", "../empty", "etc/../empty", "./empty", "etc//deep", "a/"]
    {
        let refused = files.open_file(path).map(|_| ());
        assert!(matches!(refused, Err(SquashfsError::BadPath { .. })), "{path:?}: {refused:?}");
    }
    for path in ["link.img", "etc"] {
        assert!(matches!(files.open_file(path), Err(SquashfsError::NotAFile { .. })), "{path}");
    }
    assert!(matches!(files.open_file("none"), Err(SquashfsError::NotFound { .. })));
    let too_large = files.read_file("rootfs.img", ByteLen::kib(1));
    assert!(matches!(too_large, Err(SquashfsError::FileTooLarge { .. })));
}

#[test]
fn limits_refuse_before_tables_are_expanded() {
    let image = packed(&[]).0;
    let few = SquashfsLimits { inodes: 3, ..SquashfsLimits::BUNDLE };
    let refused = SquashfsFiles::open(Cursor::new(image.clone()), &few).map(|_| ());
    assert!(matches!(refused, Err(SquashfsError::TooLarge { what: "inodes", found: 8, .. })));
    let small = SquashfsLimits { tables: ByteLen::kib(8), ..SquashfsLimits::BUNDLE };
    let refused = SquashfsFiles::open(Cursor::new(image), &small).map(|_| ());
    assert!(matches!(refused, Err(SquashfsError::TooLarge { what: "bytes of tables", .. })));
}

#[test]
fn deepest_tree_within_the_limits_fits_the_stack_of_a_thread() {
    let dir = tempfile::tempdir().unwrap();
    let depth = SquashfsLimits::BUNDLE.inodes as usize - 1;
    std::fs::create_dir_all(dir.path().join("tree").join("d/".repeat(depth))).unwrap();
    let image = dir.path().join("image");
    let mut mksquashfs = Command::new("mksquashfs");
    mksquashfs.current_dir(dir.path()).args(["tree", "image", "-no-progress", "-quiet"]);
    assert!(mksquashfs.status().expect("mksquashfs is needed").success());
    let files = open(std::fs::read(&image).unwrap()).unwrap();
    assert_eq!(files.entries().count(), depth);
}

#[test]
fn truncated_or_foreign_images_are_refused_and_never_panic() {
    let image = packed(&["-comp", "zstd"]).0;
    assert!(matches!(open(vec![0; 4096]), Err(SquashfsError::Corrupt { .. })));
    assert!(matches!(open(Vec::new()), Err(SquashfsError::Corrupt { .. })));
    // What follows the used bytes is padding.
    let used = usize::try_from(u64::from_le_bytes(image[40..48].try_into().unwrap())).unwrap();
    for len in (1..used).step_by(used / 50).chain([used - 1]) {
        assert!(open(image[..len].to_vec()).is_err(), "{len}");
    }
}

#[test]
fn flipped_table_bytes_never_panic() {
    let image = packed(&["-noI", "-noD", "-noF", "-comp", "gzip"]).0;
    let tables = usize::try_from(u64::from_le_bytes(image[64..72].try_into().unwrap())).unwrap();
    let used = usize::try_from(u64::from_le_bytes(image[40..48].try_into().unwrap())).unwrap();
    let mut refused = 0;
    for position in (0..96).chain(tables..used) {
        let mut broken = image.clone();
        broken[position] ^= 0xff;
        match open(broken) {
            Ok(files) => drop(files.read_file("etc/deep/os-release", ByteLen::mib(2))),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "only {refused} broken images were noticed");
}

/// Fails with a recognisable cause where byte `bad` is read.
struct Failing {
    inner: Cursor<Vec<u8>>,
    bad: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("block does not match its hash")]
struct Mismatch;

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let position = self.inner.position();
        if position <= self.bad && self.bad < position + buf.len() as u64 {
            return Err(io::Error::other(Mismatch));
        }
        self.inner.read(buf)
    }
}

impl Seek for Failing {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.inner.seek(target)
    }
}

#[test]
fn failures_below_keep_their_identity() {
    let image = packed(&["-noI", "-noD", "-noF", "-comp", "gzip"]).0;
    let is_ours = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Mismatch>());
    let data = Failing { inner: Cursor::new(image.clone()), bad: 300_000 };
    let files = SquashfsFiles::open(data, &SquashfsLimits::BUNDLE).unwrap();
    match files.read_file("rootfs.img", ByteLen::mib(2)) {
        Err(SquashfsError::Read(error)) => assert!(is_ours(&error), "{error:?}"),
        other => panic!("{other:?}"),
    }
    let table = u64::from_le_bytes(image[72..80].try_into().unwrap());
    for bad in [0, table] {
        let tables = Failing { inner: Cursor::new(image.clone()), bad };
        match SquashfsFiles::open(tables, &SquashfsLimits::BUNDLE) {
            Err(SquashfsError::Read(error)) => assert!(is_ours(&error), "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
}
