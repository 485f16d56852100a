// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix why` after boots that nobody could tell of: a dead kernel's words, the firmware's trail.

use crate::cli_board::SmallBoard;
use serde_json::Value;
use std::fs;

const PANIC: &str = "Panic#1 Part1\n\
    <5>[    0.000000] Kernel command line: rauc.slot=B atomix.reason=trying\n\
    <0>[    5.123456] Kernel panic - not syncing: VFS: \x1b[31mUnable to mount root fs\n\
    <4>[    5.123470] Call trace:\n\
    <4>[    5.123471]  dump_backtrace+0x98/0x118 (P)\n\
    <4>[    5.123474]  panic+0x168/0x360\n\
    <4>[    5.123475]  mount_root_generic+0x8f8/0x9b8\n";

fn why(board: &SmallBoard, args: &[&str]) -> Value {
    let ran = board.run(&[&["--json", "why"], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn three_panics_before_linux_are_told_with_attempts_left_and_the_kernels_last_words() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    for _ in 0..3 {
        board.firmware_starts();
    }
    board.write("/sys/fs/pstore/dmesg-ramoops-0", PANIC);
    board.power_on();
    let ran = board.run(&["why"]);
    // Lines are wrapped for the screen.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "from slot B (2.0.0) to slot A",
        "2 left, nothing heard; 1 left, nothing heard; 0 left, died",
        "in mount_root_generic",
        "firmware started B (trying), 1 attempt left",
        "B died: Kernel panic",
        "newest first",
    ] {
        assert!(flat(&ran.stdout).contains(part), "no {part:?} in\n{}{}", ran.stdout, ran.stderr);
    }
    assert!(!ran.stdout.contains('\x1b') && ran.stdout.lines().count() < 24, "{}", ran.stdout);
    let status = board.run(&["status"]).stdout;
    assert!(flat(&status).contains("Kernel panic - not syncing"), "{status}");
    let answer = why(&board, &[]);
    assert_eq!(answer["fallback"]["tries"].as_array().unwrap().len(), 3);
    assert_eq!(answer["untold"].as_array().unwrap().len(), 0);
    // The same file is not told again, nor where systemd moves it to.
    board.write("/var/lib/systemd/pstore/175/dmesg-ramoops-0", PANIC);
    board.power_on();
    let died = |answer: &Value| {
        let all = answer["history"].as_array().unwrap();
        all.iter().filter(|one| one["kind"] == "died").count()
    };
    assert_eq!(died(&why(&board, &[])), 1);
}

#[test]
fn an_agent_gets_each_record_once_and_in_order() {
    let board = SmallBoard::after_a_fallback();
    let all = why(&board, &[]);
    let mut seen = Vec::new();
    let mut since = 0;
    loop {
        let part = why(&board, &["--since", &since.to_string(), "--last", "4"]);
        let records = part["history"].as_array().unwrap();
        assert!(records.len() <= 4);
        seen.extend(records.iter().cloned());
        since = records.last().map_or(since, |one| one["sequence"].as_u64().unwrap());
        if part["more"] == false {
            break;
        }
    }
    assert_eq!(&Value::from(seen), &all["history"]);
    assert_eq!(all["newest"].as_u64().unwrap(), since);
    let none = why(&board, &["--since", &since.to_string()]);
    assert_eq!(none["history"].as_array().unwrap().len(), 0);
}

#[test]
fn a_persons_acts_are_on_record_without_values() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["uenv", "set", "password=hunter2", "START_UMS=1"]).code, 0);
    let text = why(&board, &[]).to_string();
    assert!(text.contains("uenv set password START_UMS"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_recorder_that_cannot_be_read_is_said_and_the_trail_is_told_instead() {
    let board = SmallBoard::new();
    board.firmware_starts();
    fs::remove_file(board.path("/etc/atomix/atomix.toml")).unwrap();
    let ran = board.run(&["why"]);
    assert!(ran.stdout.contains("the flight recorder cannot be read"), "{}", ran.stdout);
    assert!(ran.stdout.contains("firmware started A (normal)"), "{}", ran.stdout);
}
