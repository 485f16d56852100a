// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server of files, nginx as most who serve bundles have it, that knows at its end what it sent.

use crate::daemon::{Daemon, until};
use anyhow::{Context as _, Result};
use e2e::program::Program;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Free, since the network is ours alone.
const PORT: u16 = 8081;

const CONF: &str = "daemon off;\npid @DIR@/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n\
    user root;\nevents {}\nhttp {\n  log_format sent '$bytes_sent $request_method $uri $http_range';\n  \
    access_log @DIR@/access.log sent;\n  default_type application/octet-stream;\n@TEMPORARY@  \
    keepalive_requests 1000000;\n  server { listen 127.0.0.1:@PORT@; root @FILES@; }\n@MORE@}\n";

/// A running server.
pub struct Nginx {
    daemon: Daemon,
    dir: PathBuf,
}

/// What a server sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Answers.
    pub answers: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
}

impl Nginx {
    /// Serves the files of a directory; `dir` is for its own.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(files: &Path, dir: &Path) -> Result<Self> {
        Self::start_beside(files, dir, "")
    }

    /// The same with more servers, in nginx's words.
    ///
    /// # Errors
    /// As [`Nginx::start`].
    pub fn start_beside(files: &Path, dir: &Path, more: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let place = dir.display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {place}/{kind};\n"))
            .concat();
        let conf = CONF
            .replace("@TEMPORARY@", &temporary)
            .replace("@DIR@", &place)
            .replace("@FILES@", &files.display().to_string())
            .replace("@MORE@", more)
            .replace("@PORT@", &PORT.to_string());
        fs::write(dir.join("nginx.conf"), conf)?;
        fs::write(dir.join("access.log"), "")?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-e", "stderr", "-c"]).arg(dir.join("nginx.conf"));
        let mut daemon = Daemon::start("nginx", command, dir)?;
        daemon.wait_until(|| TcpStream::connect(("127.0.0.1", PORT)).is_ok())?;
        Ok(Self { daemon, dir: dir.to_owned() })
    }

    /// The address of its files.
    #[must_use]
    pub fn url() -> String {
        format!("http://127.0.0.1:{PORT}")
    }

    /// Ends it, once every answer is written down.
    ///
    /// # Errors
    /// When it does not end, or its log is not its.
    pub fn stop(mut self) -> Result<Sent> {
        Program::new("nginx")
            .args(["-e", "stderr", "-s", "quit", "-c"])
            .arg(self.dir.join("nginx.conf"))
            .run()?;
        until("nginx ends", || self.daemon.ended(), || Ok(None))?;
        parse(&fs::read_to_string(self.dir.join("access.log"))?)
    }
}

fn parse(log: &str) -> Result<Sent> {
    let mut sent = Sent::default();
    for line in log.lines() {
        let bytes = line.split(' ').next().unwrap_or_default();
        let bytes: u64 = bytes.parse().with_context(|| format!("not of our log: {line}"))?;
        sent.answers += 1;
        sent.bytes += bytes;
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_their_bytes_are_summed() {
        let sent = parse("10 GET /a -\n200 GET /b bytes=0-3\n").unwrap();
        assert_eq!(sent, Sent { answers: 2, bytes: 210 });
        assert!(parse("x GET /a -\n").is_err());
    }
}
