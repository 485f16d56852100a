// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts a program as if this one had never touched a signal.
//!
//! Not by `std::process::Command`: that hands the signal mask of the thread on, and the service
//! blocks the signals that ask for an end. A hook could then not be ended by them, nor anything
//! it starts. `posix_spawn` sets mask, dispositions and process group of the child alone;
//! unblocking around the start instead would let such a signal end this program.

use crate::secrets::variables;
use crate::{Group, ProgramCall, StandardOutput};
use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where administrators' programs are when `PATH` lacks them, as it does for ordinary users.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// What a script without a `#!` line is run by, as every shell does it.
const SHELL: &str = "/bin/sh";
/// Where people and logs read what we say.
const OUR_STDERR: i32 = 2;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signalled(i32),
}

/// A program that runs, and our ends of its pipes.
pub(crate) struct Spawned {
    pid: Pid,
    group: Group,
    ended: Option<Ended>,
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: Option<File>,
    pub(crate) stderr: Option<File>,
}

/// Starts the program of `call`.
pub(crate) fn spawn(call: &ProgramCall<'_>) -> io::Result<Spawned> {
    let (stdin_end, stdin) = match call.input {
        Some(_) => std::io::pipe().map(|(from, to)| (OwnedFd::from(from), Some(file(to))))?,
        None => (File::open("/dev/null")?.into(), None),
    };
    let (stderr, stderr_end) = std::io::pipe()?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(stdin_end.as_raw_fd(), 0)?;
    let stdout = match call.standard_output {
        StandardOutput::Told => Some(std::io::pipe()?),
        StandardOutput::People => None,
    };
    let stdout_end = stdout.as_ref().map_or(OUR_STDERR, |(_, to)| to.as_raw_fd());
    files.add_dup2(stdout_end, 1)?;
    files.add_dup2(stderr_end.as_raw_fd(), 2)?;
    let pid = start(call, &files)?;
    Ok(Spawned {
        pid,
        group: call.group,
        ended: None,
        stdin,
        stdout: stdout.map(|(from, _)| file(from)),
        stderr: Some(file(stderr)),
    })
}

fn file(end: impl Into<OwnedFd>) -> File {
    File::from(end.into())
}

#[expect(clippy::disallowed_methods, reason = "the crate that runs programs")]
fn start(call: &ProgramCall<'_>, files: &PosixSpawnFileActions) -> io::Result<Pid> {
    let path = find(&call.program);
    let attributes = attributes(call.group)?;
    let line = |(name, value): (OsString, OsString)| {
        c_string([name.as_os_str(), value.as_os_str()].join(OsStr::new("=")))
    };
    let variables = variables(std::env::vars_os(), &call.environment);
    let variables = variables.into_iter().map(line).collect::<io::Result<Vec<_>>>()?;
    let words = |first: &[&OsStr]| -> io::Result<Vec<CString>> {
        let rest = call.arguments.iter().map(OsString::as_os_str);
        first.iter().copied().chain(rest).map(c_string).collect()
    };
    match posix_spawn(&*path, files, &attributes, &words(&[&call.program])?, &variables) {
        Err(Errno::ENOEXEC) => {
            let words = words(&[OsStr::new(SHELL), path.as_os_str()])?;
            Ok(posix_spawn(SHELL, files, &attributes, &words, &variables)?)
        }
        started => Ok(started?),
    }
}

fn attributes(group: Group) -> io::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    let mut flags =
        PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
    if group == Group::Own {
        flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
        attributes.set_pgroup(Pid::from_raw(0))?;
    }
    attributes.set_flags(flags)?;
    // Ignoring is inherited, and somebody in here or above may have ignored a signal.
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    Ok(attributes)
}

impl Spawned {
    /// How it ended, if it did.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<Ended>> {
        self.wait_by(Some(WaitPidFlag::WNOHANG))
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> io::Result<Option<Ended>> {
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

    /// Sends a signal: to the whole of its own group, also when the program itself has ended; in
    /// ours to the program alone, and then only while nobody else can have its number.
    pub(crate) fn signal(&self, signal: Signal) {
        // Gone already is as good as signalled.
        let _gone = match self.group {
            Group::Own => killpg(self.pid, signal),
            Group::Ours if self.ended.is_none() => kill(self.pid, signal),
            Group::Ours => Ok(()),
        };
    }
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
