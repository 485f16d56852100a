// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which programs does this one run by itself? systemd's, `mount`, and a shell for people.

use crate::failure::Failure;
use programs::ProgramCall;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What speaks with the service manager.
const SYSTEMCTL: &str = "systemctl";
/// Longest answer that is kept: some times what the journal's newest 500 lines are.
const STDOUT_MAX_BYTES: usize = 1024 * 1024;
/// A service manager that says nothing for so long is dead; so is a stick that mounts no faster.
const RUN_LIMIT: Duration = Duration::from_secs(90);

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
fn output_of(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<String, Failure> {
    let failed = |cause| {
        let source = std::io::Error::other(cause);
        Failure::Io { act: "run", path: PathBuf::from(program), source }
    };
    let call = ProgramCall::new(program).args(arguments).in_our_group().timeout(RUN_LIMIT);
    let (end, stdout) = programs::capture(call, STDOUT_MAX_BYTES, &|| None).map_err(failed)?;
    end.check(program).map_err(failed)?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// What our units said since this boot began, newest last.
///
/// # Errors
/// [`Failure::Io`] where there is no journal.
pub fn journal() -> Result<String, Failure> {
    let arguments = [
        "--boot",
        "--no-pager",
        "--output=short-monotonic",
        "--lines=500",
        "--unit=atomix-*",
        "--unit=os-*",
        "--unit=rauc.service",
    ];
    output_of("journalctl", &arguments)
}

/// Mounts a stick so that nothing on it can be written, run or used as a device.
///
/// # Errors
/// [`Failure::Io`] when it holds no file system that the kernel knows.
pub fn mount_to_read(device: &Path, place: &Path) -> Result<(), Failure> {
    let options = ["-o", "ro,nosuid,nodev,noexec", "--"].map(OsStr::new);
    let arguments = options.into_iter().chain([device.as_os_str(), place.as_os_str()]);
    output_of("mount", &arguments.collect::<Vec<_>>()).map(drop)
}

/// Unmounts what is mounted there.
///
/// # Errors
/// [`Failure::Io`] when it is in use.
pub fn unmount(place: &Path) -> Result<(), Failure> {
    output_of("umount", &[OsStr::new("--"), place.as_os_str()]).map(drop)
}

/// Hands the terminal to a shell and comes back when it ends.
///
/// # Errors
/// [`Failure::Io`] when there is none.
pub fn shell() -> Result<(), Failure> {
    const SHELL: &str = "/bin/sh";
    let failed = |source| Failure::Io { act: "run", path: PathBuf::from(SHELL), source };
    // How the last command in it ended says nothing about the menu.
    programs::attend(SHELL, &["-l"]).map(drop).map_err(failed)
}
