// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which configurations did the device take by itself, and what became of them? Kept in the
//! promotion record, so that taking one and remembering it are one act: no cut lets a device take
//! the same one twice, or believe that it took one that it never promoted.

use super::layout::Generation;
use super::state::State;
use crate::plain_text::plain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use storage::Digest;

/// So many are remembered; of more the oldest is forgotten.
pub const MAX_SEEDS: usize = 16;

/// Longest name of a place; a stick's words are cut there.
const MAX_PLACE_CHARS: usize = 80;

/// What became of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedOutcome {
    /// It was promoted and has still to prove itself.
    Pending,
    /// It proved itself.
    Succeeded,
    /// It was taken back.
    Failed,
}

/// A configuration that was found and not uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The SHA-256 of the file as it was found.
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    pub digest: Digest,
    /// Where it was found.
    pub place: String,
    /// When, in seconds since 1970; a device without a clock counts from its image's date.
    pub time: u64,
    /// What it became.
    pub generation: Generation,
    /// What became of that.
    pub outcome: SeedOutcome,
}

impl Seed {
    /// One that is about to be promoted.
    #[must_use]
    pub fn new(digest: Digest, place: &str, time: u64, generation: Generation) -> Self {
        let place = place.chars().take(MAX_PLACE_CHARS).map(plain).collect();
        Self { digest, place, time, generation, outcome: SeedOutcome::Pending }
    }
}

/// The seeds that were taken, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seeds(Vec<Seed>);

impl Seeds {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Seed] {
        &self.0
    }

    /// The one of this content, if it was taken.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<&Seed> {
        self.0.iter().rfind(|seed| seed.digest == *digest)
    }

    /// Whether this is the configuration of a seed that has still to prove itself.
    #[must_use]
    pub fn is_pending(&self, generation: Generation) -> bool {
        let pending = |seed: &Seed| seed.outcome == SeedOutcome::Pending;
        self.0.iter().any(|seed| seed.generation == generation && pending(seed))
    }

    /// Nothing was taken: what a record without seeds says by leaving them out.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, seed: Seed) {
        self.0.push(seed);
        self.0.drain(..self.0.len().saturating_sub(MAX_SEEDS));
    }

    /// What follows for them from a state.
    pub(super) fn follow(&mut self, state: &State) {
        for seed in self.0.iter_mut().filter(|seed| seed.outcome == SeedOutcome::Pending) {
            seed.outcome = match state {
                State::Pending { to, .. } if *to == seed.generation => SeedOutcome::Pending,
                State::Committed { generation, .. } if *generation == seed.generation => {
                    SeedOutcome::Succeeded
                }
                State::Unprovisioned { .. }
                | State::Committed { .. }
                | State::Pending { .. }
                | State::Reverting { .. } => SeedOutcome::Failed,
            };
        }
    }
}

impl FromIterator<Seed> for Seeds {
    fn from_iter<I: IntoIterator<Item = Seed>>(seeds: I) -> Self {
        let mut all = Self::default();
        for seed in seeds {
            all.take(seed);
        }
        all
    }
}

fn write_digest<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(digest)
}

fn read_digest<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promote::Rollback;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    #[test]
    fn an_outcome_follows_the_state_once() {
        let mut seeds = Seeds::default();
        seeds.take(Seed::new(digest(1), "here", 5, Generation::new(3)));
        let committed =
            State::Committed { generation: Generation::new(3), rollback: Some(Rollback::Skipped) };
        seeds.follow(&committed);
        assert_eq!(seeds.list()[0].outcome, SeedOutcome::Succeeded);
        // A later configuration that fails is none of its business.
        seeds.follow(&State::Unprovisioned { rollback: Some(Rollback::Discarded) });
        assert_eq!(seeds.list()[0].outcome, SeedOutcome::Succeeded);
        seeds.take(Seed::new(digest(2), "there", 6, Generation::new(4)));
        assert!(seeds.is_pending(Generation::new(4)) && !seeds.is_pending(Generation::new(3)));
        seeds.follow(&State::Unprovisioned { rollback: Some(Rollback::Discarded) });
        assert_eq!(seeds.find(&digest(2)).unwrap().outcome, SeedOutcome::Failed);
    }

    #[test]
    fn only_the_oldest_are_forgotten_and_no_name_is_long() {
        let mut seeds = Seeds::default();
        for byte in 0..40 {
            seeds.take(Seed::new(digest(byte), &"\n".repeat(500), 0, Generation::FIRST));
        }
        assert_eq!(seeds.list().len(), MAX_SEEDS);
        assert!(seeds.find(&digest(39)).is_some() && seeds.find(&digest(23)).is_none());
        assert_eq!(seeds.list()[0].place, "\u{fffd}".repeat(MAX_PLACE_CHARS));
        let record = super::super::Record::new(State::Unprovisioned { rollback: None }, seeds);
        let bytes = record.encode().unwrap();
        assert!(bytes.len() < 16 * 1024, "a record of {} bytes", bytes.len());
        assert_eq!(super::super::Record::parse(&bytes).unwrap(), record);
    }
}
