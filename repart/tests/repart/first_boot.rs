// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first boot ends with its marker and with nothing else.

use crate::disk::{SMALL, apply_plain, make_plan};
use repart::{BootKind, FirstBoot, FirstBootStep as Step, Marker};

#[test]
fn every_cut_between_the_steps_continues_the_first_boot() {
    let mut disk = SMALL.flashed(8);
    let fresh = make_plan(&disk, SMALL, "vfat");
    let disk_id = fresh.find("boot-b").unwrap().partition.part_uuid;
    let commit = Step::CommitEnvironment { disk: disk_id };
    let last = [Step::Format, Step::Provision, Step::WriteMarker];
    let decide = |marker, plan, env| FirstBoot::decide(marker, plan, "boot-b", env);

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
    let first = FirstBoot::decide(Marker::Absent, &fresh, "boot-b", Some(other));
    assert!(first.steps.iter().any(|step| matches!(step, Step::CommitEnvironment { .. })));
    apply_plain(&fresh, &mut disk).unwrap();
    let plan = make_plan(&disk, SMALL, "vfat");
    let later = FirstBoot::decide(Marker::Present, &plan, "boot-b", Some(other));
    assert_eq!(later.steps, []);
}
