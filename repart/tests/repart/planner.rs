// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties and refusals of the planner.

use crate::disk::{MIB, REAL, SMALL, Sizes, apply_plain, disk_guid, make_plan};
use proptest::prelude::*;
use repart::{
    Change, Plan, PlanError, PlanOptions, create_table, parse_definition, plan, read_table,
};
use storage::{Access, ByteLen, FileStorage, MemoryStorage};

fn ranges(plan: &Plan) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = plan
        .partitions()
        .iter()
        .map(|planned| (planned.partition.first_lba.0, planned.partition.last_lba.0))
        .collect();
    ranges.sort_unstable();
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No overlap, nothing below the protected end, inside the disk, wishes kept, and a second
    /// plan on the result is empty.
    #[test]
    fn plans_are_sound_and_final(
        disk_mib in 8_u64..48,
        gap in 1_u64..3,
        wishes in prop::collection::vec(
            (0_u64..5_000_000, prop::option::of(0_u64..9_000_000), 0_u32..3, 0_u64..3),
            0..5,
        ),
    ) {
        let sizes = Sizes { gap, ..SMALL };
        let mut disk = sizes.flashed(disk_mib);
        let mut definitions = sizes.definitions("vfat");
        definitions.truncate(2);
        for (index, (min, max, weight, padding)) in wishes.iter().enumerate() {
            let max = max.map(|max| format!("SizeMaxBytes={}\n", max + min)).unwrap_or_default();
            let text = format!(
                "[Partition]\nType=var\nLabel=p{index}\nSizeMinBytes={min}\n{max}\
                 Weight={weight}\nPaddingMinBytes={padding}M\n"
            );
            definitions.push(parse_definition(&format!("{index}.conf"), &text).unwrap());
        }
        let table = read_table(&disk).unwrap();
        match plan(&table, &definitions, &sizes.options()) {
            Err(PlanError::NoSpace { need, have }) => prop_assert!(need > have),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
            Ok(found) => {
                let ranges = ranges(&found);
                for pair in ranges.windows(2) {
                    prop_assert!(pair[0].1 < pair[1].0);
                }
                prop_assert!(ranges[0].0 >= gap * 2048);
                prop_assert!(ranges.iter().all(|(first, last)| first <= last && *last <= table.last_usable.0));
                for (planned, definition) in found.partitions().iter().zip(&definitions).skip(2) {
                    let size = planned.partition.sectors() * 512;
                    prop_assert!(size >= definition.size_min.get());
                    let max = definition.size_max.map_or(u64::MAX, ByteLen::get);
                    prop_assert!(size <= max.div_ceil(MIB).max(1).max(definition.size_min.get().div_ceil(MIB)).saturating_mul(MIB));
                    prop_assert_eq!(planned.partition.first_lba.0 % 2048, 0);
                }
                let gap_before = disk.bytes()[34 * 512..(gap * MIB) as usize].to_vec();
                apply_plain(&found, &mut disk).unwrap();
                prop_assert!(disk.bytes()[34 * 512..(gap * MIB) as usize] == gap_before);
                let second = plan(&read_table(&disk).unwrap(), &definitions, &sizes.options()).unwrap();
                prop_assert!(second.is_empty(), "{:?}", second);
            }
        }
    }
}

