// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the configurations that lie there is taken? Pure: what the device is, what its record
//! says and what was found give the answer.

use crate::promote::{Seed, Seeds};
use std::collections::BTreeSet;
use storage::Digest;

/// Whose the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a configuration that proved itself.
    Owned,
    /// One is being tried.
    Trying,
    /// Nobody's.
    Unclaimed,
}

/// A configuration that was found, is valid, and was not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it lies, for people.
    pub place: String,
    /// Its content.
    pub digest: Digest,
}

/// What is known beside the candidates.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Whose the device is.
    pub standing: Standing,
    /// What it took.
    pub seeds: &'a Seeds,
    /// What is left alone for a while, since handing it over failed.
    pub resting: &'a BTreeSet<Digest>,
    /// Whether a person asked for what was taken before to be taken again.
    pub is_asked: bool,
}

/// Why a candidate is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed<'a> {
    /// It was taken, and this became of it.
    Taken(&'a Seed),
    /// It could not be handed over a moment ago.
    Resting,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The device has its configuration: nothing is searched any more.
    Finished,
    /// Wait and look again.
    Wait,
    /// Take this one of the candidates.
    Take(usize),
}

/// What follows. The candidates stand in their order: `/boot` first, then the sticks.
#[must_use]
pub fn decide(known: &Known<'_>, candidates: &[Candidate]) -> Decision {
    match known.standing {
        Standing::Owned => Decision::Finished,
        Standing::Trying => Decision::Wait,
        Standing::Unclaimed => candidates
            .iter()
            .position(|candidate| passed_over(known, candidate).is_none())
            .map_or(Decision::Wait, Decision::Take),
    }
}

/// Why a candidate is not taken; `None` when it may be.
#[must_use]
pub fn passed_over<'a>(known: &Known<'a>, candidate: &Candidate) -> Option<Passed<'a>> {
    if known.resting.contains(&candidate.digest) {
        return Some(Passed::Resting);
    }
    let taken = known.seeds.find(&candidate.digest).filter(|_| !known.is_asked);
    taken.map(Passed::Taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promote::Generation;
    use proptest::prelude::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn candidates(bytes: &[u8]) -> Vec<Candidate> {
        let one = |byte: &u8| Candidate { place: format!("place {byte}"), digest: digest(*byte) };
        bytes.iter().map(one).collect()
    }

    fn taken(bytes: &[u8]) -> Seeds {
        bytes.iter().map(|byte| Seed::new(digest(*byte), "", 0, Generation::FIRST)).collect()
    }

    #[test]
    fn what_is_there_wins_then_the_first_that_was_not_taken() {
        let (seeds, resting) = (taken(&[1]), BTreeSet::from([digest(2)]));
        let known =
            |standing| Known { standing, seeds: &seeds, resting: &resting, is_asked: false };
        let all = candidates(&[1, 2, 3, 4]);
        assert_eq!(decide(&known(Standing::Owned), &all), Decision::Finished);
        assert_eq!(decide(&known(Standing::Trying), &all), Decision::Wait);
        assert_eq!(decide(&known(Standing::Unclaimed), &all), Decision::Take(2));
        assert_eq!(decide(&known(Standing::Unclaimed), &all[..2]), Decision::Wait);
        let asked = Known { is_asked: true, ..known(Standing::Unclaimed) };
        assert_eq!(decide(&asked, &all), Decision::Take(0));
    }

    proptest! {
        #[test]
        fn nothing_that_is_recorded_is_taken_and_nothing_else_is_missed(
            found in proptest::collection::vec(0..6_u8, 0..6),
            record in proptest::collection::vec(0..6_u8, 0..6),
        ) {
            let (seeds, resting) = (taken(&record), BTreeSet::new());
            let known =
                Known { standing: Standing::Unclaimed, seeds: &seeds, resting: &resting, is_asked: false };
            match decide(&known, &candidates(&found)) {
                Decision::Take(at) => {
                    prop_assert!(!record.contains(&found[at]));
                    prop_assert!(found[..at].iter().all(|byte| record.contains(byte)));
                }
                Decision::Wait => prop_assert!(found.iter().all(|byte| record.contains(byte))),
                Decision::Finished => prop_assert!(false),
            }
        }
    }
}
