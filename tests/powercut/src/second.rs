// SPDX-License-Identifier: MIT OR Apache-2.0
//! The power goes a second time: the recovery of an image and the operation done again are
//! recorded, and cut as the operation was. What they promise is held to, and what the first cut
//! left.

use crate::board::{Board, Kept, Promise};
use crate::cut::{At, settle};
use crate::explore::{Again, Explorer};
use crate::judge::Commits;
use crate::plan::Place;
use crate::recorded::{contents, is_committing, states};
use crate::scenario::{Earlier, Seen};
use crate::tally::Tally;
use anyhow::Result;
use storage::{FileTree, Journal};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// A recovery that was recorded.
pub struct Recovery {
    /// Its acts.
    pub journal: Journal,
    /// What it promised.
    pub promises: Vec<Promise>,
    /// The small files before it.
    pub files: FileTree,
}

impl Recovery {
    /// What was promised before its cut `cut`.
    fn kept(&self, cut: usize) -> Vec<Kept> {
        let before = self.promises.iter().filter(|promise| promise.acts <= cut);
        before.map(|promise| promise.kept.clone()).collect()
    }

    /// After how many acts the last commit before `cut` returned.
    fn committed(&self, cut: usize) -> usize {
        let is_state = |promise: &&Promise| matches!(promise.kept, Kept::State(_));
        let before = self.promises.iter().filter(|promise| promise.acts <= cut).filter(is_state);
        before.map(|promise| promise.acts).max().unwrap_or(0)
    }
}

/// Equal images stand in different places; which of them comes first must not matter to what is
/// chosen of their recovery.
pub fn seed_of(seed: u64, sum: u128) -> u64 {
    let low = sum.to_le_bytes().first_chunk().copied().unwrap_or_default();
    seed ^ u64::from_le_bytes(low)
}

fn files_sums(files: &FileTree) -> Vec<u128> {
    files.values().map(|content| xxh3_128(content)).collect()
}

impl Explorer<'_> {
    /// Records the recovery of the image on the board, with the operation done again, and cuts it.
    pub fn cut_again(
        &self,
        board: &mut Board,
        place: Place,
        again: Again,
        tally: &mut Tally,
    ) -> Result<()> {
        tally.recoveries += 1;
        let (before, files) = Self::begins(board)?;
        let photo = board.photo();
        let journal = board.record();
        let recovered = self.judge.go_on(board);
        let promises = board.stop_recording();
        board.put_back(&photo);
        if let Err(violation) = recovered {
            tally.brick(place, violation);
            return Ok(());
        }
        let seed = seed_of(self.plan.seed, board.sum());
        let recovery = Recovery { journal, promises, files };
        let points = recovery.journal.cut_points(self.plan.depth.second, seed);
        let earlier = self.recorded.kept(place.cut);
        let half = self.commits.get(states(earlier.iter()).len());
        let earlier = Earlier { kept: &earlier, files: &recovery.files };
        let committed = states(recovery.promises.iter().map(|promise| &promise.kept));
        let contents = contents(&recovery.journal, &recovery.files);
        let sums: Vec<u128> = files_sums(&recovery.files);
        let always = format!("{before:?} {committed:?} {half:?} {} {sums:?}", earlier.kept.len());
        let always = xxh3_128(always.as_bytes());
        let share = again.images / (points.last() as u64 + 1);
        let mut settled = None;
        for cut in 0..=points.last() {
            settle(board, &points, settled, cut)?;
            settled = Some(cut);
            tally.cuts += 1;
            let at = At::new(&points, &recovery.journal, &recovery.files, cut, seed);
            let (kept, records) = (recovery.kept(cut), board.records());
            let commits = Commits {
                before: before.as_ref(),
                states: &committed,
                returned: states(kept.iter()).len(),
                half,
                in_work: is_committing(&recovery.journal, recovery.committed(cut), cut),
            };
            let seen = Seen {
                finished: cut == points.last(),
                kept: &kept,
                records: &records,
                contents: &contents,
                earlier: Some(earlier),
            };
            let (returned, in_work, newest) = (commits.returned, commits.in_work, records.last());
            let finished = seen.finished;
            let promised =
                format!("{always} {returned} {in_work} {finished} {} {newest:?}", kept.len());
            let promised = xxh3_128(promised.as_bytes());
            for image in self.second_images(at.images(), cut, share, seed) {
                let before = board.photo();
                at.put(board, image)?;
                tally.images += 1;
                tally.second += 1;
                let key = board.sum() ^ promised;
                match self.verdict(board, commits, &seen, key, tally) {
                    None => {}
                    Some(Err(violation)) => {
                        tally.brick(Place { then: Some((cut, image)), ..place }, violation);
                    }
                    Some(Ok(looked)) => tally.late += u64::from(looked.is_late),
                }
                board.put_back(&before);
            }
        }
        Ok(())
    }

    /// Which images of a cut of a recovery are judged.
    fn second_images(&self, all: u64, cut: usize, share: u64, seed: u64) -> Vec<u64> {
        match self.plan.only.and_then(|only| only.then) {
            Some((wanted, image)) if wanted == cut => vec![image],
            Some(_) => Vec::new(),
            None => {
                let taken = all.min(share.max(1));
                // Evenly from a first one chosen by lot.
                let lot = xxh3_64_with_seed(&cut.to_le_bytes(), seed) % all.max(1);
                (0..taken).map(|number| (number * all / taken + lot) % all).collect()
            }
        }
    }
}
