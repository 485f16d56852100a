// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of squashfs.

use crate::measure::{KIB, MIB, alone, grows_slowly, holds};
use crafted_squashfs::{CraftedSquashfs, DATA_BLOCK_BYTES, Listing};

#[allow(dead_code, reason = "shared with the tests of the room bundle, which use other parts")]
#[path = "../../../bundle/tests/crafted_squashfs/mod.rs"]
mod crafted_squashfs;

fn file(inode: u32, name: String) -> (u32, u16, String) {
    (inode, 2, name)
}

/// A squashfs image with one file of these blocks.
fn one_file(size: u32, blocks: &[u32], compressor: u16, data: &[u8]) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(size, blocks);
    let listing = crafted.listing(&[file(inode, "rootfs.img".to_owned())]);
    crafted.directory(listing);
    crafted.image(compressor, data)
}

/// A block of 128 KiB, compressed: far more than the 4 KiB that a block of these images may have.
fn bombs() -> Vec<(u16, Vec<u8>)> {
    let compressions =
        [(1, bundle::SquashfsCompression::Gzip), (6, bundle::SquashfsCompression::Zstd)];
    let bomb = |compression| {
        let mut tree = bundle::SquashfsTree::new();
        let content = std::io::Cursor::new(vec![1; 128 * KIB]);
        tree.add_file("f", 0o644, content).expect("the path is free");
        let mut image = std::io::Cursor::new(Vec::new());
        bundle::write_squashfs(tree, compression, 0, &mut image).expect("memory does not fail");
        let image = image.into_inner();
        // The one block of the one file stands between the superblock and the inodes.
        let inodes = image[64..72].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        image[96..inodes as usize].to_vec()
    };
    compressions.map(|(id, compression)| (id, bomb(compression))).to_vec()
}

fn files_of_one_directory(files: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let mut entry = |number| file(crafted.file(0, &[]), format!("f{number}"));
    let entries: Vec<_> = (0..files).map(&mut entry).collect();
    let listing = crafted.listing(&entries);
    crafted.directory(listing);
    crafted.image(1, &[])
}

fn shared_listings(directories: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(0, &[]);
    let names: Vec<_> = (0..1000).map(|number| file(inode, format!("f{number}"))).collect();
    let shared = crafted.listing(&names);
    let dirs: Vec<_> = (0..directories)
        .map(|number| (crafted.directory(shared), 1, format!("d{number}")))
        .collect();
    let root = crafted.listing(&dirs);
    crafted.directory(root);
    crafted.image(1, &[])
}

fn chain(depth: usize, name_bytes: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let mut below = crafted.directory(Listing { at: 0, bytes: 0 });
    for _ in 0..depth {
        let listing = crafted.listing(&[(below, 1, "n".repeat(name_bytes))]);
        below = crafted.directory(listing);
    }
    crafted.image(1, &[])
}

#[test]
fn squashfs_images() {
    let _alone = alone();
    let mut large = CraftedSquashfs::default();
    let inode = large.large_file((1 << 41) - 1, &[0; 4]);
    let listing = large.listing(&[file(inode, "x".to_owned())]);
    large.directory(listing);
    let mut worst = vec![
        ("a file of 2 TiB", large.image(1, &[])),
        ("holes of 4 MiB", one_file(4 << 20, &[0; 1024], 1, &[])),
        ("listings shared by directories", shared_listings(900)),
        ("a chain of long names", chain(1000, 255)),
        ("a chain of short names", chain(1000, 1)),
        ("the longest path that is read", chain(170, 250)),
    ];
    for (compressor, bomb) in bombs() {
        let stored = u32::try_from(bomb.len()).expect("it is small");
        assert!(stored < DATA_BLOCK_BYTES, "{stored}");
        let image = one_file(DATA_BLOCK_BYTES, &[stored], compressor, &bomb);
        worst.push(("a block that expands to more than its size", image));
    }
    holds("squashfs", 16 * MIB, &worst);
    grows_slowly("squashfs", "files of a directory", files_of_one_directory, 230);
    grows_slowly("squashfs", "directories that share", shared_listings, 200);
    let trees: Vec<_> = worst
        .iter()
        .map(|(what, image)| (*what, [&[0], &image[..]].concat()))
        .chain([("a lie about the tree", [&[1][..], &[0xff; 8], &[9; 40]].concat())])
        .collect();
    holds("verity_payload", 16 * MIB, &trees);
}
