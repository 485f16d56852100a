// SPDX-License-Identifier: MIT OR Apache-2.0
//! A laptop: a directory of its own, the built program, a key, an agent.

#![allow(dead_code, reason = "every test uses its part of this")]

use crate::door::Door;
use crate::ssh::Keygen;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;

/// What a run came to.
pub struct Ran {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// Its output.
    pub stdout: String,
    /// What it told people.
    pub stderr: String,
}

/// The laptop.
pub struct Laptop {
    dir: std::rc::Rc<tempfile::TempDir>,
    /// The device that it works on.
    pub device: String,
    agent: Option<String>,
}

impl Laptop {
    /// One that works on a device.
    pub fn at(door: &Door) -> Self {
        let dir = std::rc::Rc::new(tempfile::tempdir().unwrap());
        Self { dir, device: door.address.to_string(), agent: None }
    }

    /// One without a device.
    pub fn alone() -> Self {
        let dir = std::rc::Rc::new(tempfile::tempdir().unwrap());
        Self { dir, device: String::new(), agent: None }
    }

    /// The same laptop with an agent.
    pub fn knowing(&self, agent: &Agent) -> Self {
        let dir = std::rc::Rc::clone(&self.dir);
        Self { dir, device: self.device.clone(), agent: Some(agent.socket()) }
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file in its directory.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The words of a verb on its device with a key.
    pub fn with_key(&self, key: &Keygen, words: &[&str]) -> Vec<String> {
        let mut all = vec!["config".to_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        let more = ["--device", &self.device, "--ssh-key", &key.path()].map(str::to_owned);
        all.extend(more);
        all
    }

    /// The program, not yet run, in a session without a terminal.
    pub fn command(&self, words: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_atomix")]);
        command.args(words.iter().map(AsRef::as_ref));
        command.env_remove("SSH_AUTH_SOCK").env_remove("SSH_ASKPASS").env_remove("DISPLAY");
        // What is asked of a device never goes to a proxy.
        command.env("http_proxy", "http://127.0.0.1:1").env("ALL_PROXY", "http://127.0.0.1:1");
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program.
    pub fn run(&self, words: &[impl AsRef<str>]) -> Ran {
        let output = self.command(words).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the program for programs: its one object.
    pub fn json(&self, words: &[impl AsRef<str>]) -> Value {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).chain(["--json"]).collect();
        let ran = self.run(&words);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
    }
}

/// An agent of its own.
pub struct Agent {
    dir: tempfile::TempDir,
    child: Child,
}

impl Agent {
    /// Starts one and waits until it listens.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let mut child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        Self { dir, child }
    }

    fn socket(&self) -> String {
        self.dir.path().join("agent").to_str().unwrap().to_owned()
    }

    /// Gives it a key.
    pub fn add(&self, key: &str) {
        let mut command = Command::new("ssh-add");
        command.args(["-q", key]).env("SSH_AUTH_SOCK", self.socket()).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
    }

    /// Puts a passphrase on a key's file.
    pub fn encrypt(key: &str) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-p", "-P", "", "-N", "a long passphrase", "-f", key]);
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody else's web server, which answers everything with one page; its address.
pub fn page(status: u16, body: &str) -> String {
    page_with(status, "", body)
}

/// The same with headers, each with its line's end.
pub fn page_with(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    says(format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"))
}

/// Somebody who says this to whatever is asked, and hangs up; the address.
pub fn says(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
            // An end with something unread would take the answer back.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    address
}
