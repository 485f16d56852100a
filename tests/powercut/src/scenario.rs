// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is cut? A durable operation on a board, and what the board may hold before and after it.

use crate::board::{Board, Kept, disk_id};
use crate::firmware::Booted;
use crate::violation::Violation;
use anyhow::Result;
use bootctl::{AttemptsLeft, BootState, PauseStep, PerSlot, SlotId, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use storage::{FileTree, PartUuid};

/// Up to which cost an image of the scenario is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Some ten microseconds: the environment, the recorder.
    Low,
    /// Milliseconds: a whole install.
    High,
    /// The same done by other code around it.
    Again,
    /// Tens of milliseconds: a program makes a file system.
    Program,
}

/// What was promised before the cut.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whether the operation had returned.
    pub finished: bool,
    /// What was promised since it was begun last, oldest first.
    pub kept: &'a [Kept],
    /// The numbers of the flight recorder's records that had settled, oldest first.
    pub records: &'a [u64],
    /// The sums of what small files may hold.
    pub contents: &'a BTreeSet<u128>,
    /// What the first cut left, when this is the second.
    pub earlier: Option<Earlier<'a>>,
}

/// What a first cut left.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// What had been promised before it.
    pub kept: &'a [Kept],
    /// The small files after it.
    pub files: &'a FileTree,
}

impl Seen<'_> {
    /// How many steps of the scenario's own had returned since it was begun last.
    #[must_use]
    pub fn steps(&self) -> u64 {
        last_step(self.kept)
    }

    /// The steps that ever returned.
    pub fn all_steps(&self) -> impl Iterator<Item = u64> {
        let earlier = self.earlier.map_or(&[][..], |earlier| earlier.kept);
        steps(earlier).chain(steps(self.kept))
    }
}

fn steps(kept: &[Kept]) -> impl Iterator<Item = u64> {
    kept.iter().filter_map(|kept| match kept {
        Kept::Step(step) => Some(*step),
        Kept::State(_) => None,
    })
}

fn last_step(kept: &[Kept]) -> u64 {
    steps(kept).max().unwrap_or(0)
}

/// Where an operation ends, apart from what each boot changes anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The boot state without its counters.
    pub state: Option<BootState>,
    /// The sums of the devices that hold systems.
    pub contents: BTreeMap<String, u128>,
    /// The small files.
    pub files: FileTree,
    /// What the recorder knows.
    pub known: Option<Snapshot>,
    /// Whatever else the scenario compares.
    pub more: String,
}

impl End {
    /// In which part it differs from what was wanted.
    #[must_use]
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        if self.state != wanted.state {
            return Some(format!("boot state {:?} instead of {:?}", self.state, wanted.state));
        }
        let other =
            self.contents.iter().find(|(name, sum)| wanted.contents.get(*name) != Some(sum));
        if let Some((name, _)) = other {
            return Some(format!("{name} holds something else"));
        }
        if self.files != wanted.files {
            let names: Vec<_> = self.files.keys().collect();
            return Some(format!("small files differ: {names:?}"));
        }
        if self.known != wanted.known {
            return Some(format!("recorder knows {:?} instead of {:?}", self.known, wanted.known));
        }
        (self.more != wanted.more).then(|| format!("{} instead of {}", self.more, wanted.more))
    }
}

/// The state without what every boot changes.
#[must_use]
pub fn without_counters(state: &BootState) -> BootState {
    let mut state = state.clone();
    state.a.attempts = AttemptsLeft::ZERO;
    state.b.attempts = AttemptsLeft::ZERO;
    BootState { last: None, reason: None, pause: PauseStep::NONE, ..state }
}

/// A board whose boot loader is not ours: it has no states, and no seals are kept for it.
pub trait Foreign: Sync {
    /// The slots that it would start, first tried first.
    fn candidates(&self, board: &Board) -> Vec<SlotId>;

    /// Turns the power on: it starts a slot, and that comes up and is confirmed.
    ///
    /// # Errors
    /// When nothing starts or comes up.
    fn boot(&self, board: &mut Board) -> Result<SlotId, Violation>;
}

/// An operation with its board.
pub trait Scenario: Sync + Send {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// What judging costs.
    fn cost(&self) -> Cost {
        Cost::Low
    }

    /// The board before the operation; every one is the same.
    ///
    /// # Errors
    /// When it cannot be made.
    fn board(&self) -> Result<Board>;

    /// The slot that runs when the operation is begun for the first time.
    fn booted(&self) -> SlotId;

    /// Does the operation.
    ///
    /// # Errors
    /// Those of the production code.
    fn operate(&self, board: &mut Board, booted: SlotId) -> Result<()>;

    /// The board's boot loader, where it is not ours.
    fn foreign(&self) -> Option<&dyn Foreign> {
        None
    }

    /// Whether a slot has what the firmware needs to see to load it.
    fn loads(&self, board: &Board) -> PerSlot<bool>;

    /// The disk that the firmware finds.
    fn disk(&self, _board: &Board) -> Option<PartUuid> {
        Some(disk_id())
    }

    /// Whether a slot holds a system that was complete once, and nothing else.
    fn is_whole(&self, board: &Board, slot: SlotId) -> bool;

    /// The sum of what belongs to a slot: it must not change while the slot runs.
    fn group(&self, board: &Board, slot: SlotId) -> u128;

    /// Whether the environment may be lost by a cut in a commit of it, and only then: what the
    /// weaker choice of a single copy promises.
    fn may_lose_env(&self) -> bool {
        false
    }

    /// Looks at what is special; without `seen` nothing was promised.
    ///
    /// # Errors
    /// What is broken.
    fn inspect(&self, _board: &Board, _seen: Option<&Seen<'_>>) -> Result<(), Violation> {
        Ok(())
    }

    /// Whether the operation is done again after this boot.
    fn is_due(&self, _booted: &Booted) -> bool {
        true
    }

    /// Where the board is now.
    ///
    /// # Errors
    /// When it cannot be read.
    fn end(&self, board: &Board) -> Result<End>;
}
