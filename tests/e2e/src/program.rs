// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are the tools run? The only module that starts programs to their end.
//!
//! Argument lists only, never a shell's text. Output goes to the end of an error message, where
//! the last lines are what explains it.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of output that an error message carries.
const TAIL_LINES: usize = 30;

/// Search path of builds: a foreign interpreter earlier in the path breaks U-Boot's tools.
pub const SYSTEM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run.
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// The program of this name, found in the system's path, with nothing of the caller's
    /// environment that changes what tools do.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        command.env("PATH", SYSTEM_PATH).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        for variable in ["MAKEFLAGS", "CFLAGS", "LDFLAGS", "CARGO_TARGET_DIR", "APT_CONFIG"] {
            command.env_remove(variable);
        }
        Self { name: name.to_owned(), command }
    }

    /// A long build, which yields to what people wait for.
    #[must_use]
    pub fn nice(name: &str) -> Self {
        Self::new("nice").args(["-n", "5", name])
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a directory.
    #[must_use]
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it; what it prints is kept for the error alone.
    ///
    /// # Errors
    /// When it cannot be started or does not succeed, with the end of its output.
    pub fn run(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn output(mut self) -> Result<String> {
        let name = self.name;
        let done = self.command.output().with_context(|| format!("cannot start {name}"))?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            let said = printed + &String::from_utf8_lossy(&done.stderr);
            let lines: Vec<&str> = said.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
            let arguments: Vec<_> = self.command.get_args().collect();
            bail!("{name} {arguments:?}: {}\n{}", done.status, tail.join("\n"));
        }
        Ok(printed)
    }
}

/// Cargo's target directory.
///
/// # Errors
/// When this program does not lie in one.
pub fn build_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let dir = program.parent().context("a program without a directory")?;
    let profile = if dir.ends_with("deps") { dir.parent() } else { Some(dir) };
    Ok(profile.and_then(Path::parent).context("no target directory")?.to_owned())
}
