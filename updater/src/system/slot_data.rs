// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept beside slots for the next delta, and which slot is a seed? Below the data directory
//! each slot has `slot.CLASS.IDX/hash-<sha256>`, named by the content that it is about, and
//! `hash-unknown` for content that was, or is about to be, overwritten.
//!
//! All of it are hints: whoever uses them hashes every block again.

use super::progress::Steps;
use super::status_keeper::StatusKeeper;
use super::{SlotState, SlotStates};
use crate::{Slot, SystemConfig};
use std::path::PathBuf;
use storage::{Digest, Files};

/// What the data of a slot whose content is not known lie in.
const UNKNOWN_DATA: &str = "hash-unknown";
/// Begin of the names of directories that are about one content.
const HASH_PREFIX: &str = "hash-";

/// The data directory, seen by slots.
#[derive(Clone, Copy)]
pub(super) struct SlotData<'a> {
    pub config: &'a SystemConfig,
    pub states: Option<&'a SlotStates>,
    pub status: &'a StatusKeeper,
}

impl<'a> SlotData<'a> {
    /// What a slot is to the running system.
    pub fn state(&self, slot: &Slot) -> SlotState {
        self.states.map_or(SlotState::Inactive, |states| states.of(&slot.name))
    }

    /// The slot of this class that runs now.
    pub fn running_of(&self, class: &str) -> Option<&'a Slot> {
        let states = self.states?;
        let mut slots = self.config.slots.values().filter(|slot| slot.name.class == class);
        slots.find(|slot| states.of(&slot.name) != SlotState::Inactive)
    }

    /// Where the data of a slot lie.
    fn dir(&self, slot: &Slot) -> Option<PathBuf> {
        let dir = self.config.system.data_directory.as_ref()?;
        Some(dir.join(format!("slot.{}", slot.name)))
    }

    /// Where those of the content lie that a slot is about to lose.
    pub fn of_target(&self, slot: &Slot) -> Option<PathBuf> {
        Some(self.dir(slot)?.join(UNKNOWN_DATA))
    }

    /// Where those of the content lie that a slot holds.
    pub fn of_content(&self, slot: &Slot) -> Option<PathBuf> {
        let digest = self.status.known(&slot.name).sha256?;
        Some(self.dir(slot)?.join(format!("{HASH_PREFIX}{digest}")))
    }

    /// The data are of a content that is about to change.
    #[expect(clippy::disallowed_methods, reason = "hints for the next delta may be lost in a cut")]
    pub fn forget(&self, slot: &Slot, digest: Option<Digest>) -> std::io::Result<()> {
        let (Some(dir), Some(digest)) = (self.dir(slot), digest) else { return Ok(()) };
        let (from, to) = (dir.join(format!("{HASH_PREFIX}{digest}")), dir.join(UNKNOWN_DATA));
        if !from.exists() {
            return Ok(());
        }
        absent_is_fine(std::fs::remove_dir_all(&to))?;
        absent_is_fine(std::fs::rename(from, to))
    }

    /// Removes data of contents that the slot does not hold any more.
    pub fn prune(&self, slot: &Slot, files: &dyn Files, steps: &mut Steps<'_>) {
        let Some(dir) = self.dir(slot) else { return };
        let current = self.status.known(&slot.name).sha256.map(|d| format!("{HASH_PREFIX}{d}"));
        let Ok(names) = files.list(&dir) else { return };
        let old = names
            .into_iter()
            .filter(|name| name.starts_with(HASH_PREFIX) && Some(name) != current.as_ref());
        for name in old {
            if let Err(error) = std::fs::remove_dir_all(dir.join(name)) {
                steps
                    .warn(format!("Continuing after failure to remove old slot data dir: {error}"));
            }
        }
    }
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
