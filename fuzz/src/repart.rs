// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition tables, FAT file systems, definitions of partitions.

use crate::sparse_disk::SparseDisk;
use crate::text::lossy;
use repart::{
    Definition, FatEntryKind, FatImage, FatTime, Plan, PlanOptions, Table, parse_definition, plan,
    read_table,
};
use std::sync::LazyLock;
use storage::ByteLen;

/// What a board wants of its disk, small.
static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    [
        "[Partition]\nType=xbootldr\nLabel=boot-a\nSizeMinBytes=1M\nSizeMaxBytes=1M\n",
        "[Partition]\nType=root-arm64\nLabel=rootfs-a\nSizeMinBytes=1M\nSizeMaxBytes=1M\n",
        "[Partition]\nType=xbootldr\nLabel=boot-b\nFormat=vfat\nSizeMinBytes=1M\nSizeMaxBytes=1M\n",
        "[Partition]\nType=linux-generic\nLabel=data\nFormat=f2fs\nSizeMinBytes=1M\n",
    ]
    .iter()
    .map(|text| parse_definition("00.conf", text).expect("the definitions are right"))
    .collect()
});

const OPTIONS: PlanOptions = PlanOptions { seed: [7; 16], protected_end: ByteLen::mib(1) };

/// A disk with a GPT (in the form of [`SparseDisk`]), as it is and with all checksums made right,
/// in sectors of 512 and of 4096 bytes: what the table says, and what would be planned for it.
pub fn partition_table(data: &[u8]) {
    for sector_bytes in [512, 4096] {
        let disk = SparseDisk::parse(data, sector_bytes);
        check_disk(&disk);
        let mut mended = disk;
        let last = mended.sectors().saturating_sub(1);
        for header in [1, last] {
            mend_header(&mut mended, header);
        }
        check_disk(&mended);
    }
}

/// Makes both checksums of the header in sector `number` right (layout: `table.rs`).
fn mend_header(disk: &mut SparseDisk, number: u64) {
    let mut header = disk.sector(number);
    let u32_at = |at: usize| header[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    let u64_at = |at: usize| header[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let (place, entries, entry_bytes) = (u64_at(72), u32_at(80), u32_at(84));
    let array_bytes = u64::from(entries.min(1024)) * u64::from(entry_bytes.min(512));
    let sectors = array_bytes.div_ceil(512).min(256);
    let array: Vec<u8> =
        (0..sectors).flat_map(|sector| disk.sector(place.wrapping_add(sector))).collect();
    let array = array.get(..usize::try_from(array_bytes).unwrap_or(0)).unwrap_or(&array);
    header[88..92].copy_from_slice(&crc32fast::hash(array).to_le_bytes());
    header[16..20].fill(0);
    let crc = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    disk.set_sector(number, header);
}

fn check_disk(disk: &SparseDisk) {
    let Ok(table) = read_table(disk) else { return };
    for partition in &table.partitions {
        assert!(partition.last_lba.0 < table.sectors, "{partition:?}");
        assert!(partition.first_lba <= partition.last_lba, "{partition:?}");
    }
    for definitions in [&DEFINITIONS[..], &DEFINITIONS[..2], &[]] {
        if let Ok(plan) = plan(&table, definitions, &OPTIONS) {
            check_plan(&table, &plan);
        }
    }
}

/// Nothing that exists moves, nothing new overlaps or reaches into the bootloader's area.
fn check_plan(table: &Table, plan: &Plan) {
    for old in &table.partitions {
        let kept = plan.partitions().iter().any(|planned| {
            planned.partition.number == old.number
                && planned.partition.first_lba == old.first_lba
                && planned.partition.last_lba >= old.last_lba
        });
        assert!(kept, "{old:?} is not in the plan");
    }
    let protected = OPTIONS.protected_end.get() / u64::from(table.sector_bytes);
    let mut ranges: Vec<_> = plan
        .partitions()
        .iter()
        .map(|planned| (planned.partition.first_lba.0, planned.partition.last_lba.0))
        .collect();
    ranges.sort_unstable();
    assert!(ranges.iter().all(|(first, last)| *first >= protected && *last < table.sectors));
    assert!(ranges.is_sorted_by(|left, right| left.1 < right.0), "{ranges:?}");
}

/// A FAT (in the form of [`SparseDisk`]): every directory is listed and every file read.
pub fn fat(data: &[u8]) {
    let Ok(mut fat) = FatImage::open(SparseDisk::parse(data, 512), FatTime::EPOCH) else { return };
    let _ = fat.label();
    let mut directories = vec![String::new()];
    let mut acts = 0;
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fat.list(&directory) else { continue };
        assert!(entries.is_sorted_by(|left, right| left.name <= right.name));
        for entry in entries {
            acts += 1;
            if acts > 64 {
                return;
            }
            let path = match directory.as_str() {
                "" => entry.name,
                directory => format!("{directory}/{}", entry.name),
            };
            match entry.kind {
                FatEntryKind::Directory => directories.push(path),
                FatEntryKind::File(len) => {
                    let limit = ByteLen::mib(1);
                    if let Ok(content) = fat.read_file(&path, limit) {
                        // Two entries may have one name; the first is read.
                        assert!(content.len() as u64 <= limit.get().max(len.get()));
                    }
                }
            }
        }
    }
}

/// Definitions of partitions, `\0` between them: each is read, and all are planned for a disk.
pub fn repart_definition(data: &[u8]) {
    let mut definitions = Vec::new();
    for (number, text) in data.split(|byte| *byte == 0).take(16).enumerate() {
        if let Ok(definition) = parse_definition(&format!("{number:02}.conf"), &lossy(text)) {
            assert!(definition.size_max.is_none_or(|most| definition.size_min <= most));
            assert!(definition.label.encode_utf16().count() <= 36);
            definitions.push(definition);
        }
    }
    if let Ok(plan) = plan(&EMPTY_TABLE, &definitions, &OPTIONS) {
        check_plan(&EMPTY_TABLE, &plan);
        assert_eq!(plan.partitions().len(), definitions.len());
    }
}

/// The table of a disk of 64 MiB without partitions.
static EMPTY_TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut disk = SparseDisk::parse(&(1_u32 << 17).to_le_bytes(), 512);
    repart::create_table(&mut disk, uuid::Uuid::from_u128(1), &[]).expect("the disk fits a table");
    read_table(&disk).expect("the table was just made")
});
