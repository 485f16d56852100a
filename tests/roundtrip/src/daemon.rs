// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that runs beside a judge, with its output in a file, until it is dropped.

use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// How long a condition may take to come true; machines are busy at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When it takes too long or the program ends before, with what it said last.
    pub fn wait_until(&mut self, ready: impl FnMut() -> bool) -> Result<()> {
        let name = self.name.clone();
        let waited = until(&format!("{name} is ready"), ready, || {
            Ok(self.child.try_wait()?.map(|status| format!("it ended: {status}")))
        });
        waited.with_context(|| format!("{name} said: {}", self.said()))
    }

    /// The end of what it printed.
    #[must_use]
    pub fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }

    /// Whether it is over.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The process, for its statistics.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition, unless `over` says why it will not come true any more.
///
/// # Errors
/// When it does not come true.
pub fn until(
    what: &str,
    mut ready: impl FnMut() -> bool,
    mut over: impl FnMut() -> Result<Option<String>>,
) -> Result<()> {
    let begun = Instant::now();
    while !ready() {
        if let Some(why) = over()? {
            bail!("{what}: {why}");
        }
        if begun.elapsed() > PATIENCE {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        sleep(LOOK);
    }
    Ok(())
}
