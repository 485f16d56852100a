// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the operator hand over: a `config.toml`, or a bundle of it and of `files/`?
//!
//! Everything is read once and in order, under limits that hold while reading; no program is run
//! and nothing is unpacked anywhere but into the caller's sink.

mod bundle;
mod error;
mod form;
mod gzip;
mod limits;
mod payload;
mod spool;

pub use error::InputError;
pub use form::{FormError, FormPiece, FormReader};
pub use limits::Limits;
pub use payload::{Member, Payload};
pub use spool::{Discard, PayloadSink, Spool};

use crate::model::MAX_CONFIG_BYTES;
use std::io::{Cursor, Read};

/// What was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The bytes of `config.toml`; when there are more than allowed, one more than that.
    pub config_toml: Vec<u8>,
    /// What came with it.
    pub payload: Payload,
}

/// Where the input comes from, which decides what its name is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'n> {
    /// A file of this name: `.toml` is a configuration, anything else must be a bundle.
    File(&'n str),
    /// Received bytes, with the name that the sender gave them: what is no bundle is TOML.
    Upload(&'n str),
}

/// How a bundle is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// How such a file begins.
pub(crate) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// How such a file begins.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

const GZIP_SUFFIXES: [&str; 2] = [".tar.gz", ".tgz"];
const ZSTD_SUFFIXES: [&str; 3] = [".tar.zst", ".tar.zstd", ".tzst"];

/// Reads an input; the content of `files/` goes to `sink`.
///
/// # Errors
/// [`InputError`].
pub fn read_input(
    origin: Origin<'_>,
    mut input: impl Read,
    limits: &Limits,
    sink: &mut dyn PayloadSink,
) -> Result<Input, InputError> {
    let mut start = Vec::new();
    (&mut input).take(4).read_to_end(&mut start).map_err(InputError::Read)?;
    let compression = detect(origin, &start)?;
    let mut input = Cursor::new(start).chain(input);
    if let Some(compression) = compression {
        return bundle::read_bundle(input, compression, limits, sink);
    }
    let mut config_toml = Vec::new();
    let most = limits.upload.min(MAX_CONFIG_BYTES as u64) + 1;
    (&mut input).take(most).read_to_end(&mut config_toml).map_err(InputError::Read)?;
    if config_toml.len() as u64 > limits.upload {
        return Err(InputError::TooLong { limit: limits.upload });
    }
    Ok(Input { config_toml, payload: Payload::default() })
}

/// The compression by the name, else by the first bytes; `None` for TOML.
fn detect(origin: Origin<'_>, start: &[u8]) -> Result<Option<Compression>, InputError> {
    let (Origin::File(name) | Origin::Upload(name)) = origin;
    let name = name.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    if matches!(origin, Origin::File(_)) && name.ends_with(".toml") {
        return Ok(None);
    }
    if ends(&GZIP_SUFFIXES) || (!ends(&ZSTD_SUFFIXES) && start.starts_with(&GZIP_MAGIC)) {
        return Ok(Some(Compression::Gzip));
    }
    if ends(&ZSTD_SUFFIXES) || start.starts_with(&ZSTD_MAGIC) {
        return Ok(Some(Compression::Zstd));
    }
    match origin {
        Origin::File(_) => Err(InputError::Unknown),
        Origin::Upload(_) => Ok(None),
    }
}
