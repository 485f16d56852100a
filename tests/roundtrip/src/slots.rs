// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device's slots as block devices, which count what is written to them.

use crate::device::Device;
use anyhow::{Context as _, Result};
use e2e::program::Program;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Loop devices over the slots' files.
pub struct Slots {
    names: Vec<String>,
}

impl Slots {
    /// Attaches them and tells the device's configuration.
    ///
    /// # Errors
    /// When there is no free loop device.
    pub fn attach(device: &Device) -> Result<Self> {
        let mut slots = Self { names: Vec::new() };
        let mut conf = fs::read_to_string(device.conf())?;
        for file in [device.running(), device.target()] {
            let name = Program::new("losetup")
                .args(["-f", "--show"])
                .arg(&file)
                .output()?
                .trim()
                .to_owned();
            let plain = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            conf = conf.replace(&format!("device={plain}\n"), &format!("device={name}\n"));
            slots.names.push(name);
        }
        fs::write(device.conf(), conf)?;
        Ok(slots)
    }

    /// Bytes written to all of them so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn written(&self) -> Result<u64> {
        Program::new("sync").run()?;
        self.names.iter().map(|name| written(name)).sum()
    }

    /// Whether the target begins with the bytes of a file.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn target_holds(&self, file: &Path) -> Result<bool> {
        let wanted = fs::read(file)?;
        let mut found = vec![0; wanted.len()];
        File::open(self.target().context("no target")?)?.read_exact(&mut found)?;
        Ok(found == wanted)
    }

    /// The target's name.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.names.get(1).map(String::as_str)
    }

    /// Detaches them.
    ///
    /// # Errors
    /// When one is in use.
    pub fn detach(mut self) -> Result<()> {
        let names = std::mem::take(&mut self.names);
        Program::new("losetup").arg("-d").args(names).run()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for name in &self.names {
            // Nobody is left to be told.
            let _ = Program::new("losetup").args(["-d", name]).run();
        }
    }
}

fn written(name: &str) -> Result<u64> {
    let name = name.trim_start_matches("/dev/");
    let text = fs::read_to_string(format!("/sys/block/{name}/stat"))?;
    let sectors: u64 = text.split_whitespace().nth(6).context("no sectors")?.parse()?;
    Ok(sectors * 512)
}
