// SPDX-License-Identifier: MIT OR Apache-2.0
//! The power fails while Linux or U-Boot writes the flash: what is left, and what does the next
//! start make of it?

use super::choice::{Case, ENDS, record};
use super::rig::{CHOICE_WAIT, Rig, SURROUNDINGS, both, updated};
use ::uboot::EnvStore;
use bootctl::{BootState, SlotId, SlotState};
use e2e::progress::say;
use e2e::sandbox::{Fault, Reset, SANDBOX, WATCHDOG};
use std::path::Path;
use storage::{Journal, MemoryStorage, Recording, Shared};

/// Exit status of a sandbox whose power failed in its flash.
const CUT_STATUS: i32 = 99;

/// Every image that a cut of Linux's commit may leave is read by U-Boot as by Linux, and is one
/// of the two environments. Of each act only the untorn images and each so manieth are tried.
fn check_cut_commits(each: usize) {
    let rig = Rig::new();
    let old = Case::of(Some(updated()), (true, true));
    let new = BootState { order: vec![SlotId::A], b: record(SlotState::Writing, 3), ..updated() };
    let new = Case::of(Some(new), (true, true));
    let mut count = 0;
    let mut tried = [0, 0];
    for copy in [0, 1] {
        rig.prepare_in(&old, copy);
        let whole = std::fs::read(rig.flash()).unwrap();
        let journal = Journal::new();
        let chip = MemoryStorage::nor("flash", whole.clone(), SANDBOX.flash.erase_bytes);
        let chip = Shared::new(Recording::new(chip, journal.clone()));
        let copies = SANDBOX.fw_env_config().copies.into_iter();
        let copies = copies.map(|place| (chip.clone(), place)).collect();
        EnvStore::open(copies).unwrap().store(&new.stored(&SANDBOX).unwrap()).unwrap();
        for cut in 0..=journal.op_count() {
            let mut images: Vec<_> =
                journal.crash_images("flash", &whole, cut, 7).unwrap().collect();
            count += images.len();
            images.dedup();
            let last = images.len() - 1;
            for (number, image) in images.into_iter().enumerate() {
                if number % each != 0 && number != last {
                    continue;
                }
                rig.write_surroundings(&image[SURROUNDINGS]);
                let found = rig.state().expect("no environment is left");
                let is_new = found != old.read(&SANDBOX).unwrap();
                assert!(!is_new || found == new.read(&SANDBOX).unwrap(), "cut {cut}");
                tried[usize::from(is_new)] += 1;
                rig.check_stored(&both());
                // Whatever was left, it can be written again.
                rig.store().store(&new.stored(&SANDBOX).unwrap()).unwrap();
                assert_eq!(rig.state(), new.read(&SANDBOX));
            }
        }
    }
    say(&format!("{tried:?} of {count} images tried: old, new"));
    assert!(tried.iter().all(|tried| *tried > 2), "{tried:?} of {count}");
}

#[test]
fn uboot_reads_what_a_cut_commit_of_linux_leaves_as_linux_does() {
    check_cut_commits(29);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn uboot_reads_everything_a_cut_commit_of_linux_leaves_as_linux_does() {
    check_cut_commits(1);
}

/// Starts U-Boot with a flash prepared anew for each act, and cuts the power in this act, and in
/// each so manieth after it, until there is none; `check` sees what each cut leaves.
fn cut_in_each_act(rig: &Rig, prepare: impl Fn(), disk: &Path, each: usize, check: impl Fn(u32)) {
    for act in (0..).step_by(each) {
        prepare();
        let mut sandbox = rig.start(disk, Fault::CutAt(act), Reset::Halts, Some(WATCHDOG));
        match sandbox.serial.expect_any(&ENDS, CHOICE_WAIT) {
            // It has come to its end with fewer acts; a save takes 16 erases and 257 programs.
            Ok(_) => return assert!(act >= 273, "{act}"),
            Err(_) => assert_eq!(sandbox.end().unwrap().code(), Some(CUT_STATUS), "act {act}"),
        }
        check(act);
    }
}

/// The power fails in U-Boot's own `saveenv`: the old or the new environment is left, the attempt
/// is spent or no kernel was started, and the next start does with it what the model does.
fn check_cut_saves(copy: usize, each: usize) {
    let rig = Rig::new();
    let case = Case::of(Some(updated()), (true, true));
    let spent = case.choice(&SANDBOX).state;
    let left = std::cell::RefCell::new([0, 0]);
    let prepare = || rig.prepare_in(&case, copy);
    cut_in_each_act(&rig, prepare, &rig.disk(&case.loads), each, |act| {
        let found = rig.state().expect("no environment is left");
        let is_spent = found == spent;
        assert!(is_spent || Some(&found) == case.read(&SANDBOX).as_ref(), "act {act}");
        left.borrow_mut()[usize::from(is_spent)] += 1;
        rig.check_stored(&case.loads);
    });
    let left = left.into_inner();
    say(&format!("copy {copy}: {left:?} cuts left the attempt unspent, spent"));
    assert!(left[0] > 3);
}

#[test]
fn a_power_cut_in_uboots_save_leaves_the_old_or_the_new_environment() {
    check_cut_saves(0, 31);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_power_cut_at_every_act_of_uboots_save_leaves_the_old_or_the_new_environment() {
    for copy in [0, 1] {
        check_cut_saves(copy, 1);
    }
}

/// U-Boot takes the copy of its first save on an erased flash for the other one, and erases it in
/// its second save. A cut there loses the environment again: as before that start, so nothing
/// that anyone knew is forgotten.
fn check_cut_first_saves(each: usize) {
    let rig = Rig::new();
    let case = Case::of(None, (false, true));
    let failed = case.choice(&SANDBOX).state;
    let left = std::cell::RefCell::new([0, 0, 0]);
    cut_in_each_act(
        &rig,
        || rig.prepare(&case),
        &rig.disk(&case.loads),
        each,
        |act| {
            let found = rig.state();
            let which = match &found {
                None => 0,
                Some(state) if *state == failed => 2,
                Some(state) => {
                    assert_eq!(
                        (state.a.attempts, state.a.state),
                        (failed.a.attempts, failed.a.state)
                    );
                    1
                }
            };
            left.borrow_mut()[which] += 1;
            // Sixteen erases and 128 programs make the first copy whole.
            assert!(act >= 144 || which == 0, "act {act}: {found:?}");
            rig.check_stored(&case.loads);
        },
    );
    say(&format!("{:?} cuts left nothing, the first save, the second", left.into_inner()));
}

#[test]
fn a_power_cut_in_the_first_saves_on_an_erased_flash_forgets_nothing_that_was_known() {
    check_cut_first_saves(47);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_power_cut_at_every_act_of_the_first_saves_forgets_nothing_that_was_known() {
    check_cut_first_saves(1);
}
