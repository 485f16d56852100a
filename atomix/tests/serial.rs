// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix serial` at one end of a pseudo-terminal, a board that is played by this test at the other,
//! and the person's terminal: keys, screens, adapters that go away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod pty;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use pty::{Line, line, open_pty, said, wait_for};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// `atomix serial shell` on a line.
fn serial_shell(tty: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
    command.args(["serial", "shell", "--tty"]).arg(tty).stdin(Stdio::null());
    command
}

/// Starts it with a person's terminal, and waits until that is the board's.
fn attended(mut command: Command, person: &mut File, terminal: &File) -> Child {
    let stdio = || Stdio::from(terminal.try_clone().unwrap());
    let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
    drop(command);
    wait_for(person, "Ctrl-] ends it");
    until_raw(terminal);
    child
}

/// The terminal is raw a moment after it is said; what is typed before is not lost.
fn until_raw(terminal: &File) {
    while tcgetattr(terminal).unwrap().local_flags.contains(LocalFlags::ICANON) {
        thread::yield_now();
    }
}

#[test]
fn the_console_passes_keys_and_screens_and_gives_the_terminal_back() {
    let board = line();
    let mut rescue = Command::new(env!("CARGO_BIN_EXE_atomix"));
    rescue.args(["rescue", "--tty"]).arg(&board.path);
    passes_keys_and_screens(board, rescue);
    let board = line();
    let shell = serial_shell(&board.path);
    passes_keys_and_screens(board, shell);
}

fn passes_keys_and_screens(mut board: Line, command: Command) {
    let (mut person, terminal, _) = open_pty();
    let before = tcgetattr(&terminal).unwrap().local_flags;
    assert!(before.contains(LocalFlags::ICANON | LocalFlags::ECHO));
    let mut child = attended(command, &mut person, &terminal);
    person.write_all(b"ls\x03\t\x1b[A").unwrap();
    let mut keys = [0; 7];
    board.board.read_exact(&mut keys).unwrap();
    assert_eq!(&keys, b"ls\x03\t\x1b[A");
    // A menu draws itself.
    board.board.write_all(b"\x1b[2J\x1b[1;1Hmenu").unwrap();
    assert!(wait_for(&mut person, "menu").contains("\x1b[2J\x1b[1;1H"));
    person.write_all(b"\x1d").unwrap();
    wait_for(&mut person, "the console is closed");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(tcgetattr(&terminal).unwrap().local_flags, before);
}

#[test]
fn a_shell_goes_on_when_its_adapter_returns_and_needs_a_terminal() {
    let (dir, board) = (tempfile::tempdir().unwrap(), line());
    let adapter = dir.path().join("ttyUSB0");
    let (code, text) = said(&serial_shell(&adapter).output().unwrap());
    assert!(code == 2 && text.contains("`atomix serial capture` only listens"), "{text}");
    std::os::unix::fs::symlink(&board.path, &adapter).unwrap();
    let (mut person, terminal, _) = open_pty();
    let mut child = attended(serial_shell(&adapter), &mut person, &terminal);
    std::fs::remove_file(&adapter).unwrap();
    drop(board);
    wait_for(&mut person, "went away; waiting for it");
    let mut board = line();
    std::os::unix::fs::symlink(&board.path, &adapter).unwrap();
    wait_for(&mut person, "Ctrl-] ends it");
    until_raw(&terminal);
    person.write_all(b"ls\x1d").unwrap();
    let mut keys = [0; 2];
    board.board.read_exact(&mut keys).unwrap();
    assert_eq!((&keys, child.wait().unwrap().code()), (b"ls", Some(0)));
}

#[test]
fn a_capture_in_json_has_one_event_for_each_line() {
    let mut board = line();
    // Where this test runs behind a shell Ctrl-C is ignored, and would be by its child.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_atomix")])
        .args(["serial", "capture", "--json", "--tty"])
        .arg(&board.path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut event =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(event()["event"], "note");
    board.board.write_all(b"U-Boot 2025.01\r\n\x1b[31mDRAM\r\n").unwrap();
    let (first, second) = (event(), event());
    assert_eq!((&first["event"], &first["text"]), (&"line".into(), &"U-Boot 2025.01".into()));
    assert_eq!((&second["version"], &second["text"]), (&1.into(), &"\\x1b[31mDRAM".into()));
    assert!(second["unix_millis"].as_u64().unwrap() > 1_700_000_000_000);
    // A board that asks for something does not end its line.
    board.board.write_all(b"board login: ").unwrap();
    let open = event();
    assert_eq!((&open["event"], &open["text"]), (&"open".into(), &"board login: ".into()));
    board.board.write_all(b"root\r\n").unwrap();
    let line = event();
    assert_eq!((&line["event"], &line["text"]), (&"line".into(), &"board login: root".into()));
    // No handler: who starts it is told of the signal, and a shell says 130.
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

/// Modem managers open an adapter that was just plugged in, for seconds.
#[test]
fn a_capture_outlives_an_adapter_that_is_busy_when_it_comes_back() {
    let mut board = line();
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("ttyUSB0");
    let mut child = Command::new(env!("CARGO_BIN_EXE_atomix"))
        .args(["serial", "capture", "--tty"])
        .arg(&adapter)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(said).map(Result::unwrap);
    let waits = lines.next().unwrap();
    let way = format!("# waiting for {}; plug in the adapter; `ls ", adapter.display());
    assert!(waits.contains(&way), "{waits}");
    let other = atomix::serial_line::Port::open(&board.path, "115200".parse().unwrap()).unwrap();
    std::os::unix::fs::symlink(&board.path, &adapter).unwrap();
    let busy = lines.next().unwrap();
    assert!(busy.contains("in use by another program; end the other terminal program"), "{busy}");
    drop(other);
    assert!(lines.next().unwrap().contains("# listening to "));
    board.board.write_all(b"U-Boot 2025.01\r\n").unwrap();
    assert!(lines.next().unwrap().ends_with(" | U-Boot 2025.01"));
    child.kill().unwrap();
    child.wait().unwrap();
}
