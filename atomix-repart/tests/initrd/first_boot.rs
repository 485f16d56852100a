// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first boot in two halves: partitions before data is mounted, its end after that.

use crate::rig::{DATA, MIB, OLD_LIFE, Rig};
use atomix_repart::{Act, Answer, Failure, PROVISIONED_PATH};
use bootctl::{BootBackend, BootState, Reason, SlotState};
use repart::read_table;
use std::fs;
use storage::{CutAt, CutPlan, PartUuid};
use uuid::Uuid;

/// Open bug 5 of the first real chain: the marker went into the initrd's own memory, and the first
/// boot counted as over.
#[test]
fn the_first_boot_does_not_end_while_data_is_only_a_directory() {
    let mut rig = Rig::new();
    let first = rig.run();
    assert!(!first.ended_first_boot && !rig.marker(), "{first:?}");
    assert_eq!(first.created, [3, 4, 5]);
    let why = first.waits_for.unwrap();
    assert_eq!(why, format!("vda5 (data) does not hold {PROVISIONED_PATH}: rootfs does"));
    // Again without data, as in an initrd that cannot mount it: nothing more happens.
    let again = rig.run();
    assert!(again.nothing_to_do && !again.ended_first_boot && again.waits_for.is_some());
    assert!(!rig.marker());

    assert!(rig.mount());
    let second = rig.run();
    assert!(second.ended_first_boot && second.waits_for.is_none() && rig.marker(), "{second:?}");
    let third = rig.run();
    assert!(third.nothing_to_do && !third.ended_first_boot && third.waits_for.is_none());
}

/// A marker that an older program left in the initrd's or the root's own directory.
#[test]
fn a_marker_that_does_not_lie_on_the_data_partition_is_not_believed() {
    let mut rig = Rig::new();
    rig.write(PROVISIONED_PATH, "1\n");
    let first = rig.run();
    assert_eq!(first.created, [3, 4, 5]);
    assert!(first.waits_for.is_some());
    assert_eq!(rig.state().b.state, SlotState::Empty, "a fresh state was committed");
    assert!(rig.mount() && !rig.marker());
    assert!(rig.run().ended_first_boot);
}

#[test]
fn a_cut_at_any_operation_of_the_first_run_ends_in_the_same_first_boot() {
    let whole = CutPlan::new(CutAt::Never, 0);
    Rig::new().perform(Act::CarryOut, Some(&whole)).unwrap();
    assert!(whole.operations() > 20, "only {} operations", whole.operations());
    let start = Rig::new();
    for operation in 0..whole.operations() {
        for seed in 0..4 {
            let context = format!("operation {operation} seed {seed}");
            let mut rig = start.copy();
            rig.cut_run(&CutPlan::new(CutAt::Operation(operation), seed));
            assert!(!rig.marker(), "{context}");
            // Whoever mounts what the cut left finds no old life, and no marker of it.
            if rig.mount() {
                assert!(!rig.marker(), "{context}");
                rig.unmount();
            }
            let (first, second) = rig.boot();
            assert!(!first.ended_first_boot && second.ended_first_boot, "{context}");
            let disk = rig.disk();
            assert!(disk[DATA..DATA + MIB].windows(OLD_LIFE.len()).all(|at| at != OLD_LIFE));
            let table = read_table(&rig.device("/dev/vda")).unwrap();
            let expected = BootState::factory(table.partitions[2].part_uuid);
            assert_eq!(rig.state(), expected, "{context}");
            assert!(disk[MIB..3 * MIB] == start.disk()[MIB..3 * MIB], "{context}: slot A");
            let (first, second) = rig.boot();
            assert!(first.nothing_to_do && second.nothing_to_do, "{context}");
        }
    }
}

#[test]
fn on_a_later_boot_a_lost_environment_is_left_to_who_knows_the_slots() {
    let mut rig = Rig::new();
    rig.boot();
    rig.device("/dev/mmcblk0").with(|card| card.bytes_mut()[..0x4000].fill(0));
    let (first, second) = rig.boot();
    assert!(first.nothing_to_do && second.nothing_to_do);
    assert_eq!(rig.state(), BootState::lost(), "nothing was begun anew");
    // Nor when data was made anew as well: the recorder remembers this disk.
    fs::remove_file(rig.path(PROVISIONED_PATH)).unwrap();
    let (_, second) = rig.boot();
    assert!(second.ended_first_boot);
    assert_eq!(rig.state(), BootState::lost(), "nothing was begun anew");
}

