// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests as an operator's laptop sends them, signed by the real `ssh-keygen`.

use crate::host::{on, wait_until};
use anyhow::{Context as _, Result, bail, ensure};
use config_api::auth::{DeviceId, SignedRequest};
use e2e::program::Program;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Only ends a request that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        let text = || format!("{}: {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).with_context(text)
    }
}

/// A laptop: where it is, and its operator's key.
pub struct Laptop {
    /// The host whose network it is in; none for this one.
    pub host: Option<&'static str>,
    key: PathBuf,
}

impl Laptop {
    /// A laptop with a new key in `dir`.
    pub fn new(host: Option<&'static str>, dir: &Path) -> Result<Self> {
        let key = dir.join("operator");
        // Another judge may have had one of that name, which ssh-keygen would ask about.
        for old in [key.clone(), key.with_extension("pub")] {
            if old.exists() {
                fs::remove_file(old)?;
            }
        }
        Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).run()?;
        Ok(Self { host, key })
    }

    /// The line of the public key.
    pub fn public(&self) -> Result<String> {
        Ok(fs::read_to_string(self.key.with_extension("pub"))?.trim().to_owned())
    }

    /// Sends a request without a signature.
    pub fn ask(&self, to: SocketAddr, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        self.send(to, method, target, &[], body)
    }

    /// Sends a request from a host, as somebody without a key.
    pub fn stranger(
        host: &str,
        to: SocketAddr,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Answer> {
        on(host, || send(to, method, target, &[], body))
    }

    /// The same laptop with a directory of its own, so that two may sign at once.
    pub fn beside(&self, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let key = dir.join("operator");
        Program::new("cp").arg("--preserve=mode").arg(&self.key).arg(&key).run()?;
        Ok(Self { host: self.host, key })
    }

    /// The laptop of such a directory.
    pub fn found(dir: &Path) -> Self {
        Self { host: None, key: dir.join("operator") }
    }

    /// Sends a signed one.
    pub fn sign(&self, to: SocketAddr, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        let kind = if body.is_empty() { "" } else { "application/toml" };
        let sha256 = hex::encode(openssl::sha::sha256(body));
        let headers = self.signature(to, (method, target), (kind, ""), &sha256)?;
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.send(to, method, target, &headers, body)
    }

    /// The headers that sign a request with a content type and a file name, for its body's digest.
    pub fn signature(
        &self,
        to: SocketAddr,
        (method, target): (&str, &str),
        (content_type, file_name): (&str, &str),
        sha256: &str,
    ) -> Result<[(&'static str, String); 3]> {
        let issued = self.ask(to, "GET", "/api/nonce", b"")?.json()?;
        let nonce = issued["nonce"].as_str().context("no nonce")?;
        let device = issued["device"].as_str().and_then(DeviceId::new).context("no device")?;
        let if_match = "";
        let request = SignedRequest {
            device: &device,
            nonce,
            method,
            target,
            content_type,
            file_name,
            if_match,
            sha256,
        };
        let message = request.message().context("what cannot be signed")?;
        let unsigned = self.key.with_extension("message");
        fs::write(&unsigned, message)?;
        Program::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "atomixos-reapply", "-f"])
            .arg(&self.key)
            .arg(&unsigned)
            .run()?;
        let signed = unsigned.with_extension("message.sig");
        let signature = openssl::base64::encode_block(&fs::read(&signed)?);
        fs::remove_file(signed)?;
        Ok([
            ("x-atomixos-nonce", nonce.to_owned()),
            ("x-atomixos-signature", signature),
            ("x-atomixos-sha256", sha256.to_owned()),
        ])
    }

    fn send(
        &self,
        to: SocketAddr,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        match self.host {
            Some(host) => on(host, || send(to, method, target, headers, body)),
            None => send(to, method, target, headers, body),
        }
    }

    /// The job of an accepted change, once it is over.
    pub fn finished(&self, to: SocketAddr, accepted: &Answer) -> Result<Value> {
        let accepted_body = accepted.json()?;
        ensure!(accepted.status == 202, "{}: {accepted_body}", accepted.status);
        let url = accepted_body["job_url"].as_str().context("no job")?;
        wait_until("the end of a job", Duration::from_secs(90), || {
            // The interface may be taken down and up on the way.
            let Ok(answer) = self.ask(to, "GET", url, b"") else { return Ok(None) };
            let job = answer.json()?;
            let state = job["state"].as_str().unwrap_or_default();
            Ok(["succeeded", "failed"].contains(&state).then_some(job))
        })
    }
}

fn send(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("content-type: application/toml\r\ncontent-length: {}\r\n", body.len());
    }
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        bail!("no answer but {}", String::from_utf8_lossy(&bytes));
    };
    let (head, body) = bytes.split_at(end);
    let status = String::from_utf8_lossy(head).split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.context("no status")?,
        body: body.get(4..).unwrap_or_default().to_vec(),
    })
}
