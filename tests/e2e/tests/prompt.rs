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

use e2e::board::{DISK_LEN, QEMU, STOP_TEXT};
use e2e::parts;
use e2e::qemu::{Hardware, Qemu};
use e2e::wiring::Wiring;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use storage::{Access, FileStorage, Storage as _};

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

/// A variable and its value.
type Variable = (String, String);

fn variable(name: &str, value: &str) -> Variable {
    (name.to_owned(), value.to_owned())
}

/// Our environment with these changes, the changed variables last; nothing removes a variable.
/// Another's tool makes the image: U-Boot and ours would sort it.
fn env_image(dir: &Path, changes: &[Variable]) -> Vec<u8> {
    let selector = QEMU.selector();
    let is_changed = |line: &&str| {
        changes
            .iter()
            .any(|(name, _)| line.strip_prefix(name).is_some_and(|at| at.starts_with('=')))
    };
    let kept = selector.lines().filter(|line| !is_changed(line)).map(str::to_owned);
    let changed = changes.iter().filter(|(_, value)| !value.is_empty());
    let lines = kept.chain(changed.map(|(name, value)| format!("{name}={value}")));
    let (text, image) = (dir.join("env.txt"), dir.join("env.bin"));
    std::fs::write(&text, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let mut make = Command::new("mkenvimage");
    make.args(["-r", "-s"]).arg(QEMU.flash.env_bytes.to_string()).arg("-o").arg(&image).arg(&text);
    assert!(make.status().unwrap().success());
    std::fs::read(image).unwrap()
}

/// A board whose card has this environment, twice.
fn power_on(dir: &Path, changes: &[Variable]) -> Qemu {
    let firmware = parts::uboot::qemu().unwrap().join("u-boot.bin");
    let (disk, card) = (dir.join("disk"), dir.join("card"));
    for (path, len) in [(&disk, DISK_LEN), (&card, QEMU.flash.size)] {
        let _ = std::fs::remove_file(path);
        drop(FileStorage::create_sparse(path, len).unwrap());
    }
    let image = env_image(dir, changes);
    let mut stored = FileStorage::open(&card, Access::ReadWrite).unwrap();
    for offset in QEMU.flash.env_offsets {
        stored.write_at(offset, &image).unwrap();
    }
    stored.flush().unwrap();
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
fn end_of(changes: &[Variable], typed: &str) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut qemu = power_on(dir.path(), changes);
    if !typed.is_empty() {
        qemu.serial.expect("Autoboot in ", WAIT).unwrap();
        qemu.serial.expect("seconds\n", WAIT).unwrap();
        qemu.serial.send(typed).unwrap();
    }
    let (end, said) = qemu.serial.expect_any(&ENDS, WAIT).unwrap();
    qemu.cut();
    // The second run, with the defaults alone, forgets the slots' states.
    assert!(!said.contains("the boot command failed"), "{said}");
    end
}

#[test]
fn no_stored_environment_keeps_real_uboot_from_its_selector() {
    // None of ours among them: all of the selector has to find room.
    let many = |count: usize| {
        let selector = QEMU.selector();
        let names = selector.lines().map(|line| line.split_once('=').unwrap().0);
        let none = names.map(|name| variable(name, "")).collect::<Vec<_>>();
        none.into_iter().chain((0..count).map(|at| variable(&format!("v{at}"), "1"))).collect()
    };
    let cases: [(&str, Vec<Variable>); 12] = [
        ("nothing", vec![]),
        ("no bootcmd", vec![variable("bootcmd", "")]),
        ("another bootcmd", vec![variable("bootcmd", FOREIGN)]),
        ("no delay", vec![variable("bootdelay", "-1")]),
        ("neither", vec![variable("bootdelay", "-1"), variable("bootcmd", "")]),
        ("a day's delay", vec![variable("bootdelay", "86400"), variable("bootretry", "-1")]),
        (
            "other commands",
            ["preboot", "altbootcmd", "menucmd"].map(|name| variable(name, FOREIGN)).into(),
        ),
        ("words that end elsewhere", vec![variable("IFS", "_")]),
        (
            "a wish for the prompt that cannot be removed",
            vec![variable("atomix_stay", "1"), variable(".flags", "atomix_stay:sr")],
        ),
        (
            "a wish for the prompt whose removal is refused",
            vec![variable("atomix_stay", "1"), variable(".callbacks", "atomix_stay:baudrate")],
        ),
        ("600 variables", many(600)),
        ("all that fit", many(2500)),
    ];
    let ends = cases.map(|(case, changes)| (case, end_of(&changes, "")));
    assert!(ends.iter().all(|(_, end)| *end == SELECTOR), "{ends:?}");
}

#[test]
fn the_stop_text_opens_the_prompt_and_nothing_else_does() {
    let hour = [variable("bootdelay", "3600")];
    assert_eq!(end_of(&hour, STOP_TEXT), PROMPT);
    let second = [variable("bootdelay", "4")];
    for wrong in ["x", " \r\n", "\u{3}", "xatomix-e2e", "atomix-e2f"] {
        assert_eq!(end_of(&second, wrong), SELECTOR, "{wrong:?}");
    }
}

#[test]
fn a_stored_hash_does_not_replace_the_built_in_one() {
    let stored = |delay| [variable("bootdelay", delay), variable("bootstopkeysha256", HASH_OF_X)];
    assert_eq!(end_of(&stored("4"), "x"), SELECTOR);
    assert_eq!(end_of(&stored("30"), STOP_TEXT), PROMPT);
}
