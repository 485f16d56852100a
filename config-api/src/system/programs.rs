// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs programs; the one place of this crate that starts any. Argument lists only, nothing of our
//! environment but the path, a group of their own that dies with them, and bounded answers.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Most of an answer that is kept; `nft` lists one chain.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
const MAX_COMPLAINT_BYTES: u64 = 4096;
const POLL: Duration = Duration::from_millis(10);
/// After its end a grandchild may still hold its output open.
const GRACE: Duration = Duration::from_millis(500);

/// A program that did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started, or its end not be waited for.
    #[error("cannot run {program}")]
    Run {
        /// Its name.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It ended badly.
    #[error("{program} failed ({end}): {complaint}")]
    Failed {
        /// Its name.
        program: String,
        /// Its exit code or signal.
        end: String,
        /// What it said about it.
        complaint: String,
    },
    /// It was still running when its time was over, and was killed.
    #[error("{program} did not end in {secs} seconds")]
    TimedOut {
        /// Its name.
        program: String,
        /// Its time.
        secs: u64,
    },
}

/// Whoever can run programs.
pub trait Programs: Send {
    /// Runs one to its end, or for `limit` at most, and gives its answer.
    ///
    /// # Errors
    /// [`ProgramError`].
    fn run(
        &mut self,
        argv: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, ProgramError>;
}

/// The programs of this machine.
#[derive(Clone, Debug)]
pub struct HostPrograms {
    /// Where they are looked for.
    pub path: String,
}

impl Programs for HostPrograms {
    fn run(
        &mut self,
        argv: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, ProgramError> {
        let program = argv.first().copied().unwrap_or_default().to_owned();
        let failed = |source| ProgramError::Run { program: program.clone(), source };
        let mut child = self.start(argv).map_err(failed)?;
        let answer = child.stdout.take().map(|out| keep(out, MAX_ANSWER_BYTES));
        let complaint = child.stderr.take().map(|out| keep(out, MAX_COMPLAINT_BYTES));
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input) {
                // It ended without reading; how it ended says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written.map_err(failed)?,
            }
        }
        let Some(status) = wait(&mut child, limit).map_err(failed)? else {
            return Err(ProgramError::TimedOut { program, secs: limit.as_secs() });
        };
        let heard = |from: Option<Receiver<Vec<u8>>>| {
            from.and_then(|from| from.recv_timeout(GRACE).ok()).unwrap_or_default()
        };
        if status.success() {
            return Ok(heard(answer));
        }
        let complaint = String::from_utf8_lossy(&heard(complaint)).trim().to_owned();
        Err(ProgramError::Failed { program, end: status.to_string(), complaint })
    }
}

impl HostPrograms {
    #[expect(clippy::disallowed_methods, reason = "the one place of this crate that runs programs")]
    fn start(&self, argv: &[&str]) -> io::Result<Child> {
        let mut command = Command::new(argv.first().copied().unwrap_or_default());
        command
            .args(argv.get(1..).unwrap_or_default())
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }
}

/// `None` when the time was over and the whole group was killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= limit {
            if let Ok(group) = i32::try_from(child.id()) {
                killpg(Pid::from_raw(group), Signal::SIGKILL)?;
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// Reads to the end in the background, so that a full pipe stops nobody, and keeps the beginning.
fn keep(mut from: impl Read + Send + 'static, limit: u64) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let _torn = from.by_ref().take(limit).read_to_end(&mut kept);
        let _torn = io::copy(&mut from, &mut io::sink());
        // Nobody listens any more after a timeout.
        let _unheard = sender.send(kept);
    });
    receiver
}
