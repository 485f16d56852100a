// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real U-Boot on the Rock64's flash: its sandbox, with SPI NOR that breaks where a test wants it
//! and a watchdog. The same environments as everywhere, the same choice as the model's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod agreement;
mod bench;
mod cuts;
mod rig;
mod trail;

#[path = "../../../../uboot/tests/hush/mod.rs"]
#[allow(dead_code, reason = "the interpreter serves other tests too")]
mod hush;

#[path = "../choice/mod.rs"]
#[allow(dead_code, reason = "other rigs check all of its cases")]
mod choice;

use bootctl::{BootState, SlotState};
use choice::{Case, DISK, Numbers, record};
use e2e::sandbox::SANDBOX;
use e2e::sandbox::{Fault, Reset, WATCHDOG};
use rig::{CHOICE_WAIT, Rig, both, updated};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// The signal by which the watchdog ends the sandbox.
const ALARM: i32 = 14;

#[test]
fn linux_and_uboot_write_the_flash_by_turns_and_read_each_other() {
    let rig = Rig::new();
    let mut numbers = Numbers(4);
    let mut actives = Vec::new();
    for turn in 0..20 {
        let case = numbers.case();
        // Only the first store finds an erased flash; the copies alternate from then on.
        rig.store().store_as_firmware(&case.stored(&SANDBOX).unwrap()).unwrap();
        actives.push(rig.store().load().unwrap().active);
        let ran = rig.run(&case.loads, Fault::None);
        case.check(&SANDBOX, &ran);
        let loaded = rig.store().load().unwrap();
        assert!(loaded.warnings().is_empty() || turn == 0, "{:?}", loaded.warnings());
        actives.push(loaded.active);
        let ours: Vec<_> =
            loaded.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // A temporary that is empty is stored as such; U-Boot and ours read no variable there.
        let mut theirs = rig.fw_printenv();
        theirs.retain(|(_, value)| !value.is_empty());
        assert_eq!(theirs, ours);
    }
    assert!(actives.contains(&0) && actives.contains(&1), "{actives:?}");
}

#[test]
fn a_save_that_fails_in_the_middle_never_starts_a_trying_slot() {
    let rig = Rig::new();
    let case = Case { save_works: false, ..Case::of(Some(updated()), (true, true)) };
    let spent = Case { save_works: true, ..case.clone() }.choice(&SANDBOX).state;
    // Of the first erase, the last one, pages of the copy, its last page, and the old copy's flag.
    for (act, copy) in [(0, 0), (15, 0), (16, 0), (80, 1), (143, 1), (272, 0), (272, 1)] {
        rig.prepare_in(&case, copy);
        let ran = rig.run(&case.loads, Fault::ErrorFrom(act));
        assert_eq!(ran.end, 0, "act {act}: {ran:?}");
        assert_eq!(
            ran.said, "A rauc.slot=A atomix.reason=env-unwritable atomix.selector=1",
            "act {act}"
        );
        let old = case.read(&SANDBOX);
        assert!(ran.left == old || ran.left.as_ref() == Some(&spent), "act {act}: {ran:?}");
        rig.check_stored(&case.loads);
    }
}

/// What is not safe, written down: a write-protected chip ignores every act and reports none, and
/// U-Boot does not read back what it saved. Linux does, so it cannot have made a slot `trying` on
/// such a chip; only one that became protected afterwards can start a trying slot without end.
#[test]
fn uboot_does_not_notice_that_a_write_protected_chip_kept_nothing() {
    let rig = Rig::new();
    let case = Case::of(Some(updated()), (true, true));
    rig.prepare(&case);
    let before = rig.surroundings();
    for _ in 0..2 {
        let ran = rig.run(&case.loads, Fault::Protected);
        assert!(ran.said.starts_with("B rauc.slot=B atomix.reason=trying"), "{ran:?}");
        assert!(rig.surroundings() == before, "the attempt is not spent");
    }
}

