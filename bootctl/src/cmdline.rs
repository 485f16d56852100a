// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel command line: what the selector told the running system.
//!
//! Read as the kernel reads it: words separated by blanks, double quotes keep blanks together,
//! `key=value` or a bare `key`; of a repeated key the last one counts.

use crate::record_codec::first_bytes;
use crate::{Reason, SlotId};

/// Longest command line that is read. The kernel's own limit on arm64 is 2048; the rest of a
/// longer text cannot come from it and is ignored.
const CMDLINE_MAX_BYTES: usize = 16 * 1024;

/// A parsed kernel command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelCmdline {
    words: Vec<(String, Option<String>)>,
}

/// Where the running system came from, as the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootedFrom {
    /// A slot of this board.
    Slot(SlotId),
    /// Not a slot: network or a technician's medium.
    External,
    /// A name that is no bootname; configuration may know it.
    Named(String),
    /// The command line says nothing about it.
    NotSaid,
}

impl KernelCmdline {
    /// Parses `/proc/cmdline`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        let bounded = first_bytes(text, CMDLINE_MAX_BYTES);
        for letter in bounded.chars().chain(std::iter::once('\n')) {
            if letter == '"' {
                quoted = !quoted;
            } else if letter == '\n' || (letter.is_ascii_whitespace() && !quoted) {
                if !word.is_empty() {
                    words.push(split_word(&word));
                    word.clear();
                }
            } else {
                word.push(letter);
            }
        }
        Self { words }
    }

    /// The value of the last `key=value`, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.words
            .iter()
            .rev()
            .find_map(|(name, value)| if name == key { value.as_deref() } else { None })
    }

    /// Whether `key` is there, with or without a value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.words.iter().any(|(name, _)| name == key)
    }

    /// Where the running system came from; `rauc.external` and a root on the network win.
    #[must_use]
    pub fn booted_from(&self) -> BootedFrom {
        if self.has("rauc.external") || self.get("root") == Some("/dev/nfs") {
            return BootedFrom::External;
        }
        match self.get("rauc.slot") {
            None => BootedFrom::NotSaid,
            Some(name) => match name.parse() {
                Ok(slot) => BootedFrom::Slot(slot),
                Err(_) => BootedFrom::Named(name.to_owned()),
            },
        }
    }

    /// The booted slot, when the command line names one by its bootname.
    #[must_use]
    pub fn booted_slot(&self) -> Option<SlotId> {
        match self.booted_from() {
            BootedFrom::Slot(slot) => Some(slot),
            BootedFrom::External | BootedFrom::Named(_) | BootedFrom::NotSaid => None,
        }
    }

    /// The selector's reason.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.get("atomix.reason")?.parse().ok()
    }

    /// The version of the selector that ran.
    #[must_use]
    pub fn selector_version(&self) -> Option<u32> {
        self.get("atomix.selector")?.parse().ok()
    }
}

fn split_word(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selectors_words_are_read() {
        let line = KernelCmdline::parse(
            "console=ttyS2,1500000 panic=10 gpt rauc.slot=B atomix.reason=fallback atomix.selector=1\n",
        );
        assert_eq!(line.booted_slot(), Some(SlotId::B));
        assert_eq!(line.reason(), Some(Reason::Fallback));
        assert_eq!(line.selector_version(), Some(1));
        assert!(line.has("gpt"));
        assert_eq!(line.get("gpt"), None);
    }

    #[test]
    fn the_last_of_a_repeated_key_counts_and_quotes_keep_blanks() {
        let line = KernelCmdline::parse("rauc.slot=A note=\"rauc.slot=A x\" rauc.slot=B");
        assert_eq!(line.booted_slot(), Some(SlotId::B));
        assert_eq!(line.get("note"), Some("rauc.slot=A x"));
    }

    #[test]
    fn external_boot_wins_over_a_slot_name() {
        for line in ["rauc.external rauc.slot=A", "rauc.slot=A root=/dev/nfs"] {
            assert_eq!(KernelCmdline::parse(line).booted_from(), BootedFrom::External);
            assert_eq!(KernelCmdline::parse(line).booted_slot(), None);
        }
    }

    #[test]
    fn a_foreign_slot_name_is_handed_on_and_never_taken_for_a_slot() {
        let line = KernelCmdline::parse("rauc.slot=system0 atomix.reason=because");
        assert_eq!(line.booted_from(), BootedFrom::Named("system0".to_owned()));
        assert_eq!(line.booted_slot(), None);
        assert_eq!(line.reason(), None);
        assert_eq!(KernelCmdline::parse("").booted_from(), BootedFrom::NotSaid);
    }
}
