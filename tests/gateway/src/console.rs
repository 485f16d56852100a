// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gateway's serial line: a terminal of which it has the one end, and the technician the other.

use anyhow::{Context as _, Result};
use nix::pty::openpty;
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The line.
pub struct Console {
    line: PathBuf,
    /// Kept open, so that the line lives while the gateway is off.
    _gateways: OwnedFd,
    technicians: File,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    /// A line, and a thread that writes down what comes over it.
    pub fn new() -> Result<Self> {
        let pair = openpty(None, None).context("no terminal")?;
        let line = ttyname(&pair.slave)?;
        let technicians = File::from(pair.master);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut hears, log) = (technicians.try_clone()?, Arc::clone(&said));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = hears.read(&mut bytes) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.extend_from_slice(bytes.get(..count).unwrap_or_default());
            }
        });
        Ok(Self { line, _gateways: pair.slave, technicians, said })
    }

    /// The gateway's end.
    pub fn line(&self) -> &Path {
        &self.line
    }

    /// All that was said since it was asked for last.
    pub fn take(&self) -> String {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *said)).replace('\r', "")
    }

    /// The same, left where it is.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).replace('\r', "")
    }

    /// Types a line.
    pub fn send(&self, line: &str) -> Result<()> {
        Ok((&self.technicians).write_all(format!("{line}\n").as_bytes())?)
    }
}