/// A sparse disk as large as the board's, with the flashed image's table.
fn emmc(dir: &std::path::Path) -> FileStorage {
    let path = dir.join("emmc");
    drop(FileStorage::create_sparse(&path, ByteLen::mib(REAL.image_mib())).unwrap());
    let mut image = FileStorage::open(&path, Access::ReadWrite).unwrap();
    create_table(&mut image, disk_guid(), &REAL.image_partitions(512)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(15_758_000_128).unwrap();
    FileStorage::open_as(&path, "mmcblk1", Access::ReadWrite).unwrap()
}

#[test]
fn real_board_gets_the_documented_layout() {
    let dir = tempfile::tempdir().unwrap();
    let disk = emmc(dir.path());
    let found = make_plan(&disk, REAL, "f2fs");
    let starts: Vec<u64> =
        found.partitions().iter().map(|planned| planned.partition.first_lba.0 / 2048).collect();
    assert_eq!(starts, [16, 144, 1168, 1296, 2320]);
    let created: Vec<u32> = found.created().map(|planned| planned.partition.number).collect();
    assert_eq!(created, [3, 4, 5]);
    assert_eq!(found.partitions()[4].partition.last_lba.0, (15_028 - 1) * 2048 - 1);
    let map = found.render_map(80);
    assert!(map.lines().all(|line| line.chars().count() <= 80), "{map}");
    assert_eq!(
        map,
        "\
GPT on 14.6 GiB, backup copy is at sector 2396159, not at the disk's end
|bootloader#|1 boot-a==|2 rootfs-a===|3 boot-b++|4 rootfs-b+++|5 data++++++++++|
"
        .to_owned()
            + &map.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>()
    );
}

#[test]
fn json_names_change_size_and_identity() {
    let dir = tempfile::tempdir().unwrap();
    let disk = emmc(dir.path());
    let json = serde_json::to_value(make_plan(&disk, REAL, "f2fs")).unwrap();
    let data = &json["partitions"][4];
    assert_eq!(data["change"], "create");
    assert_eq!(data["format"], "f2fs");
    assert_eq!(data["definition"], "50-data.conf");
    assert_eq!(data["start_bytes"], 2320 * MIB);
    assert_eq!(json["partitions"][0]["change"], "keep");
    assert_eq!(json["empty"], false);
}

#[test]
fn identities_follow_the_seed_alone() {
    let disk = SMALL.flashed(8);
    let table = read_table(&disk).unwrap();
    let of = |seed| {
        let options = PlanOptions { seed: [seed; 16], ..SMALL.options() };
        let found = plan(&table, &SMALL.definitions("vfat"), &options).unwrap();
        found.find("boot-b").unwrap().partition.part_uuid
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn too_small_a_disk_names_need_and_have() {
    let disk = SMALL.flashed(6);
    let table = read_table(&disk).unwrap();
    let refused = plan(&table, &SMALL.definitions("vfat"), &SMALL.options()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "not enough space behind the last partition: 3.0 MiB needed, 2.0 MiB free"
    );
    assert!(refused.hint().is_some());
}

#[test]
fn foreign_disks_are_refused_each_with_its_own_message() {
    let definitions = SMALL.definitions("vfat");
    let refusal = |change: &dyn Fn(&mut Vec<repart::NewPartition>), gap| {
        let mut disk = MemoryStorage::disk("disk", vec![0; 16 * MIB as usize]);
        let mut partitions = SMALL.image_partitions(512);
        change(&mut partitions);
        create_table(&mut disk, disk_guid(), &partitions).unwrap();
        let options = PlanOptions { protected_end: ByteLen::mib(gap), ..SMALL.options() };
        plan(&read_table(&disk).unwrap(), &definitions, &options).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(&|_| {}, 2),
        "partition 1 starts at 1.0 MiB, inside the first 2.0 MiB, which belong to the bootloader"
    );
    assert_eq!(
        refusal(&|partitions| partitions[0].label = "EFI".to_owned(), 1),
        "partition 1 is labelled EFI, 10-boot-a.conf wants boot-a"
    );
    assert_eq!(
        refusal(&|partitions| partitions.swap(0, 1), 1),
        "partition 2 matches 10-boot-a.conf, which describes partition 1"
    );
    assert_eq!(
        refusal(&|partitions| partitions[1].type_guid = "home".parse().unwrap(), 1),
        "partition 2 (rootfs-a) is foreign: 20-rootfs-a.conf wants that number"
    );
    let extra = |partitions: &mut Vec<repart::NewPartition>| {
        let mut more = partitions[1].clone();
        more.type_guid = "linux-generic".parse().unwrap();
        (more.first_lba.0, more.last_lba.0) = (4 * 2048, 5 * 2048);
        partitions.push(more);
    };
    assert_eq!(
        refusal(&extra, 1),
        "partition 3 (rootfs-a) is foreign: 30-boot-b.conf wants that number"
    );
}

#[test]
fn overlapping_partitions_are_refused() {
    let mut disk = SMALL.flashed(16);
    // A table that no tool of ours would write, with right checksums: rootfs-a starts early.
    let table = read_table(&disk).unwrap();
    let mut twisted = table.clone();
    twisted.partitions[1].first_lba = twisted.partitions[0].last_lba;
    let refused = plan(&twisted, &SMALL.definitions("vfat"), &SMALL.options()).unwrap_err();
    assert_eq!(refused, PlanError::Overlap { first: 1, second: 2 });
    // And a plan for a table that is not the disk's is never applied.
    twisted.partitions.truncate(1);
    let other = plan(&twisted, &SMALL.definitions("vfat")[..1], &SMALL.options()).unwrap();
    assert!(matches!(apply_plain(&other, &mut disk), Err(repart::ApplyError::Stale { .. })));
}

#[test]
fn only_the_last_partition_grows_and_its_start_stays() {
    let mut disk = SMALL.flashed(8);
    apply_plain(&make_plan(&disk, SMALL, "vfat"), &mut disk).unwrap();
    let before = read_table(&disk).unwrap();
    // The module was swapped for a larger one, copied bit by bit.
    let mut bytes = disk.bytes().to_vec();
    bytes.resize(24 * MIB as usize, 0);
    let mut larger = MemoryStorage::disk("disk", bytes);
    let found = make_plan(&larger, SMALL, "vfat");
    let changes: Vec<Change> = found.partitions().iter().map(|planned| planned.change).collect();
    let grown = Change::Grow { from: before.partitions[4].last_lba };
    assert_eq!(changes, [Change::Keep, Change::Keep, Change::Keep, Change::Keep, grown]);
    apply_plain(&found, &mut larger).unwrap();
    let after = read_table(&larger).unwrap();
    assert_eq!(after.partitions[..4], before.partitions[..4]);
    assert_eq!(after.partitions[4].first_lba, before.partitions[4].first_lba);
    assert_eq!(after.partitions[4].last_lba.0, 23 * 2048 - 1);
    assert!(make_plan(&larger, SMALL, "vfat").is_empty());
}
