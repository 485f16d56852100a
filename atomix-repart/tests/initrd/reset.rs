// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reset of data that somebody asked for: at the next boot, once, and nothing else is touched.

use crate::rig::{DATA, MIB, Rig};
use atomix_repart::{Act, Answer};
use bootctl::{BootBackend, DataReset};
use storage::{CutAt, CutPlan};

/// A board in use, with bytes of its owner in data.
fn in_use() -> Rig {
    let mut rig = Rig::new();
    rig.boot();
    rig.device("/dev/vda")
        .with(|disk| disk.bytes_mut()[DATA + 3..DATA + 8].copy_from_slice(b"owner"));
    rig.mount();
    rig.write("/data/atomix/provisioned", "1\n");
    rig.write("/data/photo", "precious");
    rig
}

fn is_owners(disk: &[u8]) -> bool {
    disk[DATA + 3..DATA + 8] == *b"owner"
}

#[test]
fn a_request_waits_for_the_next_boot_and_is_done_once() {
    let mut rig = in_use();
    let state = rig.state();
    let before = rig.disk();
    let (answer, _) = rig.perform(Act::ResetData, None).unwrap();
    assert!(matches!(answer, Answer::Asked(DataReset::Requested)));
    assert!(rig.disk() == before && rig.asked() == DataReset::Requested, "only asked for");
    // The running system has data mounted: its run leaves it alone.
    let (_, told) = rig.perform(Act::CarryOut, None).unwrap();
    assert!(told.contains("data is mounted on /data"), "{told}");
    assert!(rig.disk() == before && rig.asked() == DataReset::Requested);

    let (first, second) = rig.boot();
    let json = serde_json::to_value(&first).unwrap();
    assert_eq!((&json["data_reset"], &json["formatted"]), (&"done".into(), &vec!["data"].into()));
    assert!(second.ended_first_boot, "the seed is taken over again");
    assert!(!rig.path("/data/photo").exists());
    assert_eq!(
        (rig.asked(), rig.state()),
        (DataReset::NotRequested, state),
        "the slots are as they were"
    );
    assert!(rig.disk()[..DATA] == before[..DATA], "nothing but data was written");
    let (first, second) = rig.boot();
    assert!(first.nothing_to_do && second.nothing_to_do);
}

#[test]
fn a_request_can_be_taken_back() {
    let mut rig = in_use();
    rig.perform(Act::ResetData, None).unwrap();
    let (answer, _) = rig.perform(Act::KeepData, None).unwrap();
    assert!(matches!(answer, Answer::Asked(DataReset::NotRequested)));
    let before = rig.disk();
    let (first, _) = rig.boot();
    assert!(first.nothing_to_do && rig.disk() == before && rig.path("/data/photo").exists());
}

#[test]
fn a_reset_cut_at_any_operation_is_done_in_the_end_and_forgets_nothing_else() {
    let mut start = in_use();
    start.perform(Act::ResetData, None).unwrap();
    start.unmount();
    let whole = CutPlan::new(CutAt::Never, 0);
    start.copy().perform(Act::CarryOut, Some(&whole)).unwrap();
    assert!(whole.operations() > 8, "only {} operations", whole.operations());
    for operation in 0..whole.operations() {
        for seed in 0..4 {
            let context = format!("operation {operation} seed {seed}");
            let mut rig = start.copy();
            rig.cut_run(&CutPlan::new(CutAt::Operation(operation), seed));
            let disk = rig.disk();
            assert!(disk[..DATA] == start.disk()[..DATA], "{context}: nothing but data");
            if rig.asked() == DataReset::NotRequested {
                assert!(!is_owners(&disk), "{context}: the request went before its work was done");
            }
            rig.boot();
            assert_eq!(rig.asked(), DataReset::NotRequested, "{context}");
            assert!(!is_owners(&rig.disk()) && rig.marker(), "{context}");
            assert_eq!(rig.state(), start.state(), "{context}");
        }
    }
}

#[test]
fn a_reset_that_is_done_does_not_come_back_when_either_copy_is_lost() {
    for copy in [0_usize, 0x2000] {
        let mut rig = in_use();
        rig.perform(Act::ResetData, None).unwrap();
        rig.boot();
        rig.device("/dev/mmcblk0").with(|card| card.bytes_mut()[copy..copy + 0x2000].fill(0x5a));
        assert_eq!(rig.asked(), DataReset::NotRequested, "copy at {copy:#x}");
    }
}

#[test]
fn a_request_of_an_earlier_life_is_satisfied_by_the_first_boot() {
    let mut rig = Rig::new();
    rig.backend().set_data_reset(DataReset::Requested).unwrap();
    let (first, second) = rig.boot();
    assert_eq!(first.created, [3, 4, 5]);
    assert!(second.ended_first_boot && rig.asked() == DataReset::NotRequested);
    let data = rig.disk()[DATA..DATA + MIB].to_vec();
    let (first, _) = rig.boot();
    assert!(first.nothing_to_do && rig.disk()[DATA..DATA + MIB] == data);
}
