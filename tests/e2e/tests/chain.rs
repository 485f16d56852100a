// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain, from freshly flashed to updated: real U-Boot, kernel and systemd. Each test
//! has a board of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use e2e::board::QEMU;
use e2e::guest::Guest;
use e2e::machine::Machine;
use e2e::parts::bundle;
use e2e::progress::say;
use e2e::qemu::Qemu;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(180);

/// A board that is on, with the update plugged in.
struct Board {
    qemu: Qemu,
    guest: Guest,
    machine: Machine,
}

impl Drop for Board {
    /// The logs stay; the disk stays only where it may tell why a test failed.
    fn drop(&mut self) {
        self.qemu.cut();
        if !std::thread::panicking() {
            std::fs::remove_file(self.machine.disk()).unwrap();
        }
    }
}

impl Board {
    /// Freshly flashed, through its first boot.
    fn new(name: &str, initrd_hook: Option<&str>) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut machine = Machine::flashed(&dir).unwrap();
        machine.stick = Some(bundle::update().unwrap().join("stick.squashfs"));
        machine.initrd_hook = initrd_hook.map(str::to_owned);
        let mut qemu = machine.power_on().unwrap();
        qemu.serial.expect("atomix: slot A, env-lost", WAIT).unwrap();
        let guest = machine.guest(&qemu).unwrap();
        let board = Self { qemu, guest, machine };
        board.note(&format!("first boot; logs: {}", dir.display()));
        board
    }

    /// The power comes back; the selector must say this, and the guest come up.
    fn power_on(&mut self, selected: &str) {
        self.qemu.cut();
        self.qemu = self.machine.power_on().unwrap();
        self.qemu.serial.expect(&format!("atomix: slot {selected}"), WAIT).unwrap();
        self.guest = self.machine.guest(&self.qemu).unwrap();
        self.note(&format!("up again: {selected}"));
    }

    /// Overwrites environment copies, with the power off.
    fn corrupt(&mut self, copies: &[usize]) {
        self.qemu.cut();
        let card = std::fs::OpenOptions::new().write(true).open(self.machine.card()).unwrap();
        for copy in copies {
            card.write_all_at(&[0x5a; 512], QEMU.flash.env_offsets[*copy] + 64).unwrap();
        }
    }

    fn variable(&mut self, name: &str) -> String {
        self.told(&format!("fw_printenv -n {name}")).trim().to_owned()
    }

    fn note(&self, what: &str) {
        say(&format!("{:7.2} s {what}", self.qemu.start.elapsed().as_secs_f64()));
    }

    /// What a command prints; it must succeed.
    fn told(&mut self, command: &str) -> String {
        let answer = self.guest.run(command).unwrap();
        assert_eq!(answer.exit, 0, "{command}\n{}", answer.printed);
        answer.printed
    }

    fn install(&mut self) {
        self.told("mkdir -p /run/stick; mountpoint -q /run/stick || mount -r /dev/vdb /run/stick");
        self.told("atomix install /run/stick/update.raucb");
        self.note("installed");
    }

    /// Reboots; the selector must say this, and the guest come up.
    fn reboot(&mut self, selected: &str) {
        self.guest.start("systemctl reboot").unwrap();
        self.qemu.serial.expect(&format!("atomix: slot {selected}"), WAIT).unwrap();
        self.note(&format!("selector: {selected}"));
        self.guest.await_again(WAIT).unwrap();
        self.note("guest is up");
    }

    /// Waits for the verifier's verdict on the running slot.
    fn await_confirmation(&mut self) {
        self.guest.run_until("atomix boot is-confirmed", WAIT).unwrap();
        self.note("confirmed");
    }

    /// No unit has failed.
    fn check_units(&mut self) {
        assert_eq!(self.told("systemctl --failed --no-legend --plain"), "");
    }
}

