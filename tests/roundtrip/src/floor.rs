// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an install from a file take at the very least, on the machine and in the run in which
//! installers are measured? One that verifies before it parses, and reads back what it wrote, does
//! three things after each other, each of them here by a program that does nothing else.

use crate::device::Device;
use crate::slots::Slots;
use crate::usage::timed;
use anyhow::{Context as _, Result};
use e2e::program::Program;
use std::fs;
use std::path::Path;

/// Seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    /// One digest over the bundle from the medium, as a CMS signature wants it.
    pub hash: f64,
    /// The image, unpacked and in memory already, into the slot and flushed: through the page cache
    /// or past it, whichever is faster.
    pub write: f64,
    /// The slot's bytes from the medium.
    pub read_back: f64,
}

impl Floor {
    /// All three.
    #[must_use]
    pub fn sum(self) -> f64 {
        self.hash + self.write + self.read_back
    }

    /// Measures it once, on the slots of a device.
    ///
    /// # Errors
    /// When a program does not work.
    pub fn measure(device: &Device, bundle: &Path, image: &Path, dir: &Path) -> Result<Self> {
        let slots = Slots::attach(device)?;
        let slot = slots.target().context("no target")?.to_owned();
        let run = |program: &str, words: &[String]| {
            timed(Path::new(program), words, &[], dir).map(|usage| usage.wall)
        };
        forget_caches()?;
        let hash = ["dgst".to_owned(), "-sha256".to_owned(), bundle.display().to_string()];
        let hash = run("openssl", &hash)?;
        // What was unpacked comes from memory.
        Program::new("cksum").arg(image).output()?;
        let mut write = vec![
            format!("if={}", image.display()),
            format!("of={slot}"),
            "bs=1M".to_owned(),
            "conv=fsync,notrunc".to_owned(),
            "status=none".to_owned(),
        ];
        let through = run("dd", &write)?;
        write.push("oflag=direct".to_owned());
        let write = through.min(run("dd", &write)?);
        forget_caches()?;
        let blocks = fs::metadata(image)?.len() >> 20;
        let read_back = [
            format!("if={slot}"),
            "of=/dev/null".to_owned(),
            "bs=1M".to_owned(),
            format!("count={blocks}"),
            "status=none".to_owned(),
        ];
        let read_back = run("dd", &read_back)?;
        slots.detach()?;
        Ok(Self { hash, write, read_back })
    }
}

/// Seconds of a download into nothing.
///
/// # Errors
/// When `curl` fails.
pub fn fetch(url: &str, dir: &Path) -> Result<f64> {
    forget_caches()?;
    let words = ["--silent", "--fail", "--output", "/dev/null", url].map(str::to_owned);
    Ok(timed(Path::new("curl"), &words, &[], dir)?.wall)
}

/// Each run reads from the medium.
pub(crate) fn forget_caches() -> Result<()> {
    Program::new("sync").run()?;
    Ok(fs::write("/proc/sys/vm/drop_caches", "3")?)
}
