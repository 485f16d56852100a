// SPDX-License-Identifier: MIT OR Apache-2.0
//! What RAUC's backends work on: programs found in `PATH`, and where a device lies.

use crate::boot_programs::{ProgramOutput, run_program};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Path, PathBuf};

/// A partition as the firmware's entries name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDevice {
    /// Its device, links resolved.
    pub device: PathBuf,
    /// Its number in the table.
    pub number: u32,
}

/// The machine as a backend sees it.
pub trait NamedHost: Send {
    /// Runs a program to its end.
    ///
    /// # Errors
    /// Why it could not be started.
    fn run(&mut self, program: &OsStr, arguments: &[&str]) -> Result<ProgramOutput>;

    /// Which partition `device` is.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn partition(&self, device: &Path) -> Result<PartitionDevice>;
}

/// The machine this runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealHost;

/// Holds partitions too, other than `/sys/block`.
const BLOCK_CLASS: &str = "/sys/class/block";

impl NamedHost for RealHost {
    fn run(&mut self, program: &OsStr, arguments: &[&str]) -> Result<ProgramOutput> {
        run_program(program, arguments)
    }

    fn partition(&self, device: &Path) -> Result<PartitionDevice> {
        let device = std::fs::canonicalize(device)?;
        let name = device.file_name().unwrap_or_default();
        let mut text = String::new();
        File::open(Path::new(BLOCK_CLASS).join(name).join("partition"))?
            .take(16)
            .read_to_string(&mut text)?;
        let number = text.trim().parse();
        let number = number.map_err(|_| Error::new(ErrorKind::InvalidData, "not a partition"))?;
        Ok(PartitionDevice { device, number })
    }
}
