// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be said about the whole system: its slots, what they hold, which one boots next, its
//! artifact repositories. Values only, sorted by name; a client prints them.

use crate::{RepositoryStatus, Slot, SlotName, SlotStatus};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What a slot is to the running system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotState {
    /// It was booted from.
    Booted,
    /// It belongs to the slot that was booted from.
    Active,
    /// Neither.
    #[default]
    Inactive,
}

impl SlotState {
    /// RAUC's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booted => "booted",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// What the boot loader says of a slot with a bootname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootStatus {
    /// It may be booted.
    Good,
    /// It may not.
    Bad,
    /// The boot loader could not be asked.
    Unknown,
}

impl BootStatus {
    /// RAUC's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotReport {
    /// As configured.
    pub slot: Slot,
    /// What it is to the running system.
    pub state: SlotState,
    /// Only of slots with a bootname.
    pub boot_status: Option<BootStatus>,
    /// Where somebody mounted it.
    pub mount_point: Option<PathBuf>,
    /// What was installed; empty when nothing is known.
    pub status: SlotStatus,
}

/// The whole system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemStatus {
    /// The board's match string.
    pub compatible: String,
    /// This system's variant.
    pub variant: Option<String>,
    /// The version that the system-info handler told.
    pub version: Option<String>,
    /// What the running system was booted from: RAUC's property `BootSlot`, a bootname, slot
    /// name, device or `_external_`.
    pub booted_from: Option<String>,
    /// The slot that it is.
    pub booted: Option<SlotName>,
    /// The slot that boots next, or why nobody knows.
    pub primary: Result<SlotName, String>,
    /// By name.
    pub slots: Vec<SlotReport>,
    /// By name.
    pub repositories: Vec<RepositoryStatus>,
}

impl Default for SystemStatus {
    fn default() -> Self {
        Self {
            compatible: String::new(),
            variant: None,
            version: None,
            booted_from: None,
            booted: None,
            primary: Err(String::new()),
            slots: Vec::new(),
            repositories: Vec::new(),
        }
    }
}

impl SystemStatus {
    /// The report of a slot.
    #[must_use]
    pub fn slot(&self, name: &SlotName) -> Option<&SlotReport> {
        self.slots.iter().find(|report| report.slot.name == *name)
    }
}

/// What was last known about a system, readable from other threads while an install has the
/// [`super::System`] itself. Asking it runs no program and mounts nothing.
#[derive(Clone, Debug, Default)]
pub struct SystemView(Arc<Mutex<SystemStatus>>);

impl SystemView {
    /// What was last known.
    #[must_use]
    pub fn latest(&self) -> SystemStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, act: impl FnOnce(&mut SystemStatus)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
