// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this image a brick? First what the firmware would do with it on paper, and what was promised.
//! Then for real: the firmware boots, Linux reconciles as `atomix boot started` does, the operation
//! is run again, and the board is where it would be without the cut.

use crate::board::Board;
use crate::firmware::{Booted, Selector, facts, read_env};
use crate::linux::come_up;
use crate::paper::{Paper, may_run};
use crate::scenario::{End, Foreign, Scenario, Seen};
use crate::violation::Invariant::{Commit, Durable, I1, I2, I6, I7, I8};
use crate::violation::{OrBreaks, Violation};
use bootctl::{BootControl, BootState, FirmwareFacts, SlotId, SlotState, Snapshot, reconcile};
use xxhash_rust::xxh3::xxh3_128;

/// The newest records that no cut takes: a block of the ring holds at least so many.
const RECORDS_KEPT: usize = 6;

/// What the environment may hold: what was committed last, or what is being committed.
#[derive(Clone, Copy, Debug)]
pub struct Commits<'a> {
    /// What it held before; `None` when it was lost.
    pub before: Option<&'a BootState>,
    /// What is committed, in order.
    pub states: &'a [BootState],
    /// How many of them had returned.
    pub returned: usize,
    /// What an earlier cut left half written in the copy that is written next. A tear of that write
    /// may complete it: sector by sector the two may be equal where it was not begun. So a commit
    /// that was cut can still appear, until the next one returns. Why that does no harm is said in
    /// `docs/powercut.md`, and such an image is judged like every other.
    pub half: Option<&'a BootState>,
    /// Whether a commit is in work.
    pub in_work: bool,
}

/// What was seen on an image that is no brick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// The environment holds a commit that an earlier cut had seemed to undo.
    pub is_late: bool,
}

/// Judges the images of one scenario.
pub struct Judge<'a> {
    /// The scenario.
    pub scenario: &'a dyn Scenario,
    /// The selector on the board.
    pub selector: Selector,
    /// Where the undisturbed operation ends.
    pub end: &'a End,
    /// The content of the slot that runs during the operation.
    pub running: u128,
}

impl Judge<'_> {
    /// What the firmware would do, and whether every promise was kept. Changes nothing.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn look(
        &self,
        board: &Board,
        commits: Commits<'_>,
        seen: &Seen<'_>,
    ) -> Result<Looked, Violation> {
        let scenario = self.scenario;
        let running = scenario.booted();
        if scenario.group(board, running) != self.running {
            return Err(Violation::new(I2, format!("slot {running} runs and was written")));
        }
        let loads = scenario.loads(board);
        for slot in SlotId::ALL {
            if *loads.get(slot) && !scenario.is_whole(board, slot) {
                return Err(Violation::new(I1, format!("slot {slot} loads and is not whole")));
            }
        }
        let mut looked = Looked::default();
        match scenario.foreign() {
            Some(foreign) => starts_whole(scenario, foreign, board)?,
            None => {
                let env = read_env(board).or_breaks(I1, "the environment cannot be looked at")?;
                looked = self.commits_hold(env.as_ref(), commits)?;
                Paper { scenario, selector: self.selector, loads, env: env.as_ref() }
                    .holds(board)?;
                records_hold(board, seen)?;
            }
        }
        files_hold(board, seen)?;
        scenario.inspect(board, Some(seen))?;
        if seen.finished {
            self.has_converged(board).map_err(|found| Violation { invariant: Durable, ..found })?;
        }
        Ok(looked)
    }

    /// Boots, reconciles and does the operation again.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn go_on(&self, board: &mut Board) -> Result<(), Violation> {
        let (slot, is_due) = match self.scenario.foreign() {
            Some(foreign) => {
                let slot = foreign.boot(board)?;
                // The new system runs: installed it is.
                (slot, slot == self.scenario.booted())
            }
            None => {
                let booted = self.boot(board)?;
                (booted.slot, self.scenario.is_due(&booted))
            }
        };
        let group = self.scenario.group(board, slot);
        if is_due {
            let again = format!("again from slot {slot}");
            self.scenario.operate(board, slot).or_breaks(I6, &again)?;
        }
        if self.scenario.group(board, slot) != group {
            return Err(Violation::new(I2, format!("slot {slot} runs and was written")));
        }
        Ok(())
    }

    /// Whether the board is where the undisturbed operation ends.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn has_converged(&self, board: &Board) -> Result<(), Violation> {
        let end = self.scenario.end(board).or_breaks(I6, "the end cannot be looked at")?;
        match end.difference(self.end) {
            Some(difference) => Err(Violation::new(I6, format!("does not converge: {difference}"))),
            None => Ok(()),
        }
    }

    /// Firmware, then Linux early in the boot.
    fn boot(&self, board: &Board) -> Result<Booted, Violation> {
        let loads = self.scenario.loads(board);
        let disk = self.scenario.disk(board);
        let was_lost = read_env(board).or_breaks(I1, "read the environment")?.is_none();
        let recorder = board.recorder().or_breaks(I7, "open the recorder")?;
        let known = recorder.facts().snapshot().cloned();
        let booted = self.selector.start(board, loads, disk).or_breaks(I1, "boot")?;
        may_run(self.scenario, board, &booted)?;
        let control = come_up(board, &booted).or_breaks(I6, "come up")?;
        let state = control.state();
        if let (true, Some(known)) = (was_lost, &known) {
            restores(state, known, booted.slot)?;
        }
        self.remembers(board, state, booted.slot)?;
        trail_is_told(board, &control)?;
        // What was restored speaks of what the slots hold, as what was there does.
        self.scenario.inspect(board, None)?;
        Ok(booted)
    }

    /// Each commit is there whole or not at all, and stays once it returned. Where the environment
    /// has one copy, a commit in work may cost it, and nothing else may.
    fn commits_hold(
        &self,
        env: Option<&BootState>,
        commits: Commits<'_>,
    ) -> Result<Looked, Violation> {
        let Commits { before, states, returned, half, in_work } = commits;
        let mut legal = [before].into_iter().chain(states.iter().map(Some)).skip(returned).take(2);
        if legal.any(|state| state == env) {
            return Ok(Looked::default());
        }
        if returned == 0 && half.is_some() && half == env {
            return Ok(Looked { is_late: true });
        }
        match env {
            None if self.scenario.may_lose_env() && in_work => Ok(Looked::default()),
            None => Err(Violation::new(Commit, "the environment is lost")),
            Some(found) => Err(Violation::new(
                Commit,
                format!(
                    "after {returned} commits the environment holds neither the last nor the next: {found:?}"
                ),
            )),
        }
    }

    /// I7: the recorder knows the slots, so that they are known when the environment is lost next.
    fn remembers(&self, board: &Board, state: &BootState, slot: SlotId) -> Result<(), Violation> {
        let recorder = board.recorder().or_breaks(I7, "open the recorder")?;
        let known = recorder.facts();
        // Before the table is there the firmware finds no disk; what is remembered of one stays.
        let finds_none =
            state.disk.is_none() && known.snapshot().is_some_and(|one| one.disk.is_some());
        if !finds_none && known.snapshot() != Some(&Snapshot::from(state)) {
            return Err(Violation::new(
                I7,
                format!("recorder knows {:?}, the state is {state:?}", known.snapshot()),
            ));
        }
        let facts = FirmwareFacts {
            disk: self.scenario.disk(board),
            ..facts(self.scenario.loads(board), true)
        };
        let Some(lost) = self.selector.boots(None, &facts) else {
            return Err(Violation::new(I1, "after a lost environment nothing boots"));
        };
        let restored = reconcile(&lost.left, Some(lost.slot), None, known).state;
        for other in SlotId::ALL.into_iter().filter(|other| *other != slot && *other != lost.slot) {
            let half = |state: &BootState| match state.slot(other).state {
                SlotState::Empty | SlotState::Writing => true,
                SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown => false,
            };
            if half(state) && !half(&restored) && state.disk == facts.disk {
                let found = restored.slot(other).state;
                return Err(Violation::new(I7, format!("slot {other} comes back as {found}")));
            }
        }
        Ok(())
    }
}

