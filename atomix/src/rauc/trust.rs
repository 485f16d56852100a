// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom does this configuration believe, and by which time? From `[keyring]` and the command line
//! to the keyring and the moment that signatures are judged by.

use crate::rauc::conf::absolute;
use crate::rauc::error::RaucError;
use bundle::{CheckTime, Keyring, KeyringOptions, Purpose, UnixTime};
use std::path::Path;
use storage::{ByteLen, Files, HostFiles};
use updater::{KeyringSection, SystemConfig};

/// Longest keyring: some hundred certificates and their CRLs.
const MAX_KEYRING: ByteLen = ByteLen::mib(4);

/// Whether the validity of certificates is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is.
    Judged,
    /// `--no-check-time`.
    Ignored,
}

/// The keyring of `[keyring]`, whose file `path` takes the place of.
///
/// # Errors
/// [`RaucError`] where there is none or it does not parse.
pub fn keyring(config: &SystemConfig, path: Option<&Path>) -> Result<Keyring, RaucError> {
    let options = config.keyring.as_ref().map(options).transpose()?.unwrap_or_default();
    let configured = config.keyring.as_ref().and_then(|section| section.path.as_deref());
    let pem = match path.or(configured) {
        Some(path) => read(path)?,
        None if options.directory.is_some() => Vec::new(),
        None => return Err(RaucError::refused("No keyring file or directory provided")),
    };
    Keyring::from_pem(&pem, options).map_err(RaucError::act("Failed to load CA file"))
}

/// The keyring of a file alone, by RAUC's defaults.
///
/// # Errors
/// As [`keyring`].
pub fn keyring_of_file(path: &Path) -> Result<Keyring, RaucError> {
    Keyring::from_pem(&read(path)?, KeyringOptions::default())
        .map_err(RaucError::act("Failed to load CA file"))
}

/// Reads a small file of a person, as seen from the current directory.
///
/// # Errors
/// [`RaucError`].
pub fn read(path: &Path) -> Result<Vec<u8>, RaucError> {
    let act = || RaucError::act(format!("Failed to load file '{}'", path.display()));
    let bytes = HostFiles::new(Path::new("/")).read(&absolute(path)?, MAX_KEYRING);
    bytes
        .map_err(|error| act()(std::io::Error::other(error)))?
        .ok_or_else(|| act()(std::io::Error::from(nix::errno::Errno::ENOENT)))
}

fn options(section: &KeyringSection) -> Result<KeyringOptions, RaucError> {
    let purpose = match section.check_purpose.as_deref() {
        None => Purpose::default(),
        Some(name) => Purpose::from_name(name).ok_or_else(|| {
            RaucError::refused(format!("Unknown value '{name}' for check-purpose"))
        })?,
    };
    Ok(section.options(purpose, section.directory.clone()))
}

/// The moment that certificates are judged by.
#[must_use]
pub fn check_time(config: &SystemConfig, expiry: Expiry, now: UnixTime) -> CheckTime {
    let by_signing = config.keyring.as_ref().is_some_and(|k| k.use_bundle_signing_time);
    match expiry {
        Expiry::Ignored => CheckTime::Skip,
        Expiry::Judged if by_signing => CheckTime::SigningTime,
        Expiry::Judged => CheckTime::At(now),
    }
}
