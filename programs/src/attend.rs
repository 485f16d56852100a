// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hands the terminal to a program and waits for it: for shells that a person works in.

use crate::SECRET_VARIABLES;
use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitStatus};

/// Runs `program` with this program's terminal, input and outputs, in its process group, until it
/// ends by itself. It gets no secrets of ours.
///
/// # Errors
/// Why it could not be started.
#[expect(clippy::disallowed_methods, reason = "the crate that runs programs")]
pub fn attend(program: impl AsRef<OsStr>, arguments: &[&str]) -> io::Result<ExitStatus> {
    let mut command = Command::new(program);
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    command.args(arguments).status()
}
