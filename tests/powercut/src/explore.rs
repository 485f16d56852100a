// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every cut of an operation, every image of each cut, each judged once.
//!
//! Threads take blocks of images in the order of the cuts. Each has a board of its own and brings
//! it forward with what has settled, so an image costs what differs from there. Images that are
//! equal, with the same promises given, are judged once and counted as often as they are legal.

use crate::board::{Board, Kept, Promise};
use crate::firmware::{Selector, read_env};
use crate::judge::{Commits, Judge};
use crate::recorded::{Recorded, states};
use crate::scenario::Scenario;
use crate::violation::{Invariant, Violation};
use anyhow::{Context, Result};
use bootctl::BootState;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use storage::{CutPoint, CutPoints, Effort, FileTree, Journal};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// Images that a thread takes at once.
const BLOCK: u64 = 64;

/// Failing images of one scenario that are kept to be told of.
const MAX_FAILURES: usize = 8;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Images of each cut.
    pub first: Effort,
    /// Images of each cut of the recovery.
    pub second: Effort,
    /// So many images have their recovery cut again.
    pub recoveries: u64,
    /// About so many images are made of all these cuts, at least one of each.
    pub images: u64,
}

/// One image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cut.
    pub cut: usize,
    /// The image of that cut.
    pub image: u64,
    /// The cut and image of its recovery.
    pub then: Option<(usize, u64)>,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How much is tried.
    pub depth: Depth,
    /// What chooses where not all is tried.
    pub seed: u64,
    /// Only this image.
    pub only: Option<Place>,
    /// The selector on the board.
    pub selector: Selector,
    /// How many threads.
    pub threads: usize,
}

/// An image that is a brick.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which one.
    pub place: Place,
    /// What is broken.
    pub violation: Violation,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Acts of the operation.
    pub operations: u64,
    /// Cut points, those of recoveries among them.
    pub cuts: u64,
    /// Legal images.
    pub images: u64,
    /// Those of them that were made by a second cut.
    pub second: u64,
    /// Different ones, all judged.
    pub distinct: u64,
    /// How many break an invariant.
    pub bricks: u64,
    /// The same, by the invariant that was seen to be broken first.
    pub by_invariant: BTreeMap<Invariant, u64>,
    /// How long it took.
    pub secs: f64,
    /// The first that do.
    pub failures: Vec<Failure>,
}

impl Tally {
    /// Both together, one after the other.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add(other.clone());
        self.operations += other.operations;
        self.secs += other.secs;
        self
    }

    fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.images += other.images;
        self.second += other.second;
        self.distinct += other.distinct;
        self.bricks += other.bricks;
        for (invariant, count) in other.by_invariant {
            *self.by_invariant.entry(invariant).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

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
struct Again {
    /// The sum of the image, with what was promised.
    sum: u128,
    /// How many images are made of its cuts.
    images: u64,
}

/// Explores one operation.
///
/// # Errors
/// When the harness itself fails; bricks are no errors.
pub fn explore(scenario: &dyn Scenario, recorded: &Recorded, plan: &Plan) -> Result<Tally> {
    let begun = Instant::now();
    let points = recorded.journal.cut_points(plan.depth.first, plan.seed);
    let commits = recorded.commits();
    let explorer = Explorer {
        judge: Judge {
            scenario,
            selector: plan.selector,
            end: &recorded.end,
            running: recorded.running,
        },
        recorded,
        commits,
        plan,
        points: &points,
        known: Mutex::default(),
        passed: Mutex::default(),
    };
    let mut tally = Tally {
        operations: recorded.journal.op_count() as u64,
        cuts: points.last() as u64 + 1,
        ..Tally::default()
    };
    explorer.all(&explorer.blocks(), &mut tally)?;
    explorer.all(&explorer.recoveries(), &mut tally)?;
    tally.failures.sort_by_key(|failure| (failure.place.cut, failure.place.image));
    tally.failures.truncate(MAX_FAILURES);
    tally.secs = begun.elapsed().as_secs_f64();
    Ok(tally)
}

struct Explorer<'a> {
    judge: Judge<'a>,
    recorded: &'a Recorded,
    commits: Vec<BootState>,
    plan: &'a Plan,
    points: &'a CutPoints,
    /// The images judged, by their sums and what was promised.
    known: Mutex<HashSet<u128>>,
    /// The distinct ones that are no bricks, by that sum, with their places.
    passed: Mutex<BTreeMap<u128, (usize, u64)>>,
}

