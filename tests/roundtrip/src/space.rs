// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do the judges leave the machine as it was? The program starts itself again in mount, network
//! and process namespaces of its own: mounts, servers' ports and daemons end with it.

use crate::cli::Cli;
use anyhow::{Context as _, Result, ensure};
use e2e::program::{Program, SYSTEM_PATH};
use std::path::Path;
use std::process::Command;

/// Runs the same command line inside.
///
/// # Errors
/// When it fails there; what it said is on the terminal already.
pub fn enter(cli: &Cli, program: Option<&Path>, scratch: &Path) -> Result<()> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new("unshare");
    command.args(["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"]).arg(own);
    command.args(program).arg("--inside").arg(scratch);
    let judges: Vec<&str> = cli.judge.iter().map(|judge| judge.name()).collect();
    command.arg("--judge").arg(judges.join(","));
    if cli.exhaustive {
        command.arg("--exhaustive");
    }
    command.env("PATH", SYSTEM_PATH).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        let proxy = text.ends_with("_proxy");
        if proxy || text.starts_with("dbus_") || text.starts_with("rauc_") || text == "tmpdir" {
            command.env_remove(name);
        }
    }
    let ended = command.status().context("cannot start unshare")?;
    ensure!(ended.success(), "not all judges are content");
    Ok(())
}

/// What the namespaces need before anything can run there.
///
/// # Errors
/// When this is no namespace of our own, or not root's.
pub fn furnish() -> Result<()> {
    Program::new("ip").args(["link", "set", "lo", "up"]).run()?;
    Program::new("mount").args(["--make-rprivate", "/"]).run()?;
    for dir in ["/mnt", "/run"] {
        Program::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "tmpfs", dir]).run()?;
    }
    Ok(())
}
