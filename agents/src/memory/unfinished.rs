// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often was a slot begun for ever another bundle, or for one that failed here before? A server
//! that changes its mind while a slot is written, whose connections break just before the end, or that
//! forces what fails with one action after the other, would wear the flash out and pay for bytes that
//! nobody runs.
//!
//! The record is made with that of the install, before its first byte, so that no cut and no start of
//! the agent loses it, and costs no write of its own. It is gone once an update has proven itself: also
//! bundles that come whole and are taken back for the next one wear.

use super::{InstallStage, Memory, text};
use crate::Facts;
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use storage::Digest;

/// So many bundles may be begun one after the other without a pause: somebody corrects a mistake.
pub(crate) const FREE_BEGINNINGS: u32 = 2;
/// The pause before the next one; it doubles with each.
pub(crate) const FIRST_PAUSE_SECS: i64 = 10 * 60;
/// The longest pause.
pub(crate) const LONGEST_PAUSE_SECS: i64 = 24 * 60 * 60;

/// Slots that were begun since an update proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginnings {
    /// The last bundle.
    #[serde(with = "text::word")]
    manifest: Digest,
    /// When it was first begun, in seconds.
    at: i64,
    /// Bundles, each another one than that before it, and tries of what had failed.
    count: u32,
}

impl Beginnings {
    fn pause_secs(&self) -> i64 {
        match self.count.checked_sub(FREE_BEGINNINGS) {
            None => 0,
            Some(doubled) => {
                let pause = FIRST_PAUSE_SECS << doubled.min(16);
                pause.min(LONGEST_PAUSE_SECS)
            }
        }
    }
}

impl Memory {
    /// A slot is begun for this bundle. One that was begun goes on where it stands: it counts once; what
    /// failed here begins anew.
    pub(crate) fn begins(&mut self, manifest: Digest, facts: &Facts) {
        let goes_on = !self.is_tried_again(manifest, facts);
        let known = self.beginnings.filter(|known| goes_on && known.manifest == manifest);
        let count = self.beginnings.map_or(0, |known| known.count).saturating_add(1);
        let at = facts.clock.now.0;
        self.beginnings = Some(known.unwrap_or(Beginnings { manifest, at, count }));
    }

    /// Whether a try of this bundle is over that came to nothing.
    fn is_tried_again(&self, manifest: Digest, facts: &Facts) -> bool {
        let is_under_way = self.install.as_ref().is_some_and(|install| {
            install.manifest == manifest && install.stage == InstallStage::Begun
        });
        let failed = facts.is_known_failed(&manifest.into()) || self.refused == Some(manifest);
        failed && !is_under_way
    }

    /// An update has proven itself.
    pub(crate) fn proved(&mut self) {
        self.beginnings = None;
    }

    /// How many bundles were begun since an update proved itself.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.beginnings.map_or(0, |known| known.count)
    }

    /// Before when no slot is begun for this bundle, or for one that nobody knows yet. A clock that was
    /// turned back holds nobody up.
    pub(crate) fn begins_from(&self, manifest: Option<Digest>, facts: &Facts) -> Option<UnixTime> {
        let now = facts.clock.now;
        let goes_on = manifest.is_some_and(|manifest| !self.is_tried_again(manifest, facts));
        let known = self.beginnings.filter(|known| !goes_on || Some(known.manifest) != manifest)?;
        let from = UnixTime(known.at.saturating_add(known.pause_secs()));
        (known.at <= now.0 && now < from).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_facts::{NOON, facts, manifest};

    /// The device at a time.
    fn at(now: UnixTime) -> Facts {
        let mut facts = facts();
        facts.clock.now = now;
        facts
    }

    /// A server that forces one failed bundle with ever another action was held up by nothing.
    #[test]
    fn what_failed_counts_at_each_try_and_pauses_as_others_do() {
        let (mut memory, mut now) = (Memory::default(), NOON);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let mut facts = at(now);
            facts.failed = vec![manifest(1).into()];
            let from = memory.begins_from(Some(manifest(1)), &facts);
            pauses.push(from.map_or(0, |from| (from.0 - now.0) / 60));
            facts.clock.now = from.unwrap_or(now);
            memory.begins(manifest(1), &facts);
            now = facts.clock.now;
        }
        assert_eq!(pauses, [0, 0, 10, 20, 40]);
        let refused = Memory { refused: Some(manifest(1)), ..memory.clone() };
        assert!(refused.begins_from(Some(manifest(1)), &at(now)).is_some(), "nor what is refused");
        assert_eq!(memory.begins_from(Some(manifest(1)), &at(now)), None, "it did not fail");
    }

    #[test]
    fn pauses_begin_with_the_third_bundle_double_and_end_at_a_day() {
        let (mut memory, mut now) = (Memory::default(), NOON);
        let mut pauses = Vec::new();
        for number in 1..=14 {
            let from = memory.begins_from(Some(manifest(number)), &at(now));
            assert_eq!(from, memory.begins_from(None, &at(now)), "nobody knows which one it is");
            pauses.push(from.map_or(0, |from| (from.0 - now.0) / 60));
            now = from.unwrap_or(now);
            assert_eq!(memory.begins_from(Some(manifest(number)), &at(now)), None, "then it may");
            memory.begins(manifest(number), &at(now));
            let once = memory.clone();
            memory.begins(manifest(number), &at(UnixTime(now.0 + 5)));
            assert_eq!(memory, once, "what goes on counts once");
            assert_eq!(
                memory.begins_from(Some(manifest(number)), &at(now)),
                None,
                "and waits for none"
            );
        }
        let minutes = [0, 0, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440];
        assert_eq!(pauses, minutes);
        let turned_back = UnixTime(now.0 - 1);
        assert_eq!(memory.begins_from(None, &at(turned_back)), None, "a clock holds nobody up");
        memory.proved();
        assert_eq!((memory.begins_from(None, &at(now)), memory.begun()), (None, 0));
    }

    #[test]
    fn no_count_in_a_record_is_too_large() {
        let mut memory = Memory::default();
        let known = Beginnings { manifest: manifest(1), at: i64::MAX, count: u32::MAX };
        memory.beginnings = Some(known);
        memory.begins(manifest(2), &at(UnixTime(i64::MIN)));
        assert_eq!(memory.begun(), u32::MAX);
        assert_eq!(memory.begins_from(None, &at(UnixTime(i64::MAX))), None);
    }
}
