// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about both slots: the value that the environment stores and every decision reads.
//!
//! It decides nothing itself; [`crate::transition`] and [`crate::select`] do.

use crate::{AttemptsLeft, Reason, SlotId};
use std::fmt;
use std::str::FromStr;
use storage::{Digest, PartUuid};

/// How many digests of failed bundles are remembered; the oldest gives way.
pub const FAILED_MAX: usize = 8;

/// The identity that no disk has: what an odd `atomix_disk` reads as. It is another disk's to the
/// firmware, also where there is none to compare it with.
pub(crate) const NO_DISK: PartUuid = PartUuid(uuid::Uuid::nil());

/// What a slot holds. The numbers are stored by the flight recorder: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SlotState {
    /// Never written, or wiped.
    Empty = 0,
    /// An install has begun and not finished.
    Writing = 1,
    /// Written, read back, sealed; not confirmed.
    Trying = 2,
    /// Confirmed by the verifier, or the flashed slot A.
    Good = 3,
    /// Ran out of attempts, was marked bad, or failed its check.
    Bad = 4,
    /// The environment was lost.
    Unknown = 5,
}

/// The text names no slot state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a slot state")]
pub struct UnknownState {
    /// The text found.
    pub text: String,
}

impl SlotState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::Writing, Self::Trying, Self::Good, Self::Bad, Self::Unknown];

    /// The word stored in `atomix_state_A` and `atomix_state_B`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Writing => "writing",
            Self::Trying => "trying",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

    /// The stored number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state stored as `code`.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SlotState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState { text: text.chars().take(32).collect() })
    }
}

/// Identity of a bundle: the first 16 bytes of its manifest's SHA-256, 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId([u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a bundle identity of 32 hexadecimal digits")]
pub struct ParseBundleIdError;

impl BundleId {
    /// Wraps the 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<Digest> for BundleId {
    fn from(digest: Digest) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleId({self})")
    }
}

impl FromStr for BundleId {
    type Err = ParseBundleIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseBundleIdError)?;
        Ok(Self(bytes))
    }
}

/// How far last-resort boots have slowed down: 0 for an ordinary boot, then 1 to 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PauseStep(u8);

impl PauseStep {
    /// An ordinary boot: no pause.
    pub const NONE: Self = Self(0);
    /// The last step.
    pub const SLOWEST: Self = Self(5);
    /// Seconds waited before the boot, by step.
    const SECS: [u16; 6] = [0, 10, 30, 60, 120, 300];

    /// Step `step`; larger ones are the last.
    #[must_use]
    pub fn new(step: u8) -> Self {
        Self(step.min(5))
    }

    /// The step's number, 0 to 5.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The step after this one; the last stays.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.0.saturating_add(1))
    }

    /// Seconds waited before the boot.
    #[must_use]
    pub fn secs(self) -> u16 {
        Self::SECS.get(usize::from(self.0)).copied().unwrap_or(300)
    }
}

/// What is known about one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotRecord {
    /// What it holds.
    pub state: SlotState,
    /// Boots left.
    pub attempts: AttemptsLeft,
    /// Which bundle it was written from, where that is known.
    pub bundle: Option<BundleId>,
}

impl SlotRecord {
    /// A slot that holds nothing.
    pub const EMPTY: Self =
        Self { state: SlotState::Empty, attempts: AttemptsLeft::ZERO, bundle: None };

    /// A slot of which nothing is known.
    pub const UNKNOWN: Self =
        Self { state: SlotState::Unknown, attempts: AttemptsLeft::DEFAULT, bundle: None };
}

/// The whole boot state: read at once, changed in memory, stored in one commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootState {
    /// `BOOT_ORDER`: slots to try, first first, none twice.
    pub order: Vec<SlotId>,
    /// Slot A.
    pub a: SlotRecord,
    /// Slot B.
    pub b: SlotRecord,
    /// Bundles that did not prove themselves, newest first, at most [`FAILED_MAX`].
    pub failed: Vec<BundleId>,
    /// The slot the selector took last.
    pub last: Option<SlotId>,
    /// How slow last-resort boots have become.
    pub pause: PauseStep,
    /// The disk this state belongs to: the partition UUID of boot-b.
    pub disk: Option<PartUuid>,
    /// Why the selector took the last slot.
    pub reason: Option<Reason>,
    /// The slot that got its attempts back after a healthy fallback, or when an unhealthy slot was
    /// left for it; after a fallback it gets them back once.
    pub returned: Option<SlotId>,
}

