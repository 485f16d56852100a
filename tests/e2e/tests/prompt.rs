// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real U-Boot and its prompt: who comes to it, and what a stored environment can do about that.
//!
//! The disk is empty, so the selector ends with a sentence of its own; whatever else comes first
//! went past it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use ::uboot::{Env, EnvStore};
use e2e::board::{DISK_LEN, QEMU, STOP_TEXT};
use e2e::parts;
use e2e::qemu::{Hardware, Qemu};
use e2e::wiring::Wiring;
use std::path::Path;
use std::time::Duration;
use storage::{Access, FileStorage};

/// Of a busy machine, and with the 30 s that a stored environment may ask for.
const WAIT: Duration = Duration::from_secs(180);

/// What the selector says of an empty disk, the prompt, and what a foreign script says.
const ENDS: [&str; 3] = ["atomix: nothing can be started", "=> ", "E2E-FOREIGN\n"];
const SELECTOR: usize = 0;
const PROMPT: usize = 1;

/// Says `E2E-FOREIGN`; the words do not stand together where only the environment is printed.
const FOREIGN: &str = "setenv e2e FOREIGN; echo E2E-${e2e}; sleep 60";

/// SHA-256 of `x`.
const HASH_OF_X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/// A board whose card has our environment with these changes; nothing removes a variable.
fn power_on(dir: &Path, changes: &[(&str, &str)]) -> Qemu {
    let firmware = parts::uboot::qemu().unwrap().join("u-boot.bin");
    let (disk, card) = (dir.join("disk"), dir.join("card"));
    for (path, len) in [(&disk, DISK_LEN), (&card, QEMU.flash.size)] {
        let _ = std::fs::remove_file(path);
        drop(FileStorage::create_sparse(path, len).unwrap());
    }
    let mut env = Env::new();
    let selector = QEMU.selector();
    let own = selector.lines().map(|line| line.split_once('=').unwrap());
    for (name, value) in own.chain(changes.iter().copied()) {
        match value {
            "" => env.unset(name),
            _ => env.set(name, value).unwrap(),
        };
    }
    let open = || FileStorage::open(&card, Access::ReadWrite).unwrap();
    let copies = QEMU.fw_env_config().copies.into_iter().map(|place| (open(), place)).collect();
    EnvStore::open(copies).unwrap().store_as_firmware(&env).unwrap();
    Qemu::start(&Hardware {
        firmware: &firmware,
        disk: &disk,
        card: Some(&card),
        wiring: &Wiring::Plain,
        stick: None,
        handed_over: Vec::new(),
        more_args: &[],
        saved: None,
        logs: dir,
    })
    .unwrap()
}

/// How it ends when `typed` is typed as soon as U-Boot asks.
fn end_of(changes: &[(&str, &str)], typed: &str) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut qemu = power_on(dir.path(), changes);
    if !typed.is_empty() {
        qemu.serial.expect("Autoboot in ", WAIT).unwrap();
        qemu.serial.expect("seconds\n", WAIT).unwrap();
        qemu.serial.send(typed).unwrap();
    }
    let (end, _) = qemu.serial.expect_any(&ENDS, WAIT).unwrap();
    qemu.cut();
    end
}

#[test]
fn no_stored_environment_keeps_real_uboot_from_its_selector() {
    let cases: [&[(&str, &str)]; 7] = [
        &[],
        &[("bootcmd", "")],
        &[("bootcmd", FOREIGN)],
        &[("bootdelay", "-1")],
        &[("bootdelay", "-1"), ("bootcmd", "")],
        &[("bootdelay", "86400"), ("bootretry", "-1")],
        &[("preboot", FOREIGN), ("altbootcmd", FOREIGN), ("menucmd", FOREIGN)],
    ];
    let ends = cases.map(|case| (case, end_of(case, "")));
    assert!(ends.iter().all(|(_, end)| *end == SELECTOR), "{ends:?}");
}

#[test]
fn the_stop_text_opens_the_prompt_and_nothing_else_does() {
    let hour: &[(&str, &str)] = &[("bootdelay", "3600")];
    assert_eq!(end_of(hour, STOP_TEXT), PROMPT);
    let second: &[(&str, &str)] = &[("bootdelay", "4")];
    for wrong in ["x", " \r\n", "\u{3}", "xatomix-e2e", "atomix-e2f"] {
        assert_eq!(end_of(second, wrong), SELECTOR, "{wrong:?}");
    }
}

#[test]
fn a_stored_hash_does_not_replace_the_built_in_one() {
    let stored = |delay| [("bootdelay", delay), ("bootstopkeysha256", HASH_OF_X)];
    assert_eq!(end_of(&stored("4"), "x"), SELECTOR);
    assert_eq!(end_of(&stored("30"), STOP_TEXT), PROMPT);
}
