// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is this device, as far as an agent's decisions depend on it?

use bootctl::{AttemptsLeft, BundleId, SlotId, SlotState};
use bundle::UnixTime;
use std::time::Duration;
use updater::BundleVersion;

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotFacts {
    /// What it holds.
    pub state: SlotState,
    /// Boots it may still try.
    pub attempts: AttemptsLeft,
    /// What it was written from, as `bootctl` keeps it.
    pub bundle: Option<BundleId>,
    /// The version in the manifest of that bundle. Never from `os-release`.
    pub version: Option<String>,
}

/// How far the clock is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it shows.
    pub now: UnixTime,
    /// It is later than this: the newest time that something signed has proven.
    pub floor: Option<UnixTime>,
    /// Whether somebody set it since the device was started.
    pub is_set: bool,
}

impl Clock {
    /// What to compare an end with: a clock that was turned back is not believed below the floor.
    #[must_use]
    pub fn latest(&self) -> UnixTime {
        self.floor.map_or(self.now, |floor| floor.max(self.now))
    }
}

/// What a byte costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Nothing worth counting.
    #[default]
    Flat,
    /// Each is paid for.
    Metered,
}

/// The device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The `compatible` of its `system.conf`: the product.
    pub compatible: String,
    /// Its name to servers, and what a rollout is drawn from.
    pub device_id: String,
    /// Its name by the original contract: the address of `eth0`, where it has one.
    pub contract_id: Option<String>,
    /// Where it runs from; nothing when that is no slot (a stick, a network).
    pub booted: Option<SlotId>,
    /// Slot A.
    pub a: SlotFacts,
    /// Slot B.
    pub b: SlotFacts,
    /// The slot that boots next, as the selector would choose.
    pub next: Option<SlotId>,
    /// The oldest version that may follow where nobody recorded which one runs: the image's own word
    /// for it, the owner's, or that of a good slot, whichever is newest.
    pub version_floor: Option<BundleVersion>,
    /// Bundles that failed here, newest first.
    pub failed: Vec<BundleId>,
    /// The clock.
    pub clock: Clock,
    /// How long it has been running since it was started.
    pub up: Duration,
    /// The way out.
    pub link: Link,
    /// Who asked that it be not restarted now, in words (`systemd-inhibit`).
    pub inhibitors: Vec<String>,
}

impl Facts {
    /// A slot.
    #[must_use]
    pub const fn slot(&self, slot: SlotId) -> &SlotFacts {
        match slot {
            SlotId::A => &self.a,
            SlotId::B => &self.b,
        }
    }

    /// The slot it runs from.
    #[must_use]
    pub fn running(&self) -> Option<&SlotFacts> {
        self.booted.map(|booted| self.slot(booted))
    }

    /// Whether a bundle was tried here and did not prove itself. The selector turns a slot bad
    /// without a word in the list, so the slot is asked as well (as `BootState::is_known_failed`).
    #[must_use]
    pub fn is_known_failed(&self, bundle: &BundleId) -> bool {
        let turned_bad =
            |slot: &SlotFacts| slot.state == SlotState::Bad && slot.bundle.as_ref() == Some(bundle);
        self.failed.contains(bundle) || turned_bad(&self.a) || turned_bad(&self.b)
    }
}