#[test]
fn the_watchdog_is_armed_before_the_slot_and_its_absence_stops_nothing() {
    let rig = Rig::new();
    rig.prepare(&Case::of(Some(updated()), (true, true)));
    let disk = rig.disk(&both());
    let mut sandbox = rig.start(&disk, Fault::None, Reset::Halts, Some(WATCHDOG));
    let before = sandbox.serial.expect("E2E-START B", CHOICE_WAIT).unwrap();
    let armed = before.find("WDT:   Started watchdog with servicing").expect(&before);
    let chosen = before.find("atomix: slot B, trying").expect(&before);
    assert!(chosen < armed, "{before}");
    sandbox.cut();

    for other in [None, Some("other")] {
        let mut sandbox = rig.start(&disk, Fault::None, Reset::Halts, other);
        let before = sandbox.serial.expect("E2E-START B", CHOICE_WAIT).unwrap();
        assert!(before.contains("Can't get the watchdog timer: watchdog"), "{before}");
        assert!(!before.contains("WDT:   Started"), "{before}");
        sandbox.cut();
    }
}

#[test]
fn a_slot_that_hangs_is_reset_by_the_watchdog_and_left_after_its_attempts() {
    let rig = Rig::new();
    rig.prepare(&Case::of(Some(updated()), (true, true)));
    // Opening a pipe that nobody writes to hangs as a dead kernel does: the watchdog is armed and
    // nothing serves it any more.
    let pipe = rig.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let disk = rig.disk_with(&format!(
        "echo E2E-START ${{atomix_slot}}\n\
         if test ${{atomix_slot}} = B; then load hostfs - 0x1000000 {}; fi\n\
         while true; do sleep 60; done\n",
        pipe.display()
    ));
    for _ in 0..3 {
        let mut sandbox = rig.start(&disk, Fault::None, Reset::Halts, Some(WATCHDOG));
        sandbox.serial.expect("E2E-START B", CHOICE_WAIT).unwrap();
        assert_eq!(sandbox.end().unwrap().signal(), Some(ALARM));
    }
    let mut sandbox = rig.start(&disk, Fault::None, Reset::Halts, Some(WATCHDOG));
    sandbox.serial.expect("atomix: slot A, fallback", CHOICE_WAIT).unwrap();
    sandbox.serial.expect("E2E-START A", CHOICE_WAIT).unwrap();
    sandbox.cut();
    assert_eq!(rig.state().unwrap().b.state, SlotState::Bad);
}

#[test]
fn two_bad_slots_take_turns_with_growing_pauses_over_resets() {
    let rig = Rig::new();
    let env = BootState {
        order: vec![],
        a: record(SlotState::Bad, 0),
        b: record(SlotState::Bad, 0),
        disk: Some(DISK),
        ..BootState::lost()
    };
    rig.prepare(&Case::of(Some(env), (true, true)));
    let disk = rig.disk_with("echo E2E-START ${atomix_slot} E2E-END\nreset\n");
    // A reset leaves the alarm of a sandbox's watchdog set, as no board's reset does.
    let mut sandbox = rig.start(&disk, Fault::None, Reset::Restarts, None);
    for (slot, pause) in [("A", 10), ("B", 30), ("A", 60), ("B", 120), ("A", 300), ("B", 300)] {
        sandbox.serial.expect(&format!("atomix: slot {slot}, last-resort\n"), CHOICE_WAIT).unwrap();
        let heard = Instant::now();
        let said = sandbox.serial.expect(" E2E-END", CHOICE_WAIT).unwrap();
        assert!(said.ends_with(&format!("E2E-START {slot}")), "{said}");
        // The sandbox's clock is a hundred times too fast. What is heard late seems shorter.
        let least = Duration::from_millis(pause * 10).mul_f64(0.8);
        assert!(heard.elapsed() > least, "{slot} after {:?}", heard.elapsed());
    }
}

/// A board on which a technician asked for its disk over USB and went away, or whose button is
/// stuck, must boot again.
#[test]
fn usb_mass_storage_without_a_host_ends_by_itself() {
    let rig = Rig::new();
    rig.prepare(&Case::of(Some(updated()), (true, true)));
    let asked = "if ums 0 host 0; then echo E2E-EJECTED; else echo E2E-TIMED-OUT; fi";
    let mut sandbox = rig.start_commands(&rig.disk(&both()), asked);
    let said = sandbox.serial.expect("E2E-TIMED-OUT\n", CHOICE_WAIT).unwrap();
    assert!(said.contains("UMS: LUN 0, dev host 0"), "{said}");
    assert!(said.contains("No transfer for 600 s - Operation ended"), "{said}");
    sandbox.cut();
}
