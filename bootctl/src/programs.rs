// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place of this crate that runs programs: argument lists only, no shell, output and time
//! bounded.
//!
//! A boot loader's program is small and quick, and an install waits for it with a slot half
//! written. So it gets no input, a process group of its own that is killed when its time is over,
//! and the default signal mask: the service blocks signals for its own sake, and a program that
//! inherits that cannot be ended. The standard library passes the mask on; `posix_spawn` can not.

use crate::BackendError;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, read};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most bytes kept of what a program prints: one gone wild must not fill the memory. A firmware
/// with a hundred boot entries prints some 20 KiB.
const STDOUT_MAX_BYTES: usize = 256 * 1024;

/// Most bytes kept of its complaints.
const STDERR_MAX_BYTES: usize = 4096;

/// Longest run. Writing an environment takes less than a second, also where a sector is erased.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// After the end what it started may still hold the pipes; what that says is not waited for.
const DRAIN_LIMIT: Duration = Duration::from_millis(200);

/// How often it is looked whether the program has ended, where it closed its output before.
const LOOK: Duration = Duration::from_millis(10);

/// The first look after the pipes closed; each next waits twice as long, up to [`LOOK`]. Most close
/// them by ending, and every command of a boot loader would cost the whole pause.
const FIRST_LOOK: Duration = Duration::from_micros(100);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It was killed after this many seconds.
    Late(u64),
}

/// What a program left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    /// How it ended.
    pub end: ProgramEnd,
    /// What it printed, cut after some hundred KiB.
    pub stdout: Vec<u8>,
    /// What it complained about, without blanks at the ends, shortened.
    pub stderr: String,
}

/// Runs `program`, which is looked for in `PATH` where it holds no slash.
///
/// # Errors
/// Why it could not be started.
pub(crate) fn run_program(program: &OsStr, arguments: &[&str]) -> std::io::Result<ProgramOutput> {
    run_within(program, arguments, RUN_LIMIT)
}

/// A pipe whose writing end the child gets.
struct Stream {
    from: Option<OwnedFd>,
    kept: Vec<u8>,
    limit: usize,
}

impl Stream {
    const fn new(from: OwnedFd, limit: usize) -> Self {
        Self { from: Some(from), kept: Vec::new(), limit }
    }

    /// Takes what is there; what is over the limit is dropped, so that the writer can end.
    fn take(&mut self) {
        let Some(from) = &self.from else { return };
        let mut chunk = [0; 4096];
        match read(from, &mut chunk) {
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Ok(0) | Err(_) => self.from = None,
            Ok(count) => {
                let room = self.limit.saturating_sub(self.kept.len());
                self.kept.extend(chunk.iter().take(count.min(room)));
            }
        }
    }
}

fn run_within(
    program: &OsStr,
    arguments: &[&str],
    limit: Duration,
) -> std::io::Result<ProgramOutput> {
    let (out_from, out_to) = pipe2(OFlag::O_CLOEXEC)?;
    let (err_from, err_to) = pipe2(OFlag::O_CLOEXEC)?;
    let child = spawn(program, arguments, &out_to, &err_to)?;
    drop((out_to, err_to));
    let mut streams =
        [Stream::new(out_from, STDOUT_MAX_BYTES), Stream::new(err_from, STDERR_MAX_BYTES)];
    let end = wait(child, &mut streams, limit)?;
    let drained = Instant::now() + DRAIN_LIMIT;
    while streams.iter().any(|stream| stream.from.is_some()) && Instant::now() < drained {
        listen(&mut streams, LOOK);
    }
    let [stdout, stderr] = streams;
    let stderr = String::from_utf8_lossy(&stderr.kept).trim().to_owned();
    Ok(ProgramOutput { end, stdout: stdout.kept, stderr })
}

fn spawn(
    program: &OsStr,
    arguments: &[&str],
    out: &OwnedFd,
    err: &OwnedFd,
) -> std::io::Result<Pid> {
    let mut files = PosixSpawnFileActions::init()?;
    files.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    files.add_dup2(out.as_raw_fd(), 1)?;
    files.add_dup2(err.as_raw_fd(), 2)?;
    let mut attr = PosixSpawnAttr::init()?;
    attr.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attr.set_pgroup(Pid::from_raw(0))?;
    attr.set_sigdefault(&SigSet::all())?;
    attr.set_sigmask(&SigSet::empty())?;
    let program = CString::new(program.as_bytes())?;
    let mut argv = vec![program.clone()];
    for argument in arguments {
        argv.push(CString::new(*argument)?);
    }
    let environment = std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()));
    let environment = environment.collect::<Result<Vec<_>, _>>()?;
    Ok(posix_spawnp(&program, &files, &attr, &argv, &environment)?)
}

