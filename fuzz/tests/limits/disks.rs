// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition tables, file systems, and definitions of partitions.

use crate::measure::{KIB, MIB, alone, grows_slowly, holds};
use atomix_fuzz::SparseDisk;

/// A GPT of `entries` partitions of one sector each; checksums are the target's to mend.
fn table_of(entries: u32) -> Vec<u8> {
    let sectors = 1_u64 << 15;
    let array_sectors = u64::from(entries) * 128 / 512;
    let mut disk = vec![0; (sectors * 512) as usize];
    let first = 2 + array_sectors;
    for (header, array) in [(1, 2), (sectors - 1, sectors - 1 - array_sectors)] {
        let at = (header * 512) as usize;
        let other = sectors - header;
        disk[at..at + 8].copy_from_slice(b"EFI PART");
        disk[at + 8..at + 16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        let fields = [header, other, first, sectors - 2 - array_sectors];
        for (field, value) in fields.into_iter().enumerate() {
            disk[at + 24 + 8 * field..at + 32 + 8 * field].copy_from_slice(&value.to_le_bytes());
        }
        disk[at + 72..at + 80].copy_from_slice(&array.to_le_bytes());
        disk[at + 80..at + 84].copy_from_slice(&entries.to_le_bytes());
        disk[at + 84..at + 88].copy_from_slice(&128_u32.to_le_bytes());
        for entry in 0..u64::from(entries) {
            let at = (array * 512 + entry * 128) as usize;
            disk[at..at + 32].fill(7);
            disk[at + 16..at + 24].copy_from_slice(&entry.to_le_bytes());
            for place in [32, 40] {
                let lba = (first + entry).to_le_bytes();
                disk[at + place..at + place + 8].copy_from_slice(&lba);
            }
            disk[at + 56..at + 128].fill(b'x');
        }
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    SparseDisk::encode(&disk)
}

/// A FAT16 whose directory `D` leads from cluster to cluster and back to its first one, each in
/// another block of 64 KiB, and lists nothing but removed entries.
fn endless_directory() -> Vec<u8> {
    const SECTORS: usize = 1 << 16;
    const DATA: usize = 1 + 256 + 1;
    let mut disk = vec![0; SECTORS * 512];
    disk[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    let boot: [(usize, &[u8]); 9] = [
        (11, &[0, 2]),
        (13, &[1]),
        (14, &[1, 0]),
        (16, &[1]),
        (17, &[16, 0]),
        (21, &[0xf8]),
        (22, &[0, 1]),
        (32, &[0, 0, 1, 0]),
        (38, &[0x29]),
    ];
    for (at, bytes) in boot {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }
    // The type is told by the number of clusters: below 65525.
    disk[32..36].copy_from_slice(&60_000_u32.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let clusters: Vec<usize> = (0..400).map(|hop| 2 + hop * 128).collect();
    for (hop, cluster) in clusters.iter().enumerate() {
        let next = clusters[(hop + 1) % clusters.len()];
        let at = 512 + cluster * 2;
        disk[at..at + 2].copy_from_slice(&u16::try_from(next).expect("below 60000").to_le_bytes());
        let place = (DATA + cluster - 2) * 512;
        disk[place..place + 512].fill(0xe5);
    }
    let root = (1 + 256) * 512;
    disk[root..root + 11].copy_from_slice(b"D          ");
    disk[root + 11] = 0x10;
    disk[root + 26..root + 28].copy_from_slice(&2_u16.to_le_bytes());
    SparseDisk::encode(&disk)
}

#[test]
fn disks() {
    let _alone = alone();
    let tables = [("all entries of the largest table", table_of(1024)), ("none", vec![0xff; 600])];
    holds("partition_table", 16 * MIB, &tables);
    grows_slowly("partition_table", "entries", |entries| table_of(entries as u32), 256);
    holds("fat", 16 * MIB, &[("a directory that leads back", endless_directory())]);
    let definition = |bytes: usize| {
        [b"[Partition]\nType=var\n".to_vec(), b"# a comment\n".repeat(bytes / 12)].concat()
    };
    let long = [&b"[Partition]\nType=var\nLabel="[..], &vec![b'x'; 60_000]].concat();
    let worst = [("comments", definition(64 * KIB)), ("a long value", long)];
    holds("repart_definition", MIB, &worst);
    grows_slowly("repart_definition", "comments", definition, 100_000);
}