#[test]
fn a_flashed_board_makes_its_other_slot_and_data_at_first_boot() {
    let mut board = Board::new("first-boot", None);
    board.check_units();
    assert_eq!(board.told("cat /data/atomix/provisioned"), "1\n");
    assert!(board.told("cat /proc/mounts").contains("/dev/vda5 /data f2fs "));
    assert!(board.told("uname -r; cat /proc/modules").contains("f2fs"));
    let slots = board.told("atomix slot list");
    for slot in ["rootfs.0", "boot.0", "rootfs.1", "boot.1"] {
        assert!(slots.contains(slot), "{slots}");
    }
    // libubootenv reads what we and U-Boot have written.
    assert!(board.told("fw_printenv -n atomix_state_A").contains("good"));
    board.await_confirmation();
    board.reboot("A, normal");
    board.check_units();
}

#[test]
fn an_update_is_tried_confirmed_and_followed_by_one_back() {
    let mut board = Board::new("update", None);
    for (slot, other) in [("B", "A"), ("A", "B")] {
        board.install();
        board.reboot(&format!("{slot}, trying"));
        assert!(board.told("cat /proc/cmdline").contains(&format!("rauc.slot={slot}")));
        assert!(board.told("cat /etc/os-release").contains("IMAGE_VERSION=2.0"));
        board.await_confirmation();
        board.check_units();
        let modules = board.told("cat /proc/modules");
        assert!(!modules.contains("dm_verity") && !modules.contains("nbd"), "{modules}");
        let state = board.told(&format!("fw_printenv -n atomix_state_{other}"));
        assert_eq!(state.trim(), "good", "the other slot stays what it was");
    }
}

#[test]
fn an_update_that_panics_is_left_after_its_attempts_and_explained() {
    let mut board = Board::new("panic", Some("[ $slot = b ] && die 'slot B is meant to fail'\n"));
    board.install();
    board.guest.start("systemctl reboot").unwrap();
    for _ in 0..3 {
        board.qemu.serial.expect("atomix: slot B, trying", WAIT).unwrap();
        board.qemu.serial.expect("Kernel panic", WAIT).unwrap();
        board.note("slot B panicked");
    }
    board.qemu.serial.expect("atomix: slot A, fallback", WAIT).unwrap();
    board.guest.await_again(WAIT).unwrap();
    board.note("slot A is back");
    board.check_units();
    assert_eq!(board.told("fw_printenv -n atomix_state_B").trim(), "bad");
    let why = board.told("atomix why");
    say(&why);
    assert!(why.contains('B'), "{why}");
}

#[test]
fn a_corrupt_environment_copy_is_survived_and_two_are_restored_from_the_recorder() {
    let mut board = Board::new("environment", None);
    board.install();
    board.reboot("B, trying");
    board.await_confirmation();
    board.told("atomix boot mark-bad A");
    // The loss of the newest copy takes the last commit back; this one may be lost.
    board.told("fw_setenv unrelated 1");
    for copy in [0, 1] {
        board.corrupt(&[copy]);
        board.power_on("B, normal");
        assert_eq!(board.variable("atomix_state_A"), "bad");
    }
    board.corrupt(&[0, 1]);
    // U-Boot knows nothing any more and begins with A; Linux remembers.
    board.power_on("A, env-lost");
    assert_eq!(board.variable("atomix_state_A"), "bad");
    assert_eq!(board.variable("atomix_state_B"), "good");
    board.check_units();
    board.reboot("B, ");
    board.check_units();
}

#[test]
fn a_power_cut_during_an_install_leaves_the_running_slot_and_a_next_attempt() {
    let mut board = Board::new("power-cut", None);
    for millis in [300, 1000, 2500, 4500] {
        board.told("mkdir -p /run/stick; mount -r /dev/vdb /run/stick");
        board.guest.start("atomix install /run/stick/update.raucb").unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        board.power_on("A, ");
        board.check_units();
        say(&format!("cut after {millis} ms: slot B is {}", board.variable("atomix_state_B")));
    }
    board.install();
    board.reboot("B, trying");
    board.await_confirmation();
    board.check_units();
}
