// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that came of Debian's packages by a recipe, without Nix, is a board like any other, to
//! the tests and to a person at a terminal.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use anyhow::{Result, ensure};
use e2e::parts::recipe;
use e2e::scenario::Scenario;
use e2e::serial::Serial;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Of a busy machine.
const WAIT: Duration = Duration::from_secs(300);

#[test]
fn an_image_of_a_recipe_boots_makes_its_partitions_and_is_confirmed() -> Result<()> {
    Scenario::new("recipe").flashed_with(recipe::image()?).run(|board| {
        assert_eq!(board.told("cat /etc/hostname")?, "gateway\n");
        let status = board.told("cat /var/lib/dpkg/status")?;
        assert!(status.contains("Status: install ok unpacked"), "of whom is this?\n{status}");
        assert!(board.told("cat /proc/cmdline")?.contains("rauc.slot=A"));
        assert_eq!(board.told("cat /data/atomix/provisioned")?, "1\n");
        assert!(board.told("cat /proc/mounts")?.contains("/dev/vda5 /data f2fs "));
        assert_eq!(board.variable("atomix_state_B")?, "empty");
        board.await_confirmation()?;
        assert_eq!(board.variable("atomix_state_A")?, "good");
        let slots = board.told("rauc status")?;
        assert!(slots.contains("rootfs.1"), "{slots}");
        Ok(())
    })
}

/// Sits at the terminal of `cargo xtask rock64-qemu-vm` until the selector has said `selected`,
/// and somebody has logged in and run `command`, which prints `answer`; then ends the emulator.
fn attend(dir: &Path, selected: &str, command: &str, answer: &str) -> Result<()> {
    let mut emulator = Command::new(env!("CARGO_BIN_EXE_e2e"))
        .arg("vm")
        .arg("--keep")
        .arg(dir.join("board"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (output, input) = (emulator.stdout.take().unwrap(), emulator.stdin.take().unwrap());
    let mut terminal = Serial::new(output, input, &dir.join("terminal"), Instant::now())?;
    terminal.expect(&format!("atomix: slot {selected}"), WAIT)?;
    terminal.expect("gateway login: ", WAIT)?;
    terminal.send("root\r")?;
    terminal.expect("# ", WAIT)?;
    terminal.send(&format!("{command}\r"))?;
    terminal.expect(answer, WAIT)?;
    // What ends QEMU at its terminal.
    terminal.send("\u{1}x")?;
    terminal.await_end(WAIT)?;
    ensure!(emulator.wait()?.success(), "the verb failed");
    Ok(())
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_person_at_the_terminal_logs_in_and_finds_the_board_again_as_it_was_left() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let wait = "until atomix boot is-confirmed; do sleep 1; done; sync; echo it is $((1 + 1))";
    attend(dir.path(), "A, env-lost", wait, "it is 2")?;
    attend(dir.path(), "A, normal", "cat /data/atomix/provisioned; echo and $((2 + 2))", "and 4")
}
