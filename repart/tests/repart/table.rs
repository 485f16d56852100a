// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every state of the two copies is told apart and repaired from the right one.

use crate::disk::{MIB, SMALL, Sectors4096, apply_plain, disk_guid, make_plan};
use repart::{
    CreateTableError, Damage, MbrKind, TableError, TableHealth, create_table, read_table,
};
use storage::{Lba, MemoryStorage, Storage};

fn done(disk_mib: u64) -> MemoryStorage {
    let mut disk = SMALL.flashed(disk_mib);
    let plan = make_plan(&disk, SMALL, "vfat");
    apply_plain(&plan, &mut disk).unwrap();
    disk
}

#[test]
fn image_flashed_to_a_larger_disk_has_its_backup_misplaced() {
    let disk = SMALL.flashed(16);
    let table = read_table(&disk).unwrap();
    let at = Lba(SMALL.image_mib() * MIB / 512 - 1);
    assert_eq!(table.health, TableHealth::BackupMisplaced { at });
    assert_eq!(table.mbr, MbrKind::Protective);
    assert_eq!(table.disk_guid, disk_guid());
    let labels: Vec<_> = table.partitions.iter().map(|found| found.label.as_str()).collect();
    assert_eq!(labels, ["boot-a", "rootfs-a"]);
}

#[test]
fn a_damaged_copy_is_named_with_its_damage_and_repaired_from_the_other() {
    let whole = done(16);
    let wanted = read_table(&whole).unwrap();
    let last = whole.bytes().len();
    let cases = [
        (512, Damage::NoSignature),
        (512 + 60, Damage::HeaderChecksum),
        (1024 + 40, Damage::ArrayChecksum),
        (last - 512, Damage::NoSignature),
        (last - 512 + 24, Damage::HeaderChecksum),
        (last - 512 - 100, Damage::ArrayChecksum),
    ];
    for (offset, damage) in cases {
        let mut disk = whole.clone();
        disk.bytes_mut()[offset] ^= 0x40;
        let expected = if offset < last / 2 {
            TableHealth::PrimaryDamaged(damage)
        } else {
            TableHealth::BackupDamaged(damage)
        };
        let found = read_table(&disk).unwrap();
        assert_eq!((found.health, &found.partitions), (expected, &wanted.partitions));
        let plan = make_plan(&disk, SMALL, "vfat");
        assert!(plan.writes_table() && plan.created().next().is_none());
        apply_plain(&plan, &mut disk).unwrap();
        assert!(disk.bytes() == whole.bytes(), "offset {offset}");
    }
}

#[test]
fn both_damaged_absent_and_mbr_only_are_three_errors() {
    let mut disk = done(16);
    let last = disk.bytes().len();
    disk.bytes_mut()[512 + 60] ^= 1;
    disk.bytes_mut()[last - 512 - 100] ^= 1;
    let both = read_table(&disk).unwrap_err();
    assert!(both.hint().is_some());
    assert_eq!(
        both.to_string(),
        "both copies of the GPT on disk are damaged (primary: wrong header checksum; \
         backup: wrong checksum of the partition entries)"
    );
    let mut bytes = vec![0; 4 * MIB as usize];
    let blank = MemoryStorage::disk("blank", bytes.clone());
    assert!(matches!(read_table(&blank), Err(TableError::Absent { .. })));
    bytes[450] = 0x0c;
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mbr = MemoryStorage::disk("mbr", bytes);
    assert!(matches!(read_table(&mbr), Err(TableError::MbrOnly { .. })));
    let tiny = MemoryStorage::disk("tiny", vec![0; 4096]);
    assert!(matches!(read_table(&tiny), Err(TableError::Unsuitable { .. })));
}

