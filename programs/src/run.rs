// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a program from its start to its end.
//!
//! Input is fed and output drained in one loop over non-blocking pipes, so neither side waits for
//! the other for ever. When the program itself has ended, what is in its pipes is read for a moment
//! more and no longer: a background child that kept them open must not hang an install.

use crate::spawn::{Ended, Spawned, spawn};
use crate::{OutputSink, OutputStream, ProgramCall, ProgramEnd, ProgramError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// What is kept of standard error for messages.
const STDERR_TAIL_BYTES: usize = 2048;
/// How often the questions are asked while nothing moves.
const TICK_MILLIS: u16 = 20;
/// The first look for its end after the pipes closed; each next waits twice as long, up to a tick.
/// Most programs close them by ending.
const FIRST_LOOK: Duration = Duration::from_micros(100);
/// After its end, so long is read what a background child may still write.
const DRAIN: Duration = Duration::from_millis(300);
/// After the polite signal, so long until the other one.
const KILL_AFTER: Duration = Duration::from_secs(3);
/// Bytes moved at once; the default capacity of a pipe.
const CHUNK_BYTES: usize = 64 * 1024;

/// Asked again and again while a program runs: who wants it to end, if anybody does.
pub type StopQuestion<'a> = &'a dyn Fn() -> Option<&'static str>;

/// Runs a program to its end, and ends it when `stop` names somebody or its time is over. What it
/// started in the background and left behind is not waited for.
///
/// # Errors
/// [`ProgramError`], every kind but `Failed`: an exit code is an answer, see
/// [`ProgramEnd::check`].
pub fn run(mut call: ProgramCall<'_>, stop: StopQuestion<'_>) -> Result<ProgramEnd, ProgramError> {
    let mut running = Running::start(&call)?;
    let began = Instant::now();
    let mut nothing = |_: OutputStream, _: &[u8]| {};
    let tell: OutputSink<'_> = match call.output.as_deref_mut() {
        Some(output) => output,
        None => &mut nothing,
    };
    let mut input = call.input.take();
    let mut ended: Option<(Ended, Instant)> = None;
    loop {
        match running.turn(&mut input, tell) {
            Ok(()) => {}
            Err(error) => {
                running.kill();
                return Err(error);
            }
        }
        if ended.is_none() {
            ended = running.ended()?.map(|status| (status, Instant::now()));
        }
        if let Some((status, at)) = ended
            && (running.is_drained() || at.elapsed() >= DRAIN)
        {
            return Ok(running.finish(status));
        }
        if ended.is_none() {
            running.may_go_on(stop, call.timeout, began)?;
        }
    }
}

/// Runs a program to its end and keeps the first `most_bytes` of its standard output; what is over
/// that is dropped, so that the program can end and a wild one fills no memory.
///
/// # Errors
/// As [`run`].
pub fn capture(
    call: ProgramCall<'_>,
    most_bytes: usize,
    stop: StopQuestion<'_>,
) -> Result<(ProgramEnd, Vec<u8>), ProgramError> {
    let mut kept = Vec::new();
    let mut keep = |stream, bytes: &[u8]| match stream {
        OutputStream::Stdout => {
            let room = most_bytes.saturating_sub(kept.len());
            kept.extend(bytes.iter().take(room));
        }
        OutputStream::Stderr => {}
    };
    let end = run(call.told_to(&mut keep), stop)?;
    Ok((end, kept))
}

/// A program between start and end.
struct Running {
    program: String,
    child: Spawned,
    /// Input that was read and not yet taken.
    pending: Vec<u8>,
    taken: usize,
    /// Room for what it writes.
    chunk: Vec<u8>,
    tail: VecDeque<u8>,
    left_input: bool,
    /// How long the next look without a pipe waits.
    pause: Duration,
}

impl Running {
    fn start(call: &ProgramCall<'_>) -> Result<Self, ProgramError> {
        let program = call.name();
        let failed = |source| ProgramError::Start { program: program.clone(), source };
        let child = spawn(call).map_err(failed)?;
        for pipe in [&child.stdin, &child.stdout, &child.stderr].into_iter().flatten() {
            never_wait(pipe.as_fd()).map_err(failed)?;
        }
        Ok(Self {
            program,
            child,
            pending: Vec::new(),
            taken: 0,
            chunk: Vec::new(),
            tail: VecDeque::new(),
            left_input: false,
            pause: FIRST_LOOK,
        })
    }

    fn talk_failed(&self, source: io::Error) -> ProgramError {
        ProgramError::Talk { program: self.program.clone(), source }
    }

