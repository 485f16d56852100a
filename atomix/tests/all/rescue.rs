// SPDX-License-Identifier: MIT OR Apache-2.0
//! The technician's menu as it is used: the program on a terminal with arrow keys and numbers, and
//! without one by numbered lines. What the command line refuses, the menu refuses with the reason.

use crate::cli_board::{PARTITIONS, SmallBoard, bundles, disk_with_labels};
use bootctl::SlotState;
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The machine may be busy with emulators.
const PATIENCE: Duration = Duration::from_secs(180);

const ROWS: usize = 24;
const COLUMNS: usize = 80;

/// The menu on a terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn open(place: &str, board: &Path) -> Self {
        // As a serial line: nobody knows its size.
        Self::of_size(place, board, 0, 0)
    }

    fn of_size(place: &str, board: &Path, lines: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let line = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_atomix"))
            .arg(place)
            .arg(board)
            .arg("rescue")
            .env("TERM", "vt102")
            .stdin(line())
            .stdout(line())
            .stderr(line())
            .spawn()
            .unwrap();
        let keyboard = File::from(pty.master);
        let mut reader = keyboard.try_clone().unwrap();
        let (to, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The other side closes with an error or with nothing.
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                if to.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, shown: String::new() }
    }

    /// Waits until the screen shows `part`, presses `keys` then, and forgets what was shown.
    fn when(&mut self, part: &str, keys: &str) -> String {
        while !self.shown.contains(part) {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {part:?} in {}", self.shown),
            }
        }
        let shown = std::mem::take(&mut self.shown);
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        shown
    }

    fn ends(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The menu without a terminal: what it says to these lines.
fn by_lines(place: &str, board: &Path, lines: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_atomix"))
        .arg(place)
        .arg(board)
        .arg("rescue")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

const FOOT: &str = "arrows and Return: ";
const END: &str = "Return goes back: ";
const STATUS: &str = "booted       A  good";

/// Bundles of the tests are signed at a fixed time; the program reads the true clock.
fn board_of_any_year() -> SmallBoard {
    let board = SmallBoard::new();
    board.replace(
        "/etc/rauc/system.conf",
        "[keyring]\n",
        "[keyring]\nuse-bundle-signing-time=true\n",
    );
    board
}

#[test]
fn numbers_and_arrows_both_reach_the_status() {
    let board = SmallBoard::new();
    let mut menu = Terminal::open("--root", board.root());
    menu.when(FOOT, "1");
    assert!(menu.when(END, "\r").contains(STATUS));
    // Down, down and up again is the second line; its text is left by its number.
    let main = menu.when(FOOT, "\u{1b}[B\u{1b}[B\u{1b}[A\r");
    assert!(main.contains("main menu"), "{main}");
    assert!(menu.when(END, "0").contains("slot A  good"));
    // As a terminal in application mode sends it.
    menu.when(FOOT, "\u{1b}OA\u{1b}OA");
    menu.when("> 0  Quit", "\r");
    menu.ends();
}

#[test]
fn a_small_terminal_is_served_and_told_that_it_is_small() {
    let board = SmallBoard::new();
    for (lines, columns, is_small) in [(12, 40, true), (24, 80, false), (0, 0, false)] {
        let mut menu = Terminal::of_size("--root", board.root(), lines, columns);
        let main = menu.when(FOOT, "1");
        let told = format!("(small terminal, {columns}x{lines}: the menu needs 80x24)");
        assert_eq!(main.contains(&told), is_small, "{main}");
        assert!(menu.when(END, "0").contains(STATUS));
        menu.when(FOOT, "0");
        menu.ends();
    }
}

#[test]
fn every_screen_of_a_session_fits_the_terminal() {
    let board = SmallBoard::after_a_fallback();
    let mut menu = Terminal::open("--root", board.root());
    let mut screens = Vec::new();
    for digit in ["1", "2", "3", "4", "8"] {
        screens.push(menu.when(FOOT, digit));
        screens.push(menu.when("; Return", "q"));
    }
    menu.when(FOOT, "0");
    menu.ends();
    for screen in screens {
        // What was drawn after the last wipe of the screen.
        let plain = screen.replace('\r', "");
        let drawn = plain.rsplit("\u{1b}[2J").next().unwrap().trim_start_matches("\u{1b}[H");
        let rows: Vec<&str> = drawn.split('\n').collect();
        assert!(rows.len() <= ROWS, "{rows:#?}");
        for row in rows {
            assert!(row.chars().count() <= COLUMNS, "{row:?}");
        }
    }
}

#[test]
fn the_last_good_slot_is_not_marked_bad_and_the_reason_is_said() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["boot", "mark-bad", "B"]).code, 0);
    let before = board.state();
    let mut menu = Terminal::open("--root", board.root());
    menu.when(FOOT, "5");
    menu.when("Mark slot A as bad", "6");
    menu.when("mark slot A as bad?", "1");
    let said = menu.when(END, "000");
    assert!(said.contains("slot A is the last good slot") && said.contains("hint: "), "{said}");
    menu.ends();
    assert_eq!(board.state(), before);
}

#[test]
fn return_on_a_question_changes_nothing() {
    let board = SmallBoard::new();
    let mut menu = Terminal::open("--root", board.root());
    menu.when(FOOT, "5");
    menu.when("Mark slot B as bad", "7");
    menu.when("mark slot B as bad?", "\r");
    menu.when("Mark slot B as bad", "00");
    menu.ends();
    assert_eq!(board.state().b.state, SlotState::Good);
}