#[test]
fn valid_checksums_do_not_excuse_impossible_fields() {
    let whole = done(16);
    // Offset in the header, new value, and what is found wrong.
    let cases: [(usize, &[u8], Damage); 7] = [
        (12, &512_u32.to_le_bytes(), Damage::HeaderChecksum),
        (24, &9_u64.to_le_bytes(), Damage::Place { says: Lba(9) }),
        (40, &u64::MAX.to_le_bytes(), Damage::Bounds { field: "usable area" }),
        (48, &u64::MAX.to_le_bytes(), Damage::Bounds { field: "last usable sector" }),
        (72, &u64::MAX.to_le_bytes(), Damage::Bounds { field: "place of the entries" }),
        (80, &u32::MAX.to_le_bytes(), Damage::Bounds { field: "number of entries" }),
        (84, &256_u32.to_le_bytes(), Damage::Bounds { field: "entry size" }),
    ];
    for (offset, value, damage) in cases {
        let mut disk = whole.clone();
        let header = &mut disk.bytes_mut()[512..604];
        header[offset..offset + value.len()].copy_from_slice(value);
        if damage != Damage::HeaderChecksum {
            seal(header);
        }
        assert_eq!(read_table(&disk).unwrap().health, TableHealth::PrimaryDamaged(damage));
    }
}

/// Recomputes a header's own checksum.
fn seal(header: &mut [u8]) {
    header[16..20].fill(0);
    let mut crc = u32::MAX;
    for byte in header.iter() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    header[16..20].copy_from_slice(&(!crc).to_le_bytes());
}

#[test]
fn sector_zero_is_never_written_after_the_table_was_created() {
    let mut disk = SMALL.flashed(16);
    // Boot code and a disk signature, as a vendor's tool may leave them.
    disk.bytes_mut()[..446].fill(0x77);
    let before = disk.bytes()[..512].to_vec();
    let plan = make_plan(&disk, SMALL, "vfat");
    apply_plain(&plan, &mut disk).unwrap();
    assert_eq!(disk.bytes()[..512], before);
}

#[test]
fn protective_record_covers_any_disk() {
    let disk = SMALL.flashed(16);
    assert_eq!(disk.bytes()[446 + 4], 0xee);
    assert_eq!(disk.bytes()[446 + 8..446 + 16], [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(disk.bytes()[510..512], [0x55, 0xaa]);
}

#[test]
fn disks_with_sectors_of_4096_bytes_work_alike() {
    let mut disk = Sectors4096(MemoryStorage::disk("4k", vec![0x5a; 16 * MIB as usize]));
    create_table(&mut disk, disk_guid(), &SMALL.image_partitions(4096)).unwrap();
    let plan = make_plan(&disk, SMALL, "vfat");
    apply_plain(&plan, &mut disk).unwrap();
    let table = read_table(&disk).unwrap();
    assert_eq!((table.health, table.partitions.len()), (TableHealth::Good, 5));
    assert_eq!(table.partitions[2].first_lba, Lba(3 * MIB / 4096));
    assert!(make_plan(&disk, SMALL, "vfat").is_empty());
}

#[test]
fn table_creation_is_reproducible_and_refuses_overlap_before_writing() {
    assert!(SMALL.flashed(16).bytes() == SMALL.flashed(16).bytes());
    let mut disk = MemoryStorage::disk("disk", vec![0; 8 * MIB as usize]);
    let mut partitions = SMALL.image_partitions(512);
    partitions[1].first_lba = partitions[0].last_lba;
    let refused = create_table(&mut disk, disk_guid(), &partitions);
    assert!(matches!(refused, Err(CreateTableError::Place { number: 2, .. })));
    partitions[1].first_lba = Lba(disk.len().get() / 512 - 10);
    partitions[1].last_lba = partitions[1].first_lba;
    let refused = create_table(&mut disk, disk_guid(), &partitions);
    assert!(matches!(refused, Err(CreateTableError::Place { number: 2, .. })));
    partitions.truncate(1);
    partitions[0].label = "x".repeat(37);
    let refused = create_table(&mut disk, disk_guid(), &partitions);
    assert!(matches!(refused, Err(CreateTableError::Encode { number: 1, .. })));
    assert!(disk.bytes().iter().all(|byte| *byte == 0));
}
