// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place of this benchmark that starts programs: the measured one and the references.

use crate::Outcome;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The binary that would be shipped: release profile, stripped.
pub const ATOMIX: &str = env!("CARGO_BIN_EXE_atomix");

/// How often a running install is asked for its peak memory. The kernel keeps the peak, so only
/// what grows in the last millisecond could be missed.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// What is looked at while a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing but the clock.
    Time,
    /// The peak of its resident memory.
    Memory,
}

/// A program that ended well.
pub struct Ran {
    /// From start to end.
    pub wall: Duration,
    /// Peak resident memory in KiB; 0 when not watched.
    pub peak_kib: u64,
}

/// Runs `atomix` on the tree below `root`.
pub fn atomix(root: &Path, arguments: &[&str], watch: Watch) -> Outcome<Ran> {
    let mut command = Command::new(ATOMIX);
    command.arg("--root").arg(root).args(arguments);
    run(&mut command, watch)
}

/// Copies the file into the slot as a person would: durable, without truncating the slot, which
/// a partition cannot be.
pub fn dd(from: &Path, to: &Path) -> Outcome<Duration> {
    let mut command = Command::new("dd");
    command.arg(format!("if={}", from.display())).arg(format!("of={}", to.display())).args([
        "bs=1M",
        "conv=fsync,notrunc",
        "status=none",
    ]);
    Ok(run(&mut command, Watch::Time)?.wall)
}

/// Hashes the file on one core.
pub fn openssl_digest(file: &Path) -> Outcome<Duration> {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256"]).arg(file);
    Ok(run(&mut command, Watch::Time)?.wall)
}

/// Which OpenSSL the reference is.
pub fn openssl_version() -> Outcome<String> {
    let output = Command::new("openssl").arg("version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command, watch: Watch) -> Outcome<Ran> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let peak_kib = match watch {
        Watch::Time => 0,
        Watch::Memory => watch_memory(&mut child)?,
    };
    let output = child.wait_with_output()?;
    let wall = begun.elapsed();
    require_success(command, &output)?;
    Ok(Ran { wall, peak_kib })
}

fn watch_memory(child: &mut Child) -> Outcome<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        if let Some(found) = std::fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
            peak = peak.max(found);
        }
        thread::sleep(ASK_EVERY);
    }
    Ok(peak)
}

/// `VmHWM` in KiB; a process that has just ended has none.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn require_success(command: &Command, output: &Output) -> Outcome<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed with {}: {}", output.status, said.trim()).into())
}
