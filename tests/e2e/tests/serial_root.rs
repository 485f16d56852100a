// SPDX-License-Identifier: MIT OR Apache-2.0
//! A technician asks for a root login on the serial line, from afar or at U-Boot's prompt: it comes
//! once, after the request is gone for good.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::scenario::Scenario;

/// What the line says when nobody is asked for a password.
const ROOT_LOGIN: &str = "board login: root (automatic login)";

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_root_login_that_was_asked_for_comes_once_and_the_request_is_gone_before() -> Result<()> {
    // Guests have no getty otherwise.
    let getty = "rm /root/etc/systemd/system/serial-getty@ttyAMA0.service";
    Scenario::new("serial-root").root_hook(getty).run(|board| {
        board.told("fw_setenv _RUT_OH_ 1")?;
        board.reboot("A, normal")?;
        board.expect(ROOT_LOGIN)?;
        board.expect("# ")?;
        board.note("root login on the serial line");
        // libubootenv prints an empty line for what is not there.
        board.type_text("echo request $((20 + 1)): \"$(fw_printenv -n _RUT_OH_)\".\n")?;
        board.expect("request 21: .")?;
        // After it the line is as it was, now and after the next boot.
        board.type_text("exit\n")?;
        board.expect("board login: ")?;
        board.reboot("A, normal")?;
        board.expect("board login: ")?;
        board.run_until("systemctl is-system-running --wait")?;
        let heard = board.heard()?;
        assert_eq!(heard.matches(ROOT_LOGIN).count(), 1, "a second login:\n{heard}");
        Ok(())
    })
}
