// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked of Linux's kernel by name, where there is another: each call says so. Programs
//! that look at bundles and images are built there too; no board has such a system.

use std::fs::File;
use std::io;

const EXT_CSD_BYTES: usize = 512;

fn needs_linux() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this needs Linux")
}

/// Whether this descriptor is the only one of its file.
///
/// # Errors
/// Always: nobody can be asked.
pub fn is_open_here_only(_file: &File) -> io::Result<bool> {
    Err(needs_linux())
}

pub fn update_volume(_file: &File, _len: u64) -> io::Result<()> {
    Err(needs_linux())
}

pub fn read_ext_csd(_file: &File) -> io::Result<[u8; EXT_CSD_BYTES]> {
    Err(needs_linux())
}

pub fn write_ext_csd(_file: &File, _register: u8, _value: u8) -> io::Result<()> {
    Err(needs_linux())
}
