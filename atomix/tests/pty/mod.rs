// SPDX-License-Identifier: MIT OR Apache-2.0
//! Serial lines that are played by pseudo-terminals: one end for the program, one for the test.
#![allow(dead_code, reason = "each test takes what it needs")]

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Output;

/// A line: the board's end, and the laptop's by its path.
pub struct Line {
    pub board: File,
    /// Held, so that the line is there before the program opens it.
    _laptop: File,
    pub path: PathBuf,
}

/// Both ends of a line, of which no other test's child inherits one: a line whose end is held open
/// somewhere does not go away.
pub fn open_pty() -> (File, File, PathBuf) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname_r(&master).unwrap());
    let mut options = File::options();
    let options = options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let slave = options.open(&path).unwrap();
    (File::from(OwnedFd::from(master)), slave, path)
}

pub fn line() -> Line {
    let (board, laptop, path) = open_pty();
    // As a board: what it says is not echoed back to it.
    let mut raw = tcgetattr(&laptop).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&laptop, SetArg::TCSANOW, &raw).unwrap();
    Line { board, _laptop: laptop, path }
}

pub fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), text + &String::from_utf8_lossy(&output.stdout))
}

/// Reads until that was said; in vain only where the program is broken.
pub fn wait_for(from: &mut File, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains(wanted) {
        let mut polled = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let count = poll(&mut polled, PollTimeout::from(60_000_u16)).unwrap();
        assert!(count > 0, "{wanted:?} does not come: {text}");
        let count = from.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}
