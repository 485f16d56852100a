// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reset empties the data partition and nothing else, whenever the power goes.

use crate::disk::{MIB, SMALL, apply_plain, make_plan, scratch};
use repart::{
    ApplyEvent, Content, Effects, FilesystemRequest, Format, FormatError, Formatted,
    MakeFilesystem, Plan, PlanError, apply, read_table,
};
use storage::{CutAt, CutPlan, MemoryStorage, PowerCut, Shared, Storage};

const DATA: usize = 5 * MIB as usize;

/// A board in use: data holds bytes of its owner behind a file system's first sectors.
fn in_use() -> MemoryStorage {
    let mut disk = SMALL.flashed(8);
    apply_plain(&make_plan(&disk, SMALL, "vfat"), &mut disk).unwrap();
    assert_eq!(read_table(&disk).unwrap().partitions[4].first_lba.0 * 512, DATA as u64);
    disk.bytes_mut()[DATA + 3..DATA + 11].copy_from_slice(b"OLD LIFE");
    disk
}

fn reset_plan(disk: &dyn Storage) -> Plan {
    let definitions = SMALL.definitions("vfat");
    make_plan(disk, SMALL, "vfat").with_reset("data", &definitions).unwrap()
}

#[test]
fn a_reset_cut_anywhere_leaves_old_or_blank_or_new_data_and_the_rest_alone() {
    let start = in_use();
    let mut wanted = start.clone();
    apply_plain(&reset_plan(&start), &mut wanted).unwrap();
    assert_ne!(wanted.bytes()[DATA + 3..DATA + 11], *b"OLD LIFE");
    assert_eq!(wanted.bytes()[..DATA], start.bytes()[..DATA], "only data changed");
    let count = CutPlan::new(CutAt::Never, 0);
    apply_plain(&reset_plan(&start), &mut PowerCut::new(start.clone(), &count)).unwrap();
    assert!(count.operations() > 4, "only {} operations", count.operations());
    for operation in 0..count.operations() {
        for seed in 0..8 {
            let medium = Shared::new(start.clone());
            let cut = CutPlan::new(CutAt::Operation(operation), seed);
            let mut powered = PowerCut::new(medium.clone(), &cut);
            assert!(apply_plain(&reset_plan(&start), &mut powered).is_err() && cut.is_cut());
            drop(powered);
            let mut disk = medium.with(|disk| disk.clone());
            let context = format!("operation {operation} seed {seed}");
            assert!(disk.bytes()[..DATA] == start.bytes()[..DATA], "{context}");
            // The request is still there, so it is done again, from whatever the cut left.
            apply_plain(&reset_plan(&disk), &mut disk).expect(&context);
            assert!(disk.bytes() == wanted.bytes(), "{context}");
        }
    }
}

#[test]
fn a_plan_with_a_reset_is_not_empty_and_changes_no_table() {
    let disk = in_use();
    let plan = reset_plan(&disk);
    assert!(!plan.is_empty() && !plan.writes_table());
    let resets = plan.partitions().iter().filter(|planned| planned.content == Content::Reset);
    let labels: Vec<&str> = resets.map(|planned| planned.partition.label.as_str()).collect();
    assert_eq!(labels, ["data"]);
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["partitions"][4]["content"], "reset");
    assert!(json["partitions"][3].get("content").is_none());
}

#[test]
fn a_partition_that_no_definition_formats_is_never_reset() {
    let disk = in_use();
    let definitions = SMALL.definitions("vfat");
    for label in ["rootfs-a", "rootfs-b", "boot-a", "elsewhere"] {
        let refused = make_plan(&disk, SMALL, "vfat").with_reset(label, &definitions).unwrap_err();
        assert_eq!(refused, PlanError::NoReset { label: label.to_owned() });
        assert!(refused.hint().is_some());
    }
}

/// A board without `mkfs` keeps its data: an empty partition that nobody can format helps nobody.
#[test]
fn data_is_kept_where_no_program_can_make_the_new_file_system() {
    struct Lacking;
    impl MakeFilesystem for Lacking {
        fn missing_program(&self, _format: Format) -> Option<&'static str> {
            Some("mkfs.none")
        }
        fn make(
            &mut self,
            _request: &FilesystemRequest,
            _partition: &mut dyn Storage,
        ) -> Result<Formatted, FormatError> {
            panic!("asked to make one all the same")
        }
    }
    let mut disk = in_use();
    let plan = reset_plan(&disk);
    let before = disk.clone();
    let mut events = Vec::new();
    let mut effects = Effects {
        filesystems: &mut Lacking,
        before_table: &mut |_| Ok(()),
        progress: &mut |event| events.push(event),
    };
    let applied = apply(&plan, &mut disk, &mut effects).unwrap();
    assert!(disk.bytes() == before.bytes());
    assert_eq!(applied.formatted[0].result, Formatted::ToolMissing("mkfs.none"));
    assert!(matches!(events[..], [ApplyEvent::Formatted(_)]));
}

#[test]
fn installed_programs_are_found() {
    assert_eq!(scratch().missing_program(Format::Vfat), None);
    assert_eq!(scratch().missing_program(Format::F2fs), None, "mkfs.f2fs is needed by the tests");
}
