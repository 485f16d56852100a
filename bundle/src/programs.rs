// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that make parts of a bundle: mksquashfs, tar, mkcomposefs, fakeroot. Run with
//! argument lists only; what they say on standard error is kept.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The end of what a failed program said is enough for a message.
const KEPT_CHARS: usize = 600;

/// Variables with secrets of ours: no program that is started for a bundle may have them.
pub const SECRET_VARIABLES: [&str; 2] = ["RAUC_PKCS11_PIN", "RAUC_KEY_PASSPHRASE"];

/// Why a program did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It does not start.
    #[error("cannot run {program}")]
    Start {
        /// Its name.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// What it said last.
        said: String,
    },
}

impl ProgramError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Start { .. } => Some("install the program, or do without what needs it"),
            Self::Failed { .. } => None,
        }
    }
}

/// Who stands for root while trees are packed.
pub(crate) struct Fakeroot<'a> {
    /// The file that remembers owners, when we are not root.
    state: Option<&'a Path>,
}

impl<'a> Fakeroot<'a> {
    /// Real root needs none.
    pub(crate) fn new(state: &'a Path) -> Self {
        Self { state: (!nix::unistd::geteuid().is_root()).then_some(state) }
    }

    pub(crate) fn none() -> Self {
        Self { state: None }
    }

    /// Runs `program` to its end. Its standard output is ours: `mksquashfs -info` tells people.
    pub(crate) fn run(&self, program: &str, args: &[OsString]) -> Result<(), ProgramError> {
        let mut line: Vec<&OsStr> = Vec::new();
        if let Some(state) = self.state {
            line.extend(["fakeroot", "-s"].map(OsStr::new));
            line.push(state.as_os_str());
            if state.exists() {
                line.push(OsStr::new("-i"));
                line.push(state.as_os_str());
            }
            line.push(OsStr::new("--"));
        }
        line.push(OsStr::new(program));
        line.extend(args.iter().map(OsString::as_os_str));
        let mut line = line.into_iter();
        // Never empty: the program itself is in it.
        let first = line.next().unwrap_or(OsStr::new(program));
        #[expect(clippy::disallowed_methods, reason = "the one place of this crate")]
        let mut command = Command::new(first);
        for name in SECRET_VARIABLES {
            command.env_remove(name);
        }
        let output = command
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .output()
            .map_err(|source| ProgramError::Start { program: program.to_owned(), source })?;
        if output.status.success() {
            return Ok(());
        }
        // fakeroot starts the program, and a shell's numbers tell that it could not.
        if self.state.is_some() && matches!(output.status.code(), Some(126 | 127)) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(ProgramError::Start { program: program.to_owned(), source });
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String =
            said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let skipped = said.chars().count().saturating_sub(KEPT_CHARS);
        Err(ProgramError::Failed {
            program: program.to_owned(),
            status: output.status.to_string(),
            said: said.chars().skip(skipped).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_and_a_missing_one_are_told_apart() {
        let run = |program: &str, args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            Fakeroot::none().run(program, &args)
        };
        assert!(run("true", &[]).is_ok());
        let failed = run("tar", &["-xf", "/nonexistent/archive"]).unwrap_err().to_string();
        assert!(failed.contains("/nonexistent/archive"), "{failed}");
        let missing = run("no-such-program-of-ours", &[]);
        assert!(matches!(missing, Err(ProgramError::Start { .. })));
    }
}
