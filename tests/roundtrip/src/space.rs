// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do the judges leave the machine as it was? The program starts itself again in mount, network
//! and process namespaces of its own: mounts, servers' ports and daemons end with it.

use crate::cli::Cli;
use anyhow::{Context as _, Result, ensure};
use conformance::suite::Suite;
use conformance::uml;
use e2e::program::{Program, SYSTEM_PATH};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Seconds after which a guest is ended.
const KERNEL_SECS: u64 = 3000;

/// Runs the same command line inside.
///
/// # Errors
/// When it fails there; what it said is on the terminal already.
pub fn enter(cli: &Cli, program: Option<&Path>, scratch: &Path) -> Result<()> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new("unshare");
    command.args(["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"]).arg(own);
    command.args(cli.again(program, scratch));
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

/// Runs the same command line in user-mode Linux, and prints what it said there.
///
/// # Errors
/// When the kernel cannot be started, or a judge is not content.
pub fn enter_kernel(
    cli: &Cli,
    program: Option<&Path>,
    scratch: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let own = std::env::current_exe().context("cannot find this program")?;
    fs::copy(own, scratch.join("roundtrip"))?;
    let inside = Path::new(uml::INSIDE);
    // The guest has a copy of the scratch directory elsewhere.
    let program = program.and_then(|program| program.strip_prefix(scratch).ok());
    let program = program.map(|program| inside.join(program));
    // On the console too: nothing of `said` is seen before the guest is over, after many minutes.
    let script =
        "set -o pipefail; cd \"$0\" && ./roundtrip \"$@\" 2>&1 | tee said && touch content";
    let mut command = ["/bin/bash", "-c", script, uml::INSIDE].map(str::to_owned).to_vec();
    writeln!(out, "the guest says more on {}", scratch.join(uml::CONSOLE).display())?;
    command.extend(cli.again(program.as_deref(), inside));
    // Half of it may be files: three versions, two slots, what is served.
    let memory = uml::MEMORY + cli.measured().map_or(0, |mib| mib * 10);
    let results = &["said", "content"];
    let guest = uml::Guest { files: scratch, command, results, limit: KERNEL_SECS, memory };
    uml::boot(&guest, &Suite::user_mode_linux()?.join("root"))?;
    let said = fs::read_to_string(scratch.join("said"));
    write!(out, "{}", said.context("the guest said nothing: see console.log")?)?;
    ensure!(scratch.join("content").exists(), "not all judges are content");
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
