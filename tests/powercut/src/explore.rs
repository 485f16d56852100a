// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every cut of an operation, every image of each cut, each judged once.
//!
//! Threads take blocks of images in the order of the cuts. Each has a board of its own and brings
//! it forward with what has settled, so an image costs what differs from there. A board that holds
//! what another image held, with the same promises given, is judged once and counted as often as
//! it is legal; going on from it is tried once, whatever was promised.

use crate::board::{Board, Kept};
use crate::cut::{At, settle};
use crate::firmware::read_env;
use crate::judge::{Commits, Judge, Looked};
use crate::plan::{Place, Plan};
use crate::recorded::{Recorded, contents, is_committing, states};
use crate::scenario::{Scenario, Seen};
use crate::tally::{MAX_FAILURES, Tally};
use crate::violation::Violation;
use anyhow::Result;
use bootctl::BootState;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use storage::{CutPoints, FileTree};
use xxhash_rust::xxh3::xxh3_128;

/// Images that a thread takes at once.
const BLOCK: u64 = 64;

/// A block of images of one cut.
#[derive(Clone, Copy)]
struct Block {
    cut: usize,
    first: u64,
    end: u64,
    /// The one image whose recovery is cut again.
    again: Option<Again>,
}

/// A recovery that is cut again.
#[derive(Clone, Copy)]
pub struct Again {
    /// How many images are made of its cuts.
    pub images: u64,
}

/// Explores one operation.
///
/// # Errors
/// When the harness itself fails; bricks are no errors.
pub fn explore(scenario: &dyn Scenario, recorded: &Recorded, plan: &Plan) -> Result<Tally> {
    let begun = Instant::now();
    let points = recorded.journal.cut_points(plan.depth.first, plan.seed);
    let explorer = Explorer {
        judge: Judge {
            scenario,
            selector: plan.selector,
            end: &recorded.end,
            running: recorded.running,
        },
        recorded,
        commits: recorded.commits(),
        contents: contents(&recorded.journal, &recorded.files),
        plan,
        points: &points,
        distinct: Mutex::default(),
        went_on: Mutex::default(),
        looked: Mutex::default(),
        passed: Mutex::default(),
    };
    let mut tally = Tally {
        operations: recorded.journal.op_count() as u64,
        cuts: points.last() as u64 + 1,
        ..Tally::default()
    };
    explorer.all(&explorer.blocks(&mut tally), &mut tally)?;
    explorer.all(&explorer.recoveries(), &mut tally)?;
    tally.failures.sort_by_key(|failure| (failure.place.cut, failure.place.image));
    tally.failures.truncate(MAX_FAILURES);
    tally.secs = begun.elapsed().as_secs_f64();
    Ok(tally)
}

/// Explores one operation.
pub struct Explorer<'a> {
    /// Who judges.
    pub judge: Judge<'a>,
    /// The operation.
    pub recorded: &'a Recorded,
    /// What it commits, in order.
    pub commits: Vec<BootState>,
    /// The sums of what its small files may hold.
    contents: BTreeSet<u128>,
    /// What is done.
    pub plan: &'a Plan,
    points: &'a CutPoints,
    /// The contents that the board had, by their sums.
    distinct: Mutex<HashSet<u128>>,
    /// Those of them that were gone on from.
    went_on: Mutex<HashSet<u128>>,
    /// Those that were looked at, by the sums of content and promises.
    looked: Mutex<HashSet<u128>>,
    /// Those of them that are no bricks, with their places.
    passed: Mutex<BTreeMap<u128, (usize, u64)>>,
}

/// What is the same for all images of a cut.
struct Cut<'a> {
    at: At<'a>,
    kept: Vec<Kept>,
    /// The flight recorder's records as they have settled.
    records: Vec<u64>,
    /// Whether a commit of the environment is in work.
    in_work: bool,
    /// The sum of all that is promised.
    promised: u128,
}

