// SPDX-License-Identifier: MIT OR Apache-2.0
//! I1, I2, I6: the power goes at every write, erase, flush and file change of an install, with the
//! act in work torn and unflushed writes kept, torn or lost. Afterwards the firmware starts a
//! slot that is complete, with its environment and without it, and the same install converges.

use crate::support::bundles::{bundle_of, make};
use crate::support::{Board, ENV_BYTES, SYSTEM_CONF, System, config, options, system};
use bootctl::{Recorder, SlotId, SlotState, Timestamp, select};
use storage::{
    ByteLen, CutAt, CutPlan, MemoryFiles, PowerCut, PowerCutDevices, PowerCutFiles, Shared, Storage,
};
use updater::{BootedGroup, InstallPolicy, Installer};

/// Different fates for what was not flushed at the cut.
const SEEDS: [u64; 3] = [1, 77, 4242];

/// Installs with the power going at `at`; gives back whether it went, and the plan's counters.
fn install_until(
    board: &mut Board,
    bundle: &bundle::VerifiedBundle,
    at: CutAt,
    seed: u64,
) -> CutPlan {
    let plan = CutPlan::new(at, seed);
    let env = Shared::new(PowerCut::new(board.env.clone(), &plan));
    let history: Box<dyn Storage> = Box::new(PowerCut::new(board.history.clone(), &plan));
    let lock = board.lock();
    let files = std::mem::take(&mut board.files);
    let mut files = PowerCutFiles::new(files, &plan);
    let mut recorder = Recorder::open(history, ENV_BYTES).unwrap();
    let outcome = Installer {
        config: &config(SYSTEM_CONF),
        devices: &PowerCutDevices::new(board.devices.clone(), &plan),
        files: &mut files,
        backend: &mut Board::backend(env),
        recorder: Some(&mut recorder),
        at: Timestamp::UNKNOWN,
        progress: &mut |_| {},
    }
    .install(&lock, bundle, &options(BootedGroup::Slot(SlotId::A), InstallPolicy::default()));
    board.files = MemoryFiles::new();
    if !plan.is_cut() {
        outcome.unwrap();
    }
    plan
}

/// Boots with and without the environment; `whole` are the systems that slot B may hold.
fn assert_boots_whole(board: &Board, whole: &[&System], context: &str) -> SlotId {
    let is_whole = |slot| match slot {
        SlotId::A => board.holds(slot, &system(1)),
        SlotId::B => whole.iter().any(|system| board.holds(slot, system)),
    };
    for slot in SlotId::ALL {
        assert!(!board.loads(slot) || is_whole(slot), "{context}: {slot} loads half a system");
    }
    let lost = select(None, &board.firmware_facts()).boots;
    assert!(lost.is_some_and(is_whole), "{context}: without environment {lost:?}");
    let state = board.state();
    let selection = select(Some(&state), &board.firmware_facts());
    let boots =
        selection.boots.unwrap_or_else(|| panic!("{context}: nothing boots from {state:?}"));
    assert!(is_whole(boots), "{context}: {boots} boots and is not whole");
    assert_ne!(state.slot(boots).state, SlotState::Writing, "{context}");
    board.set_state(&selection.state);
    boots
}

fn cut_everywhere(bundle: &bundle::VerifiedBundle, after: &System, cuts: &[CutAt]) -> usize {
    let mut count = 0;
    for seed in SEEDS {
        for at in cuts {
            let mut board = Board::new(&system(1), &system(2));
            let context = format!("cut at {at:?} with seed {seed}");
            let plan = install_until(&mut board, bundle, *at, seed);
            assert!(plan.is_cut(), "{context}: the install has fewer acts");
            count += 1;
            match assert_boots_whole(&board, &[&system(2), after], &context) {
                SlotId::A => {
                    let plan = install_until(&mut board, bundle, CutAt::Never, seed);
                    assert!(!plan.is_cut());
                    assert!(board.holds(SlotId::B, after), "{context}: repeat does not converge");
                    let boots = assert_boots_whole(&board, &[after], &context);
                    assert_eq!(boots, SlotId::B, "{context}: repeat is not chosen");
                }
                SlotId::B => assert!(board.holds(SlotId::B, after), "{context}: old B chosen"),
            }
        }
    }
    count
}

fn undisturbed(bundle: &bundle::VerifiedBundle) -> CutPlan {
    install_until(&mut Board::new(&system(1), &system(2)), bundle, CutAt::Never, 0)
}

#[test]
fn power_cut_at_every_act_of_an_install_boots_a_whole_slot() {
    let bundle = bundle_of(&system(3), "26.1");
    let operations = undisturbed(&bundle).operations();
    let cuts: Vec<CutAt> = (0..operations).map(CutAt::Operation).collect();
    let count = cut_everywhere(&bundle, &system(3), &cuts);
    assert!(count > 150, "{count} cuts");
}

/// A bundle without a boot image: a repeat after a broken seal is refused, and a full one heals.
#[test]
fn power_cut_at_every_act_of_a_partial_install_never_mixes_two_systems() {
    let after = System { boot: system(2).boot, rootfs: system(5).rootfs };
    let partial = make(&[("rootfs", "rootfs.img", &after.rootfs)], "26.1");
    let full = bundle_of(&system(3), "26.2");
    for seed in SEEDS {
        for at in 0..undisturbed(&partial).operations() {
            let mut board = Board::new(&system(1), &system(2));
            let context = format!("cut at {at} with seed {seed}");
            install_until(&mut board, &partial, CutAt::Operation(at), seed);
            if assert_boots_whole(&board, &[&system(2), &after], &context) == SlotId::B {
                continue;
            }
            let writing = board.state().b.state == SlotState::Writing;
            let repeat = board.install(&partial, InstallPolicy::default()).0;
            assert_eq!(repeat.is_err(), writing, "{context}: {repeat:?}");
            if writing {
                board.install(&full, InstallPolicy::default()).0.unwrap();
                assert!(board.holds(SlotId::B, &system(3)), "{context}");
            }
        }
    }
}

#[test]
fn power_cut_inside_the_writes_of_an_install_boots_a_whole_slot() {
    let bundle = bundle_of(&system(3), "26.1");
    let bytes = undisturbed(&bundle).bytes().get();
    // Dense over the seal and the environment, which are written first and last; sparse between.
    let edges = (1..6000).step_by(300).chain((bytes - 12_000..bytes).step_by(400));
    let cuts: Vec<CutAt> =
        edges.chain((1..bytes).step_by(6007)).map(|byte| CutAt::Byte(ByteLen::new(byte))).collect();
    cut_everywhere(&bundle, &system(3), &cuts);
}
