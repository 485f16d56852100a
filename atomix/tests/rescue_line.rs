// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program at one end of a pseudo-terminal, a board that is played by this test at the other:
//! what the emulator cannot do (USB, a U-Boot that reads its environment back, a save that is not
//! kept, a cable that is pulled), and the person's terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod pty;

use pty::{Line, line, said};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

const DISK: &str = "11111111-2222-3333-4444-555555555555";

fn rescue(line: &Line, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
    command.args(["rescue", "--timeout", "30", "--tty"]).arg(&line.path).args(arguments);
    command.env_remove("ATOMIX_STOP_STRING");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A board at U-Boot's prompt.
#[derive(Clone, Default)]
struct Board {
    env: BTreeMap<String, String>,
    stored: BTreeMap<String, String>,
    can_load: bool,
    keeps_nothing: bool,
    recover: &'static str,
    /// Every command that was typed.
    typed: Vec<String>,
}

impl Board {
    fn new() -> Self {
        let env = [
            ("atomix_env", "1"),
            ("BOOT_ORDER", "A B"),
            ("BOOT_A_LEFT", "3"),
            ("BOOT_B_LEFT", "3"),
            ("atomix_state_A", "good"),
            ("atomix_state_B", "good"),
            ("atomix_disk", DISK),
        ];
        let env: BTreeMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { stored: env.clone(), env, can_load: true, ..Self::default() }
    }

    /// Plays until the line is closed or the board is restarted; it is then given back.
    fn play(mut self, mut line: File) -> JoinHandle<Self> {
        thread::spawn(move || {
            line.write_all(b"=> ").unwrap();
            let mut typed = Vec::new();
            let mut byte = [0];
            while let Ok(1) = line.read(&mut byte) {
                if byte[0] != b'\r' {
                    line.write_all(&byte).unwrap();
                    typed.push(byte[0]);
                    continue;
                }
                let text = String::from_utf8(std::mem::take(&mut typed)).unwrap();
                line.write_all(b"\r\n").unwrap();
                if text == "reset" {
                    let order = self.stored.get("BOOT_ORDER").map_or("A", String::as_str);
                    let first = order.split(' ').next().unwrap().to_owned();
                    let start = format!(
                        "resetting ...\r\n\r\nU-Boot 2025.01 (x)\r\natomix: slot {first}, normal\r\n\
                         ## Executing script at 00500000\r\n"
                    );
                    line.write_all(start.as_bytes()).unwrap();
                    return self;
                }
                let answer = self.run(&text).replace('\n', "\r\n");
                line.write_all(answer.as_bytes()).unwrap();
                line.write_all(b"=> ").unwrap();
            }
            self
        })
    }

    fn run(&mut self, text: &str) -> String {
        let (mut said, mut status) = (String::new(), 0);
        for command in text.split("; ") {
            if let Some(word) = command.strip_prefix("echo ") {
                said += &format!("{}\n", word.replace("$?", &status.to_string()));
                continue;
            }
            if command.trim().is_empty() {
                continue;
            }
            self.typed.push(command.to_owned());
            let words: Vec<&str> = command.split(' ').collect();
            status = 0;
            match words.as_slice() {
                ["version"] => said += "U-Boot 2025.01 (x)\n\n",
                ["printenv", name] => match self.env.get(*name) {
                    Some(value) => said += &format!("{name}={value}\n"),
                    None => {
                        said += &format!("## Error: \"{name}\" not defined\n");
                        status = 1;
                    }
                },
                ["setenv", name] => drop(self.env.remove(*name)),
                ["setenv", name, value @ ..] => {
                    self.env.insert((*name).to_owned(), value.join(" "));
                }
                ["saveenv"] => {
                    said += "Saving Environment to SPIFlash... OK\n";
                    if !self.keeps_nothing {
                        self.stored = self.env.clone();
                    }
                }
                ["env", "load"] if self.can_load => self.env = self.stored.clone(),
                ["env", "load"] => {
                    said += "env - environment handling commands\n\nUsage:\nenv save\n";
                    status = 1;
                }
                ["env", "default", "-f", names @ ..] => {
                    if names.contains(&"atomix_recover") {
                        self.env.insert("atomix_recover".to_owned(), self.recover.to_owned());
                    }
                }
                ["run", "atomix_find"] => {
                    self.env.insert("atomix_readable".to_owned(), "1".to_owned());
                    self.env.insert("atomix_disk_now".to_owned(), DISK.to_owned());
                }
                ["run", "atomix_load_A" | "atomix_load_B"] => {
                    self.env.insert("atomix_ok".to_owned(), "1".to_owned());
                }
                ["run", "atomix_recover"] => {
                    said += "atomix: recovery over USB\n\
                             UMS: LUN 0, dev mmc 1, hwpart 0, sector 0x0, count 0x1d5a000\n\
                             \rOperation aborted.\n";
                }
                other => panic!("U-Boot does not know {other:?}"),
            }
        }
        said
    }
}

#[test]
fn what_was_saved_is_read_back_where_uboot_can_and_then_proved_by_the_restart() {
    let line = line();
    let board = Board::new().play(line.board.try_clone().unwrap());
    let (code, text) = said(&rescue(&line, &["--boot", "B"]).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("saved and read back; the board started slot B (normal)"), "{text}");
    let board = board.join().unwrap();
    assert_eq!(board.stored["BOOT_ORDER"], "B A");
    assert!(board.typed.contains(&"env load".to_owned()));
}

/// A worn flash says OK and keeps nothing.
#[test]
fn a_save_that_is_not_kept_is_not_called_done() {
    for can_load in [true, false] {
        let line = line();
        let board = Board { keeps_nothing: true, can_load, ..Board::new() };
        let _board = board.play(line.board.try_clone().unwrap());
        let (code, text) = said(&rescue(&line, &["--boot", "B"]).output().unwrap());
        assert_eq!(code, 4, "{text}");
        let told = if can_load {
            "BOOT_ORDER was set to \"B A\" and reads \"A B\""
        } else {
            "slot B was asked for and saved, but the board started slot A (normal)"
        };
        assert!(text.contains(told), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
}

#[test]
fn a_disk_over_usb_is_explained_while_it_is_shown() {
    let line = line();
    let board = Board { recover: "echo atomix: recovery over USB; ums 0 mmc 1", ..Board::new() };
    let board = board.play(line.board.try_clone().unwrap());
    let (code, text) = said(&rescue(&line, &["--ums"]).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the board's disk appears as a USB disk here"), "{text}");
    assert!(text.contains("the disk was shown over USB until it was let go"), "{text}");
    let board = board.join().unwrap();
    // The script that ran is the one that is built in, not a stored one.
    let at = |command: &str| board.typed.iter().position(|typed| typed == command).unwrap();
    assert!(at("env default -f atomix_recover") < at("run atomix_recover"));
}

/// Values that a shell would obey are read, shown tamely, and never typed.
#[test]
fn no_stored_value_becomes_part_of_a_command_or_steers_the_terminal() {
    let line = line();
    let mut board = Board::new();
    for name in ["BOOT_ORDER", "atomix_failed", "atomix_last", "atomix_state_B", "START_UMS"] {
        let hostile = "A; reset\x1b[2J ${bootcmd} `x` \"' && saveenv";
        board.env.insert(name.to_owned(), hostile.to_owned());
    }
    let board = board.play(line.board.try_clone().unwrap());
    let (code, text) = said(&rescue(&line, &["--env-repair"]).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    let board = board.join().unwrap();
    for typed in &board.typed {
        assert!(
            typed.bytes().all(|b| b.is_ascii_alphanumeric() || b" _.:-".contains(&b)),
            "{typed}"
        );
    }
    // Read as the most restrictive that it can mean, and written so.
    assert_eq!(board.stored["atomix_state_B"], "unknown");
    assert!(!board.stored.contains_key("atomix_failed"));
}

#[test]
fn a_cable_that_is_pulled_ends_with_its_name_and_a_way_on() {
    let mut line = line();
    let child = rescue(&line, &["--status"]).spawn().unwrap();
    let path = line.path.display().to_string();
    let mut knock = [0; 2];
    line.board.read_exact(&mut knock).unwrap();
    assert_eq!(&knock, b" \r");
    drop(line);
    let (code, text) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("atomix: {path} went away")), "{text}");
    assert!(text.contains("hint: look at the adapter's USB plug"), "{text}");
}

#[test]
fn a_silent_line_and_wrong_devices_end_with_what_to_look_at() {
    let line = line();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
        said(&command.args(arguments).stdin(Stdio::null()).output().unwrap())
    };
    let tty = line.path.to_str().unwrap();
    let (code, text) = run(&["rescue", "--tty", tty, "--timeout", "2", "--status"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("nothing at all came at 1500000 baud"), "{text}");
    assert!(text.contains("hint: look at power, ground, and whether TX goes to RX"), "{text}");
    let (code, text) = run(&["rescue", "--tty", "/dev/null", "--status"]);
    assert_eq!((code, text.contains("/dev/null is no serial line")), (2, true), "{text}");
    let (code, text) = run(&["rescue", "--tty", "/dev/ttyNONE", "--status"]);
    assert_eq!((code, text.contains("/dev/ttyNONE does not exist")), (2, true), "{text}");
    let (code, text) = run(&["rescue", "--tty", tty]);
    assert_eq!((code, text.contains("the board's console needs a terminal")), (2, true), "{text}");
    let _other = atomix::serial_line::Port::open(&line.path, "115200".parse().unwrap()).unwrap();
    let (code, text) = run(&["rescue", "--tty", tty, "--status"]);
    assert_eq!((code, text.contains("in use by another program")), (5, true), "{text}");
}

/// An exported variable that is empty or of another board must not cost the menu, nor be printed.
#[test]
fn a_stop_text_is_asked_of_a_line_only_and_shown_by_nothing() {
    let line = line();
    let tty = line.path.to_str().unwrap();
    let run = |variable: &str, arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_atomix"));
        program.args(arguments).env("ATOMIX_STOP_STRING", variable).stdin(Stdio::null());
        said(&program.output().unwrap())
    };
    let over_line = ["rescue", "--tty", tty, "--status", "--timeout", "1"];
    for (variable, from, option) in [
        ("hällo-secret", "ATOMIX_STOP_STRING", None),
        ("", "--stop-string", Some("hällo-secret")),
        ("", "--stop-string", Some("-hällo-secret")),
        ("fits", "--stop-string", Some("hällo-secret")),
    ] {
        let given: Vec<&str> = option.iter().flat_map(|text| ["--stop-string", text]).collect();
        let (code, text) = run(variable, &[&over_line[..], &given].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(&format!("the stop text in {from} is none")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    // As if it were not set.
    let (code, text) = run("", &over_line);
    assert_eq!((code, text.contains("nothing at all came")), (1, true), "{text}");
    for variable in ["", "hällo-secret"] {
        let nowhere = tempfile::tempdir().unwrap();
        let root = nowhere.path().to_str().unwrap();
        let (code, text) = run(variable, &["--root", root, "rescue"]);
        assert_eq!((code, text.contains("main menu")), (0, true), "{text}");
    }
}

#[test]
fn a_slot_is_taken_in_either_case() {
    let line = line();
    let board = Board::new().play(line.board.try_clone().unwrap());
    let (code, text) = said(&rescue(&line, &["--boot", "b"]).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert_eq!(board.join().unwrap().stored["BOOT_ORDER"], "B A");
    assert_eq!(said(&rescue(&line, &["--boot", "c"]).output().unwrap()).0, 2);
}

#[test]
fn a_log_that_cannot_be_kept_is_named_and_the_adapter_is_not_blamed() {
    let line = line();
    let tty = line.path.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("nowhere/x.log");
    for log in [dir.path(), &absent] {
        let log = log.to_str().unwrap();
        for command in [&["rescue", "--status"][..], &["serial", "capture"]] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_atomix"));
            program.args(command).args(["--tty", tty, "--log", log]).stdin(Stdio::null());
            let (code, text) = said(&program.output().unwrap());
            assert_eq!(code, 1, "{text}");
            assert!(text.contains(&format!("atomix: cannot open the log {log}: ")), "{text}");
            let hint = "hint: give --log a file in a directory that is there and writable";
            assert!(text.contains(hint) && !text.contains("adapter"), "{text}");
        }
    }
}