impl Explorer<'_> {
    fn at(&self, cut: usize) -> At<'_> {
        At::new(self.points, &self.recorded.journal, &self.recorded.files, cut, self.plan.seed)
    }

    fn blocks(&self, tally: &mut Tally) -> Vec<Block> {
        if let Some(Place { cut, image, .. }) = self.plan.only {
            return vec![Block { cut, first: image, end: image + 1, again: None }];
        }
        let mut blocks = Vec::new();
        for cut in 0..=self.points.last() {
            let at = self.at(cut);
            tally.covered.count(at.coverage());
            let images = at.images();
            let mut first = 0;
            while first < images {
                let end = images.min(first + BLOCK);
                blocks.push(Block { cut, first, end, again: None });
                first = end;
            }
        }
        blocks
    }

    /// The images whose recovery is cut again: those with the lowest sums, which is as good as by
    /// lot and the same in every run.
    fn recoveries(&self) -> Vec<Block> {
        let passed = lock(&self.passed);
        let count = match self.plan.only {
            Some(only) => u64::from(only.then.is_some()),
            None => self.plan.depth.recoveries,
        };
        let images = self.plan.depth.images / count.min(passed.len() as u64).max(1);
        let chosen = passed.iter().take(usize::try_from(count).unwrap_or(usize::MAX));
        let block = |(_, (cut, image)): (&u128, &(usize, u64))| Block {
            cut: *cut,
            first: *image,
            end: *image + 1,
            again: Some(Again { images }),
        };
        let mut blocks: Vec<Block> = chosen.map(block).collect();
        blocks.sort_by_key(|block| block.cut);
        blocks
    }

    /// Does blocks on all threads.
    fn all(&self, blocks: &[Block], tally: &mut Tally) -> Result<()> {
        let next = AtomicUsize::new(0);
        let results: Vec<Result<Tally>> = thread::scope(|scope| {
            let work = || self.work(blocks, &next);
            let threads: Vec<_> = (0..self.plan.threads).map(|_| scope.spawn(work)).collect();
            let lost = || Err(anyhow::anyhow!("a thread is gone"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        results.into_iter().try_for_each(|result| {
            tally.add(result?);
            Ok(())
        })
    }

    fn work(&self, blocks: &[Block], next: &AtomicUsize) -> Result<Tally> {
        let mut board = self.judge.scenario.board()?;
        let mut tally = Tally::default();
        let mut now: Option<(usize, Cut<'_>)> = None;
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let before = now.as_ref().map(|(cut, _)| *cut);
            if before != Some(block.cut) {
                settle(&board, self.points, before, block.cut)?;
                board.keep();
                now = Some((block.cut, self.cut(&board, block.cut)));
            }
            let Some((_, cut)) = &now else { continue };
            for image in block.first..block.end {
                let photo = board.photo();
                cut.at.put(&mut board, image)?;
                let place = Place { cut: block.cut, image, then: None };
                match block.again {
                    Some(again) => self.cut_again(&mut board, place, again, &mut tally)?,
                    None => self.judge_image(&mut board, place, cut, &mut tally),
                }
                board.put_back(&photo);
            }
        }
        Ok(tally)
    }

    /// What is promised at a cut, on a board that holds what has settled.
    fn cut(&self, board: &Board, cut: usize) -> Cut<'_> {
        let kept = self.recorded.kept(cut);
        let returned = states(kept.iter()).len();
        let in_work = is_committing(&self.recorded.journal, self.recorded.committed(cut), cut);
        let mut now =
            Cut { at: self.at(cut), kept, records: board.records(), in_work, promised: 0 };
        let (commits, seen) = self.promises(&now, cut, returned);
        let (finished, kept, records) = (seen.finished, seen.kept.len(), seen.records.last());
        let promised = format!("{} {in_work} {finished} {kept} {records:?}", commits.returned);
        now.promised = xxh3_128(promised.as_bytes());
        now
    }

    fn promises<'b>(
        &'b self,
        now: &'b Cut<'_>,
        cut: usize,
        returned: usize,
    ) -> (Commits<'b>, Seen<'b>) {
        let commits = Commits {
            before: self.recorded.first.as_ref(),
            states: &self.commits,
            returned,
            half: None,
            in_work: now.in_work,
        };
        let seen = Seen {
            finished: self.recorded.is_finished(cut),
            kept: &now.kept,
            records: &now.records,
            contents: &self.contents,
            earlier: None,
        };
        (commits, seen)
    }

    fn judge_image(&self, board: &mut Board, place: Place, now: &Cut<'_>, tally: &mut Tally) {
        tally.images += 1;
        let returned = states(now.kept.iter()).len();
        let (commits, seen) = self.promises(now, place.cut, returned);
        let key = board.sum() ^ now.promised;
        match self.verdict(board, commits, &seen, key, tally) {
            None => {}
            Some(Err(violation)) => tally.brick(place, violation),
            Some(Ok(_)) => {
                lock(&self.passed).insert(key, (place.cut, place.image));
            }
        }
    }

    /// Judges what is on the board, unless that was done. `key` is the sum of it and of all that is
    /// promised.
    pub fn verdict(
        &self,
        board: &mut Board,
        commits: Commits<'_>,
        seen: &Seen<'_>,
        key: u128,
        tally: &mut Tally,
    ) -> Option<Result<Looked, Violation>> {
        let sum = board.sum();
        tally.distinct += u64::from(lock(&self.distinct).insert(sum));
        if !lock(&self.looked).insert(key) {
            return None;
        }
        let looked = self.judge.look(board, commits, seen);
        if looked.is_err() || !lock(&self.went_on).insert(sum) {
            return Some(looked);
        }
        let went_on = self.judge.go_on(board).and_then(|()| self.judge.has_converged(board));
        Some(went_on.and(looked))
    }

    /// Where a recovery begins: the state that the environment holds, the small files.
    pub fn begins(board: &Board) -> Result<(Option<BootState>, FileTree)> {
        Ok((read_env(board)?, board.tree().clone()))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A set of sums stays one when somebody else panics, so the guard is taken over.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
