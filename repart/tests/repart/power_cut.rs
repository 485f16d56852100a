// SPDX-License-Identifier: MIT OR Apache-2.0
//! I1 and I6 for the partition table: after a cut at any write or flush the table is readable,
//! the slots and the bootloader are untouched, and running again ends where an undisturbed run
//! ends.

use crate::disk::{MIB, SMALL, apply_plain, disk_guid, make_plan};
use repart::{Effects, HostFilesystems, Plan, apply, create_table, read_table};
use storage::{CutAt, CutPlan, MemoryStorage, PowerCut, Shared, Storage};

const DISK_MIB: u64 = 8;
/// Outcomes of unflushed and torn writes tried at each cut.
const SEEDS: u64 = 8;

fn run(disk: &mut dyn Storage, plan: &Plan, before: &mut u32) -> bool {
    let mut filesystems: HostFilesystems = crate::disk::scratch();
    let mut effects = Effects {
        filesystems: &mut filesystems,
        before_table: &mut |_| {
            *before += 1;
            Ok(())
        },
        progress: &mut |_| {},
    };
    apply(plan, disk, &mut effects).is_ok()
}

/// Cuts at every operation of applying to `start`; each time the rerun must reach `wanted`.
fn cut_everywhere(start: &MemoryStorage, wanted: &MemoryStorage) -> u64 {
    let slots = MIB as usize..3 * MIB as usize;
    let count = CutPlan::new(CutAt::Never, 0);
    let mut powered = PowerCut::new(start.clone(), &count);
    let plan = make_plan(&powered, SMALL, "vfat");
    assert!(run(&mut powered, &plan, &mut 0));
    let operations = count.operations();
    for operation in 0..operations {
        for seed in 0..SEEDS {
            let medium = Shared::new(start.clone());
            let cut = CutPlan::new(CutAt::Operation(operation), seed);
            let mut powered = PowerCut::new(medium.clone(), &cut);
            assert!(!run(&mut powered, &plan, &mut 0) && cut.is_cut());
            drop(powered);
            let mut disk = medium.with(|disk| disk.clone());
            let context = format!("operation {operation} seed {seed}");
            let table = read_table(&disk).expect(&context);
            assert!(table.partitions.len() == 2 || table.partitions.len() == 5, "{context}");
            let again = make_plan(&disk, SMALL, "vfat");
            assert!(run(&mut disk, &again, &mut 0), "{context}");
            assert_eq!(disk.bytes()[..1024 * 17], wanted.bytes()[..1024 * 17], "{context}");
            assert!(disk.bytes()[slots.clone()] == start.bytes()[slots.clone()], "{context}");
            let gap = 34 * 512..MIB as usize;
            assert!(disk.bytes()[gap.clone()] == start.bytes()[gap], "{context}");
            assert!(make_plan(&disk, SMALL, "vfat").is_empty(), "{context}");
            assert_vfat_whole(&disk, &context);
        }
    }
    operations
}

/// boot-b and data hold their file systems.
fn assert_vfat_whole(disk: &MemoryStorage, context: &str) {
    for (number, label) in [(2, "BOOT-B"), (4, "DATA")] {
        let partition = read_table(disk).unwrap().partitions[number].clone();
        let start = partition.first_lba.0 as usize * 512;
        let end = (partition.last_lba.0 as usize + 1) * 512;
        let bytes = disk.bytes()[start..end].to_vec();
        let view = MemoryStorage::disk("partition", bytes);
        let mut fat = repart::FatImage::open(view, repart::FatTime::EPOCH).expect(context);
        assert_eq!(fat.label().unwrap().unwrap().trim_end(), label, "{context}");
        assert_eq!(fat.list("").unwrap(), [], "{context}");
    }
}

#[test]
fn first_boot_survives_a_cut_at_every_operation() {
    let start = SMALL.flashed(DISK_MIB);
    let mut wanted = start.clone();
    apply_plain(&make_plan(&start, SMALL, "vfat"), &mut wanted).unwrap();
    let operations = cut_everywhere(&start, &wanted);
    assert!(operations > 12, "only {operations} operations");
}

#[test]
fn repair_of_a_damaged_primary_survives_a_cut_at_every_operation() {
    let mut wanted = SMALL.flashed(DISK_MIB);
    apply_plain(&make_plan(&wanted, SMALL, "vfat"), &mut wanted).unwrap();
    // The whole table is there, boot-b was wiped and not formatted, and the primary was torn.
    let mut start = wanted.clone();
    start.bytes_mut()[3 * MIB as usize..4 * MIB as usize].fill(0);
    start.bytes_mut()[1024 + 130] ^= 1;
    cut_everywhere(&start, &wanted);
    // The same with partitions still to be made: only the backup knows the old ones.
    let mut fresh = SMALL.flashed(DISK_MIB);
    create_table(&mut fresh, disk_guid(), &SMALL.image_partitions(512)).unwrap();
    fresh.bytes_mut()[512 + 20] ^= 1;
    cut_everywhere(&fresh, &wanted);
}

#[test]
fn second_run_writes_nothing() {
    let mut disk = SMALL.flashed(DISK_MIB);
    let mut calls = 0;
    let first = make_plan(&disk, SMALL, "vfat");
    assert!(run(&mut disk, &first, &mut calls));
    let count = CutPlan::new(CutAt::Never, 0);
    let mut powered = PowerCut::new(disk, &count);
    let plan = make_plan(&powered, SMALL, "vfat");
    assert!(plan.is_empty());
    assert!(run(&mut powered, &plan, &mut calls));
    assert_eq!((calls, count.operations()), (1, 0));
}

#[test]
fn old_file_systems_in_new_partitions_do_not_pass_for_ours() {
    // The disk held 0x5a everywhere; rootfs-b gets no file system, so its head must be zero.
    let mut disk = SMALL.flashed(DISK_MIB);
    let plan = make_plan(&disk, SMALL, "vfat");
    apply_plain(&plan, &mut disk).unwrap();
    let root_b = 4 * MIB as usize;
    assert!(disk.bytes()[root_b..root_b + MIB as usize].iter().all(|byte| *byte == 0));
}

#[test]
fn failing_environment_leaves_the_table_as_it_was() {
    let mut disk = SMALL.flashed(DISK_MIB);
    let plan = make_plan(&disk, SMALL, "vfat");
    let before = read_table(&disk).unwrap();
    let mut effects = Effects {
        filesystems: &mut crate::disk::scratch(),
        before_table: &mut |_| Err("environment cannot be written".into()),
        progress: &mut |_| {},
    };
    let refused = apply(&plan, &mut disk, &mut effects).unwrap_err();
    assert!(matches!(refused, repart::ApplyError::BeforeTable(_)));
    assert_eq!(read_table(&disk).unwrap(), before);
}

#[test]
fn stale_plan_is_refused() {
    let mut disk = SMALL.flashed(DISK_MIB);
    let plan = make_plan(&disk, SMALL, "vfat");
    apply_plain(&plan, &mut disk).unwrap();
    let refused = apply_plain(&plan, &mut disk).unwrap_err();
    assert!(matches!(refused, repart::ApplyError::Stale { .. }));
}
