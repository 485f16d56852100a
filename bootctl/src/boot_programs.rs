// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long may a boot loader's program take, and how much may it say?
//!
//! It is small and quick, and an install waits for it with a slot half written.

use crate::BackendError;
use programs::{ProgramCall, ProgramError};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Most bytes kept of what a program prints: one gone wild must not fill the memory. A firmware
/// with a hundred boot entries prints some 20 KiB.
const STDOUT_MAX_BYTES: usize = 256 * 1024;

/// Longest run. Writing an environment takes less than a second, also where a sector is erased.
const RUN_LIMIT: Duration = Duration::from_secs(60);

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
pub(crate) fn run_program(program: &OsStr, arguments: &[&str]) -> io::Result<ProgramOutput> {
    run_within(program, arguments, RUN_LIMIT)
}

fn run_within(program: &OsStr, arguments: &[&str], limit: Duration) -> io::Result<ProgramOutput> {
    let call = ProgramCall::new(program).args(arguments).timeout(limit);
    let (end, stdout) = match programs::capture(call, STDOUT_MAX_BYTES, &|| None) {
        Ok(ran) => ran,
        Err(ProgramError::TimedOut { .. }) => {
            let end = ProgramEnd::Late(limit.as_secs());
            return Ok(ProgramOutput { end, stdout: Vec::new(), stderr: String::new() });
        }
        Err(
            ProgramError::Start { source, .. }
            | ProgramError::Talk { source, .. }
            | ProgramError::Input { source, .. },
        ) => return Err(source),
        Err(other @ (ProgramError::Stopped { .. } | ProgramError::Failed { .. })) => {
            return Err(io::Error::other(other));
        }
    };
    let stderr = end.stderr.trim().to_owned();
    let end = match (end.code, end.signal) {
        (Some(code), _) => ProgramEnd::Exited(code),
        (None, signal) => ProgramEnd::Signalled(signal.unwrap_or_default()),
    };
    Ok(ProgramOutput { end, stdout, stderr })
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
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> ProgramOutput {
        run_within(OsStr::new("sh"), &["-c", script], limit).unwrap()
    }

    #[test]
    fn what_a_program_prints_is_kept_and_its_end_is_told() {
        let ran = shell("echo out; echo err >&2; exit 3", RUN_LIMIT);
        assert_eq!(ran.end, ProgramEnd::Exited(3));
        assert_eq!((ran.stdout.as_slice(), ran.stderr.as_str()), (b"out\n".as_slice(), "err"));
        assert_eq!(shell("kill -9 $$", RUN_LIMIT).end, ProgramEnd::Signalled(9));
        assert_eq!(shell("sleep 60", Duration::from_secs(1)).end, ProgramEnd::Late(1));
    }

    #[test]
    fn an_absent_program_is_not_one_that_failed() {
        let absent = run_program(OsStr::new("atomix-no-such-program"), &[]).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_and_stops_nobody() {
        let ran = shell("head -c 1000000 /dev/zero", RUN_LIMIT);
        assert_eq!((ran.end, ran.stdout.len()), (ProgramEnd::Exited(0), STDOUT_MAX_BYTES));
    }
}