/// A cut with what is uncertain at it.
struct At<'a> {
    point: CutPoint<'a>,
    trees: Vec<FileTree>,
}

impl<'a> At<'a> {
    fn new(
        points: &'a CutPoints,
        journal: &Journal,
        files: &FileTree,
        cut: usize,
        seed: u64,
    ) -> Self {
        Self { point: points.at(cut), trees: journal.crash_files(files, cut, seed) }
    }

    fn images(&self) -> u64 {
        self.point.images() * (self.trees.len() as u64).max(1)
    }

    /// Makes image `number` on a board that holds what has settled.
    fn put(&self, board: &mut Board, number: u64) -> Result<()> {
        let devices = self.point.images();
        for remains in self.point.image(number % devices) {
            let medium = board.medium(remains.device()).context("an unknown device was written")?;
            let range = remains.range();
            medium.change(range.start, range.end - range.start, |bytes| remains.put(bytes))?;
        }
        let tree = usize::try_from(number / devices).unwrap_or(usize::MAX);
        if let Some(tree) = self.trees.get(tree) {
            board.set_tree(tree.clone());
        }
        Ok(())
    }
}

/// Brings a board from one cut's settled content to another's.
fn settle(board: &Board, points: &CutPoints, before: Option<usize>, cut: usize) -> Result<()> {
    for remains in points.settled(before, cut) {
        let medium = board.medium(remains.device()).context("an unknown device was written")?;
        let range = remains.range();
        medium.change(range.start, range.end - range.start, |bytes| remains.put(bytes))?;
    }
    Ok(())
}

