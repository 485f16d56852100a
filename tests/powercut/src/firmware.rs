// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the firmware do with this board? The model is `bootctl::select`; this gives it the
//! facts of an image, and saves as U-Boot does, without reading back.

use crate::board::{Board, Kept, default_env, disk_id};
use anyhow::{Context, Result};
use bootctl::{BootState, FirmwareFacts, PerSlot, Reason, Selection, SlotId, SlotState, select};
use storage::PartUuid;

/// Resets until a board is called dead: more than all attempts of both slots.
const MAX_RESETS: u32 = 8;

/// Which selector runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// Ours.
    #[default]
    Ours,
    /// One that looks at `BOOT_ORDER` and `BOOT_x_LEFT` alone, as without our states.
    CountersAlone,
    /// One that starts a kernel and does not save that an attempt is spent.
    PaysNothing,
}

/// What was booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booted {
    /// The slot.
    pub slot: SlotId,
    /// The state of it before the selector began; `None` when the environment was lost.
    pub was: Option<SlotState>,
    /// How many starts ended in a reset before it.
    pub resets: u32,
    /// What the kernel command line says.
    pub reason: Reason,
    /// The state that the selector left.
    pub left: BootState,
}

impl Selector {
    fn select(self, env: Option<&BootState>, facts: &FirmwareFacts) -> Selection {
        let seen = env.map(|state| self.sees(state));
        let mut chosen = select(seen.as_ref(), facts);
        if self == Self::PaysNothing
            && let Some(state) = seen
        {
            chosen.save = false;
            chosen.state = state;
        }
        chosen
    }

    fn sees(self, state: &BootState) -> BootState {
        let mut state = state.clone();
        if self == Self::CountersAlone {
            state.a.state = SlotState::Unknown;
            state.b.state = SlotState::Unknown;
        }
        state
    }

    /// Turns the power on, on paper: resets and selects until a kernel starts. `None` when none
    /// does. Nothing is saved.
    #[must_use]
    pub fn boots(self, env: Option<&BootState>, facts: &FirmwareFacts) -> Option<Booted> {
        let mut state = env.cloned();
        for resets in 0..MAX_RESETS {
            let chosen = self.select(state.as_ref(), facts);
            if let Some(slot) = chosen.boots {
                let was = env.map(|state| state.slot(slot).state);
                return Some(Booted {
                    slot,
                    was,
                    resets,
                    reason: chosen.reason,
                    left: chosen.state,
                });
            }
            if chosen.save {
                state = Some(chosen.state);
            }
        }
        None
    }

    /// Turns the power on: resets, selects and saves until a kernel starts.
    ///
    /// # Errors
    /// When no kernel starts, or the environment cannot be written.
    pub fn start(
        self,
        board: &Board,
        loads: PerSlot<bool>,
        disk: Option<PartUuid>,
    ) -> Result<Booted> {
        let facts = FirmwareFacts { disk, save_works: true, loads };
        for resets in 0..MAX_RESETS {
            let env = read_env(board)?;
            let chosen = self.select(env.as_ref(), &facts);
            if chosen.save {
                save(board, &chosen)?;
            }
            if let Some(slot) = chosen.boots {
                let was = env.map(|state| state.slot(slot).state);
                return Ok(Booted { slot, was, resets, reason: chosen.reason, left: chosen.state });
            }
        }
        anyhow::bail!("no kernel starts in {MAX_RESETS} resets")
    }
}

/// The boot state as the firmware finds it; `None` when the environment is lost or not ours.
///
/// # Errors
/// When the environment's device cannot be opened.
pub fn read_env(board: &Board) -> Result<Option<BootState>> {
    let loaded = board.env_store()?.load();
    Ok(loaded.ok().and_then(|loaded| BootState::from_env(&loaded.env).ok()))
}

/// Saves as U-Boot does: over what it loaded, or over its defaults; its decision on the trail.
fn save(board: &Board, chosen: &Selection) -> Result<()> {
    let mut store = board.env_store()?;
    let mut env = store.load().map_or_else(|_| default_env(), |loaded| loaded.env);
    chosen.write_to(&mut env)?;
    store.store_as_firmware(&env).context("the firmware cannot save")?;
    board.promise(Kept::State(Box::new(chosen.state.clone())));
    Ok(())
}

/// The facts of a board whose disk is the one its environment is bound to.
#[must_use]
pub const fn facts(loads: PerSlot<bool>, save_works: bool) -> FirmwareFacts {
    FirmwareFacts { disk: Some(disk_id()), save_works, loads }
}
