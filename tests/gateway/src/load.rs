// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is an apply delayed by two hundred clients that upload a valid bundle of 32 MiB each, again and
//! again? Alone and under load in turns, on a device that is being claimed and on one that has a
//! configuration: there strangers are refused before they send anything, so some of the clients are
//! administrators who sign. How long an apply waits for its services is part of it, as on a device;
//! its clock counts whole seconds, so that each begins at the same point of one.

use crate::host::wait_until;
use crate::http::{Answer, Laptop};
use crate::live::{Clock, Live, Plant};
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 200;
/// More than there are places for uploads.
const SIGNERS: usize = 8;
const BODY_BYTES: usize = 32 << 20;
const ROUNDS: usize = 5;
/// How often a place is asked for, once a second.
const MOST_TRIES: u32 = 60;
/// The limits.
const MOST_DELAY: f64 = 1.1;
const MOST_MEMORY_KIB: u64 = 128 * 1024;

const TARGET: &str = "/api/validate";
const KIND: &str = "application/octet-stream";
const NAME: &str = "bundle.tar.gz";
/// What a client counts whose connection was cut.
const CUT: u16 = 0;

/// What the clients send, and what they came to.
struct Load {
    body: Vec<u8>,
    sha256: String,
    signers: Vec<Laptop>,
    over: AtomicBool,
    sent: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Load {
    /// A bundle that is as large as one may be, and who sends it.
    fn new(config: &str, laptop: &Laptop, dir: &Path) -> Result<Self> {
        let content = dir.join("bundle");
        fs::create_dir_all(content.join("files"))?;
        fs::write(content.join("config.toml"), config)?;
        let bundle = dir.join(NAME);
        let mut random = vec![0; BODY_BYTES - (128 << 10)];
        openssl::rand::rand_bytes(&mut random)?;
        fs::write(content.join("files/large"), random)?;
        Program::new("tar")
            .args(["--create", "--gzip", "--format=ustar", "--file"])
            .arg(&bundle)
            .arg("--directory")
            .arg(&content)
            .args(["config.toml", "files"])
            .run()?;
        let body = fs::read(&bundle)?;
        ensure!(body.len() <= BODY_BYTES, "a bundle of {} bytes", body.len());
        let sha256 = hex::encode(openssl::sha::sha256(&body));
        let signers =
            (0..SIGNERS).map(|number| laptop.beside(&dir.join(format!("signer-{number}"))));
        let signers = signers.collect::<Result<_>>()?;
        let (over, sent, answers) = Default::default();
        Ok(Self { body, sha256, signers, over, sent, answers })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn count(&self, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }

    /// The answers since this was asked last, by their status.
    fn answers(&self) -> BTreeMap<u16, u64> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Measures, and fails beyond the limits.
pub fn judge(scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let laptop = Laptop::new(None, scratch)?;
    let config = include_str!("../guest/config.toml").replace("ADMIN_KEY", &laptop.public()?);
    let config = config.replace("settle_seconds = 1", "settle_seconds = 5");
    let load = Load::new(&config, &laptop, scratch)?;
    for (name, given, wanted) in [
        ("a first claim", None, &[401][..]),
        ("a change", Some(config.as_str()), &[200, 401, 429][..]),
    ] {
        let (mut alone, mut loaded) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(apply(&laptop, &config, given, None)?);
            loaded.push(apply(&laptop, &config, given, Some(&load))?);
        }
        let waited = loaded.iter().map(|took| took.waited).fold(0.0, f64::max);
        let [alone, loaded] = [alone, loaded].map(median);
        let ratio = loaded / alone;
        let answers = load.answers();
        writeln!(
            out,
            "  {name}: alone {alone:.3} s, under load {loaded:.3} s, ratio {ratio:.3}; asked for a place for \
             {waited:.2} s at most; {} MiB sent; answers by status (0: cut off) {answers:?}; {} MiB of \
             memory at most, clients included",
            load.sent.swap(0, Ordering::Relaxed) >> 20,
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
fn apply(laptop: &Laptop, config: &str, given: Option<&str>, load: Option<&Load>) -> Result<Took> {
    let live = Live::start(given, Clock::Real, Plant::Nothing)?;
    let to = live.address;
    let text = format!("{config}\n# once more\n");
    thread::scope(|scope| {
        let press_all = |load| {
            let load: &Load = load;
            let signers = if given.is_some() { load.signers.as_slice() } else { &[] };
            for number in 0..CLIENTS {
                let signer = signers.get(number);
                scope.spawn(move || press(to, load, signer));
            }
        };
        if let Some(load) = load {
            load.over.store(false, Ordering::Relaxed);
            // Who claims a device has a place before the others come: of those who are there at once,
            // any may claim it.
            if given.is_some() {
                press_all(load);
                thread::sleep(Duration::from_millis(500));
            }
        }
        let measured = (|| {
            let asked = Instant::now();
            let (begun, accepted) = accepted(laptop, to, text.as_bytes(), given.is_some())?;
            if let (Some(load), None) = (load, given) {
                press_all(load);
            }
            let job = laptop.finished(to, &accepted)?;
            ensure!(job["state"] == "succeeded", "{job:#}");
            let waited = begun.duration_since(asked).as_secs_f64();
            Ok(Took { waited, applied: begun.elapsed().as_secs_f64() })
        })();
        if let Some(load) = load {
            load.over.store(true, Ordering::Relaxed);
        }
        measured
    })
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
    wait_until("the next second", Duration::from_secs(2), || {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let part = uptime.split(['.', ' ']).nth(1).context("no fraction")?;
        Ok(["05", "06", "07", "08", "09", "10", "11", "12"].contains(&part).then_some(()))
    })
}

/// One client, until the load is over.
fn press(to: SocketAddr, load: &Load, signer: Option<&Laptop>) {
    while !load.is_over() {
        let signature = signer.map_or_else(
            || Ok(Vec::new()),
            |laptop| {
                let signed = laptop.signature(to, ("POST", TARGET), (KIND, NAME), &load.sha256);
                signed.map(Vec::from)
            },
        );
        // There are only so many nonces for one address.
        let status = signature.and_then(|signature| upload(to, load, &signature)).unwrap_or(CUT);
        load.count(status);
        if status == CUT {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sends the bundle; the status of its answer.
fn upload(to: SocketAddr, load: &Load, signature: &[(&str, String)]) -> Result<u16> {
    let mut head = format!(
        "POST {TARGET} HTTP/1.1\r\nhost: {to}\r\ncontent-length: {}\r\ncontent-type: {KIND}\r\n\
         x-config-filename: {NAME}\r\nconnection: close\r\n",
        load.body.len()
    );
    for (name, value) in signature {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&[head.as_bytes(), b"\r\n"].concat())?;
    for piece in load.body.chunks(64 << 10) {
        // Who is refused is cut off sooner or later, and may read why.
        if load.is_over() || stream.write_all(piece).is_err() {
            break;
        }
        load.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    let status = status.get(9..).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).context("no status")
}

/// The most memory that this process ever had.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