impl BootState {
    /// The state after the environment was lost: A then B, three attempts each.
    #[must_use]
    pub fn lost() -> Self {
        Self {
            order: SlotId::ALL.to_vec(),
            a: SlotRecord::UNKNOWN,
            b: SlotRecord::UNKNOWN,
            failed: Vec::new(),
            last: None,
            pause: PauseStep::NONE,
            disk: None,
            reason: None,
            returned: None,
        }
    }

    /// The state of a freshly flashed board: A good, B empty, bound to `disk`.
    #[must_use]
    pub fn factory(disk: PartUuid) -> Self {
        Self {
            order: vec![SlotId::A],
            a: SlotRecord { state: SlotState::Good, attempts: AttemptsLeft::DEFAULT, bundle: None },
            b: SlotRecord::EMPTY,
            disk: Some(disk),
            ..Self::lost()
        }
    }

    /// What is known about `slot`.
    #[must_use]
    pub const fn slot(&self, slot: SlotId) -> &SlotRecord {
        match slot {
            SlotId::A => &self.a,
            SlotId::B => &self.b,
        }
    }

    /// What is known about `slot`, writable.
    pub const fn slot_mut(&mut self, slot: SlotId) -> &mut SlotRecord {
        match slot {
            SlotId::A => &mut self.a,
            SlotId::B => &mut self.b,
        }
    }

    /// The first slot of the order that may boot: attempts left, and a state that permits it.
    #[must_use]
    pub fn primary(&self) -> Option<SlotId> {
        self.order.iter().copied().find(|slot| self.is_candidate(*slot))
    }

    /// Whether the selector may take `slot` in the ordinary way: RAUC's variables do not restrict
    /// it and its state permits it. Being in the order is the caller's business.
    #[must_use]
    pub const fn is_candidate(&self, slot: SlotId) -> bool {
        let record = self.slot(slot);
        match record.state {
            SlotState::Trying | SlotState::Good | SlotState::Unknown => record.attempts.get() > 0,
            SlotState::Empty | SlotState::Writing | SlotState::Bad => false,
        }
    }

    /// Whether `bundle` was installed before and did not prove itself. Agents ask this before an
    /// install; a person may force it. The selector turns a slot bad without a word in the list,
    /// which Linux adds at its next boot if it gets that far; until then the slot itself tells.
    #[must_use]
    pub fn is_known_failed(&self, bundle: &BundleId) -> bool {
        let turned_bad = |slot: SlotId| {
            let record = self.slot(slot);
            record.state == SlotState::Bad && record.bundle == Some(*bundle)
        };
        self.failed.contains(bundle) || SlotId::ALL.into_iter().any(turned_bad)
    }

    /// Remembers that `bundle` failed.
    pub fn remember_failed(&mut self, bundle: BundleId) {
        self.failed.retain(|known| *known != bundle);
        self.failed.insert(0, bundle);
        self.failed.truncate(FAILED_MAX);
    }

    /// Takes `slot` out of the order.
    pub(crate) fn remove_from_order(&mut self, slot: SlotId) {
        self.order.retain(|listed| *listed != slot);
    }

    /// Puts `slot` at the front of the order.
    pub(crate) fn put_first(&mut self, slot: SlotId) {
        self.remove_from_order(slot);
        self.order.insert(0, slot);
    }

    /// Turns `slot` bad: no attempts, out of the order, its bundle remembered as failed.
    pub(crate) fn turn_bad(&mut self, slot: SlotId) {
        let record = self.slot_mut(slot);
        record.state = SlotState::Bad;
        record.attempts = AttemptsLeft::ZERO;
        if let Some(bundle) = record.bundle {
            self.remember_failed(bundle);
        }
        self.remove_from_order(slot);
    }
}
