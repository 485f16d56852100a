// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this image a brick? First what the firmware would do with it, on paper: as it is, without its
//! environment, with all attempts spent, and with an environment that cannot be saved. Then for
//! real: the firmware boots, Linux reconciles as `atomix boot started` does, the operation is run
//! again, and the board is where it would be without the cut.

use crate::board::{Board, now};
use crate::firmware::{Booted, Selector, facts, read_env};
use crate::scenario::{End, Scenario, Seen};
use crate::violation::Invariant::{Commit, I1, I2, I6, I7};
use crate::violation::{OrBreaks, Violation};
use bootctl::{
    AttemptsLeft, BootControl, BootState, ControlParts, FirmwareFacts, LateFallback, SlotId,
    SlotState, Snapshot, reconcile,
};

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
    /// that was cut can still appear, until the next one returns.
    pub half: Option<&'a BootState>,
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
    /// What the firmware would do, and whether every promise was kept; without `seen` the scenario
    /// gave none. Changes nothing.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn look(
        &self,
        board: &Board,
        commits: Commits<'_>,
        seen: Option<&Seen<'_>>,
    ) -> Result<(), Violation> {
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
        let env = read_env(board).or_breaks(I1, "the environment cannot be looked at")?;
        self.commits_hold(env.as_ref(), commits)?;
        let facts = FirmwareFacts { disk: scenario.disk(board), ..facts(loads, true) };
        let unsaved = FirmwareFacts { save_works: false, ..facts };
        let spent = env.clone().map(|state| {
            let mut state = state;
            state.a.attempts = AttemptsLeft::ZERO;
            state.b.attempts = AttemptsLeft::ZERO;
            state
        });
        let cases = [
            ("as it is", env.as_ref(), &facts),
            ("without its environment", None, &facts),
            ("with all attempts spent", spent.as_ref(), &facts),
            ("with an environment that cannot be saved", env.as_ref(), &unsaved),
        ];
        for (case, env, facts) in cases {
            let Some(booted) = self.selector.boots(env, facts) else {
                return Err(Violation::new(I1, format!("{case}, nothing boots")));
            };
            // Without its environment nothing but the seal tells what a slot holds.
            self.may_run(board, &booted)
                .map_err(|found| Violation { what: format!("{case}: {}", found.what), ..found })?;
        }
        scenario.inspect(board, seen)
    }

    /// Boots, reconciles and does the operation again.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn go_on(&self, board: &mut Board) -> Result<(), Violation> {
        let booted = self.boot(board)?;
        let group = self.scenario.group(board, booted.slot);
        if self.scenario.is_due(&booted) {
            self.scenario
                .operate(board, booted.slot)
                .or_breaks(I6, &format!("again from slot {}", booted.slot))?;
        }
        if self.scenario.group(board, booted.slot) != group {
            return Err(Violation::new(I2, format!("slot {} runs and was written", booted.slot)));
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
        let booted = self.selector.start(board, loads, disk).or_breaks(I1, "boot")?;
        self.may_run(board, &booted)?;
        let parts = ControlParts {
            backend: board.backend().or_breaks(I6, "environment")?,
            recorder: board.recorder().map_err(|cause| format!("{cause:#}")),
            booted: Some(booted.slot),
            late_fallback: LateFallback::Allowed,
            at: now(),
        };
        let mut control = BootControl::load(parts).or_breaks(I6, "load the boot state")?;
        control.reconcile(Some(booted.reason)).or_breaks(I6, "reconcile")?;
        self.remembers(board, control.state(), booted.slot)?;
        Ok(booted)
    }

    /// I1, I2: what runs is whole, and was not known as empty or half written.
    fn may_run(&self, board: &Board, booted: &Booted) -> Result<(), Violation> {
        let slot = booted.slot;
        if !self.scenario.is_whole(board, slot) {
            return Err(Violation::new(I1, format!("slot {slot} boots and is not whole")));
        }
        if booted.resets > 0 {
            let what = format!("slot {slot} boots after {} starts that fail", booted.resets);
            return Err(Violation::new(I1, what));
        }
        match booted.was {
            Some(state @ (SlotState::Empty | SlotState::Writing)) => {
                Err(Violation::new(I2, format!("slot {slot} boots and is {state}")))
            }
            Some(SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown)
            | None => Ok(()),
        }
    }

    /// Each commit is there whole or not at all, and stays once it returned.
    fn commits_hold(&self, env: Option<&BootState>, commits: Commits<'_>) -> Result<(), Violation> {
        let Commits { before, states, returned, half } = commits;
        let mut legal = [before].into_iter().chain(states.iter().map(Some)).skip(returned).take(2);
        let is_completed = returned == 0 && half.is_some() && half == env;
        if legal.any(|state| state == env) || is_completed {
            return Ok(());
        }
        match env {
            None if self.scenario.may_lose_env() => Ok(()),
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
        if known.snapshot() != Some(&Snapshot::from(state)) {
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
