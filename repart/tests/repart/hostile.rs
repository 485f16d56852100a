// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes from outside never panic, hang or allocate without bound.

use crate::disk::{MIB, SMALL, apply_plain, make_plan};
use proptest::prelude::*;
use repart::{FatImage, FatLabel, FatOptions, FatTime, parse_definition, read_table};
use std::sync::OnceLock;
use storage::{ByteLen, MemoryStorage};

fn partitioned() -> &'static MemoryStorage {
    static DISK: OnceLock<MemoryStorage> = OnceLock::new();
    DISK.get_or_init(|| {
        let mut disk = SMALL.flashed(8);
        apply_plain(&make_plan(&disk, SMALL, "vfat"), &mut disk).unwrap();
        disk
    })
}

fn filled_fat() -> &'static [u8] {
    static FAT: OnceLock<Vec<u8>> = OnceLock::new();
    FAT.get_or_init(|| {
        let label = FatLabel::from_text("hostile");
        let options = FatOptions { label, serial: 1, time: FatTime::EPOCH };
        let mut fat = FatImage::create(ByteLen::mib(1), &options).unwrap();
        fat.create_dir("dtbs").unwrap();
        fat.write_file("dtbs/board.dtb", &mut &[1; 3000][..]).unwrap();
        fat.write_file("Image", &mut &[2; 9000][..]).unwrap();
        fat.finish().unwrap().bytes().to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_disks_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60_000)) {
        let _ = read_table(&MemoryStorage::disk("noise", bytes));
    }

    /// Headers with right checksums and random fields get past the CRC into every other check.
    #[test]
    fn forged_headers_are_read_or_refused(
        fields in prop::collection::vec((8_usize..88, any::<[u8; 4]>()), 1..4),
    ) {
        let mut bytes = partitioned().bytes()[..MIB as usize].to_vec();
        for (at, value) in fields {
            bytes[512 + at..512 + at + 4].copy_from_slice(&value);
        }
        bytes[512 + 16..512 + 20].fill(0);
        let crc = crc32(&bytes[512..604]);
        bytes[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
        let _ = read_table(&MemoryStorage::disk("forged", bytes));
    }

    #[test]
    fn flipped_tables_are_read_or_refused(flips in prop::collection::vec((0_usize..17_408, any::<u8>()), 1..8)) {
        let mut bytes = partitioned().bytes()[..2 * MIB as usize].to_vec();
        for (at, value) in flips {
            bytes[at] = value;
        }
        let _ = read_table(&MemoryStorage::disk("flipped", bytes));
    }

    #[test]
    fn arbitrary_definitions_are_parsed_or_refused(text in "(\\[?(Partition)?\\]?\n?(Type|Label|SizeMinBytes|Weight|[a-z%]{0,4})?=?[ -~]{0,12}\n?){0,8}") {
        let _ = parse_definition("x.conf", &text);
    }

    #[test]
    fn arbitrary_fats_are_read_or_refused(
        flips in prop::collection::vec((0_usize..24_000, any::<u8>()), 1..12),
    ) {
        let mut bytes = filled_fat().to_vec();
        for (at, value) in flips {
            bytes[at] = value;
        }
        read_everything(bytes);
    }

    #[test]
    fn forged_boot_sectors_are_read_or_refused(flips in prop::collection::vec((11_usize..62, any::<u8>()), 1..6)) {
        let mut bytes = filled_fat().to_vec();
        for (at, value) in flips {
            bytes[at] = value;
        }
        read_everything(bytes);
    }
}

fn read_everything(bytes: Vec<u8>) {
    let disk = MemoryStorage::disk("hostile", bytes);
    let Ok(mut fat) = FatImage::open(disk, FatTime::EPOCH) else { return };
    let _ = fat.label();
    for dir in ["", "dtbs"] {
        let _ = fat.list(dir);
    }
    for file in ["Image", "dtbs/board.dtb", "absent"] {
        let read = fat.read_file(file, ByteLen::mib(1));
        assert!(read.map_or(0, |content| content.len()) <= 1 << 20);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn cluster_chain_that_bites_its_tail_ends_with_an_error() {
    let mut bytes = filled_fat().to_vec();
    // FAT12 of a 1 MiB volume starts at sector 1. Every entry from 2 on points at cluster 2 and
    // the directory's cluster holds deleted entries only, so nothing ever ends it.
    let sector = 512;
    for pair in bytes[sector + 3..sector + 3 + 300].chunks_exact_mut(3) {
        pair.copy_from_slice(&[0x02, 0x20, 0x00]);
    }
    let start = bytes.windows(2).rposition(|pair| pair == b". ").unwrap();
    let cluster = start / 512 * 512;
    for entry in bytes[cluster..cluster + 512].chunks_exact_mut(32) {
        entry.fill(0x20);
        entry[0] = 0xe5;
    }
    let disk = MemoryStorage::disk("loop", bytes);
    let mut fat = FatImage::open(disk, FatTime::EPOCH).unwrap();
    assert!(fat.list("dtbs").is_err());
}

#[test]
fn impossible_cluster_numbers_are_read_or_refused() {
    let whole = filled_fat();
    let entry = |name: &[u8]| whole.windows(11).position(|window| window == name).unwrap();
    let entries = [entry(b"DTBS       "), entry(b"IMAGE      "), entry(b"BOARD   DTB")];
    for cluster in [0_u16, 1, 0x0fee, 0x0ff7, 0x7fff, 0xffff] {
        for at in entries {
            let mut bytes = whole.to_vec();
            bytes[at + 26..at + 28].copy_from_slice(&cluster.to_le_bytes());
            read_everything(bytes);
        }
        // Every entry of the first FAT, as FAT12 packs them.
        let mut bytes = whole.to_vec();
        let packed = u32::from(cluster & 0xfff) << 12 | u32::from(cluster & 0xfff);
        for pair in bytes[512 + 3..512 + 3 + 300].chunks_exact_mut(3) {
            pair.copy_from_slice(&packed.to_le_bytes()[..3]);
        }
        read_everything(bytes);
    }
}
