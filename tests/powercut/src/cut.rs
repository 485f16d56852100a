// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is uncertain at one cut, and how is an image of it put on a board?

use crate::board::Board;
use anyhow::{Context, Result};
use storage::{Coverage, CutPoint, CutPoints, FileTree, Journal, MAX_CRASH_TREES, Remains};

/// A cut with what is uncertain at it: the devices' content and the small files.
pub struct At<'a> {
    point: CutPoint<'a>,
    trees: Vec<FileTree>,
}

impl<'a> At<'a> {
    /// The cut `cut` of `points`, which are those of `journal`; `files` are the small files before
    /// its first act.
    pub fn new(
        points: &'a CutPoints,
        journal: &Journal,
        files: &FileTree,
        cut: usize,
        seed: u64,
    ) -> Self {
        Self { point: points.at(cut), trees: journal.crash_files(files, cut, seed) }
    }

    /// How many images there are.
    pub fn images(&self) -> u64 {
        self.point.images() * (self.trees.len() as u64).max(1)
    }

    /// Which of the legal ones these are.
    pub fn coverage(&self) -> Coverage {
        // As many as are made at most: then there may be more.
        if self.trees.len() as u64 >= MAX_CRASH_TREES {
            return Coverage::Sampled;
        }
        self.point.coverage()
    }

    /// Makes image `number` on a board that holds what has settled.
    pub fn put(&self, board: &mut Board, number: u64) -> Result<()> {
        let devices = self.point.images();
        for remains in self.point.image(number % devices) {
            change(board, &remains)?;
        }
        if let Some(tree) = self.tree(number) {
            board.set_tree(tree.clone());
        }
        Ok(())
    }

    /// What becomes of each uncertain act, in words.
    pub fn describe(&self, number: u64) -> Vec<String> {
        let mut lines = self.point.describe(number % self.point.images());
        if self.trees.len() > 1
            && let Some(tree) = self.tree(number)
        {
            let file = |(path, content): (&std::path::PathBuf, &Vec<u8>)| {
                format!("{} of {} bytes", path.display(), content.len())
            };
            let files: Vec<String> = tree.iter().map(file).collect();
            lines.push(format!("small files: {}", files.join(", ")));
        }
        lines
    }

    fn tree(&self, number: u64) -> Option<&FileTree> {
        let tree = usize::try_from(number / self.point.images()).unwrap_or(usize::MAX);
        self.trees.get(tree)
    }
}

/// Brings a board from one cut's settled content to another's.
pub fn settle(board: &Board, points: &CutPoints, before: Option<usize>, cut: usize) -> Result<()> {
    points.settled(before, cut).try_for_each(|remains| change(board, &remains))
}

fn change(board: &Board, remains: &Remains<'_>) -> Result<()> {
    let medium = board.medium(remains.device()).context("an unknown device was written")?;
    let range = remains.range();
    Ok(medium.change(range.start, range.end - range.start, |bytes| remains.put(bytes))?)
}