    /// Waits for something to move, and moves it.
    fn turn(
        &mut self,
        input: &mut Option<&mut dyn Read>,
        tell: OutputSink<'_>,
    ) -> Result<(), ProgramError> {
        self.refill(input)?;
        self.wait().map_err(|source| self.talk_failed(source))?;
        self.feed().map_err(|source| self.talk_failed(source))?;
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK_BYTES, 0);
        let drained = self.drain(&mut chunk, tell).map_err(|source| self.talk_failed(source));
        self.chunk = chunk;
        drained
    }

    /// Takes what the program wrote, at most one piece of each stream.
    fn drain(&mut self, chunk: &mut [u8], tell: OutputSink<'_>) -> io::Result<()> {
        if let Some(pipe) = &mut self.child.stdout {
            match take_some(pipe, chunk)? {
                Taken::Bytes(bytes) => tell(OutputStream::Stdout, bytes),
                Taken::Nothing => {}
                Taken::End => self.child.stdout = None,
            }
        }
        if let Some(pipe) = &mut self.child.stderr {
            match take_some(pipe, chunk)? {
                Taken::Bytes(bytes) => {
                    self.tail.extend(bytes);
                    let surplus = self.tail.len().saturating_sub(STDERR_TAIL_BYTES);
                    self.tail.drain(..surplus);
                    tell(OutputStream::Stderr, bytes);
                }
                Taken::Nothing => {}
                Taken::End => self.child.stderr = None,
            }
        }
        Ok(())
    }

    /// Reads the next piece of input when the last was taken; at the end closes the pipe.
    fn refill(&mut self, input: &mut Option<&mut dyn Read>) -> Result<(), ProgramError> {
        if self.child.stdin.is_none() || self.taken < self.pending.len() {
            return Ok(());
        }
        self.pending.resize(CHUNK_BYTES, 0);
        let read = match input {
            Some(input) => loop {
                match input.read(&mut self.pending) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            },
            None => Ok(0),
        };
        let program = self.program.clone();
        let read = read.map_err(|source| ProgramError::Input { program, source })?;
        self.pending.truncate(read);
        self.taken = 0;
        if read == 0 {
            self.child.stdin = None;
        }
        Ok(())
    }

    /// Until a pipe is ready, or a tick is over.
    fn wait(&mut self) -> io::Result<()> {
        let stdin = self.child.stdin.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLOUT));
        let stdout = self.child.stdout.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN));
        let stderr = self.child.stderr.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN));
        let mut pipes: Vec<PollFd<'_>> = [stdin, stdout, stderr]
            .into_iter()
            .flatten()
            .map(|(pipe, flags)| PollFd::new(pipe, flags))
            .collect();
        if pipes.is_empty() {
            std::thread::sleep(self.pause);
            self.pause = self.pause.saturating_mul(2).min(tick());
            return Ok(());
        }
        match poll(&mut pipes, PollTimeout::from(TICK_MILLIS)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the program what it takes.
    fn feed(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.child.stdin else { return Ok(()) };
        let Some(bytes) = self.pending.get(self.taken..).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        match pipe.write(bytes) {
            Ok(len) => self.taken += len,
            Err(error) if is_not_now(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // It reads no more; its exit status tells whether that was right.
                self.left_input = true;
                self.child.stdin = None;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<Option<Ended>, ProgramError> {
        match self.child.try_wait() {
            Ok(status) => Ok(status),
            Err(source) => Err(self.talk_failed(source)),
        }
    }

    const fn is_drained(&self) -> bool {
        self.child.stdout.is_none() && self.child.stderr.is_none()
    }

    /// Asks the caller and the clock; kills the whole group when either says so.
    fn may_go_on(
        &mut self,
        stop: StopQuestion<'_>,
        limit: Option<Duration>,
        began: Instant,
    ) -> Result<(), ProgramError> {
        if let Some(by) = stop() {
            self.kill();
            return Err(ProgramError::Stopped { by });
        }
        match limit {
            Some(limit) if began.elapsed() >= limit => {
                self.kill();
                Err(ProgramError::TimedOut { program: self.program.clone(), limit })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the program and its group, politely first, and collects it.
    fn kill(&mut self) {
        self.child.stdin = None;
        self.child.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < KILL_AFTER && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(tick());
        }
        self.child.signal(Signal::SIGKILL);
        // It cannot survive that, and its status is asked for by nobody.
        let _ = self.child.wait();
    }

    fn finish(self, ended: Ended) -> ProgramEnd {
        let tail: Vec<u8> = self.tail.into();
        let (code, signal) = match ended {
            Ended::Exited(code) => (Some(code), None),
            Ended::Signalled(signal) => (None, Some(signal)),
        };
        ProgramEnd {
            code,
            signal,
            stderr: String::from_utf8_lossy(&tail).trim_end().to_owned(),
            left_input: self.left_input || self.taken < self.pending.len(),
        }
    }
}

fn tick() -> Duration {
    Duration::from_millis(TICK_MILLIS.into())
}

enum Taken<'a> {
    Bytes(&'a [u8]),
    Nothing,
    End,
}

fn take_some<'a>(pipe: &mut impl Read, chunk: &'a mut [u8]) -> io::Result<Taken<'a>> {
    match pipe.read(chunk) {
        Ok(0) => Ok(Taken::End),
        Ok(len) => Ok(Taken::Bytes(chunk.get(..len).unwrap_or_default())),
        Err(error) if is_not_now(&error) => Ok(Taken::Nothing),
        Err(error) => Err(error),
    }
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn never_wait(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests;
