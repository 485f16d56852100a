// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images we write are what `unsquashfs` and our reader make of them, byte for byte, every time.

use bundle::{
    SquashfsCompression, SquashfsFiles, SquashfsLimits, SquashfsTree, WriteSquashfsError,
    write_squashfs,
};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use storage::ByteLen;

const MTIME: u32 = 1_700_000_000;

/// Text that shrinks, a sparse stretch, and bytes that do not shrink.
fn content(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    (0..len)
        .map(|n| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match (n / 131_072) % 3 {
                0 => b"atomix "[n % 7],
                1 => 0,
                _ => state.to_le_bytes()[0],
            }
        })
        .collect()
}

fn image(compression: SquashfsCompression, sizes: &[usize]) -> Vec<u8> {
    let mut tree = SquashfsTree::new();
    tree.add_directory("etc", 0o755).unwrap();
    tree.add_file("etc/os-release", 0o644, &b"ID=test\n"[..]).unwrap();
    tree.add_file("hook.sh", 0o755, &b"#!/bin/sh\n"[..]).unwrap();
    tree.add_symlink("latest.img", "rootfs.img").unwrap();
    for size in sizes {
        tree.add_file(&format!("image-{size}"), 0o644, Cursor::new(content(*size))).unwrap();
    }
    let mut out = Cursor::new(Vec::new());
    let written = write_squashfs(tree, compression, MTIME, &mut out).unwrap();
    let out = out.into_inner();
    assert_eq!(written, ByteLen::new(out.len() as u64));
    assert_eq!(out.len() % 4096, 0);
    out
}

const SIZES: [usize; 6] = [0, 1, 131_071, 131_072, 131_073, 1_000_003];

#[test]
fn unsquashfs_reads_back_identical_files() {
    for compression in
        [SquashfsCompression::Stored, SquashfsCompression::Gzip, SquashfsCompression::Zstd]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, image(compression, &SIZES)).unwrap();
        let tree = dir.path().join("tree");
        let status = Command::new("unsquashfs")
            .args(["-no-progress", "-quiet", "-strict-errors", "-d"])
            .arg(&tree)
            .arg(&path)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("unsquashfs is needed");
        assert!(status.success(), "{compression:?}");
        for size in SIZES {
            let found = std::fs::read(tree.join(format!("image-{size}"))).unwrap();
            assert!(found == content(size), "{compression:?} {size}");
        }
        assert_eq!(std::fs::read(tree.join("etc/os-release")).unwrap(), b"ID=test\n");
        let hook = std::fs::metadata(tree.join("hook.sh")).unwrap();
        assert_eq!(hook.permissions().mode() & 0o7777, 0o755);
        assert_eq!(hook.mtime(), i64::from(MTIME));
        assert_eq!(
            std::fs::read_link(tree.join("latest.img")).unwrap().to_str(),
            Some("rootfs.img")
        );
    }
}

#[test]
fn our_reader_reads_back_identical_files() {
    for compression in
        [SquashfsCompression::Stored, SquashfsCompression::Gzip, SquashfsCompression::Zstd]
    {
        let image = Cursor::new(image(compression, &SIZES));
        let files = SquashfsFiles::open(image, &SquashfsLimits::BUNDLE).unwrap();
        for size in SIZES {
            let found = files.read_file(&format!("image-{size}"), ByteLen::mib(2)).unwrap();
            assert!(found == content(size), "{compression:?} {size}");
        }
    }
}

#[test]
fn same_tree_gives_same_bytes_whatever_the_order_of_adding() {
    let one = image(SquashfsCompression::Gzip, &SIZES);
    let mut reversed = SIZES;
    reversed.reverse();
    assert!(one == image(SquashfsCompression::Gzip, &reversed));
}

#[test]
fn compression_does_what_it_says() {
    let stored = image(SquashfsCompression::Stored, &[1_000_003]).len();
    let gzip = image(SquashfsCompression::Gzip, &[1_000_003]).len();
    let zstd = image(SquashfsCompression::Zstd, &[1_000_003]).len();
    // Two of eight blocks are holes in every form.
    assert!(stored > 600_000 && gzip < 400_000 && zstd < 400_000, "{stored} {gzip} {zstd}");
}

#[test]
fn paths_that_lead_out_or_collide_are_refused() {
    let mut tree = SquashfsTree::new();
    tree.add_file("a", 0o644, io::empty()).unwrap();
    for path in ["", "/a", "../a", "b/../c", "./b", "b//c", "b/"] {
        let refused = tree.add_directory(path, 0o755);
        assert!(matches!(refused, Err(WriteSquashfsError::BadPath { .. })), "{path:?}");
    }
    for path in ["a", "a/b", "none/b"] {
        let refused = tree.add_directory(path, 0o755);
        assert!(matches!(refused, Err(WriteSquashfsError::Conflict { .. })), "{path:?}");
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("medium"))
    }
}

#[test]
fn unreadable_content_is_reported_with_its_cause() {
    let mut tree = SquashfsTree::new();
    tree.add_file("a", 0o644, Broken).unwrap();
    let out = Cursor::new(Vec::new());
    match write_squashfs(tree, SquashfsCompression::Gzip, MTIME, out) {
        Err(WriteSquashfsError::Write(cause)) => assert_eq!(cause.to_string(), "medium"),
        other => panic!("{other:?}"),
    }
}
