// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place of this crate that runs programs.

use crate::failure::Failure;
use std::path::PathBuf;
use std::process::Command;

/// What asks systemd for a reboot.
const SYSTEMCTL: &str = "systemctl";

/// Asks systemd for an orderly reboot; returns once it was asked.
///
/// # Errors
/// [`Failure::Io`] when it cannot be asked or refuses.
#[expect(clippy::disallowed_methods, reason = "the one module that runs programs")]
pub fn reboot() -> Result<(), Failure> {
    let failed = |source| Failure::Io { act: "run", path: PathBuf::from(SYSTEMCTL), source };
    let ended = Command::new(SYSTEMCTL).args(["--no-block", "reboot"]).output().map_err(failed)?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(failed(std::io::Error::other(format!("{}: {said}", ended.status))))
}
