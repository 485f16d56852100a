// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did this device refuse last? Kept until something is taken: a server that is frozen, and one
//! that offers what nobody takes, are told apart by it from one that has nothing new.

use super::text::{optional_time, optional_word};
use super::{MAX_VERSION_BYTES, Memory};
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use storage::Digest;

/// Longest kind and words, in letters.
const MAX_KIND: usize = 32;
const MAX_WORDS: usize = 400;
/// The kind of a bundle that was looked at or tried and is not taken here.
pub(crate) const BUNDLE: &str = "bundle";
/// The kind of what is refused because it was refused before.
const BEFORE: &str = "offer-failed";

/// An answer, an offer or a bundle that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind of refusal, in one word of `docs/agents-report.md`.
    pub kind: String,
    /// The same for people.
    pub words: String,
    /// Since when nothing else came of it; nothing where nobody had set the clock.
    #[serde(with = "optional_time")]
    pub since: Option<UnixTime>,
    /// The manifest that was offered, where one was named.
    #[serde(with = "optional_word")]
    pub bundle: Option<Digest>,
    /// The version that was offered.
    pub version: Option<String>,
}

impl Refusal {
    /// Within the lengths that are kept.
    pub(super) fn bounded(mut self) -> Self {
        self.kind = self.kind.chars().take(MAX_KIND).collect();
        self.words = self.words.chars().take(MAX_WORDS).collect();
        self.version.take_if(|version| version.len() > MAX_VERSION_BYTES);
        self
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        (self.bundle, &self.version) == (other.bundle, &other.version)
    }
}

impl Memory {
    /// Remembers a refusal. The same one again changes nothing, so that it wears no flash; and why a
    /// bundle was refused first says more than that it was.
    pub fn refuse(&mut self, refusal: Refusal) {
        let mut refusal = refusal.bounded();
        if let Some(known) = &self.refusal {
            let again = known.kind == BUNDLE && refusal.kind == BEFORE;
            if (known.kind == refusal.kind || again) && known.is_of_the_same(&refusal) {
                return;
            }
            if known.kind == refusal.kind {
                refusal.since = known.since;
            }
        }
        self.refusal = Some(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_facts::{NOON, manifest};

    fn refusal(kind: &str, words: &str, at: i64, number: u8) -> Refusal {
        Refusal {
            kind: kind.to_owned(),
            words: words.to_owned(),
            since: Some(UnixTime(NOON.0 + at)),
            bundle: Some(manifest(number)),
            version: Some("2.0".to_owned()),
        }
    }

    #[test]
    fn the_same_refusal_again_is_the_one_that_is_known() {
        let mut memory = Memory::default();
        let first = refusal("release-expired", "it is at least 12:00", 0, 3);
        memory.refuse(first.clone());
        memory.refuse(refusal("release-expired", "it is at least 13:00", 3600, 3));
        assert_eq!(memory.refusal, Some(first));
        memory.refuse(refusal("release-expired", "another", 7200, 4));
        let other = memory.refusal.clone().unwrap();
        assert_eq!((other.words.as_str(), other.since), ("another", Some(NOON)));
        memory.refuse(refusal("release-replayed", "older", 7200, 4));
        assert_eq!(memory.refusal.as_ref().unwrap().since, Some(UnixTime(NOON.0 + 7200)));
    }

    #[test]
    fn why_a_bundle_was_refused_is_not_lost_by_refusing_it_again() {
        let mut memory = Memory::default();
        memory.refuse(refusal("bundle", "hash of rootfs differs", 0, 3));
        memory.refuse(refusal("offer-failed", "its install was refused here before", 60, 3));
        assert_eq!(memory.refusal.as_ref().unwrap().words, "hash of rootfs differs");
        memory.refuse(refusal("offer-failed", "it was tried here before", 60, 4));
        assert_eq!(memory.refusal.as_ref().unwrap().kind, "offer-failed");
    }

    #[test]
    fn what_a_stranger_says_at_length_is_cut() {
        let mut memory = Memory::default();
        let long = Refusal {
            version: Some("x".repeat(256)),
            ..refusal("bundle", &"ä".repeat(10_000), 0, 3)
        };
        memory.refuse(long);
        let kept = memory.refusal.unwrap();
        assert_eq!((kept.words.chars().count(), kept.version), (MAX_WORDS, None));
    }
}
