// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts beside the gateway: programs and connections in their networks.

use crate::space::NETWORKS;
use anyhow::{Context as _, Result, anyhow, bail};
use e2e::program::Program;
use nix::sched::{CloneFlags, setns};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a program in the network of a host.
pub fn run(host: &str, words: &[&str]) -> Result<String> {
    program(host, words).output()
}

/// The same, not started yet.
pub fn program(host: &str, words: &[&str]) -> Program {
    Program::new("nsenter").arg(format!("--net={NETWORKS}/{host}")).args(words)
}

/// Does something in the network of a host: on a thread, since a thread has a network of its own.
pub fn on<T: Send>(host: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let network = fs::File::open(Path::new(NETWORKS).join(host)).context(host.to_owned())?;
    thread::scope(|scope| {
        let acting = scope.spawn(|| {
            setns(&network, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        acting.join().map_err(|_| anyhow!("a thread on {host} broke down"))?
    })
}

/// Waits until `look` finds something.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        thread::sleep(LOOK);
    }
}
