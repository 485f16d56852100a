// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place where this crate starts programs.

use crate::error::TaskError;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program with its arguments and environment.
pub struct Program {
    command: Command,
    shown: String,
}

impl Program {
    /// `program` with `arguments`, run in the current directory.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        Self { command, shown: format!("{program} {}", arguments.join(" ")) }
    }

    /// Sets an environment variable for it.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a directory.
    pub fn at(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Lets it read what is typed.
    pub fn with_terminal(mut self) -> Self {
        self.command.stdin(Stdio::inherit());
        self
    }

    /// Runs it with its output going into a file.
    #[expect(clippy::disallowed_methods, reason = "a log of this run")]
    pub fn run_into(mut self, log: &Path) -> Result<(), TaskError> {
        let file = File::create(log)?;
        self.command.stdout(file.try_clone()?).stderr(file);
        self.run()
    }

    /// Runs it with its output going where ours goes.
    pub fn run(mut self) -> Result<(), TaskError> {
        let status = self
            .command
            .status()
            .map_err(|source| TaskError::Start { program: self.shown.clone(), source })?;
        if status.success() {
            return Ok(());
        }
        Err(TaskError::Failed { program: self.shown, status: status.to_string() })
    }

    /// Runs it and returns whether it succeeded, and its standard output.
    pub fn answer(mut self) -> Result<(bool, String), TaskError> {
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| TaskError::Start { program: self.shown.clone(), source })?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Runs it and returns its standard output.
    pub fn output(mut self) -> Result<Vec<u8>, TaskError> {
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| TaskError::Start { program: self.shown.clone(), source })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(TaskError::Failed { program: self.shown, status: output.status.to_string() })
    }
}
