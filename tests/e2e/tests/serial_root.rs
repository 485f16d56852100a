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

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_root_login_that_was_asked_for_comes_once_and_the_request_is_gone_before() -> Result<()> {
    Scenario::new("serial-root").run(|board| {
        board.told("fw_setenv _RUT_OH_ 1")?;
        board.reboot("A, normal")?;
        board.expect("root@board:~# ")?;
        board.note("root login on the serial line");
        board.type_text("fw_printenv -n _RUT_OH_ || echo the request is $((20 + 1))\n")?;
        board.expect("the request is 21")?;
        board.type_text("exit\n")?;
        board.reboot("A, normal")?;
        board.run_until("systemctl is-system-running --wait")?;
        let heard = board.heard()?;
        let heard = heard.rsplit("atomix: slot A, normal").next().unwrap();
        assert!(!heard.contains("root@board"), "a second login:\n{heard}");
        Ok(())
    })
}
