// SPDX-License-Identifier: MIT OR Apache-2.0
//! F2FS has two superblocks, and either is enough: data gets a new file system only where both are
//! missing. The judge of what is a whole file system is `fsck.f2fs`.

use crate::disk::{MIB, SMALL, apply_plain, make_plan};
use crate::judges::run;
use repart::{Format, PartitionHead, Plan, apply, read_table};
use storage::{CutAt, CutPlan, MemoryStorage, PowerCut, Shared, Storage};

/// Where data begins.
const DATA: usize = 5 * MIB as usize;
const FIRST: usize = DATA + 1024;
const SECOND: usize = DATA + 4096 + 1024;
/// As large as `mkfs.f2fs` needs it, and little more.
const DISK_MIB: u64 = 70;

/// A board in use, with F2FS on data.
fn in_use() -> MemoryStorage {
    let mut disk = SMALL.flashed(DISK_MIB);
    apply_plain(&make_plan(&disk, SMALL, "f2fs"), &mut disk).unwrap();
    assert!(has_magic(&disk, FIRST) && has_magic(&disk, SECOND));
    disk
}

fn has_magic(disk: &MemoryStorage, at: usize) -> bool {
    disk.bytes()[at..at + 4] == 0xf2f5_2010_u32.to_le_bytes()
}

fn zero_sector(disk: &mut MemoryStorage, at: usize) {
    disk.bytes_mut()[at..at + 512].fill(0);
}

fn formats_data(plan: &Plan) -> bool {
    plan.partitions()[4].format == Some(Format::F2fs)
}

/// Panics unless data is a whole file system.
fn assert_whole(disk: &MemoryStorage) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = &read_table(disk).unwrap().partitions[4];
    let end = (data.last_lba.0 as usize + 1) * 512;
    std::fs::write(&path, &disk.bytes()[DATA..end]).unwrap();
    let said = run("fsck.f2fs", &["--dry-run"], &[&path]);
    assert!(!said.contains("[FAIL]") && !said.contains("[ASSERT]"), "{said}");
}

#[test]
fn one_lost_sector_is_no_reason_to_make_data_anew() {
    let whole = in_use();
    for lost in [FIRST, SECOND] {
        let mut disk = whole.clone();
        zero_sector(&mut disk, lost);
        assert_whole(&disk);
        assert_eq!(read_table(&disk).unwrap().partitions[4].head, PartitionHead::Filled);
        let (plan, before) = (make_plan(&disk, SMALL, "f2fs"), disk.clone());
        assert!(plan.is_empty(), "sector {lost:#x}");
        apply_plain(&plan, &mut disk).unwrap();
        assert!(disk.bytes() == before.bytes(), "sector {lost:#x}");
    }
    let mut disk = whole;
    zero_sector(&mut disk, FIRST);
    zero_sector(&mut disk, SECOND);
    let plan = make_plan(&disk, SMALL, "f2fs");
    assert!(formats_data(&plan), "without either of them nothing mounts it");
}

#[test]
fn a_cut_while_f2fs_is_made_leaves_data_blank_or_a_whole_file_system() {
    // Everything but the file system of data is done, and its place holds an old life.
    let mut start = SMALL.flashed(DISK_MIB);
    apply_plain(&make_plan(&start, SMALL, "vfat"), &mut start).unwrap();
    start.bytes_mut()[DATA..].iter_mut().take(MIB as usize).for_each(|byte| *byte = 0);
    let plan = make_plan(&start, SMALL, "f2fs");
    assert!(formats_data(&plan) && !plan.writes_table());
    let count = CutPlan::new(CutAt::Never, 0);
    apply_plain(&plan, &mut PowerCut::new(start.clone(), &count)).unwrap();
    let (mut blank, mut by_the_second) = (0, 0);
    for operation in 0..count.operations() {
        for seed in 0..2 {
            let medium = Shared::new(start.clone());
            let cut = CutPlan::new(CutAt::Operation(operation), seed);
            let mut powered = PowerCut::new(medium.clone(), &cut);
            assert!(apply_plain(&plan, &mut powered).is_err() && cut.is_cut());
            drop(powered);
            let disk = medium.with(|disk| disk.clone());
            if formats_data(&make_plan(&disk, SMALL, "f2fs")) {
                blank += 1;
                continue;
            }
            assert_whole(&disk);
            by_the_second += u32::from(!has_magic(&disk, FIRST));
        }
    }
    assert!(blank > 0 && by_the_second > 0, "{blank} blank, {by_the_second} by the second");
}

#[test]
fn a_reset_takes_both_superblocks_before_it_makes_new_ones() {
    /// Looks at what it gets and makes nothing.
    struct Looks;
    impl repart::MakeFilesystem for Looks {
        fn missing_program(&self, _format: Format) -> Option<&'static str> {
            None
        }
        fn make(
            &mut self,
            _request: &repart::FilesystemRequest,
            partition: &mut dyn Storage,
        ) -> Result<repart::Formatted, repart::FormatError> {
            let mut head = vec![0xff; 8192];
            partition.read_at(0, &mut head).unwrap();
            assert!(head.iter().all(|byte| *byte == 0));
            Ok(repart::Formatted::ToolMissing("nothing"))
        }
    }
    let mut disk = in_use();
    let definitions = SMALL.definitions("f2fs");
    let plan = make_plan(&disk, SMALL, "f2fs").with_reset("data", &definitions).unwrap();
    let mut effects = repart::Effects {
        filesystems: &mut Looks,
        before_table: &mut |_| Ok(()),
        progress: &mut |_| {},
    };
    assert_eq!(apply(&plan, &mut disk, &mut effects).unwrap().formatted.len(), 1);
}