#[test]
fn a_bundle_on_a_stick_is_verified_offered_and_installed() {
    let board = board_of_any_year();
    board.write("/media/usb/deep/update.raucb", bundles::good());
    let mut menu = Terminal::open("--root", board.root());
    menu.when(FOOT, "6");
    menu.when("update.raucb", "1");
    let info = menu.when(END, "\r");
    assert!(info.contains("2.0.0") && info.contains("would install"), "{info}");
    menu.when("this bundle is true", "1");
    menu.when("install?", "1");
    let said = menu.when(END, "\r");
    assert!(said.contains("installed 2.0.0 into slot B; it boots next"), "{said}");
    menu.when("main menu", "0");
    menu.ends();
    assert_eq!(board.state().b.state, SlotState::Trying);
}

#[test]
fn a_tampered_bundle_is_never_offered() {
    let board = board_of_any_year();
    let mut bytes = bundles::good();
    let end = bytes.len() - 200;
    bytes[end] ^= 1;
    board.write("/media/usb/update.raucb", bytes);
    let before = board.state();
    let said = by_lines("--root", board.root(), "6\n1\n\n1\n1\n1\n1\n");
    assert!(said.contains("cannot use") && !said.contains("this bundle is true"), "{said}");
    assert_eq!(board.state(), before);
}

#[test]
fn without_a_terminal_the_menu_works_line_by_line() {
    let board = board_of_any_year();
    board.write("/elsewhere/update.raucb", bundles::good());
    let dir = board.path("/elsewhere");
    // Nothing is in the usual places; the directory is the second-last choice.
    let lines = format!("1\n\n6\n1\n{}\n1\n\n1\n1\n\n0\n", dir.display());
    let said = by_lines("--root", board.root(), &lines);
    assert!(said.contains(STATUS) && !said.contains('\u{1b}'), "{said}");
    assert!(said.contains("installed 2.0.0 into slot B; it boots next"), "{said}");
}

#[test]
fn data_is_asked_to_be_emptied_only_by_the_word() {
    let board = SmallBoard::new();
    let mut labels = PARTITIONS.map(|(label, _)| label).to_vec();
    labels.push("data");
    board.write("/dev/mmcblk1", disk_with_labels(&labels));
    by_lines("--root", board.root(), "7\n1\nyes\n0\n0\n");
    assert_eq!(board.run(&["uenv", "print", "atomix_reset_data"]).code, 10);
    by_lines("--root", board.root(), "7\n1\nERASE\n\n0\n0\n");
    let request = board.run(&["uenv", "print", "atomix_reset_data"]);
    let partition = "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7b005";
    assert!(request.code == 0 && request.stdout.contains(partition), "{}", request.stdout);
}

#[test]
fn the_menu_works_on_a_virtual_board_and_on_a_broken_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("board");
    let told = Command::new(env!("CARGO_BIN_EXE_atomix"))
        .args(["demo", "--keep"])
        .arg(&dir)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut menu = Terminal::open("--board", &dir);
    menu.when(FOOT, "\r");
    assert!(menu.when(END, "0").contains("booted       "));
    menu.when(FOOT, "9");
    // A virtual board cannot be restarted from here.
    menu.when("Reboot", "2");
    menu.when("reboot?", "1");
    assert!(menu.when(END, "000").contains("not this machine"));
    menu.ends();

    // The menu is needed most where nothing else works.
    let nothing = tempfile::tempdir().unwrap();
    let said = by_lines("--root", nothing.path(), "1\n\n3\n\n4\n\n8\n\n6\n0\n");
    assert!(said.contains("/etc/rauc/system.conf does not exist"), "{said}");
    assert!(said.contains("No *.raucb is there"), "{said}");
}

#[test]
fn programs_are_told_that_a_menu_is_not_for_them() {
    assert_eq!(SmallBoard::new().run(&["--json", "rescue"]).code, 2);
}

#[test]
fn what_is_asked_of_the_wrong_board_says_how_to_ask_the_right_one() {
    let run = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_atomix"));
        let ended = program.args(arguments).stdin(Stdio::null()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for (act, way) in [
        (&["--boot", "A"][..], "`atomix boot mark-active SLOT`"),
        (&["--status"], "`atomix status`"),
        (&["--root-shell"], "`atomix uenv set _RUT_OH_=1`"),
        (&["--ums"], "`atomix uenv set START_UMS=1`"),
        (&["--env-repair"], "`atomix uenv check`"),
    ] {
        let (code, text) = run(&[&["rescue"], act].concat());
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("--tty <DEVICE>") && text.contains(way), "{text}");
    }
    for (option, command) in [
        ("--root", &["rescue", "--status"][..]),
        ("--board", &["rescue"]),
        ("--root", &["serial", "capture"]),
    ] {
        let place = [option, "/nowhere"];
        for arguments in [
            [&place, command, &["--tty", "/dev/ttyNONE"]].concat(),
            [command, &["--tty", "/dev/ttyNONE"], &place].concat(),
        ] {
            let (code, text) = run(&arguments);
            assert_eq!(code, Some(2), "{arguments:?}: {text}");
            let told = format!("{option} and --tty name two different boards");
            assert!(text.contains(&told), "{arguments:?}: {text}");
        }
    }
}
