// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that lie about themselves are refused before anything is made of the lie. How much
//! memory that takes is measured in `fuzz/tests/limits/`, on the same images.

use crate::crafted_squashfs::{CraftedSquashfs, Listing};
use bundle::{SquashfsEntry, SquashfsError, SquashfsFiles, SquashfsLimits};
use std::io::Cursor;
use storage::ByteLen;

const GZIP: u16 = 1;

fn open(image: Vec<u8>) -> Result<SquashfsFiles, SquashfsError> {
    SquashfsFiles::open(Cursor::new(image), &SquashfsLimits::BUNDLE)
}

fn refused(image: Vec<u8>) -> SquashfsError {
    open(image).map(|_| ()).unwrap_err()
}

fn file(inode: u32, name: impl Into<String>) -> (u32, u16, String) {
    (inode, 2, name.into())
}

#[test]
fn crafted_tree_that_tells_the_truth_is_read() {
    let mut crafted = CraftedSquashfs::default();
    let data = [7; 100];
    let inode = crafted.file(100, &[100 | 1 << 24]);
    let inner = crafted.listing(&[file(inode, "image")]);
    let dir = crafted.directory(inner);
    let outer = crafted.listing(&[(dir, 1, "dir".to_owned()), file(inode, "image")]);
    crafted.directory(outer);
    let files = open(crafted.image(GZIP, &data)).unwrap();
    assert_eq!(files.entries().count(), 3);
    assert_eq!(files.read_file("dir/image", ByteLen::kib(1)).unwrap(), data);
    assert_eq!(files.entries().last().unwrap().1, SquashfsEntry::File { size: ByteLen::new(100) });
}

/// The library added these two in 32 bits and cut the table at the sum: a panic, which ends the
/// process.
#[test]
fn directory_larger_than_its_table_is_refused() {
    for (size, offset) in
        [(u32::MAX, u16::MAX), (u32::MAX, 4), (u32::MAX - 2, 0), (4096, 0), (20, 8000), (17, 1)]
    {
        let mut crafted = CraftedSquashfs::default();
        let inode = crafted.file(0, &[]);
        crafted.listing(&[file(inode, "x")]);
        crafted.lying_directory(size, offset);
        let refusal = refused(crafted.image(GZIP, &[]));
        assert!(matches!(refusal, SquashfsError::Corrupt { .. }), "{size} {offset}: {refusal}");
    }
}

/// The library reserved four bytes for each block that the size promises, 2 GiB for this file.
#[test]
fn file_with_more_blocks_than_its_table_holds_is_refused() {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.large_file((1 << 41) - 1, &[0; 4]);
    let listing = crafted.listing(&[file(inode, "x")]);
    crafted.directory(listing);
    let refusal = refused(crafted.image(GZIP, &[]));
    assert!(matches!(refusal, SquashfsError::Corrupt { .. }), "{refusal}");
}

#[test]
fn inode_number_beyond_31_bits_is_refused() {
    for (base, relative) in [(i32::MAX as u32, 1), (u32::MAX, 2), (1, -2), (0x8000_0000, -1)] {
        let mut crafted = CraftedSquashfs::default();
        crafted.file(0, &[]);
        let listing = crafted.odd_listing(base, relative, "x");
        crafted.directory(listing);
        let refusal = refused(crafted.image(GZIP, &[]));
        assert!(matches!(refusal, SquashfsError::Corrupt { .. }), "{base:x} {relative}: {refusal}");
    }
}

#[test]
fn directory_that_lies_in_itself_is_refused() {
    let mut crafted = CraftedSquashfs::default();
    // The directory will have number 1, and its listing names it.
    let listing = crafted.listing(&[(1, 1, "again".to_owned())]);
    crafted.directory(listing);
    let refusal = refused(crafted.image(GZIP, &[]));
    assert!(matches!(refusal, SquashfsError::Corrupt { .. }), "{refusal}");
}

/// A listing shared by many directories: 50 KB of tables that would be half a million paths.
#[test]
fn directories_that_share_one_listing_are_counted_each_time() {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(0, &[]);
    let names: Vec<_> = (0..1000).map(|number| file(inode, format!("f{number}"))).collect();
    let shared = crafted.listing(&names);
    let dirs: Vec<_> =
        (0..500).map(|number| (crafted.directory(shared), 1, format!("d{number}"))).collect();
    let root = crafted.listing(&dirs);
    crafted.directory(root);
    let refusal = refused(crafted.image(GZIP, &[]));
    let limit = u64::from(SquashfsLimits::BUNDLE.inodes);
    assert!(
        matches!(refusal, SquashfsError::TooLarge { what: "directory entries", limit: l, .. } if l == limit),
        "{refusal}"
    );
}

/// Each path repeats all names above it: a chain of long names grows with the square of its depth.
#[test]
fn paths_that_together_exceed_the_tables_are_refused() {
    for (depth, accepted) in [(100, true), (1000, false)] {
        let mut crafted = CraftedSquashfs::default();
        let name = "n".repeat(255);
        let mut below = crafted.directory(Listing { at: 0, bytes: 0 });
        for _ in 0..depth {
            let listing = crafted.listing(&[(below, 1, name.clone())]);
            below = crafted.directory(listing);
        }
        let opened = open(crafted.image(GZIP, &[])).map(|files| files.entries().count());
        match opened {
            Ok(entries) => assert!(accepted && entries == depth, "{depth}: {entries}"),
            Err(refusal) => {
                let paths = SquashfsError::TooLarge { what: "bytes of paths", found: 0, limit: 0 };
                let told = refusal.to_string();
                assert!(!accepted, "{depth}: {told}");
                assert!(told.contains("bytes of paths"), "{told}, not like {paths}");
            }
        }
    }
}

#[test]
fn fragment_table_that_claims_the_most_is_refused() {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(0, &[]);
    let listing = crafted.listing(&[file(inode, "x")]);
    crafted.directory(listing);
    let mut image = crafted.image(GZIP, &[]);
    image[16..20].fill(0xff);
    let id_table: [u8; 8] = image[48..56].try_into().unwrap();
    image[80..88].copy_from_slice(&id_table);
    let refusal = refused(image);
    assert!(
        matches!(refusal, SquashfsError::TooLarge { .. } | SquashfsError::Corrupt { .. }),
        "{refusal}"
    );
}
