// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux's half of the watchdog, on the emulated i6300esb: a frozen systemd is reset by itself, and
//! three such resets are a rollback. (U-Boot's half is shown in its sandbox build; the hand-over
//! between them is not: the emulator has no watchdog that U-Boot drives.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::scenario::Scenario;

/// In slot B systemd feeds the watchdog, with little patience, and then freezes; a crash that
/// rebooted by itself, as our units want it, would need no watchdog. (With as little
/// patience in slot A, a busy machine that runs this test would reset it as well.)
const HOOK: &str = r#"
if [ $slot = b ]; then
  mkdir -p /root/etc/systemd/system.conf.d
  cat >/root/etc/systemd/system.conf.d/zz-e2e-watchdog.conf <<END
[Manager]
CrashReboot=no
CrashAction=freeze
RuntimeWatchdogSec=10s
RebootWatchdogSec=2min
END
  cat >/root/etc/systemd/system/freeze.service <<END
[Unit]
After=atomix-started.service
[Service]
ExecStart=/bin/sh -c 'echo systemd freezes >/dev/console; kill -SEGV 1'
END
  ln -s ../freeze.service /root/etc/systemd/system/multi-user.target.wants/
fi
"#;

/// The original suite's `rauc-watchdog`.
#[test]
fn rauc_watchdog_resets_a_frozen_systemd_and_three_resets_are_a_rollback() -> Result<()> {
    Scenario::new("watchdog").root_hook(HOOK).run(|board| {
        board.install()?;
        board.start("systemctl reboot")?;
        for _ in 0..3 {
            board.selected("B, trying")?;
            board.expect("systemd freezes")?;
            board.note("systemd frozen");
        }
        board.selected("A, fallback")?;
        board.guest_up()?;
        assert_eq!(board.variable("atomix_state_B")?, "bad");
        let why = board.told("atomix why")?;
        assert!(why.contains("3 attempts, 3 of which reached userspace"), "{why}");
        Ok(())
    })
}