#[test]
fn a_card_without_an_environment_stops_the_first_boot_before_the_table() {
    let mut rig = Rig::new();
    rig.device("/dev/mmcblk0").with(|card| card.bytes_mut().fill(0));
    let refused = rig.perform(Act::CarryOut, None).unwrap_err();
    assert!(matches!(refused, Failure::Apply { .. }), "{refused:?}");
    assert!(refused.hint().is_some());
    assert_eq!(read_table(&rig.device("/dev/vda")).unwrap().partitions.len(), 2);
    // With the boot loader's defaults it is begun from them, boot command and all.
    rig.write("/etc/u-boot-initial-env", "bootcmd=run atomix_select\nbootdelay=0\n");
    let (_, second) = rig.boot();
    assert!(second.ended_first_boot);
    assert_eq!(rig.state().a.state, SlotState::Good);
    assert!(rig.backend().load().is_ok());
}

#[test]
fn the_answer_fits_a_serial_console_and_programs() {
    let mut rig = Rig::new();
    let (plan, _) = rig.perform(Act::DryRun, None).unwrap();
    assert!(matches!(plan, Answer::Plan { .. }));
    let (done, told) = rig.perform(Act::CarryOut, None).unwrap();
    let mut shown = Vec::new();
    plan.render(&mut shown).unwrap();
    done.render(&mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("would commit a fresh boot state"), "{shown}");
    assert!(shown.contains("done; run again when /data is mounted\n"), "{shown}");
    let wide = shown.lines().chain(told.lines()).find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
    let json = serde_json::to_value(&done).unwrap();
    assert_eq!((&json["version"], &json["ended_first_boot"]), (&1.into(), &false.into()));
    assert!(json["waits_for"].is_string() && json["data_reset"].is_null(), "{json}");
}

/// The header of the primary copy.
const PRIMARY: u64 = 512;

#[test]
fn an_unreadable_primary_is_made_anew_from_a_backup_that_names_the_bound_disk() {
    let mut rig = Rig::new();
    rig.boot();
    let before = rig.disk();
    // What a rewrite has to bring back.
    rig.device("/dev/vda").with(|disk| disk.bytes_mut()[512..1024].fill(0x5a));
    rig.spoil(PRIMARY);
    rig.unmount();
    let (_, told) = rig.perform(Act::CarryOut, None).unwrap();
    assert!(told.contains("primary copy is damaged: it cannot be read"), "{told}");
    assert_eq!(rig.disk()[..MIB], before[..MIB]);
}

/// Found by a review: two failed reads, and the table of an earlier life replaced a good one.
#[test]
fn an_unreadable_primary_is_left_alone_where_nothing_vouches_for_the_backup() {
    let mut rig = Rig::new();
    rig.boot();
    let before = rig.disk();
    rig.spoil(PRIMARY);
    // The recorder is of the earlier life as well. After a flash the firmware says of its
    // environment that it was another disk's; then the first boot has not bound it yet.
    let another = BootState::factory(PartUuid(Uuid::from_u128(0xbad)));
    let forgotten = BootState { disk: None, reason: Some(Reason::ForeignDisk), ..another.clone() };
    let waiting = BootState { reason: Some(Reason::Normal), ..forgotten.clone() };
    for state in [another, forgotten, waiting] {
        rig.bind_to(&state);
        rig.unmount();
        let refused = rig.perform(Act::CarryOut, None).unwrap_err();
        let said = storage::chain(&refused);
        assert!(said.contains("/dev/vda: the primary copy does not read"), "{state:?}: {said}");
        assert!(refused.hint().is_some());
        assert!(rig.disk() == before, "nothing was written");
    }
}

#[test]
fn an_unreadable_primary_is_made_anew_where_a_lost_environment_leaves_the_recorder_to_vouch() {
    let mut rig = Rig::new();
    rig.boot();
    let before = rig.disk();
    rig.device("/dev/vda").with(|disk| disk.bytes_mut()[512..1024].fill(0x5a));
    rig.spoil(PRIMARY);
    let known = rig.backend().load().unwrap();
    rig.bind_to(&BootState { disk: None, reason: Some(Reason::EnvLost), ..known });
    rig.unmount();
    rig.perform(Act::CarryOut, None).unwrap();
    assert_eq!(rig.disk()[..MIB], before[..MIB]);
}
