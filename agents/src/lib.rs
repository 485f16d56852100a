// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who tells the device to update, and what is the fleet told?
//!
//! An agent decides when and what; `updater` does the rest. Decisions are functions of what the
//! server offers ([`Offer`]), what the device is ([`Facts`]), what it remembers and what its owner
//! allows, all of them values: tests and the fleet simulator run them on virtual time. What they
//! reach for (servers, disks, clocks) is handed in by the program.

mod facts;
mod memory;
mod offer;
mod policy;
#[cfg(test)]
mod test_facts;
mod window;

pub use facts::{Clock, Facts, Link, SlotFacts};
pub use memory::{
    ActionRecord, InstallRecord, InstallStage, MEMORY_FALLBACK_PATH, MEMORY_PATH, Memory,
    MemoryError, MemoryStore, Outcome, ReportRecord, SeenRelease, Stored, View,
};
pub use offer::{Looked, Offer, Rollout, Urgency};
pub use policy::{Downgrade, Keep, MeteredRule, Policy, RebootRule};
pub use window::{Days, Opening, Window, WindowError};
