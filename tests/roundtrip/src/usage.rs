// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did a program take: time, processor, memory? With all that it started: what one program
//! does by itself, another leaves to a helper.

use anyhow::{Context as _, Result};
use e2e::program::Program;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Of `/proc/PID/stat`, on every machine there is.
const TICKS_PER_SEC: f64 = 100.0;

/// Between two looks at the memory of a program and of what it started.
const LOOK: Duration = Duration::from_millis(10);

/// What a program took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds from its start to its end.
    pub wall: f64,
    /// Seconds of all processors, with what it started.
    pub cpu: f64,
    /// The most memory it had at once.
    pub peak_mib: f64,
}

/// Runs a program and says what it took.
///
/// # Errors
/// When it fails.
pub fn timed(
    program: &Path,
    arguments: &[String],
    variables: &[(&str, String)],
    dir: &Path,
) -> Result<Usage> {
    let log = dir.join("time.txt");
    let mut run = Program::new("/usr/bin/time").args(["-f", "%U %S %M", "-o"]).arg(&log);
    for (name, value) in variables {
        run = run.env(name, value);
    }
    let begun = Instant::now();
    run.arg(program).args(arguments).run()?;
    let wall = begun.elapsed().as_secs_f64();
    let text = fs::read_to_string(&log)?;
    let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    let [user, system, kib] = numbers.as_slice() else { anyhow::bail!("not of time: {text}") };
    Ok(Usage { wall, cpu: user + system, peak_mib: kib / 1024.0 })
}

impl Usage {
    /// What a running process took so far, without a time.
    ///
    /// # Errors
    /// When it is over.
    pub fn of_process(id: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        Ok(Self { wall: 0.0, cpu: cpu(&stat)?, peak_mib: peak(&status)? })
    }

    /// The same with a time, and with the memory that was seen where that is more.
    #[must_use]
    pub fn during(self, wall: f64, seen_mib: f64) -> Self {
        Self { wall, peak_mib: self.peak_mib.max(seen_mib), ..self }
    }

    /// What was taken between an earlier look and this one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { cpu: self.cpu - earlier.cpu, ..self }
    }
}

/// Does something while the memory of a process and of all that it started is watched; the most
/// that was seen at once. What lives shorter than `LOOK` may be missed.
///
/// # Errors
/// Those of `act`.
pub fn watched<T>(id: u32, act: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            // At least one look, however short the act is.
            loop {
                most = most.max(resident(id));
                if over.load(Ordering::Relaxed) {
                    return most;
                }
                thread::sleep(LOOK);
            }
        });
        let done = act();
        over.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a number to be read")]
        Ok((done?, most as f64 / 1024.0))
    })
}

/// KiB of a process and its descendants in memory; of one that is gone, nothing.
fn resident(id: u32) -> u64 {
    let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) else { return 0 };
    let own = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own = own.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else { return own };
    let children = tasks.flatten().flat_map(|task| {
        let names = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        names.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>()
    });
    // One that has not begun to be another program has the memory of this one.
    let words = |id| fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let began = words(id);
    own + children.filter(|child| words(*child) != began).map(resident).sum::<u64>()
}

/// Its own and its children's, in user's and kernel's code.
fn cpu(stat: &str) -> Result<f64> {
    // The name, in parentheses, may hold blanks.
    let (_, rest) = stat.rsplit_once(") ").context("no statistics of a process")?;
    let ticks = rest.split(' ').skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SEC)
}

fn peak(status: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_started_counts_as_its_memory() {
        let own = std::process::id();
        let alone = resident(own);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (both, seen) = watched(own, || Ok(resident(own))).unwrap();
        let part = resident(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(alone > 0 && part > 0 && both >= part && seen > 0.0, "{alone} {part} {both}");
    }

    #[test]
    fn a_process_is_read_with_its_children_and_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 1 0 5 1 1";
        assert!((cpu(stat).unwrap() - 3.5).abs() < 1e-9);
        assert!((peak("Name:\tx\nVmHWM:\t    2048 kB\n").unwrap() - 2.0).abs() < 1e-9);
        assert!(cpu("7").is_err());
    }
}
