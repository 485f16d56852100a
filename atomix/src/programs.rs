// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place of this crate that runs programs: argument lists only, no shell.

use crate::failure::Failure;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What speaks with the service manager.
const SYSTEMCTL: &str = "systemctl";

/// Asks systemd for an orderly reboot; returns once it was asked.
///
/// # Errors
/// [`Failure::Io`] when it cannot be asked or refuses.
pub fn reboot() -> Result<(), Failure> {
    output_of(SYSTEMCTL, &["--no-block", "reboot"]).map(drop)
}

/// Asks systemd to start a unit; returns once it was asked.
///
/// # Errors
/// [`Failure::Io`] when it cannot be asked or refuses.
pub fn start_unit(unit: &str) -> Result<(), Failure> {
    output_of(SYSTEMCTL, &["--no-block", "start", unit]).map(drop)
}

/// The units that failed; none when systemd cannot be asked.
pub fn failed_units() -> Vec<String> {
    const LIST: [&str; 5] = ["list-units", "--failed", "--plain", "--no-legend", "--no-pager"];
    let Ok(listed) = output_of(SYSTEMCTL, &LIST) else { return Vec::new() };
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// What a program printed, once it ended well.
#[expect(clippy::disallowed_methods, reason = "the one module that runs programs")]
fn output_of(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let failed = |source| Failure::Io { act: "run", path: PathBuf::from(program), source };
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(failed)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(failed(std::io::Error::other(format!("{status}: {said}"))))
}
