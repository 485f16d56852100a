// SPDX-License-Identifier: MIT OR Apache-2.0
//! Updates that fail, each in its own way: the board comes back to the slot it had, by itself and
//! within the attempts, and `atomix why` there names the cause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::live::Board;
use e2e::parts::variants;
use e2e::progress::say;
use e2e::scenario::Scenario;

/// Health by a unit that slot B alone does not have, and with little patience.
const UNHEALTHY_IN_B: &str = r#"
[ $slot = b ] && cat >/root/etc/atomix/health.toml <<END
settle_secs = 2
window_secs = 5
interval_secs = 1
on_failure = "reboot"
[[probe]]
name = "heart"
kind = "unit"
unit = "heart.service"
condition = "active"
END
"#;

/// Slot B is left for slot A after all its attempts, each of which ends in `sign`.
fn left_after_three(board: &mut Board, sign: &str) -> Result<String> {
    for _ in 0..3 {
        // Where a load failed the boot before, that is the reason told.
        board.selected("B, ")?;
        board.expect(sign)?;
    }
    back_in_a(board)
}

/// Slot A runs as a fallback, slot B is bad, and A stays as good as it was.
fn back_in_a(board: &mut Board) -> Result<String> {
    board.selected("A, ")?;
    board.guest_up()?;
    assert_eq!(board.variable("atomix_state_B")?, "bad");
    assert_eq!(board.variable("atomix_state_A")?, "good");
    let why = board.told("atomix why")?;
    say(&why);
    assert!(why.contains("from slot B"), "{why}");
    Ok(why)
}

#[test]
fn an_update_that_panics_is_left_explained_and_not_installed_again() -> Result<()> {
    let hook = "[ $slot = b ] && die 'slot B is meant to fail'\n";
    Scenario::new("panic").initrd_hook(hook).run(|board| {
        board.install()?;
        board.start("systemctl reboot")?;
        let why = left_after_three(board, "Kernel panic")?;
        assert!(why.contains("(2.0)") && why.contains("3 attempts, none of which"), "{why}");
        // I3: not without being told to.
        board.mount_stick()?;
        let refused = board.exits("atomix install /run/stick/update.raucb", 3)?;
        assert!(refused.contains("did not become healthy"), "{refused}");
        board.told("atomix install --force /run/stick/update.raucb").map(drop)
    })
}

