// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the undisturbed operation do, in which order, and where did it end?

use crate::board::{ENV, Kept, Promise};
use crate::firmware::read_env;
use crate::scenario::{End, Scenario};
use anyhow::{Result, bail};
use bootctl::BootState;
use std::collections::BTreeSet;
use storage::{FileStep, FileTree, Journal, OpKind};
use xxhash_rust::xxh3::xxh3_128;

/// An operation, recorded.
pub struct Recorded {
    /// Its acts, over all devices and files.
    pub journal: Journal,
    /// What was promised after how many acts, oldest first.
    promises: Vec<(usize, Kept)>,
    /// The small files before it.
    pub files: FileTree,
    /// Our boot state before it, on a board that has one.
    pub first: Option<BootState>,
    /// Where it ends.
    pub end: End,
    /// The content of the slot that runs.
    pub running: u128,
}

/// An order in which other code would have done the acts: their numbers, some left out.
pub type Order = Vec<usize>;

/// The boot states among what was promised.
pub fn states<'a>(promises: impl Iterator<Item = &'a Kept>) -> Vec<BootState> {
    let states = promises.filter_map(|kept| match kept {
        Kept::State(state) => Some((**state).clone()),
        Kept::Step(_) => None,
    });
    states.collect()
}

/// The sums of what small files may hold that began as `files`: that, and each content written.
pub fn contents(journal: &Journal, files: &FileTree) -> BTreeSet<u128> {
    let mut sums: BTreeSet<u128> = files.values().map(|content| xxh3_128(content)).collect();
    for op in journal.ops() {
        if let OpKind::File(FileStep::WriteTemp { content, .. }) = op.kind {
            sums.insert(xxh3_128(&content));
        }
    }
    sums
}

/// Whether, at a cut, a commit of the environment is in work: something was written there after
/// the act with which the last one returned.
pub fn is_committing(journal: &Journal, committed: usize, cut: usize) -> bool {
    let ops = journal.ops();
    let begun = ops.get(committed..ops.len().min(cut + 1)).unwrap_or_default();
    begun.iter().any(|op| &*op.device == ENV && op.kind != OpKind::Flush)
}

/// Runs the operation once, undisturbed.
///
/// # Errors
/// When it fails: that is no matter of power cuts.
pub fn record(scenario: &dyn Scenario) -> Result<Recorded> {
    let mut board = scenario.board()?;
    let files = board.tree().clone();
    let first = read_env(&board)?;
    if first.is_none() && scenario.foreign().is_none() {
        bail!("the board has no boot state to begin with");
    }
    let running = scenario.group(&board, scenario.booted());
    let journal = board.record();
    scenario.operate(&mut board, scenario.booted())?;
    let promises: Vec<Promise> = board.stop_recording();
    let promises = promises.into_iter().map(|promise| (promise.acts, promise.kept)).collect();
    let end = scenario.end(&board)?;
    Ok(Recorded { journal, promises, files, first, end, running })
}

impl Recorded {
    /// What was committed, in order.
    #[must_use]
    pub fn commits(&self) -> Vec<BootState> {
        states(self.promises.iter().map(|(_, kept)| kept))
    }

    /// What was promised before a cut.
    #[must_use]
    pub fn kept(&self, cut: usize) -> Vec<Kept> {
        let before = self.promises.iter().filter(|(acts, _)| *acts <= cut);
        before.map(|(_, kept)| kept.clone()).collect()
    }

    /// After how many acts the last commit of the environment before a cut returned.
    #[must_use]
    pub fn committed(&self, cut: usize) -> usize {
        let is_state = |kept: &Kept| matches!(kept, Kept::State(_));
        let before = self.promises.iter().filter(|(acts, kept)| *acts <= cut && is_state(kept));
        before.map(|(acts, _)| *acts).max().unwrap_or(0)
    }

    /// Whether the cut is one after the operation.
    #[must_use]
    pub fn is_finished(&self, cut: usize) -> bool {
        cut == self.journal.op_count()
    }

    /// The same operation in another order. A promise is given when the act before it is done,
    /// wherever that stands now; a commit of which nothing is left was never made.
    #[must_use]
    pub fn reordered(&self, order: &Order) -> Self {
        let ops = self.journal.ops();
        let acts = order.iter().filter_map(|number| ops.get(*number).cloned()).collect();
        let place = |acts: usize| {
            let before = order.iter().enumerate().filter(|(_, number)| **number < acts);
            before.max_by_key(|(_, number)| **number).map_or(0, |(place, _)| place + 1)
        };
        let writes = |range: std::ops::Range<usize>| -> Vec<usize> {
            let is_env = |at: &usize| {
                ops.get(*at).is_some_and(|op| &*op.device == ENV && op.kind != OpKind::Flush)
            };
            range.filter(is_env).collect()
        };
        let mut promises = Vec::new();
        let mut before = 0;
        for (acts, kept) in &self.promises {
            let writes = writes(before..*acts);
            before = *acts;
            if writes.is_empty() || writes.iter().any(|write| order.contains(write)) {
                promises.push((place(*acts), kept.clone()));
            }
        }
        promises.sort_by_key(|(acts, _)| *acts);
        Self {
            journal: self.journal.with_ops(acts),
            promises,
            files: self.files.clone(),
            first: self.first.clone(),
            end: self.end.clone(),
            running: self.running,
        }
    }
}
