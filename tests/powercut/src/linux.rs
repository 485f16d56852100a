// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux does early in each boot: load the boot state, restore what was lost from the flight
//! recorder, remember what the selector did. As `atomix boot started` does it.

use crate::board::{Board, now};
use crate::firmware::Booted;
use anyhow::Result;
use bootctl::{BootControl, ControlParts, LateFallback, SlotId};

/// The boot state, open for change.
///
/// # Errors
/// When it cannot be read.
pub fn control(board: &Board, booted: SlotId) -> Result<BootControl> {
    Ok(BootControl::load(ControlParts {
        backend: board.backend()?,
        recorder: board.recorder().map_err(|cause| format!("{cause:#}")),
        booted: Some(booted),
        late_fallback: LateFallback::Allowed,
        at: now(),
    })?)
}

/// Linux comes up from what the firmware started.
///
/// # Errors
/// When the boot state can be neither read nor written.
pub fn come_up(board: &Board, booted: &Booted) -> Result<BootControl> {
    let mut control = control(board, booted.slot)?;
    control.note_dead_boots(&[]);
    control.reconcile(Some(booted.reason))?;
    Ok(control)
}
