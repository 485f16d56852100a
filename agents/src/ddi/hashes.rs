// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is a fetched file the one that the server means? MD5, SHA-1 and SHA-256, as far as it gives them.
//!
//! They find a mixed-up or damaged artifact and say so in the server's own terms. None of them is
//! what a bundle is trusted for: that is its signature.

use super::error::DdiError;
use openssl::error::ErrorStack;
use openssl::hash::{Hasher, MessageDigest};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use storage::{ByteLen, Digest};

/// What the server gives; gooseBit has SHA-1 alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// 32 digits.
    pub md5: Option<String>,
    /// 40 digits.
    pub sha1: Option<String>,
    /// 64 digits.
    pub sha256: Option<String>,
}

impl Hashes {
    /// Whether each is one.
    pub(super) fn check_form(&self) -> Result<(), DdiError> {
        let of = |text: &Option<String>, digits: usize| {
            text.as_ref().is_none_or(|text| {
                text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        if of(&self.md5, 32) && of(&self.sha1, 40) && of(&self.sha256, 64) {
            return Ok(());
        }
        Err(DdiError::Field { what: "a deployment", field: "a hash" })
    }
}

/// The hashes of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHashes {
    /// Its length.
    pub size: ByteLen,
    md5: String,
    sha1: String,
    sha256: String,
}

impl FileHashes {
    /// Whether SHA-256 is this one.
    #[must_use]
    pub fn is(&self, digest: &Digest) -> bool {
        self.sha256 == digest.to_string()
    }

    /// Its SHA-256, in hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The first that differs from one that the server gave: its name, what was found, what was
    /// wanted.
    pub(super) fn difference(&self, wanted: &Hashes) -> Option<(&'static str, String, String)> {
        [
            ("SHA-256", &self.sha256, &wanted.sha256),
            ("SHA-1", &self.sha1, &wanted.sha1),
            ("MD5", &self.md5, &wanted.md5),
        ]
        .into_iter()
        .find_map(|(what, found, wanted)| {
            let wanted = wanted.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(found))?;
            Some((what, found.clone(), wanted.clone()))
        })
    }
}

/// Takes a file in pieces.
pub struct FileHasher {
    all: [Hasher; 3],
    bytes: u64,
}

impl FileHasher {
    /// Begins.
    ///
    /// # Errors
    /// Where OpenSSL has none of these, as under its FIPS rules.
    pub fn new() -> Result<Self, ErrorStack> {
        let all = [
            Hasher::new(MessageDigest::md5())?,
            Hasher::new(MessageDigest::sha1())?,
            Hasher::new(MessageDigest::sha256())?,
        ];
        Ok(Self { all, bytes: 0 })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), ErrorStack> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.all.iter_mut().try_for_each(|hasher| hasher.update(piece))
    }

    /// The file is over.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn finish(self) -> Result<FileHashes, ErrorStack> {
        let [mut md5, mut sha1, mut sha256] = self.all;
        Ok(FileHashes {
            size: ByteLen::new(self.bytes),
            md5: digits(&md5.finish()?),
            sha1: digits(&sha1.finish()?),
            sha256: digits(&sha256.finish()?),
        })
    }
}

fn digits(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
