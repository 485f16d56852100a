// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reset of data that somebody asked for: at the next boot, once, and nothing else is touched.

use crate::rig::{DATA, MIB, Rig};
use atomix_repart::{Act, Answer};
use bootctl::{BootBackend, DataReset};
use storage::{CutAt, CutPlan, PartUuid};
use uuid::Uuid;

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
    let request = DataReset::Partition(rig.identities().1);
    let (answer, _) = rig.perform(Act::ResetData, None).unwrap();
    assert!(matches!(answer, Answer::Asked(asked) if asked == request));
    assert!(rig.disk() == before && rig.asked() == request, "only asked for");
    // The running system has data mounted: its run leaves it alone.
    let (_, told) = rig.perform(Act::CarryOut, None).unwrap();
    assert!(told.contains("data is mounted on /data"), "{told}");
    assert!(rig.disk() == before && rig.asked() == request);

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

/// Another gateway's module was put in: its owner asked for nothing.
#[test]
fn a_request_for_another_disk_keeps_the_data_of_this_one_and_is_taken_back() {
    let other = |rig: &Rig| {
        let mut state = rig.state();
        state.disk = Some(PartUuid(Uuid::from_u128(0xbad)));
        rig.backend().store(&rig.state(), &state).unwrap();
    };
    let named = DataReset::Partition(PartUuid(Uuid::from_u128(0xbad_da7a)));
    for (request, is_bound) in [(named, true), (named, false), (DataReset::BoundDisk, false)] {
        let mut rig = in_use();
        if !is_bound {
            other(&rig);
        }
        rig.set_request(request);
        let (before, state) = (rig.disk(), rig.state());
        let context = format!("{request:?} bound {is_bound}");
        let (answer, _) = rig.perform(Act::DryRun, None).unwrap();
        let Answer::Plan { steps, .. } = answer else { panic!("{answer:?}") };
        assert!(matches!(&steps[..], [step] if step.contains("take a request back")), "{steps:?}");
        rig.unmount();
        let (answer, told) = rig.perform(Act::CarryOut, None).unwrap();
        assert!(told.contains("warning: data is kept: ") && told.contains("taken back"), "{told}");
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(
            (&json["data_reset"], &json["nothing_to_do"]),
            (&"refused".into(), &false.into())
        );
        assert!(rig.disk() == before && is_owners(&rig.disk()), "{context}");
        assert_eq!((rig.asked(), rig.state()), (DataReset::NotRequested, state), "{context}");
        assert!(rig.boot().0.nothing_to_do && rig.path("/data/photo").exists(), "{context}");
    }
}

#[test]
fn a_request_for_another_disk_that_cannot_be_taken_back_is_told_and_stops_nothing() {
    let mut rig = in_use();
    let request = DataReset::Partition(PartUuid(Uuid::from_u128(0xbad_da7a)));
    rig.set_request(request);
    // Who booted is not to be told: nothing may be written then.
    rig.write("/proc/cmdline", "rauc.slot=system0\n");
    let before = rig.disk();
    rig.unmount();
    let (_, told) = rig.perform(Act::CarryOut, None).unwrap();
    assert!(told.contains("data is kept") && told.contains("the request stays: "), "{told}");
    assert!(rig.disk() == before && rig.asked() == request);
}

/// `setenv atomix_reset_data 1` at the prompt of the board that stands there.
#[test]
fn a_bare_request_is_done_on_the_disk_that_the_environment_is_bound_to() {
    let mut rig = in_use();
    assert_eq!(rig.state().disk, Some(rig.identities().0));
    rig.set_request(DataReset::BoundDisk);
    let (first, second) = rig.boot();
    assert_eq!(first.formatted, ["data"]);
    assert!(second.ended_first_boot && !is_owners(&rig.disk()));
    assert_eq!(rig.asked(), DataReset::NotRequested);
}

#[test]
fn a_disk_without_data_has_nothing_that_could_be_asked_for() {
    let mut rig = Rig::new();
    let refused = rig.perform(Act::ResetData, None).unwrap_err();
    assert_eq!(refused.to_string(), "/dev/vda has no partition data that could be wiped");
    assert!(refused.hint().is_some() && rig.asked() == DataReset::NotRequested);
}

/// Data is new and empty all the same, and a cut never leaves a request behind that this disk's
/// environment would honour later.
#[test]
fn a_request_of_an_earlier_life_ends_with_the_first_boot() {
    for request in
        [DataReset::BoundDisk, DataReset::Partition(PartUuid(Uuid::from_u128(0xbad_da7a)))]
    {
        let mut rig = Rig::new();
        rig.set_request(request);
        let (first, second) = rig.boot();
        assert_eq!(first.created, [3, 4, 5]);
        assert!(second.ended_first_boot && rig.asked() == DataReset::NotRequested);
        let data = rig.disk()[DATA..DATA + MIB].to_vec();
        let (first, _) = rig.boot();
        assert!(first.nothing_to_do && rig.disk()[DATA..DATA + MIB] == data);
    }
    let start = Rig::new();
    start.set_request(DataReset::BoundDisk);
    let whole = CutPlan::new(CutAt::Never, 0);
    start.copy().perform(Act::CarryOut, Some(&whole)).unwrap();
    for operation in 0..whole.operations() {
        let mut rig = start.copy();
        rig.cut_run(&CutPlan::new(CutAt::Operation(operation), operation));
        let is_bound = rig.state().disk != start.state().disk;
        assert!(!is_bound || rig.asked() == DataReset::NotRequested, "operation {operation}");
    }
}
