// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a probe's program; the one place of this crate that starts any.
//!
//! The program gets a process group of its own, so that what it started dies with it when its time
//! is over, no input, and no place to write but a bounded tail of its standard error.

use crate::system::{CommandEnd, ProbeError};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What is kept of standard error: a program that never stops writing must not eat memory.
const STDERR_TAIL_BYTES: usize = 512;
const POLL: Duration = Duration::from_millis(10);
/// After the end a grandchild may still hold standard error open; the text is not worth more.
const STDERR_GRACE: Duration = Duration::from_millis(200);

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that runs programs")]
pub(crate) fn run_command(argv: &[String], timeout: Duration) -> Result<CommandEnd, ProbeError> {
    let program = argv.first().cloned().unwrap_or_default();
    let failed = |source| ProbeError::Run { program: program.clone(), source };
    let mut child = Command::new(&program)
        .args(argv.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let stderr = child.stderr.take().map(keep_tail);
    match wait(&mut child, timeout).map_err(failed)? {
        None => Ok(CommandEnd::TimedOut),
        Some(status) => Ok(describe(status, stderr)),
    }
}

fn describe(status: ExitStatus, stderr: Option<Receiver<String>>) -> CommandEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => {
            let stderr = stderr.and_then(|tail| tail.recv_timeout(STDERR_GRACE).ok());
            CommandEnd::Exited { code, stderr: stderr.unwrap_or_default() }
        }
        (None, signal) => CommandEnd::Signalled { signal: signal.unwrap_or_default() },
    }
}

/// `None` when the time was over and the whole group was killed.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= timeout {
            if let Ok(group) = i32::try_from(child.id()) {
                killpg(Pid::from_raw(group), Signal::SIGKILL)?;
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// Reads to the end in the background, so that a program is never stopped by a full pipe.
fn keep_tail(mut stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut tail = VecDeque::with_capacity(STDERR_TAIL_BYTES);
        let mut chunk = [0; 512];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            tail.extend(chunk.iter().take(count));
            let surplus = tail.len().saturating_sub(STDERR_TAIL_BYTES);
            tail.drain(..surplus);
        }
        let bytes: Vec<u8> = tail.into();
        // Nobody listens any more after a timeout.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