/// I1, I8: whatever another's boot loader would start is whole, and the slot that ran is still
/// among it.
fn starts_whole(
    scenario: &dyn Scenario,
    foreign: &dyn Foreign,
    board: &Board,
) -> Result<(), Violation> {
    let candidates = foreign.candidates(board);
    if let Some(slot) = candidates.iter().find(|slot| !scenario.is_whole(board, **slot)) {
        return Err(Violation::new(I1, format!("slot {slot} would be started and is not whole")));
    }
    let running = scenario.booted();
    if !candidates.contains(&running) {
        return Err(Violation::new(I8, format!("slot {running} runs and would not start again")));
    }
    Ok(())
}

/// I7: of a lost environment the slot that does not run comes back as the recorder knew it.
fn restores(state: &BootState, known: &Snapshot, booted: SlotId) -> Result<(), Violation> {
    let other = booted.other();
    let was = match other {
        SlotId::A => known.a.state,
        SlotId::B => known.b.state,
    };
    let is = state.slot(other).state;
    if known.disk != state.disk || was == is {
        return Ok(());
    }
    Err(Violation::new(I7, format!("slot {other} was {was} and comes back as {is}")))
}

/// I7: whatever the firmware decided and saved is on record once Linux is up.
fn trail_is_told(board: &Board, control: &BootControl) -> Result<(), Violation> {
    let recorder = board.recorder().or_breaks(I7, "open the recorder")?;
    match recorder.facts().untold(&control.trail()).first() {
        Some(one) => {
            let what = format!("decision {} {} is not on record", one.number, one.decision);
            Err(Violation::new(I7, what))
        }
        None => Ok(()),
    }
}

/// I7: no cut takes a record that had settled, unless the ring came round.
fn records_hold(board: &Board, seen: &Seen<'_>) -> Result<(), Violation> {
    let newest = seen.records.len().saturating_sub(RECORDS_KEPT);
    let wanted = seen.records.get(newest..).unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    let found = board.records();
    match wanted.iter().find(|record| !found.contains(record)) {
        Some(gone) => Err(Violation::new(I7, format!("record {gone} had settled and is gone"))),
        None => Ok(()),
    }
}

/// I7: every small file holds what it held, or what was written, whole.
fn files_hold(board: &Board, seen: &Seen<'_>) -> Result<(), Violation> {
    let is_whole = |content: &[u8]| seen.contents.contains(&xxh3_128(content));
    let files = board.tree().iter().filter(|(path, _)| path.extension() != Some("new".as_ref()));
    match files.into_iter().find(|(_, content)| !is_whole(content)) {
        Some((path, _)) => Err(Violation::new(I7, format!("{} is torn", path.display()))),
        None => Ok(()),
    }
}
