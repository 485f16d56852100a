// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose signatures count? The keys of the file `admin-signers`, one line each.

use super::{KeyError, VerifyingKey};
use crate::model::SshPublicKey;

/// Most keys that are read; the file is ours and has one line for each administrator.
const MAX_SIGNERS: usize = 256;

/// The administrators' keys.
#[derive(Default)]
pub struct AdminSigners {
    keys: Vec<VerifyingKey>,
    skipped: Vec<(usize, KeyError)>,
}

impl AdminSigners {
    /// Reads the file's text. A line that is no usable key (the reference wrote cut ones) is
    /// skipped and told, since it must not lock out the administrators of the other lines.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut signers = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || signers.keys.len() >= MAX_SIGNERS {
                continue;
            }
            let key = SshPublicKey::parse(line)
                .map_err(KeyError::Line)
                .and_then(|key| VerifyingKey::new(&key));
            match key {
                Ok(key) => signers.keys.push(key),
                Err(fault) => signers.skipped.push((number + 1, fault)),
            }
        }
        signers
    }

    /// Whether nobody could sign.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Lines that are no usable keys, with their numbers.
    #[must_use]
    pub fn skipped(&self) -> &[(usize, KeyError)] {
        &self.skipped
    }

    /// The key with these bytes.
    #[must_use]
    pub fn find(&self, blob: &[u8]) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.blob() == blob)
    }
}
