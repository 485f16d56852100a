// SPDX-License-Identifier: MIT OR Apache-2.0
//! gooseBit as the server of updates: started on a database of its own, steered over its interface
//! for operators.

use crate::daemon::Daemon;
use anyhow::{Context as _, Result, ensure};
use curl::easy::{Easy, Form, List};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

const START: &str = include_str!("../server.py");

/// Free, since the network is ours alone.
const PORT: u16 = 8080;

/// What a device says it is, so that the server knows it.
pub const TOKEN: &str = "a-token-of-the-device";

/// The running server.
pub struct Goosebit {
    daemon: Daemon,
    login: String,
}

impl Goosebit {
    /// Starts it with an empty database below `dir`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(python: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let program = dir.join("server.py");
        fs::write(&program, START)?;
        let mut command = Command::new(python);
        command
            .arg(&program)
            .arg(PORT.to_string())
            .current_dir(dir)
            .env("GOOSEBIT_DB_URI", format!("sqlite://{}", dir.join("db.sqlite3").display()))
            .env("GOOSEBIT_ARTIFACTS_DIR", dir.join("artifacts"))
            .env("GOOSEBIT_DEVICE_AUTH__ENABLE", "true")
            .env("GOOSEBIT_DEVICE_AUTH__MODE", "strict");
        let mut daemon = Daemon::start("goosebit", command, dir)?;
        let form = "username=judge%40here.invalid&password=judge";
        let mut login = String::new();
        daemon.wait_until(|| match Request::new("POST", "/setup").send_form(form) {
            Ok(answer) => {
                login = text(&answer, "access_token");
                !login.is_empty()
            }
            Err(_) => false,
        })?;
        Ok(Self { daemon, login })
    }

    /// `host:port`, for the device.
    #[must_use]
    pub fn address() -> String {
        format!("127.0.0.1:{PORT}")
    }

    /// Makes the device and its token known.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn register(&self, device: &str) -> Result<()> {
        let wish = json!({ "devices": [device], "auth_token": TOKEN });
        self.request("PUT", "/api/v1/devices").send_json(&wish).map(drop)
    }

    /// Takes a bundle in and assigns it to the device, which has told its board already.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn assign(&self, bundle: &Path, device: &str) -> Result<()> {
        let mut form = Form::new();
        form.part("file").file(bundle).add()?;
        let taken = self.request("PUT", "/api/v1/software").send_parts(form);
        let software = taken.with_context(|| self.daemon.said())?;
        let id = software["id"].as_u64().context("the server gave the bundle no number")?;
        let wish = json!({ "devices": [device], "software": id.to_string() });
        self.request("PUT", "/api/v1/devices").send_json(&wish).map(drop)
    }

    /// What the server knows of a device: `last_state`, `progress`, `sw_version`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn device(&self, device: &str) -> Result<Value> {
        // Of the list, since a single device's answer fails inside gooseBit 0.2.12.
        let all = self.request("GET", "/api/v1/devices").send()?;
        let found =
            all["devices"].as_array().and_then(|all| all.iter().find(|one| one["id"] == device));
        found.cloned().with_context(|| format!("the server knows no {device}: {all}"))
    }

    /// What the device reported, line by line.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn device_log(&self, device: &str) -> Result<String> {
        let answer = self.request("GET", &format!("/api/v1/devices/{device}/log")).send()?;
        Ok(text(&answer, "log"))
    }

    fn request(&self, method: &'static str, path: &str) -> Request {
        let mut request = Request::new(method, path);
        request.headers.push(format!("Authorization: Bearer {}", self.login));
        request
    }
}

fn text(answer: &Value, key: &str) -> String {
    answer[key].as_str().unwrap_or_default().to_owned()
}

struct Request {
    method: &'static str,
    path: String,
    headers: Vec<String>,
}

impl Request {
    fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new() }
    }

    fn send(self) -> Result<Value> {
        self.perform(Easy::new())
    }

    fn send_form(mut self, form: &str) -> Result<Value> {
        self.headers.push("Content-Type: application/x-www-form-urlencoded".to_owned());
        let mut easy = Easy::new();
        easy.post_fields_copy(form.as_bytes())?;
        self.perform(easy)
    }

    fn send_json(mut self, body: &Value) -> Result<Value> {
        self.headers.push("Content-Type: application/json".to_owned());
        let mut easy = Easy::new();
        easy.post_fields_copy(body.to_string().as_bytes())?;
        self.perform(easy)
    }

    fn send_parts(self, form: Form) -> Result<Value> {
        let mut easy = Easy::new();
        easy.httppost(form)?;
        self.perform(easy)
    }

    fn perform(self, mut easy: Easy) -> Result<Value> {
        let Self { method, path, headers } = self;
        easy.url(&format!("http://{}{path}", Goosebit::address()))?;
        easy.custom_request(method)?;
        let mut list = List::new();
        for header in &headers {
            list.append(header)?;
        }
        easy.http_headers(list)?;
        let mut body = Vec::new();
        {
            let mut transfer = easy.transfer();
            transfer.write_function(|bytes| {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            })?;
            transfer.perform()?;
        }
        let said = String::from_utf8_lossy(&body);
        let code = easy.response_code()?;
        ensure!(code == 200, "{method} {path}: {code}: {said}");
        serde_json::from_str(&said).with_context(|| format!("{method} {path}: {said}"))
    }
}