/// Reads what comes until the program has ended, at most for `limit`.
fn wait(child: Pid, streams: &mut [Stream; 2], limit: Duration) -> std::io::Result<ProgramEnd> {
    let over = Instant::now() + limit;
    let mut pause = FIRST_LOOK;
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(ProgramEnd::Exited(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return Ok(ProgramEnd::Signalled(signal as i32));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(cause) => return Err(cause.into()),
        }
        if Instant::now() >= over {
            // The child is not reaped yet, so that the group can be no other one.
            let _gone = killpg(child, Signal::SIGKILL);
            waitpid(child, None)?;
            return Ok(ProgramEnd::Late(limit.as_secs()));
        }
        if streams.iter().any(|stream| stream.from.is_some()) {
            listen(streams, LOOK);
        } else {
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LOOK);
        }
    }
}

/// Waits for output, or for nothing where both pipes are closed, and takes what is there.
fn listen(streams: &mut [Stream; 2], at_most: Duration) {
    let ready = {
        let open = |stream: &'_ Stream| stream.from.is_some();
        let mut asked: Vec<PollFd<'_>> = streams
            .iter()
            .filter_map(|stream| stream.from.as_ref())
            .map(|from| PollFd::new(from.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        // A signal or an error is a look without news.
        let _news = poll(&mut asked, timeout);
        let mut answers = asked.iter().map(|fd| fd.any().unwrap_or(false));
        streams.each_ref().map(|stream| open(stream) && answers.next().unwrap_or(false))
    };
    for (stream, ready) in streams.iter_mut().zip(ready) {
        if ready {
            stream.take();
        }
    }
}

/// Runs `program` with `arguments` and gives what it printed, without blanks at the ends.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<String, BackendError> {
    let shown = || arguments.join(" ");
    let ran = run_program(program.as_os_str(), arguments).map_err(|source| {
        BackendError::Start { program: program.to_owned(), arguments: shown(), source }
    })?;
    let status = match ran.end {
        ProgramEnd::Exited(0) => {
            let text = String::from_utf8_lossy(&ran.stdout);
            return Ok(text.trim().to_owned());
        }
        ProgramEnd::Exited(code) => format!("exit status: {code}"),
        ProgramEnd::Signalled(signal) => format!("signal: {signal}"),
        ProgramEnd::Late(secs) => format!("no end after {secs} seconds"),
    };
    Err(BackendError::Failed {
        program: program.to_owned(),
        arguments: shown(),
        status,
        stderr: if ran.stderr.is_empty() { "no message".to_owned() } else { ran.stderr },
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> ProgramOutput {
        run_within(OsStr::new("sh"), &["-c", script], limit).unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_a_program_prints_is_kept_and_its_end_is_told() {
        let ran = shell("echo out; echo err >&2; exit 3", LONG);
        assert_eq!(ran.end, ProgramEnd::Exited(3));
        assert_eq!((ran.stdout.as_slice(), ran.stderr.as_str()), (b"out\n".as_slice(), "err"));
        assert_eq!(shell("kill -9 $$", LONG).end, ProgramEnd::Signalled(9));
    }

    #[test]
    fn an_absent_program_is_not_one_that_failed() {
        let absent = run_program(OsStr::new("atomix-no-such-program"), &[]).unwrap_err();
        assert_eq!(absent.kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_and_stops_nobody() {
        let ran = shell("head -c 1000000 /dev/zero; head -c 100000 /dev/zero >&2", LONG);
        assert_eq!(ran.end, ProgramEnd::Exited(0));
        assert_eq!(ran.stdout.len(), STDOUT_MAX_BYTES);
        assert_eq!(ran.stderr.len(), STDERR_MAX_BYTES);
    }

    #[test]
    fn a_child_left_behind_with_the_pipe_hangs_nobody() {
        let began = Instant::now();
        let ran = shell("echo done; sleep 20 &", LONG);
        assert_eq!((ran.end, ran.stdout.as_slice()), (ProgramEnd::Exited(0), b"done\n".as_slice()));
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_never_ends_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 100 & echo $! > {}; wait", pid_file.display());
        let began = Instant::now();
        assert_eq!(shell(&script, Duration::from_secs(2)).end, ProgramEnd::Late(2));
        assert!(began.elapsed() < Duration::from_secs(20));
        let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let gone = |_| nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
        let reaped = |_| {
            std::thread::sleep(LOOK);
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|text| text.contains(") Z"))
        };
        assert!((0..200).any(|turn| gone(turn) || reaped(turn)), "{pid} lives on");
    }

    #[test]
    fn signals_that_we_block_end_a_program_all_the_same() {
        let blocked: SigSet = [Signal::SIGTERM].into_iter().collect();
        let ran = std::thread::spawn(move || {
            blocked.thread_block().unwrap();
            shell("grep ^SigBlk /proc/self/status", LONG)
        });
        let said = String::from_utf8(ran.join().unwrap().stdout).unwrap();
        assert_eq!(said.split_whitespace().last(), Some("0000000000000000"));
    }
}
