// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system around an install fails: systemd stops it, memory runs out, the bus is gone. The
//! running slot stays, what is said is true, and the next install works.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::{Result, ensure};
use e2e::live::Board;
use e2e::scenario::Scenario;

const INSTALL: &str = "/usr/bin/env atomix install /run/stick/update.raucb";

/// Installs, boots and confirms what an end from outside left undone.
fn goes_on(board: &mut Board) -> Result<()> {
    ensure!(board.variable("atomix_state_A")? == "good");
    board.install()?;
    board.reboot("B, trying")?;
    board.await_confirmation()
}

#[test]
fn an_install_that_systemd_stops_says_so_and_the_next_one_works() -> Result<()> {
    Scenario::new("install-stopped").run(|board| {
        board.mount_stick()?;
        let before = board.digest_of("rootfs-a")?;
        board.told(&format!("systemd-run --unit=inst {INSTALL}"))?;
        board.run_until("[ \"$(fw_printenv -n atomix_state_B)\" = writing ]")?;
        board.told("systemctl stop inst")?;
        let said = board.told("journalctl -b --no-pager -o cat -u inst")?;
        ensure!(said.contains("stopped by SIGTERM"), "{said}");
        // Asked to end and ended: nothing that an operator has to clean up.
        board.check_units()?;
        ensure!(board.variable("atomix_state_B")? == "writing");
        let why = board.told("atomix why")?;
        ensure!(why.contains("SIGTERM"), "{why}");
        board.reboot("A, normal")?;
        ensure!(board.digest_of("rootfs-a")? == before, "the running slot was written");
        goes_on(board)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_install_that_runs_out_of_memory_harms_nothing_and_the_next_one_works() -> Result<()> {
    Scenario::new("install-oom").allow_failed("oom.service").run(|board| {
        board.mount_stick()?;
        let limits = "-p MemoryMax=5M -p MemorySwapMax=0 -p Type=exec";
        let ran = board.run(&format!("systemd-run --wait --unit=oom {limits} {INSTALL}"))?;
        ensure!(ran.exit != 0, "5 MiB are enough: {}", ran.printed);
        let result = board.told("systemctl show oom -p Result")?;
        ensure!(result.contains("oom-kill"), "{result}");
        let state = board.variable("atomix_state_B")?;
        board.note(&format!("killed for its memory: state {state}"));
        board.told("systemctl reset-failed oom")?;
        board.reboot("A, normal")?;
        goes_on(board)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn without_the_bus_an_update_is_installed_and_health_names_what_it_could_not_ask() -> Result<()> {
    Scenario::new("bus-gone").run(|board| {
        board.told("systemctl stop dbus.socket dbus.service; rm -f /run/dbus/system_bus_socket")?;
        let said = board.exits("atomix health probe", 10)?;
        ensure!(said.contains("/run/dbus/system_bus_socket"), "{said}");
        let said = board.exits("atomix health run --dry-run", 1)?;
        ensure!(said.contains("/run/dbus/system_bus_socket"), "{said}");
        board.told("atomix status")?;
        // A good slot is never given up for it, and updating does not depend on health.
        ensure!(board.variable("atomix_state_A")? == "good");
        board.install()?;
        board.told("systemctl start dbus.socket dbus.service")?;
        board.reboot("B, trying")?;
        board.await_confirmation()
    })
}
