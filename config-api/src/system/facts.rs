// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which boot is this, and how long ago did it begin?

use crate::promote::{BootId, Moment};
use std::path::Path;
use storage::{ByteLen, Files, FilesError};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const UPTIME: &str = "/proc/uptime";
const LIMIT: ByteLen = ByteLen::new(4096);

/// What a promotion has to know of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFacts {
    /// The kernel's name of this boot.
    pub boot: BootId,
    /// Now.
    pub now: Moment,
}

/// Asks the kernel.
///
/// # Errors
/// [`FilesError`]; a kernel that does not tell is no reason to guess.
pub fn read_boot_facts(files: &dyn Files) -> Result<BootFacts, FilesError> {
    let read = |path: &str| -> Result<String, FilesError> {
        let path = Path::new(path);
        let none = || FilesError::Read {
            path: path.to_owned(),
            source: std::io::ErrorKind::InvalidData.into(),
        };
        let bytes = files.read(path, LIMIT)?.ok_or_else(none)?;
        String::from_utf8(bytes).map_err(|_| none())
    };
    let boot = BootId(read(BOOT_ID)?.trim().to_owned());
    let uptime = read(UPTIME)?;
    let secs = uptime.split('.').next().and_then(|secs| secs.trim().parse().ok());
    let now = secs.map(Moment).ok_or_else(|| FilesError::Read {
        path: UPTIME.into(),
        source: std::io::ErrorKind::InvalidData.into(),
    })?;
    Ok(BootFacts { boot, now })
}