impl Explorer<'_> {
    fn at(&self, cut: usize) -> At<'_> {
        At::new(self.points, &self.recorded.journal, &self.recorded.files, cut, self.plan.seed)
    }

    fn blocks(&self) -> Vec<Block> {
        if let Some(Place { cut, image, .. }) = self.plan.only {
            return vec![Block { cut, first: image, end: image + 1, again: None }];
        }
        let mut blocks = Vec::new();
        for cut in 0..=self.points.last() {
            let images = self.at(cut).images();
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
        let passed = Self::lock(&self.passed);
        let count = match self.plan.only {
            Some(only) => u64::from(only.then.is_some()),
            None => self.plan.depth.recoveries,
        };
        let images = self.plan.depth.images / count.min(passed.len() as u64).max(1);
        let chosen = passed.iter().take(usize::try_from(count).unwrap_or(usize::MAX));
        let block = |(sum, (cut, image)): (&u128, &(usize, u64))| Block {
            cut: *cut,
            first: *image,
            end: *image + 1,
            again: Some(Again { sum: *sum, images }),
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
        let mut settled = None;
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if settled != Some(block.cut) {
                settle(&board, self.points, settled, block.cut)?;
                board.keep();
                settled = Some(block.cut);
            }
            let at = self.at(block.cut);
            let kept = self.recorded.kept(block.cut);
            for image in block.first..block.end {
                let photo = board.photo();
                at.put(&mut board, image)?;
                let place = Place { cut: block.cut, image, then: None };
                match block.again {
                    Some(again) => self.cut_again(&mut board, place, again, &mut tally)?,
                    None => self.judge_image(&mut board, place, &kept, &mut tally),
                }
                board.put_back(&photo);
            }
        }
        Ok(tally)
    }

    fn judge_image(&self, board: &mut Board, place: Place, kept: &[Kept], tally: &mut Tally) {
        tally.images += 1;
        let seen = self.recorded.seen(place.cut, kept);
        let returned = states(kept.iter()).len();
        let before = Some(&self.recorded.first);
        let commits = Commits { before, states: &self.commits, returned, half: None };
        let key = board.sum() ^ xxh3_128(format!("{} {}", kept.len(), seen.finished).as_bytes());
        if !self.is_new(key) {
            return;
        }
        tally.distinct += 1;
        let verdict = self
            .judge
            .look(board, commits, Some(&seen))
            .and_then(|()| self.judge.go_on(board))
            .and_then(|()| self.judge.has_converged(board));
        match verdict {
            Err(violation) => Self::brick(tally, place, violation),
            Ok(()) => {
                Self::lock(&self.passed).insert(key, (place.cut, place.image));
            }
        }
    }

    /// Records the recovery of an image, with the operation done again, and cuts that.
    fn cut_again(
        &self,
        board: &mut Board,
        place: Place,
        again: Again,
        tally: &mut Tally,
    ) -> Result<()> {
        let photo = board.photo();
        let files = board.tree().clone();
        let journal = board.record();
        let recovered = self.judge.go_on(board);
        let promises = board.stop_recording();
        board.put_back(&photo);
        if let Err(violation) = recovered {
            Self::brick(tally, place, violation);
            return Ok(());
        }
        // Equal images stand in different places; which of them comes first must not matter.
        let low = again.sum.to_le_bytes().first_chunk().copied().unwrap_or_default();
        let seed = self.plan.seed ^ u64::from_le_bytes(low);
        let points = journal.cut_points(self.plan.depth.second, seed);
        let before = read_env(board)?;
        let half = self.commits.get(states(self.recorded.kept(place.cut).iter()).len());
        let states = states(promises.iter().map(|promise| &promise.kept));
        let mut settled = None;
        for cut in 0..=points.last() {
            settle(board, &points, settled, cut)?;
            settled = Some(cut);
            tally.cuts += 1;
            let at = At::new(&points, &journal, &files, cut, seed);
            let is_state = |promise: &&Promise| matches!(promise.kept, Kept::State(_));
            let kept = promises.iter().filter(|promise| promise.acts <= cut).filter(is_state);
            let (before, returned) = (before.as_ref(), kept.count());
            let commits = Commits { before, states: &states, returned, half };
            let promised = xxh3_128(format!("{commits:?}").as_bytes());
            let share = again.images / (points.last() as u64 + 1);
            for image in self.second_images(at.images(), cut, share, seed) {
                let before = board.photo();
                at.put(board, image)?;
                let place = Place { then: Some((cut, image)), ..place };
                self.judge_second(board, place, (commits, promised), tally);
                board.put_back(&before);
            }
        }
        Ok(())
    }

    /// Which images of a cut of a recovery are judged.
    fn second_images(&self, all: u64, cut: usize, share: u64, seed: u64) -> Vec<u64> {
        match self.plan.only.and_then(|only| only.then) {
            Some((wanted, image)) => {
                if wanted == cut {
                    vec![image]
                } else {
                    Vec::new()
                }
            }
            None => {
                let taken = all.min(share.max(1));
                // Evenly from a first one chosen by lot.
                let lot = xxh3_64_with_seed(&cut.to_le_bytes(), seed) % all.max(1);
                (0..taken).map(|number| (number * all / taken + lot) % all).collect()
            }
        }
    }

    fn judge_second(
        &self,
        board: &mut Board,
        place: Place,
        (commits, promised): (Commits<'_>, u128),
        tally: &mut Tally,
    ) {
        tally.images += 1;
        tally.second += 1;
        if !self.is_new(board.sum() ^ promised) {
            return;
        }
        tally.distinct += 1;
        let verdict = self
            .judge
            .look(board, commits, None)
            .and_then(|()| self.judge.go_on(board))
            .and_then(|()| self.judge.has_converged(board));
        if let Err(violation) = verdict {
            Self::brick(tally, place, violation);
        }
    }

    fn brick(tally: &mut Tally, place: Place, violation: Violation) {
        tally.bricks += 1;
        *tally.by_invariant.entry(violation.invariant).or_default() += 1;
        if tally.failures.len() < MAX_FAILURES {
            tally.failures.push(Failure { place, violation });
        }
    }

    fn is_new(&self, key: u128) -> bool {
        Self::lock(&self.known).insert(key)
    }

    fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
        // A set of sums stays one when somebody else panics, so the guard is taken over.
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
