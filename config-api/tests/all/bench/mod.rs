// SPDX-License-Identifier: MIT OR Apache-2.0
//! A helper on the bench: what the HTTP process can send it, and what comes back.

#![allow(dead_code, reason = "every test uses its part of this")]

use crate::fake::Fake;
use crate::ssh::Keygen;
use config_api::auth::{DeviceId, SignedRequest};
use config_api::helper::{Asker, Helper, Spool};
use config_api::jobs::JobId;
use config_api::protocol::{
    FileName, Grounds, HostAddress, PROTOCOL_VERSION, Proof, Reply, Request, RequestFrame, Source,
    SpoolName, Upload, decode_length, encode_frame, parse_frame,
};
use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

/// The device's name.
pub const DEVICE: &str = "0a1b2c3d4e5f";

/// The one address of the device on the bench.
fn addresses() -> Vec<HostAddress> {
    vec![HostAddress { interface: "eth0".to_owned(), address: Ipv4Addr::new(192, 168, 1, 20) }]
}

/// A helper in this process, over a socket and a spool.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub fake: Fake,
    pub helper: Arc<Helper<Fake, Spool>>,
    /// The administrator's.
    pub key: Keygen,
}

/// A client at the other end.
pub struct Client {
    pub stream: UnixStream,
    pub server: thread::JoinHandle<()>,
}

impl Client {
    /// The next reply.
    pub fn next(&mut self) -> Reply {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).unwrap();
        let mut content = vec![0; decode_length(header).unwrap()];
        self.stream.read_exact(&mut content).unwrap();
        parse_frame(&content).unwrap()
    }

    /// The reply that no other follows.
    pub fn last(mut self) -> Reply {
        loop {
            let reply = self.next();
            if !reply.more_follows() {
                return reply;
            }
        }
    }
}

impl Bench {
    /// A device with a configuration, and the key of its administrator.
    pub fn provisioned() -> Self {
        let bench = Self::new(Fake::provisioned(""));
        bench.fake.with(|state| state.signers = bench.key.public());
        bench
    }

    /// A device of which the fake tells.
    pub fn new(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["spool", "own"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let spool = Spool::new(dir.path().join("spool"), dir.path().join("own"));
        let device = DeviceId::new(DEVICE).unwrap();
        let helper = Helper::new(fake.clone(), spool, device).with_addresses(addresses);
        let helper = Arc::new(helper);
        Self { dir, helper, fake, key: Keygen::new("ed25519", None) }
    }

    /// Asks as the HTTP process does.
    pub fn ask(&self, request: Request) -> Client {
        self.ask_as(request, Asker::Service)
    }

    /// Asks as one or the other.
    pub fn ask_as(&self, request: Request, asker: Asker) -> Client {
        let frame = RequestFrame { version: PROTOCOL_VERSION, request };
        self.send_as(&encode_frame(&frame).unwrap(), asker)
    }

    /// Sends bytes that need not be a request.
    pub fn send(&self, bytes: &[u8]) -> Client {
        self.send_as(bytes, Asker::Service)
    }

    fn send_as(&self, bytes: &[u8], asker: Asker) -> Client {
        let (mut stream, mut theirs) = UnixStream::pair().unwrap();
        let helper = Arc::clone(&self.helper);
        let server = thread::spawn(move || {
            // The test looks at what was sent; a client that leaves is one of the cases.
            let _ = helper.serve(&mut theirs, asker);
        });
        stream.write_all(bytes).unwrap();
        Client { stream, server }
    }

    /// A body as the HTTP process spools it.
    pub fn spool(&self, body: &[u8]) -> Upload {
        let spool = SpoolName::new([body.len().to_le_bytes()[0]; 16]);
        fs::write(self.dir.path().join("spool").join(spool.as_str()), body).unwrap();
        Upload {
            spool,
            file_name: FileName::new("config.toml"),
            length: body.len() as u64,
            sha256: hex::encode(openssl::sha::sha256(body)),
        }
    }

    /// The same as what a change is made of.
    pub fn upload(&self, body: impl AsRef<[u8]>) -> Source {
        Source::Upload { upload: self.spool(body.as_ref()) }
    }

    /// Has a configuration applied.
    pub fn apply(&self, number: u8, body: &[u8], grounds: Grounds) -> Client {
        self.change(number, self.upload(body), grounds, None)
    }

    /// Has a change made, if the condition holds.
    pub fn change(
        &self,
        number: u8,
        source: Source,
        grounds: Grounds,
        if_match: Option<String>,
    ) -> Client {
        self.ask(Request::Apply { job: job(number), source, grounds, if_match, confirm_secs: None })
    }

    /// The same, signed by the administrator.
    pub fn apply_signed(&self, number: u8, body: &[u8]) -> Client {
        self.apply(number, body, self.signed("POST", "/api/config", body))
    }

    /// A nonce that nobody used yet.
    pub fn nonce(&self) -> String {
        match self.ask(Request::Nonce {}).last() {
            Reply::Nonce { nonce } => nonce,
            other => panic!("{other:?}"),
        }
    }

    /// A request's head, as the HTTP process hands on what an administrator signed.
    pub fn proof(&self, method: &str, target: &str, body: &[u8]) -> Proof {
        self.sign(self.head(method, target, body))
    }

    /// The same, which nobody signed yet.
    pub fn head(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Proof {
        Proof {
            method: method.to_owned(),
            target: target.to_owned(),
            nonce: self.nonce(),
            sha256: hex::encode(openssl::sha::sha256(body.as_ref())),
            ..Proof::default()
        }
    }

    /// A head with the administrator's signature.
    pub fn sign(&self, head: Proof) -> Proof {
        sign(&self.key, DEVICE, head)
    }

    /// What allows an export.
    pub fn export(&self) -> Grounds {
        self.signed("GET", "/api/config/export", b"")
    }

    /// What allows a request: that the administrator signed it.
    pub fn signed(&self, method: &str, target: &str, body: &[u8]) -> Grounds {
        by(self.proof(method, target, body))
    }
}

/// A job of this number.
pub fn job(number: u8) -> JobId {
    JobId::new([number; 16])
}

/// A signature as grounds.
pub fn by(proof: Proof) -> Grounds {
    Grounds::Signed { proof: Box::new(proof) }
}

/// The head, signed as an operator does.
pub fn sign(key: &Keygen, device: &str, proof: Proof) -> Proof {
    let request = SignedRequest {
        device: &DeviceId::new(device).unwrap(),
        nonce: &proof.nonce,
        method: &proof.method,
        target: &proof.target,
        content_type: &proof.content_type,
        file_name: &proof.file_name,
        if_match: &proof.if_match,
        sha256: &proof.sha256,
    };
    let armored = key.sign(&request.message().unwrap());
    Proof { signature: openssl::base64::encode_block(armored.as_bytes()), ..proof }
}
