// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first boot ends with its marker and with nothing else.

use crate::disk::{SMALL, apply_plain, make_plan};
use repart::{BootKind, Change, FirstBoot, FirstBootStep as Step, KnownDisk, Marker, Plan};
use storage::PartUuid;

fn decide(marker: Marker, plan: &Plan, environment: Option<PartUuid>) -> FirstBoot {
    FirstBoot::decide(marker, plan, "boot-b", KnownDisk { environment, recorder: None })
}

#[test]
fn every_cut_between_the_steps_continues_the_first_boot() {
    let mut disk = SMALL.flashed(8);
    let fresh = make_plan(&disk, SMALL, "vfat");
    let disk_id = fresh.find("boot-b").unwrap().partition.part_uuid;
    let commit = Step::CommitEnvironment { disk: disk_id };
    let last = [Step::Format, Step::Provision, Step::WriteMarker];

    let start = decide(Marker::Absent, &fresh, None);
    assert_eq!(start.kind, BootKind::First);
    assert_eq!(start.steps, [&[Step::WipeHeads, commit, Step::WriteTable][..], &last].concat());
    // Cut after the environment: it is bound already and not committed again.
    let bound = decide(Marker::Absent, &fresh, Some(disk_id));
    assert_eq!(bound.steps, [&[Step::WipeHeads, Step::WriteTable][..], &last].concat());
    // Cut after the table: the partitions exist and the seed is still taken over (weakness 19).
    apply_plain(&fresh, &mut disk).unwrap();
    let written = make_plan(&disk, SMALL, "vfat");
    let seed = decide(Marker::Absent, &written, Some(disk_id));
    assert_eq!((seed.kind, seed.steps), (BootKind::First, last[1..].to_vec()));
    // Over.
    let over = decide(Marker::Present, &written, Some(disk_id));
    assert_eq!((over.kind, over.steps), (BootKind::Later, vec![]));
}

#[test]
fn environment_of_another_disk_is_replaced_on_the_first_boot_only() {
    let mut disk = SMALL.flashed(8);
    let fresh = make_plan(&disk, SMALL, "vfat");
    let other = fresh.find("data").unwrap().partition.part_uuid;
    let first = decide(Marker::Absent, &fresh, Some(other));
    assert!(first.steps.iter().any(|step| matches!(step, Step::CommitEnvironment { .. })));
    apply_plain(&fresh, &mut disk).unwrap();
    let plan = make_plan(&disk, SMALL, "vfat");
    let later = decide(Marker::Present, &plan, Some(other));
    assert_eq!(later.steps, []);
}

#[test]
fn with_data_out_of_reach_the_first_boot_is_begun_and_never_ended() {
    let mut disk = SMALL.flashed(8);
    let fresh = make_plan(&disk, SMALL, "vfat");
    let disk_id = fresh.find("boot-b").unwrap().partition.part_uuid;
    let commit = Step::CommitEnvironment { disk: disk_id };
    let begun = decide(Marker::OutOfReach, &fresh, None);
    assert_eq!(begun.kind, BootKind::First);
    assert_eq!(begun.steps, [Step::WipeHeads, commit, Step::WriteTable, Step::Format]);
    apply_plain(&fresh, &mut disk).unwrap();
    let written = make_plan(&disk, SMALL, "vfat");
    let waiting = decide(Marker::OutOfReach, &written, Some(disk_id));
    assert_eq!((waiting.kind, waiting.steps), (BootKind::Untold, vec![]));
}

/// Without the marker nobody knows whether this is a later boot, whose slot B is good: a
/// factory-fresh state would forget it.
#[test]
fn a_lost_environment_is_not_begun_anew_before_the_marker_can_be_read() {
    let mut disk = SMALL.flashed(8);
    apply_plain(&make_plan(&disk, SMALL, "vfat"), &mut disk).unwrap();
    let plan = make_plan(&disk, SMALL, "vfat");
    assert!(plan.partitions().iter().all(|planned| planned.change == Change::Keep));
    let other = plan.find("data").unwrap().partition.part_uuid;
    for lost in [None, Some(other)] {
        assert_eq!(decide(Marker::OutOfReach, &plan, lost).steps, []);
        let judged = decide(Marker::Absent, &plan, lost).steps;
        assert!(matches!(judged[0], Step::CommitEnvironment { .. }), "{judged:?}");
    }
}

/// Data was made anew, so there is no marker, and the environment is lost as well: the recorder
/// knows the slots of this disk, and a factory-fresh state would be noted as newer.
#[test]
fn a_disk_that_the_recorder_remembers_is_not_taken_for_a_new_one() {
    let mut disk = SMALL.flashed(8);
    let fresh = make_plan(&disk, SMALL, "vfat");
    let id = fresh.find("boot-b").unwrap().partition.part_uuid;
    let known = KnownDisk { environment: None, recorder: Some(id) };
    apply_plain(&fresh, &mut disk).unwrap();
    let plan = make_plan(&disk, SMALL, "vfat");
    let decided = FirstBoot::decide(Marker::Absent, &plan, "boot-b", known);
    assert_eq!(decided.steps, [Step::Provision, Step::WriteMarker]);
    // A partition that is about to be made is new whatever anybody remembers.
    let decided = FirstBoot::decide(Marker::OutOfReach, &fresh, "boot-b", known);
    assert!(decided.steps.contains(&Step::CommitEnvironment { disk: id }));
}
