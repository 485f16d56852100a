// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line: a record with the hash of the one before and its own.

use super::event::AuditEvent;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// A line holds an event of bounded texts; more is none of ours.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;

/// Seconds since 1970, by the clock of the device, which may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

/// The hash of a line, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Chain(String);

impl Chain {
    /// Before the first line of a family.
    pub(super) fn beginning() -> Self {
        Self("0".repeat(64))
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    version: u32,
    /// Its number within its family.
    pub seq: u64,
    /// When.
    pub time: UnixTime,
    /// The kernel's name of the boot: within one, the order of lines is that of events.
    pub boot: String,
    /// What happened.
    pub event: AuditEvent,
    pub(super) prev: Chain,
    pub(super) chain: Chain,
}

impl AuditLine {
    pub(super) fn new(
        (seq, prev): (u64, Chain),
        time: UnixTime,
        boot: &str,
        event: AuditEvent,
    ) -> Result<Self, serde_json::Error> {
        let chain = Chain::beginning();
        let boot = boot.to_owned();
        let mut line = Self { version: VERSION, seq, time, boot, event, prev, chain };
        line.chain = line.own_chain()?;
        Ok(line)
    }

    /// The hash over everything else in it.
    fn own_chain(&self) -> Result<Chain, serde_json::Error> {
        let Self { version, seq, time, boot, event, prev, chain: _ } = self;
        let body = serde_json::to_vec(&(version, seq, time, boot, event, prev))?;
        Ok(Chain(blake3::hash(&body).to_hex().to_string()))
    }

    /// Its bytes, in plain letters, with the end of the line.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let mut bytes = Vec::with_capacity(text.len() + 1);
        for letter in text.chars() {
            if letter.is_ascii() {
                bytes.extend(u8::try_from(letter));
                continue;
            }
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                bytes.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a line; `None` when it is torn, of another version, or its hash is not its own.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_LINE_BYTES {
            return None;
        }
        let line: Self = serde_json::from_slice(bytes).ok()?;
        let is_own = line.version == VERSION && line.own_chain().ok()? == line.chain;
        is_own.then_some(line)
    }
}
