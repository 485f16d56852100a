// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole service on loopback: the real HTTP process, the real helper over its real socket, and a
//! pipeline without a device. Requests are written by hand, byte for byte.

#![allow(dead_code, reason = "every test uses its part of this")]

use crate::fake::Fake;
use crate::ssh::Keygen;
use config_api::auth::{DeviceId, SignedRequest};
use config_api::helper::{Asker, Helper, Spool};
use config_api::http::{App, Listener, Settings, serve, serve_following};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The device of all tests.
pub const DEVICE: &str = "0a1b2c3d4e5f";

/// The service.
pub struct Door {
    /// Its directory.
    pub dir: tempfile::TempDir,
    /// Its pipeline.
    pub fake: Fake,
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The stable word of an error; the one form of all of them is checked on the way.
    pub fn code(&self) -> String {
        let json = self.json();
        let object = json.as_object().unwrap();
        assert!(object["error"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        assert!(object.keys().all(|key| ["error", "code", "faults"].contains(&key.as_str())));
        object["code"].as_str().unwrap().to_owned()
    }
}

/// A request to be.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

impl Call {
    /// A request without a body.
    pub fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a body of JSON.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn value(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The bytes of the request.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head += &format!("host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let has_length = self.headers.iter().any(|(name, _)| name == "content-length");
        if let Some(body) = self.body.as_ref().filter(|_| !has_length) {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "connection: close\r\n\r\n";
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

impl Door {
    /// Opens a door before `fake`.
    pub fn open(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::open_in(dir, fake)
    }

    /// Opens a door whose state is kept in `dir`.
    pub fn open_in(dir: tempfile::TempDir, fake: Fake) -> Self {
        Self::open_at(dir, fake, 0)
    }

    /// Opens a door at this port.
    pub fn open_at(dir: tempfile::TempDir, fake: Fake, port: u16) -> Self {
        let (runtime, settings) = prepare(&dir, &fake, port);
        let address = runtime.block_on(async {
            let app = App::start(settings).await.unwrap();
            let listener = Listener::bind((Ipv4Addr::LOCALHOST, port).into()).unwrap();
            let address = listener.address().unwrap();
            tokio::spawn(serve(app, listener));
            address
        });
        Self { dir, fake, address, runtime: Some(runtime) }
    }

    /// Opens a door that listens where the configuration says.
    pub fn follow(fake: Fake, port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (runtime, settings) = prepare(&dir, &fake, port);
        runtime.spawn(async move {
            let app = App::start(settings).await.unwrap();
            serve_following(&app, &|_| ()).await.unwrap();
        });
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Self { dir, fake, address, runtime: Some(runtime) }
    }

    /// Ends the HTTP process as if killed; the helper lives on.
    pub fn kill(mut self) -> tempfile::TempDir {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.dir
    }

    /// Sends a request and reads its answer.
    pub fn call(&self, call: &Call) -> Answer {
        self.send(&call.bytes(&self.address.to_string()))
    }

    /// Sends bytes and reads an answer.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A refusal may come, and the connection end, before all is sent.
        let _ = stream.write_all(bytes);
        read_answer(&mut stream).unwrap()
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The request, signed as an operator does.
    pub fn sign(&self, keygen: &Keygen, call: Call) -> Call {
        let nonce = self.call(&Call::new("GET", "/api/nonce")).json();
        let nonce = nonce["nonce"].as_str().unwrap().to_owned();
        let body = call.body.clone().unwrap_or_default();
        let sha256 = hex::encode(openssl::sha::sha256(&body));
        let request = SignedRequest {
            device: &DeviceId::new(DEVICE).unwrap(),
            nonce: &nonce,
            method: call.method,
            target: &call.target,
            content_type: call.value("content-type"),
            file_name: call.value("x-config-filename"),
            if_match: call.value("if-match"),
            sha256: &sha256,
        };
        let armored = keygen.sign(&request.message().unwrap());
        let signature = openssl::base64::encode_block(armored.as_bytes());
        call.header("x-atomixos-nonce", &nonce)
            .header("x-atomixos-signature", &signature)
            .header("x-atomixos-sha256", &sha256)
    }

    /// Signs and sends.
    pub fn ask(&self, keygen: &Keygen, call: Call) -> Answer {
        self.call(&self.sign(keygen, call))
    }

    /// The job of an accepted change, once it is over.
    pub fn finished(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        let url = answer.json()["job_url"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("location"), Some(url.as_str()));
        self.wait(&url)
    }

    /// The job at `url`, once it is over.
    pub fn wait(&self, url: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let job = self.call(&Call::new("GET", url)).json();
            if ["succeeded", "failed"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            assert!(Instant::now() < end, "{job}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What lies in the spool.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(self.spool()).unwrap().count()
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("state/spool")
    }
}

/// Reads one answer to its end.
pub fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        end?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head, body: bytes[at + 4..].to_vec() })
}

/// What a service needs, and the helper that it asks.
fn prepare(dir: &tempfile::TempDir, fake: &Fake, port: u16) -> (tokio::runtime::Runtime, Settings) {
    let socket = dir.path().join("helper.sock");
    if !socket.exists() {
        run_helper(dir.path(), &socket, fake);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let settings = Settings {
        device: DeviceId::new(DEVICE).unwrap(),
        helper: socket,
        state: dir.path().join("state"),
        port,
        unclaimed: Ipv4Addr::LOCALHOST.into(),
    };
    (runtime, settings)
}

fn run_helper(dir: &Path, socket: &Path, fake: &Fake) {
    let own = dir.join("own");
    std::fs::create_dir(&own).unwrap();
    let spool = Spool::new(dir.join("state/spool"), own);
    let helper = Arc::new(Helper::new(fake.clone(), spool, DeviceId::new(DEVICE).unwrap()));
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (helper, mut stream) = (Arc::clone(&helper), stream.unwrap());
            thread::spawn(move || {
                // A client that leaves is one of the cases.
                let _ = helper.serve(&mut stream, Asker::Service);
            });
        }
    });
}
