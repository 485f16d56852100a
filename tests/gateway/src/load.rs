// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is an apply delayed by two hundred clients that upload a valid bundle of 32 MiB each, again and
//! again? Alone and under load in turns, on a device that is being claimed and on one that has a
//! configuration: there strangers are refused before they send anything, so some of the clients are
//! administrators who sign. How long an apply waits for its services is part of it, as on a device;
//! its clock counts whole seconds, so that each begins at the same point of one.

use crate::host::wait_until;
use crate::http::{Answer, Laptop};
use crate::live::{Clock, Live, Plant};
use crate::press::{self, Counted, Press};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// More than there are places for uploads.
const SIGNERS: usize = 8;
const ROUNDS: usize = 5;
/// How often a place is asked for, once a second.
const MOST_TRIES: u32 = 60;
/// The limits.
const MOST_DELAY: f64 = 1.1;
const MOST_MEMORY_KIB: u64 = 128 * 1024;

/// Measures, and fails beyond the limits.
pub fn judge(scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let laptop = Laptop::new(None, scratch)?;
    let config = include_str!("../guest/config.toml").replace("ADMIN_KEY", &laptop.public()?);
    let config = config.replace("settle_seconds = 1", "settle_seconds = 5");
    press::prepare(&config, &laptop, SIGNERS, scratch)?;
    for (name, given, wanted) in [
        ("a first claim", None, &[401][..]),
        ("a change", Some(config.as_str()), &[200, 401, 429][..]),
    ] {
        let (mut alone, mut loaded) = (Vec::new(), Vec::new());
        let mut counted = Counted::default();
        for _ in 0..ROUNDS {
            alone.push(apply(&laptop, &config, given, None)?);
            loaded.push(apply(&laptop, &config, given, Some((scratch, &mut counted)))?);
        }
        let waited = loaded.iter().map(|took| took.waited).fold(0.0, f64::max);
        let [alone, loaded] = [alone, loaded].map(median);
        let ratio = loaded / alone;
        let Counted { sent, answers } = counted;
        writeln!(
            out,
            "  {name}: alone {alone:.3} s, under load {loaded:.3} s, ratio {ratio:.3}; asked for a place for \
             {waited:.2} s at most; {} MiB sent; answers by status (0: cut off) {answers:?}; {} MiB of \
             memory at most",
            sent >> 20,
            peak_kib()? >> 10
        )?;
        for status in wanted {
            ensure!(answers.contains_key(status), "no {status}: that was another load");
        }
        ensure!(ratio <= MOST_DELAY, "{name} is delayed");
        ensure!(peak_kib()? <= MOST_MEMORY_KIB, "memory grows");
    }
    Ok(())
}

/// Seconds of one apply.
#[derive(Clone, Copy)]
struct Took {
    /// Until there was a place for it.
    waited: f64,
    /// From then to its job's end.
    applied: f64,
}

/// The middle one.
fn median(mut all: Vec<Took>) -> f64 {
    all.sort_by(|one, other| one.applied.total_cmp(&other.applied));
    all.get(all.len() / 2).map_or(f64::NAN, |took| took.applied)
}

/// One apply, on a device of its own.
fn apply(
    laptop: &Laptop,
    config: &str,
    given: Option<&str>,
    load: Option<(&Path, &mut Counted)>,
) -> Result<Took> {
    let live = Live::start(given, Clock::Real, Plant::Nothing)?;
    let to = live.address;
    let text = format!("{config}\n# once more\n");
    let signers = if given.is_some() { SIGNERS } else { 0 };
    let mut press = match &load {
        Some((scratch, _)) => Some(Press::ready(to, signers, scratch)?),
        None => None,
    };
    // Who claims a device has a place before the others come: of those who are there at once, any may
    // claim it.
    if let (Some(press), Some(_)) = (&mut press, given) {
        press.go()?;
        thread::sleep(Duration::from_millis(500));
    }
    let asked = Instant::now();
    let (begun, accepted) = accepted(laptop, to, text.as_bytes(), given.is_some())?;
    if let (Some(press), None) = (&mut press, given) {
        press.go()?;
    }
    let job = laptop.finished(to, &accepted)?;
    ensure!(job["state"] == "succeeded", "{job:#}");
    let waited = begun.duration_since(asked).as_secs_f64();
    let applied = begun.elapsed().as_secs_f64();
    if let (Some(press), Some((_, counted))) = (press, load) {
        counted.add(&press.stop()?);
    }
    Ok(Took { waited, applied })
}

/// Asks until there is a place, each time at the same point of a second; when the last request began.
fn accepted(
    laptop: &Laptop,
    to: SocketAddr,
    text: &[u8],
    is_signed: bool,
) -> Result<(Instant, Answer)> {
    for _ in 0..MOST_TRIES {
        next_second()?;
        let begun = Instant::now();
        let answer = match is_signed {
            true => laptop.sign(to, "POST", "/api/config", text)?,
            false => laptop.ask(to, "POST", "/api/config", text)?,
        };
        if answer.status != 429 {
            return Ok((begun, answer));
        }
    }
    anyhow::bail!("no place for it in {MOST_TRIES} s")
}

/// Waits until the machine's age is a whole number of seconds and a little more.
fn next_second() -> Result<()> {
    wait_until("the next second", Duration::from_secs(60), || {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let part = uptime.split(['.', ' ']).nth(1).context("no fraction")?;
        Ok(["05", "06", "07", "08", "09", "10", "11", "12"].contains(&part).then_some(()))
    })
}

/// The most memory that this process ever had.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
