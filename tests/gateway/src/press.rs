// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two hundred clients that upload without a pause: a process of its own, so that the memory they
//! need is not taken for the service's.

use crate::http::Laptop;
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 200;
const BODY_BYTES: usize = 32 << 20;

const TARGET: &str = "/api/validate";
const KIND: &str = "application/octet-stream";
const NAME: &str = "bundle.tar.gz";
/// What a client counts whose connection was cut.
const CUT: u16 = 0;
const READY: &str = "ready\n";
const GO: &str = "go\n";

/// What the clients came to.
#[derive(Default, Serialize, Deserialize)]
pub struct Counted {
    /// Bytes sent.
    pub sent: u64,
    /// How many answers had a status; 0 where the connection was cut.
    pub answers: BTreeMap<u16, u64>,
}

impl Counted {
    /// Adds those of another time.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        for (status, count) in &other.answers {
            *self.answers.entry(*status).or_default() += count;
        }
    }
}

/// Lays out what the clients need: a bundle that is as large as one may be, and keys.
pub fn prepare(config: &str, laptop: &Laptop, signers: usize, dir: &Path) -> Result<()> {
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
    let length = fs::metadata(&bundle)?.len();
    ensure!(length <= BODY_BYTES as u64, "a bundle of {length} bytes");
    (0..signers).try_for_each(|number| laptop.beside(&signer(dir, number)).map(drop))
}

fn signer(dir: &Path, number: usize) -> std::path::PathBuf {
    dir.join(format!("signer-{number}"))
}

/// The clients, as the judge has them.
pub struct Press {
    child: Child,
}

impl Press {
    /// Starts them; they wait for [`go`](Self::go).
    pub fn ready(to: SocketAddr, signers: usize, dir: &Path) -> Result<Self> {
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(own)
            .args(["none", "--judge=load"])
            .arg(format!("--inside={}", dir.display()))
            .arg(format!("--press={to}"))
            .arg(format!("--signers={signers}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the clients")?;
        let mut word = [0; READY.len()];
        child.stdout.as_mut().context("no output")?.read_exact(&mut word)?;
        ensure!(word == READY.as_bytes(), "the clients are not ready");
        Ok(Self { child })
    }

    /// Lets them begin.
    pub fn go(&mut self) -> Result<()> {
        Ok(self.child.stdin.as_mut().context("no input")?.write_all(GO.as_bytes())?)
    }

    /// Ends them.
    pub fn stop(mut self) -> Result<Counted> {
        drop(self.child.stdin.take());
        let ended = self.child.wait_with_output()?;
        ensure!(ended.status.success(), "the clients: {}", ended.status);
        serde_json::from_slice(&ended.stdout).context("what the clients counted")
    }
}

/// What the clients send, and what they came to.
struct Load {
    body: Vec<u8>,
    sha256: String,
    over: AtomicBool,
    sent: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn count(&self, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }
}

/// The process of the clients: says that it is ready, begins when it is told to, ends with its
/// input.
pub fn clients(to: SocketAddr, dir: &Path, signers: usize, out: &mut dyn Write) -> Result<()> {
    let body = fs::read(dir.join(NAME))?;
    let sha256 = hex::encode(openssl::sha::sha256(&body));
    let (over, sent, answers) = Default::default();
    let load = Load { body, sha256, over, sent, answers };
    let laptops: Vec<_> = (0..signers).map(|number| Laptop::found(&signer(dir, number))).collect();
    out.write_all(READY.as_bytes())?;
    out.flush()?;
    let mut told = BufReader::new(stdin());
    let mut word = String::new();
    told.read_line(&mut word)?;
    ensure!(word == GO, "nobody lets the clients begin");
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (load, laptop) = (&load, laptops.get(number));
            scope.spawn(move || press(to, load, laptop));
        }
        let ended = told.read_line(&mut word);
        load.over.store(true, Ordering::Relaxed);
        ended
    })?;
    let answers = load.answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(serde_json::to_writer(out, &Counted { sent: load.sent.into_inner(), answers })?)
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
