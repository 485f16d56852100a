// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of the laptop that is worked on: read within a limit, and made anew, never replaced.

use crate::failure::Failure;
use config_api::input::Limits;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest text that one of these verbs prints for another.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// Reads a configuration or bundle; one byte over the limit is read, so that it shows.
pub(super) fn read_upload(path: &Path) -> Result<Vec<u8>, Failure> {
    read(path, Limits::default().upload)
}

/// Reads what another of these verbs printed.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path, MAX_TEXT_BYTES)?).map_err(|_| Failure::Io {
        act: "read",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, "it is no text"),
    })
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::Io { act: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(failed)?.take(most + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Failure::Usage {
            what: format!("{} has more than {most} bytes", path.display()),
            hint: "make it smaller: no device takes more",
        });
    }
    Ok(bytes)
}

/// Makes a file, with the rights of `mode` at most; never replaces one.
pub(in crate::commands) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return Failure::Refused {
                what: format!("{} is there already", path.display()),
                hint: "name a file that does not exist; nothing was written",
            };
        }
        Failure::Io { act: "write", path: path.to_owned(), source }
    };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
