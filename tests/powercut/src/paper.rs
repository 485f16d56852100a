// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would the firmware do with this board, on paper? As it is, without its environment, with
//! all attempts spent, with an environment that cannot be saved, and when a slot never comes up.
//! Changes nothing.

use crate::board::Board;
use crate::firmware::{Booted, Selector, facts};
use crate::scenario::Scenario;
use crate::violation::Invariant::{I1, I2, I3, I8};
use crate::violation::Violation;
use bootctl::{AttemptsLeft, BootState, FirmwareFacts, PerSlot, SlotId, SlotState};

/// Starts until a slot that never comes up must have been left: more than all attempts.
const MAX_STARTS: u32 = 12;

/// A board on paper.
pub struct Paper<'a> {
    /// The scenario.
    pub scenario: &'a dyn Scenario,
    /// The selector on the board.
    pub selector: Selector,
    /// Which slots load.
    pub loads: PerSlot<bool>,
    /// What the environment holds.
    pub env: Option<&'a BootState>,
}

impl Paper<'_> {
    fn facts(&self, board: &Board) -> FirmwareFacts {
        FirmwareFacts { disk: self.scenario.disk(board), ..facts(self.loads, true) }
    }

    /// I1, I2, I3, I8, whatever has happened to the environment.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn holds(&self, board: &Board) -> Result<(), Violation> {
        let facts = self.facts(board);
        self.starts_something_whole(board, &facts)?;
        for env in [self.env, None] {
            self.abandons_what_never_confirms(env, &facts)?;
        }
        self.has_a_good_slot(board)
    }

    fn starts_something_whole(
        &self,
        board: &Board,
        facts: &FirmwareFacts,
    ) -> Result<(), Violation> {
        let unsaved = FirmwareFacts { save_works: false, ..*facts };
        let spent = self.env.cloned().map(|mut state| {
            state.a.attempts = AttemptsLeft::ZERO;
            state.b.attempts = AttemptsLeft::ZERO;
            state
        });
        let cases = [
            ("as it is", self.env, facts),
            ("without its environment", None, facts),
            ("with all attempts spent", spent.as_ref(), facts),
            ("with an environment that cannot be saved", self.env, &unsaved),
        ];
        for (case, env, facts) in cases {
            let Some(booted) = self.selector.boots(env, facts) else {
                return Err(Violation::new(I1, format!("{case}, nothing boots")));
            };
            // Without its environment nothing but the seal tells what a slot holds.
            may_run(self.scenario, board, &booted)
                .map_err(|found| Violation { what: format!("{case}: {}", found.what), ..found })?;
        }
        Ok(())
    }

    /// I3: whichever slot is started again and again and never confirms, the other one is started
    /// at last when it is good; without an environment, when it loads.
    fn abandons_what_never_confirms(
        &self,
        env: Option<&BootState>,
        facts: &FirmwareFacts,
    ) -> Result<(), Violation> {
        for hangs in SlotId::ALL {
            let other = hangs.other();
            let is_good = env.is_none_or(|state| state.slot(other).state == SlotState::Good);
            if !is_good || !*self.loads.get(other) {
                continue;
            }
            let mut state = env.cloned();
            let starts = (0..MAX_STARTS).find(|_| {
                let booted = self.selector.boots(state.as_ref(), facts);
                let slot = booted.as_ref().map(|booted| booted.slot);
                state = booted.map(|booted| booted.left);
                slot == Some(other)
            });
            if starts.is_none() {
                let what = format!("slot {hangs} never comes up and slot {other} is never started");
                return Err(Violation::new(I3, what));
            }
        }
        Ok(())
    }

    /// I8: one slot at least is good, loads, and is whole.
    fn has_a_good_slot(&self, board: &Board) -> Result<(), Violation> {
        let Some(state) = self.env else { return Ok(()) };
        // A board that has not come up since it was flashed or lost its environment knows no good one.
        let knows = SlotId::ALL.iter().any(|slot| state.slot(*slot).state != SlotState::Unknown);
        let is_good = |slot: &SlotId| {
            state.slot(*slot).state == SlotState::Good
                && *self.loads.get(*slot)
                && self.scenario.is_whole(board, *slot)
        };
        if !knows || SlotId::ALL.iter().any(is_good) {
            return Ok(());
        }
        Err(Violation::new(I8, "no slot is good, loads and is whole"))
    }
}

/// I1, I2: what runs is whole, and was not known as empty or half written.
///
/// # Errors
/// [`Violation`].
pub fn may_run(scenario: &dyn Scenario, board: &Board, booted: &Booted) -> Result<(), Violation> {
    let slot = booted.slot;
    if !scenario.is_whole(board, slot) {
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
        Some(SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown) | None => {
            Ok(())
        }
    }
}
