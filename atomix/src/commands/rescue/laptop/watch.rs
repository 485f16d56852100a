// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the board do after it was told to restart? The proof of what was saved: U-Boot reads
//! its environment again, and the selector says which slot it takes. Pure.
//!
//! Only what stands between U-Boot's banner and the slot's own script counts; before and behind it
//! others speak.

use super::dialogue::parse_selection;
use super::ear::Ear;
use bootctl::{Reason, SlotId};

/// Listens from the restart on.
#[derive(Debug, Default)]
pub struct Watch {
    ear: Ear,
    began: bool,
    /// What was seen so far.
    pub seen: Seen,
}

/// What a boot showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// No stored environment was whole.
    pub env_lost: bool,
    /// The choice.
    pub selected: Option<(SlotId, Reason)>,
    /// How it went on.
    pub end: Option<End>,
}

/// How a boot went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The slot's script runs.
    Started,
    /// The slot did not load.
    NotLoaded,
    /// There is nothing to load.
    Recovery,
}

impl Watch {
    /// Takes what was heard; true once the boot is decided.
    pub fn hear(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.seen.end.is_some() {
                return true;
            }
            if let Some(line) = self.ear.hear(*byte) {
                self.take_line(line.trim_end());
            }
        }
        self.seen.end.is_some()
    }

    fn take_line(&mut self, line: &str) {
        if line.starts_with("U-Boot ") {
            self.began = true;
        } else if !self.began {
        } else if line.contains("bad CRC, using default environment") {
            self.seen.env_lost = true;
        } else if let Some(selected) = parse_selection(line) {
            self.seen.selected = Some(selected);
        } else if line.starts_with("## Executing script at ") && self.seen.selected.is_some() {
            self.seen.end = Some(End::Started);
        } else if line.starts_with("atomix: slot ") && line.ends_with(" cannot be started") {
            self.seen.end = Some(End::NotLoaded);
        } else if line == "atomix: recovery over USB" || line == "atomix: nothing can be started" {
            self.seen.end = Some(End::Recovery);
        }
    }
}
