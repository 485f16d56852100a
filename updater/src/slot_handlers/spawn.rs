// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts a program as if this one had never touched a signal.
//!
//! Not by `std::process::Command`: that hands the signal mask of the thread on, and this program
//! blocks the signals that ask for an end. A hook could then not be ended by them, nor anything
//! it starts. `posix_spawn` sets mask, dispositions and process group of the child alone;
//! unblocking around the start instead would let such a signal end this program.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where administrators' programs are when `PATH` lacks them, as it does for ordinary users.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// What a script without a `#!` line is run by, as every shell does it.
const SHELL: &str = "/bin/sh";
/// Signals that somebody may have ignored in here or above: ignoring is inherited.
const DEFAULT_AGAIN: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGPIPE,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCHLD,
    Signal::SIGTTOU,
];

/// Whether the program gets an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Through a pipe.
    Piped,
    /// None.
    Null,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(i32),
    Signalled(i32),
}

/// A program that runs, in a process group of its own.
pub(super) struct Spawned {
    pid: Pid,
    ended: Option<Ended>,
    pub stdin: Option<File>,
    pub stdout: Option<File>,
    pub stderr: Option<File>,
}

/// Starts `program`; `environment` is put on top of this process's own.
pub(super) fn spawn(
    program: &OsStr,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    input: Input,
) -> io::Result<Spawned> {
    let path = find(program);
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigdefault(&DEFAULT_AGAIN.into_iter().collect())?;
    attributes.set_sigmask(&SigSet::empty())?;
    let (stdin_end, stdin) = match input {
        Input::Piped => {
            pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (File::from(read), Some(write)))?
        }
        Input::Null => (File::open("/dev/null")?, None),
    };
    let (stdout, stdout_end) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, stderr_end) = pipe2(OFlag::O_CLOEXEC)?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(stdin_end.as_raw_fd(), 0)?;
    files.add_dup2(stdout_end.as_raw_fd(), 1)?;
    files.add_dup2(stderr_end.as_raw_fd(), 2)?;
    let variables = variables(environment)?;
    let words = |first: &[&OsStr]| -> io::Result<Vec<CString>> {
        let rest = arguments.iter().map(OsString::as_os_str);
        first.iter().copied().chain(rest).map(c_string).collect()
    };
    let started = posix_spawn(&*path, &files, &attributes, &words(&[program])?, &variables);
    let pid = match started {
        Err(Errno::ENOEXEC) => {
            let words = words(&[OsStr::new(SHELL), path.as_os_str()])?;
            posix_spawn(SHELL, &files, &attributes, &words, &variables)?
        }
        other => other?,
    };
    Ok(Spawned {
        pid,
        ended: None,
        stdin: stdin.map(File::from),
        stdout: Some(File::from(stdout)),
        stderr: Some(File::from(stderr)),
    })
}

impl Spawned {
    /// How it ended, if it did.
    pub fn try_wait(&mut self) -> io::Result<Option<Ended>> {
        self.wait_by(Some(WaitPidFlag::WNOHANG))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<Option<Ended>> {
        self.wait_by(None)
    }

    fn wait_by(&mut self, flags: Option<WaitPidFlag>) -> io::Result<Option<Ended>> {
        while self.ended.is_none() {
            match waitpid(self.pid, flags) {
                Ok(WaitStatus::Exited(_, code)) => self.ended = Some(Ended::Exited(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    self.ended = Some(Ended::Signalled(signal as i32));
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) if flags.is_some() => return Ok(None),
                Ok(_) => {}
            }
        }
        Ok(self.ended)
    }

    /// Sends a signal to the whole process group, also when the program itself has ended.
    pub fn signal(&self, signal: Signal) {
        // Gone already is as good as signalled.
        let _ = killpg(self.pid, signal);
    }
}

/// This process's variables but its secrets, and the given ones, which win.
fn variables(given: &[(OsString, OsString)]) -> io::Result<Vec<CString>> {
    let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in bundle::SECRET_VARIABLES {
        all.remove(OsStr::new(name));
    }
    all.extend(given.iter().cloned());
    let line = |(name, value): (OsString, OsString)| {
        c_string([name.as_os_str(), value.as_os_str()].join(OsStr::new("=")))
    };
    all.into_iter().map(line).collect()
}

fn c_string(text: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(text.as_ref().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The program as it was named; a bare name is looked for in `PATH`, then in `sbin`.
fn find(program: &OsStr) -> PathBuf {
    let program = Path::new(program);
    if program.as_os_str().as_bytes().contains(&b'/') {
        return program.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SBIN.into_iter().map(PathBuf::from));
    let mut candidates = dirs.map(|dir| dir.join(program));
    candidates.find(|candidate| candidate.is_file()).unwrap_or_else(|| program.to_owned())
}
