// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promotion record: a state as a small file, and the seeds that the device took.

use super::error::PromoteError;
use super::seed::Seeds;
use super::state::State;
use serde::{Deserialize, Serialize};
use storage::ByteLen;

/// A record has a few hundred bytes; more is none of ours.
pub(super) const MAX_RECORD_BYTES: ByteLen = ByteLen::new(16 * 1024);

const VERSION: u32 = 1;

/// What is on the medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// The configurations that the device found and took.
    #[serde(default, skip_serializing_if = "Seeds::is_empty")]
    pub seeds: Seeds,
}

impl Record {
    /// The record of a state.
    #[must_use]
    pub const fn new(state: State, seeds: Seeds) -> Self {
        Self { version: VERSION, state, seeds }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`PromoteError::CorruptRecord`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PromoteError> {
        let corrupt = |problem| PromoteError::CorruptRecord { problem };
        let record: Self =
            serde_json::from_slice(bytes).map_err(|cause| corrupt(cause.to_string()))?;
        if record.version != VERSION {
            return Err(corrupt(format!("version {} is not {VERSION}", record.version)));
        }
        Ok(record)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`PromoteError::CorruptRecord`] when it cannot be written down.
    pub fn encode(&self) -> Result<Vec<u8>, PromoteError> {
        let mut bytes = serde_json::to_vec(self)
            .map_err(|cause| PromoteError::CorruptRecord { problem: cause.to_string() })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
