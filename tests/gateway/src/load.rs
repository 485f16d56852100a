// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is an apply delayed by two hundred clients that send 32 MiB each, again and again? Alone and under
//! load in turns, on a device that is being claimed and on one that has a configuration. How long an
//! apply waits for its services is part of it, as on a device; its clock counts whole seconds, so that
//! each begins at the same point of one.

use crate::host::wait_until;
use crate::http::Laptop;
use crate::live::{Clock, Live, Plant};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 200;
const BODY_BYTES: usize = 32 << 20;
const ROUNDS: usize = 5;
/// The limits.
const MOST_DELAY: f64 = 1.1;
const MOST_MEMORY_KIB: u64 = 128 * 1024;

/// What the clients came to.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    sent: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// Measures, and fails beyond the limits.
pub fn judge(scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let laptop = Laptop::new(None, scratch)?;
    let config = include_str!("../guest/config.toml").replace("ADMIN_KEY", &laptop.public()?);
    let config = config.replace("settle_seconds = 1", "settle_seconds = 5");
    for (name, given) in [("a first claim", None), ("a change", Some(config.as_str()))] {
        let (mut alone, mut loaded) = (Vec::new(), Vec::new());
        let load = Load::default();
        for _ in 0..ROUNDS {
            alone.push(apply(&laptop, &config, given, None)?);
            loaded.push(apply(&laptop, &config, given, Some(&load))?);
        }
        let ratio = median(&mut loaded) / median(&mut alone);
        let [sent, taken, refused] =
            [&load.sent, &load.taken, &load.refused].map(|count| count.load(Ordering::Relaxed));
        writeln!(
            out,
            "  {name}: alone {alone:.3?} s, under load {loaded:.3?} s, ratio {ratio:.3}; {} MiB sent, \
             {taken} uploads taken, {refused} refused; {} MiB of memory at most, clients included",
            sent >> 20,
            peak_kib()? >> 10
        )?;
        ensure!(refused > 0, "nothing was refused: there was no load");
        ensure!(ratio <= MOST_DELAY, "{name} is delayed");
        ensure!(peak_kib()? <= MOST_MEMORY_KIB, "memory grows");
    }
    Ok(())
}

/// The middle one; sorted afterwards.
fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}

/// How long an apply takes, from its request to its job's end.
fn apply(laptop: &Laptop, config: &str, given: Option<&str>, load: Option<&Load>) -> Result<f64> {
    let live = Live::start(given, Clock::Real, Plant::Nothing)?;
    let to = live.address;
    let text = format!("{config}\n# once more\n");
    thread::scope(|scope| {
        if let Some(load) = load {
            load.over.store(false, Ordering::Relaxed);
            // A claim needs one of the few places for uploads: it has it before the others come.
            if given.is_some() {
                (0..CLIENTS).for_each(|_| drop(scope.spawn(|| press(to, load))));
                thread::sleep(Duration::from_millis(500));
            }
        }
        let measured = (|| {
            next_second()?;
            let begun = Instant::now();
            let accepted = match given {
                None => laptop.ask(to, "POST", "/api/config", text.as_bytes())?,
                Some(_) => laptop.sign(to, "POST", "/api/config", text.as_bytes())?,
            };
            if let (Some(load), None) = (load, given) {
                (0..CLIENTS).for_each(|_| drop(scope.spawn(|| press(to, load))));
            }
            let job = laptop.finished(to, &accepted)?;
            ensure!(job["state"] == "succeeded", "{job:#}");
            Ok(begun.elapsed().as_secs_f64())
        })();
        if let Some(load) = load {
            load.over.store(true, Ordering::Relaxed);
        }
        measured
    })
}

/// Waits until the machine's age is a whole number of seconds and a little more.
fn next_second() -> Result<()> {
    wait_until("the next second", Duration::from_secs(2), || {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let part = uptime.split(['.', ' ']).nth(1).context("no fraction")?;
        Ok(["05", "06", "07", "08", "09", "10", "11", "12"].contains(&part).then_some(()))
    })
}

/// One client, until the load is over.
fn press(to: SocketAddr, load: &Load) {
    let head = format!(
        "POST /api/validate HTTP/1.1\r\nhost: {to}\r\ncontent-length: {BODY_BYTES}\r\n\
         connection: close\r\n\r\n"
    );
    let piece = [b'#'; 64 * 1024];
    while !load.over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(to) else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let patience = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let patience =
            patience.and_then(|()| stream.set_write_timeout(Some(Duration::from_secs(5))));
        let mut is_sending = patience.is_ok() && stream.write_all(head.as_bytes()).is_ok();
        for _ in 0..BODY_BYTES / piece.len() {
            is_sending = is_sending
                && !load.over.load(Ordering::Relaxed)
                && stream.write_all(&piece).is_ok();
            if !is_sending {
                break;
            }
            load.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        let mut status = [0; 12];
        let is_taken =
            is_sending && stream.read_exact(&mut status).is_ok() && status.ends_with(b"200");
        let count = if is_taken { &load.taken } else { &load.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The most memory that this process ever had.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
