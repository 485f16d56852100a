// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built program on the small board, watched by what it says and ended at a chosen moment.

use crate::cli_board::SmallBoard;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A command that runs.
pub struct Running {
    child: Child,
    said: BufReader<ChildStderr>,
    /// What it said until now.
    pub heard: String,
}

/// How a command ended.
pub struct Ended {
    pub status: ExitStatus,
    /// All that it said on standard error.
    pub heard: String,
}

impl Running {
    /// Starts a command line on the board.
    pub fn start(board: &SmallBoard, args: &[&str]) -> Self {
        // What runs in the background of a shell has Ctrl-C ignored, and these tests may.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,HUP,TERM").arg(env!("CARGO_BIN_EXE_atomix"));
        command.arg("--root").arg(board.root()).args(args);
        Self::spawn(command)
    }

    /// Starts any command.
    pub fn spawn(mut command: Command) -> Self {
        let command = command
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said, heard: String::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says a line that begins so, or ends.
    pub fn await_line(&mut self, beginning: &str) -> bool {
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            self.heard.push_str(&line);
            if line.starts_with(beginning) {
                return true;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // A program that has ended and was not waited for still takes signals.
        kill(pid, signal).unwrap();
    }

    /// Kills it after a while.
    pub fn kill_after(self, delay: Duration) -> Ended {
        std::thread::sleep(delay);
        self.signal(Signal::SIGKILL);
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        while self.await_line("\0") {}
        Ended { status: self.child.wait().unwrap(), heard: self.heard }
    }

    /// The most memory that it had at once until now, in KiB.
    pub fn peak_kib(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Ended {
    pub fn is_killed(&self) -> bool {
        self.status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// In which phase it was: the last thing that it said, without what it was said of.
    pub fn phase(&self) -> &str {
        if !self.is_killed() {
            return "done before";
        }
        let lines = self.heard.lines().rev();
        let mut steps =
            lines.filter(|line| !line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
        let Some(last) = steps.next() else { return "before the first word" };
        let names = [
            "planning",
            "reading the bundle",
            "taking target out",
            "breaking the seal",
            "writing",
            "reading back",
            "sealing",
            "recording",
            "storing the boot state",
        ];
        names.into_iter().find(|name| last.starts_with(name)).unwrap_or("another word")
    }
}