/// Nothing but the watchdog sees this one. U-Boot has no driver for the emulated one, so the
/// initrd arms it; on a board the selector does.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_that_hangs_early_is_reset_by_the_watchdog_and_left() -> Result<()> {
    let hook = "[ $slot = b ] && { watchdog -F -T 5 -t 9999 /dev/watchdog0; }\n";
    Scenario::new("hang").initrd_hook(hook).run(|board| {
        board.install()?;
        board.start("systemctl reboot")?;
        let why = left_after_three(board, "slot b: ")?;
        assert!(why.contains("3 attempts, none of which"), "{why}");
        Ok(())
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_that_does_not_load_is_left_whatever_of_it_is_missing() -> Result<()> {
    let stick = variants::stick()?.join("stick.squashfs");
    Scenario::new("no-load").stick(&stick).run(|board| {
        for bundle in ["kernel-missing.raucb", "kernel-garbage.raucb", "script-missing.raucb"] {
            board.install_bundle(bundle)?;
            board.start("systemctl reboot")?;
            let why = left_after_three(board, "atomix: slot B cannot be started")?;
            assert!(why.contains("3 attempts, none of which"), "{bundle}: {why}");
        }
        Ok(())
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_whose_root_is_garbage_is_left() -> Result<()> {
    let stick = variants::stick()?.join("stick.squashfs");
    Scenario::new("rootfs-garbage").stick(&stick).run(|board| {
        board.install_bundle("rootfs-garbage.raucb")?;
        board.start("systemctl reboot")?;
        left_after_three(board, "Kernel panic").map(drop)
    })
}

/// The disk loses after the install what was read back in it.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_whose_root_rots_on_the_disk_is_left() -> Result<()> {
    Scenario::new("rootfs-rots").run(|board| {
        board.install()?;
        board.overwrite("rootfs-b", 0, &[0x5a; 4096])?;
        board.start("systemctl reboot")?;
        left_after_three(board, "Kernel panic").map(drop)
    })
}

/// It boots and its probes pass; only the comparison with what was installed can see it.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_that_differs_from_what_was_installed_is_never_confirmed() -> Result<()> {
    let scenario = Scenario::new("content-differs").allow_failed("os-verification.service");
    scenario.run(|board| {
        board.install()?;
        board.told("fw_setenv BOOT_B_LEFT 1")?;
        // The initrd's end: U-Boot and the kernel have no use for it.
        board.overwrite("boot-b", 90 << 20, &[0x5a; 512])?;
        board.start("systemctl reboot")?;
        board.selected("B, trying")?;
        let why = back_in_a(board)?;
        assert!(why.contains("content: slot boot.1 on /dev/vda3 has digest"), "{why}");
        Ok(())
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_that_is_unhealthy_reboots_and_is_left() -> Result<()> {
    let scenario = Scenario::new("unhealthy").allow_failed("os-verification.service");
    scenario.root_hook(UNHEALTHY_IN_B).run(|board| {
        board.install()?;
        board.start("systemctl reboot")?;
        for _ in 0..3 {
            board.selected("B, trying")?;
        }
        let why = back_in_a(board)?;
        assert!(why.contains("heart"), "{why}");
        assert!(why.contains("3 attempts, 3 of which reached userspace"), "{why}");
        Ok(())
    })
}

/// Failed verification reboots a trying slot and never a good one.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_good_slot_that_is_unhealthy_goes_on_running() -> Result<()> {
    let hook = UNHEALTHY_IN_B.replace("$slot = b", "$slot = a");
    let scenario = Scenario::new("good-unhealthy").allow_failed("os-verification.service");
    scenario.root_hook(&hook).booted().run(|board| {
        board.run_until("systemctl is-failed os-verification.service")?;
        let history = board.told("atomix why")?;
        assert!(history.contains("A is not healthy"), "{history}");
        // A reboot would be under way.
        assert_eq!(board.told("systemctl list-jobs --no-legend")?, "");
        assert_eq!(board.variable("atomix_state_A")?, "good");
        // I8: updating never depends on health.
        board.install()
    })
}

/// One that is healthy for most of the window and then is not.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_whose_unit_flaps_at_second_50_of_the_window_is_not_confirmed() -> Result<()> {
    let hook = r#"
[ $slot = b ] && cat >/root/etc/atomix/health.toml <<END
settle_secs = 30
window_secs = 60
interval_secs = 2
on_failure = "reboot"
[[probe]]
name = "flapping"
kind = "unit"
unit = "flapping.service"
condition = "active"
END
[ $slot = b ] && cat >/root/etc/systemd/system/flapping.service <<END
[Unit]
Before=os-verification.service
[Service]
ExecStart=/bin/sleep 50
Restart=always
RestartSec=4
END
[ $slot = b ] && ln -s ../flapping.service /root/etc/systemd/system/multi-user.target.wants/
"#;
    let scenario = Scenario::new("flapping").allow_failed("os-verification.service");
    scenario.root_hook(hook).run(|board| {
        board.install()?;
        board.told("fw_setenv BOOT_B_LEFT 1")?;
        board.reboot("B, trying")?;
        board.run_until("atomix health probe")?;
        board.note("healthy at first");
        let why = back_in_a(board)?;
        assert!(why.contains("flapping"), "{why}");
        Ok(())
    })
}

/// A slot that was confirmed and turns bad later: its attempts run out before any are given back,
/// the other slot takes over, and gives it one more chance.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_good_slot_that_panics_after_20_seconds_is_left_and_stays_good() -> Result<()> {
    let hook = r#"
[ $slot = b ] && [ -e /root/data/panic ] && cat >/root/etc/systemd/system/late.service <<END
[Service]
ExecStart=/bin/sh -c 'sleep 20; echo c >/proc/sysrq-trigger'
END
[ -e /root/etc/systemd/system/late.service ] &&
  ln -s ../late.service /root/etc/systemd/system/multi-user.target.wants/
true
"#;
    Scenario::new("late-panic").root_hook(hook).run(|board| {
        board.install()?;
        board.reboot("B, trying")?;
        board.await_confirmation()?;
        board.told("touch /data/panic; sync")?;
        board.start("systemctl reboot")?;
        let mut boots = 0;
        loop {
            let (which, _) = board.expect_any(
                &["atomix: slot B, normal", "atomix: slot A, fallback"],
                e2e::live::WAIT,
            )?;
            if which == 1 {
                break;
            }
            boots += 1;
            assert!(boots <= 3, "slot B has no more than 3 attempts");
            board.expect("Kernel panic")?;
        }
        assert!(boots >= 2, "{boots}");
        board.guest_up()?;
        assert_eq!(board.variable("atomix_state_B")?, "good", "running out makes nothing bad");
        let why = board.told("atomix why")?;
        say(&why);
        assert!(why.contains("from slot B"), "{why}");
        Ok(())
    })
}

/// Nothing is good any more: the board says so loudly, boots what is there, and can be updated.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn with_both_slots_bad_the_last_resort_boots_and_says_so() -> Result<()> {
    Scenario::new("last-resort").run(|board| {
        board.install()?;
        board.told("atomix boot mark-bad B; atomix boot mark-bad A --force")?;
        board.start("systemctl reboot")?;
        board.expect(", last-resort")?;
        board.note("last resort");
        board.guest_up()?;
        let status = board.told("atomix status || true")?;
        say(&status);
        assert!(status.contains("last-resort") || status.contains("last resort"), "{status}");
        Ok(())
    })
}
