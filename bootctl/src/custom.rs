// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot loader behind a script, by RAUC's contract for `bootloader=custom`.
//!
//! | call | answer |
//! |---|---|
//! | `get-primary` | bootname |
//! | `set-primary NAME` | exit status |
//! | `get-state NAME` | `good` or `bad` |
//! | `set-state NAME good\|bad` | exit status |
//! | `get-current` | bootname |
//!
//! Bootnames are ours, `A` and `B`; `system.conf` with others is refused. The contract knows two
//! states, so a state is written as RAUC would (bad before the first byte,
//! primary after the last) and the finer ones do not come back from `load`.

use crate::backend::{BackendError, BootBackend};
use crate::{AttemptsLeft, BootState, SlotId, SlotRecord, SlotState, boot_programs};
use std::path::PathBuf;

/// Talks to the script of the `custom` backend.
#[derive(Clone, Debug)]
pub struct CustomBackend {
    script: PathBuf,
}

impl CustomBackend {
    /// A backend on `script`.
    #[must_use]
    pub const fn new(script: PathBuf) -> Self {
        Self { script }
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, BackendError> {
        boot_programs::run(&self.script, arguments)
    }

    fn unexpected(&self, arguments: &[&str], answer: &str) -> BackendError {
        BackendError::Answer {
            program: self.script.clone(),
            arguments: arguments.join(" "),
            answer: answer.chars().take(64).collect(),
        }
    }

    fn slot_named(&self, arguments: &[&str]) -> Result<SlotId, BackendError> {
        let answer = self.ask(arguments)?;
        SlotId::ALL
            .into_iter()
            .find(|slot| slot.boot_name() == answer)
            .ok_or_else(|| self.unexpected(arguments, &answer))
    }

    fn read_slot(&self, slot: SlotId) -> Result<SlotRecord, BackendError> {
        let arguments = ["get-state", slot.boot_name()];
        let (state, attempts) = match self.ask(&arguments)?.as_str() {
            // At least one; how many, the contract does not say.
            "good" => (SlotState::Good, AttemptsLeft::ONE),
            "bad" => (SlotState::Bad, AttemptsLeft::ZERO),
            other => return Err(self.unexpected(&arguments, other)),
        };
        Ok(SlotRecord { state, attempts, bundle: None })
    }
}

impl BootBackend for CustomBackend {
    fn name(&self) -> &'static str {
        "custom"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        let primary = self.slot_named(&["get-primary"])?;
        let mut state = BootState {
            a: self.read_slot(SlotId::A)?,
            b: self.read_slot(SlotId::B)?,
            ..BootState::lost()
        };
        state.put_first(primary);
        Ok(state)
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError> {
        let change = |slot| (permission(old, slot), permission(new, slot));
        // A slot that stays permitted is confirmed before anything else: a cut between two calls
        // of the script must not leave the other one given up and this one on its last attempt.
        // Then goes what takes permission away, because that slot may be about to be written.
        let turns = [
            (Permission::Yes, Permission::Yes),
            (Permission::Yes, Permission::No),
            (Permission::No, Permission::Yes),
        ];
        for turn in turns {
            for slot in SlotId::ALL.into_iter().filter(|slot| change(*slot) == turn) {
                if turn.0 != turn.1 || is_confirmed_anew(old, new, slot) {
                    self.ask(&["set-state", slot.boot_name(), turn.1.word()])?;
                }
            }
        }
        match (old.order.first(), new.order.first()) {
            (before, Some(after)) if before != Some(after) => {
                self.ask(&["set-primary", after.boot_name()])?;
            }
            _ => {}
        }
        Ok(())
    }

    fn booted(&mut self) -> Result<Option<SlotId>, BackendError> {
        self.slot_named(&["get-current"]).map(Some)
    }
}

/// Whether a good slot got attempts: the script counts them and must hear of it.
fn is_confirmed_anew(old: &BootState, new: &BootState, slot: SlotId) -> bool {
    let (before, after) = (old.slot(slot), new.slot(slot));
    after.state == SlotState::Good && after.attempts > before.attempts
}

/// A slot's state as far as the contract can say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permission {
    Yes,
    No,
}

impl Permission {
    const fn word(self) -> &'static str {
        match self {
            Self::Yes => "good",
            Self::No => "bad",
        }
    }
}

fn permission(state: &BootState, slot: SlotId) -> Permission {
    match state.slot(slot).state {
        SlotState::Good | SlotState::Unknown => Permission::Yes,
        // A staged update stays bad until it is marked active.
        SlotState::Trying if state.order.contains(&slot) => Permission::Yes,
        SlotState::Trying | SlotState::Empty | SlotState::Writing | SlotState::Bad => {
            Permission::No
        }
    }
}
