// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in this bundle? A tar of `config.toml` and `files/`, read once from front to back.
//!
//! Members are directories and plain files; modes, owners and times of the archive count for
//! nothing. What another program might unpack differently is refused: links, devices, sparse
//! files, the same file twice, names that lead out or are not plain text.

use super::error::InputError;
use super::gzip::GzipReader;
use super::limits::{Limited, Limits};
use super::payload::{Member, Payload};
use super::spool::PayloadSink;
use super::{Compression, Input};
use bundle::casync::{CasyncError, TarHeader, TarReader};
use std::cell::Cell;
use std::io::{self, Read};

/// The name of the configuration within a bundle.
const CONFIG: &str = "config.toml";

/// The directory of the payload.
const FILES: &str = "files";

/// The longest path of a member, and directories within each other.
const MAX_PATH_BYTES: usize = 1024;
const MAX_PARTS: usize = 64;

/// zstd frames that need a larger window are refused: `zstd -19` asks for 8 MiB, and a window is
/// memory.
const MAX_WINDOW_LOG: u32 = 23;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads a compressed bundle.
pub(super) fn read_bundle(
    input: impl Read,
    compression: Compression,
    limits: &Limits,
    sink: &mut dyn PayloadSink,
) -> Result<Input, InputError> {
    let (too_long, expands) = (Cell::new(false), Cell::new(false));
    let input = Limited::new(input, limits.upload, &too_long);
    let outcome = match compression {
        Compression::Gzip => {
            let expanded = Limited::new(GzipReader::new(input), limits.expanded, &expands);
            read_members(expanded, limits, sink)
        }
        Compression::Zstd => zstd_reader(input).and_then(|decoder| {
            let expanded = Limited::new(decoder, limits.expanded, &expands);
            read_members(expanded, limits, sink)
        }),
    };
    // Of a limit in the middle the decoders know only that reading failed.
    outcome.map_err(|error| {
        if matches!(error, InputError::Damaged(_)) && too_long.get() {
            InputError::TooLong { limit: limits.upload }
        } else if matches!(error, InputError::Damaged(_)) && expands.get() {
            InputError::Expands { limit: limits.expanded }
        } else {
            error
        }
    })
}

fn zstd_reader<R: Read>(input: R) -> Result<impl Read, InputError> {
    let mut decoder = zstd::stream::read::Decoder::new(input).map_err(InputError::Damaged)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(InputError::Damaged)?;
    Ok(decoder)
}

fn read_members(
    expanded: impl Read,
    limits: &Limits,
    sink: &mut dyn PayloadSink,
) -> Result<Input, InputError> {
    let mut expanded = expanded;
    let mut config = None;
    let mut payload = Payload::default();
    let mut reader = TarReader::new(&mut expanded);
    let mut count = 0_usize;
    while let Some(header) = reader.next_header().map_err(damaged)? {
        count += 1;
        if count > limits.members {
            return Err(InputError::TooMany { limit: limits.members });
        }
        let Some(path) = checked_path(&header)? else { continue };
        if header.size > limits.member {
            return Err(InputError::MemberTooLarge { path, limit: limits.member });
        }
        let refused = |what| Err(InputError::Member { path: path.clone(), what });
        if path == CONFIG {
            if config.is_some() {
                return refused("is there twice");
            }
            config = Some(read_config(reader.content())?);
        } else if header.is_directory() {
            add(&mut payload, &path, Member::Directory)?;
        } else {
            let member = sink.begin(&path).map_err(InputError::Spool)?;
            let len = copy(reader.content(), sink)?;
            add(&mut payload, &path, Member::File { member, len })?;
        }
    }
    drop(reader);
    // What follows the archive is its padding; reading it proves the checksum at the very end.
    io::copy(&mut expanded, &mut io::sink()).map_err(InputError::Damaged)?;
    Ok(Input { config_toml: config.ok_or(InputError::NoConfig)?, payload })
}

fn damaged(error: CasyncError) -> InputError {
    if let CasyncError::Input(source) = error {
        return InputError::Damaged(source);
    }
    InputError::Damaged(io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The path without `.` in it; `None` for the top level itself.
fn checked_path(header: &TarHeader) -> Result<Option<String>, InputError> {
    let lossy = String::from_utf8_lossy(&header.path);
    let refused = |what| Err(InputError::Member { path: shown(&lossy), what });
    if !header.is_file() && !header.is_directory() {
        return refused("is neither a directory nor a plain file");
    }
    let Ok(text) = std::str::from_utf8(&header.path) else {
        return refused("has a name that is not UTF-8");
    };
    if text.is_empty() || text.starts_with('/') {
        return refused("has no name, or one that is absolute");
    }
    if text.chars().any(char::is_control) {
        return refused("has a control character in its name");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return refused("leads out of the bundle");
    }
    if text.len() > MAX_PATH_BYTES || parts.len() > MAX_PARTS || parts.iter().any(|p| p.len() > 255)
    {
        return refused("has a name that is too long");
    }
    match parts.as_slice() {
        [] if header.is_directory() => Ok(None),
        [CONFIG] if header.is_file() => Ok(Some(CONFIG.to_owned())),
        [FILES] if header.is_directory() => Ok(Some(FILES.to_owned())),
        [FILES, _, ..] => Ok(Some(parts.join("/"))),
        _ => refused("does not belong into a bundle"),
    }
}

/// A name for a message.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Adds a member and the directories above it.
fn add(payload: &mut Payload, path: &str, member: Member) -> Result<(), InputError> {
    for (at, _) in path.match_indices('/') {
        let above = path.get(..at).unwrap_or_default();
        if !payload.add(above.to_owned(), Member::Directory) {
            return Err(InputError::Member { path: shown(path), what: "lies below a file" });
        }
    }
    if payload.add(path.to_owned(), member) {
        return Ok(());
    }
    Err(InputError::Member { path: shown(path), what: "is there twice" })
}

/// Its own limit is judged, and told, where the file is parsed.
fn read_config(content: impl Read) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let most = crate::model::MAX_CONFIG_BYTES as u64 + 1;
    content.take(most).read_to_end(&mut bytes).map_err(InputError::Damaged)?;
    Ok(bytes)
}

fn copy(mut content: impl Read, sink: &mut dyn PayloadSink) -> Result<u64, InputError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut len = 0_u64;
    loop {
        let count = content.read(&mut chunk).map_err(InputError::Damaged)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(len);
        };
        sink.append(bytes).map_err(InputError::Spool)?;
        len += bytes.len() as u64;
    }
}
