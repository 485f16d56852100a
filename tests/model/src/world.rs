// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the whole world of the boot protocol at one moment? The stored environment, what the
//! flight recorder remembers, the bytes in both slots, what runs, and which faults are still to
//! come. A value: it decides nothing.

use crate::intern::Id;
use bootctl::{BootState, BundleId, PerSlot, Reason, SlotId, Snapshot};

/// Bundles that the agent may install.
pub const BUNDLES: usize = 2;

/// A boot state by name.
pub type EnvId = Id<BootState>;
/// What the recorder remembers, by name.
pub type SnapshotId = Id<Snapshot>;

/// A system that a slot can hold: 0 is the flashed one, the others are bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct System(pub u8);

impl System {
    /// What the board was flashed with.
    pub const FACTORY: Self = Self(0);

    /// Every bundle.
    pub fn bundles() -> impl Iterator<Item = Self> {
        (1..).map(Self).take(BUNDLES)
    }

    /// The bundle's identity; the flashed system has none.
    #[must_use]
    pub fn bundle(self) -> Option<BundleId> {
        (self != Self::FACTORY).then(|| BundleId::from_bytes([self.0; 16]))
    }

    /// Its bit in a set of systems.
    const fn bit(self) -> u8 {
        1 << self.0
    }
}

/// A set of bundles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemSet(u8);

impl SystemSet {
    /// Whether `system` is in it.
    #[must_use]
    pub const fn has(self, system: System) -> bool {
        self.0 & system.bit() != 0
    }

    /// With `system`.
    #[must_use]
    pub const fn with(self, system: System) -> Self {
        Self(self.0 | system.bit())
    }

    /// Without `system`.
    #[must_use]
    pub const fn without(self, system: System) -> Self {
        Self(self.0 & !system.bit())
    }
}

/// What a system is by nature, whatever slot it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nature {
    /// Every boot of it is healthy.
    Sound,
    /// Each boot of it fails in one of the ways of [`crate::Outcome`].
    Broken,
    /// Sealed and complete, and still nothing that the firmware can load.
    Unloadable,
}

/// The nature of each bundle.
pub type Natures = [Nature; BUNDLES];

/// Bytes in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// Never written.
    Nothing,
    /// A part of an install over what was there before.
    Mixed,
    /// All of one system.
    Whole(System),
}

/// Whether the start of the boot partition is there; without it nothing loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seal {
    /// Zeroed, or never written.
    Broken,
    /// There.
    There,
}

/// Whether a content has ever been confirmed while it ran. Nobody in the model reads it but the
/// invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Not since it was written.
    None,
    /// By the verifier, or by the factory.
    Confirmed,
}

/// Whether a slot's medium still gives what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wear {
    /// It does.
    Fresh,
    /// It loads, and every boot of it fails.
    Worn,
}

/// What lies in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The bytes.
    pub image: Image,
    /// Their seal.
    pub seal: Seal,
    /// What is true of them.
    pub proof: Proof,
    /// What became of them.
    pub wear: Wear,
    /// Kernel starts before they proved themselves, last resorts aside.
    pub starts: u8,
}

impl Content {
    /// A slot that was never written.
    pub const BLANK: Self = Self {
        image: Image::Nothing,
        seal: Seal::Broken,
        proof: Proof::None,
        wear: Wear::Fresh,
        starts: 0,
    };

    /// The flashed slot.
    pub const FLASHED: Self = Self {
        image: Image::Whole(System::FACTORY),
        seal: Seal::There,
        proof: Proof::Confirmed,
        wear: Wear::Fresh,
        starts: 0,
    };

    /// The one system that can be started from here.
    #[must_use]
    pub const fn complete(&self) -> Option<System> {
        match (self.image, self.seal) {
            (Image::Whole(system), Seal::There) => Some(system),
            (Image::Whole(_), Seal::Broken)
            | (Image::Nothing | Image::Mixed, Seal::Broken | Seal::There) => None,
        }
    }

    /// Whether this is a whole system that proved itself.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.complete().is_some() && matches!(self.proof, Proof::Confirmed)
    }
}

/// How the boot that runs will turn out, decided when its kernel started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Every probe holds.
    Healthy,
    /// Up, and a required probe does not hold.
    Unhealthy,
    /// Up, and the verifier never answers.
    Silent,
    /// Ends in emergency mode.
    DeadEnd,
}

/// How far the verifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// None yet.
    Pending,
    /// The slot is confirmed; the other one may get its attempts back.
    Confirmed,
    /// Nothing follows any more.
    Done,
}

/// How far an install is. Each step is durable before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// One copy of the environment says `writing`, and the recorder knows.
    Announced,
    /// Both copies do.
    Begun,
    /// The seal is zeroed.
    SealZeroed,
    /// Some images are written.
    HalfWritten,
    /// All images are written and read back.
    Written,
    /// The seal is written and read back.
    Sealed,
    /// The recorder knows of the end.
    Recorded,
}

/// A running install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Install {
    /// Where to.
    pub target: SlotId,
    /// What.
    pub system: System,
    /// How far.
    pub stage: Stage,
}

/// A running Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linux {
    /// From this slot.
    pub slot: SlotId,
    /// Why; what makes no difference to Linux is [`Reason::Normal`].
    pub reason: Reason,
    /// How it will turn out.
    pub health: Health,
    /// Whether `atomix boot started` has run.
    pub started: bool,
    /// How far the verifier is.
    pub verdict: Verdict,
    /// The install in it.
    pub install: Option<Install>,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing; the firmware runs next.
    Off,
    /// The firmware found nothing to start.
    Recovery,
    /// A slot.
    Linux(Linux),
}

/// The environment's two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Copies {
    /// The one that counts; `None` when both are lost.
    pub newest: Option<EnvId>,
    /// The one that counts once the newest is lost. Not kept where no copy can be lost any more.
    pub other: Option<EnvId>,
}

/// Faults and people, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Power cuts outside the firmware's idle moments.
    pub cuts: u8,
    /// A copy lost, both lost, a flipped counter, a save that fails.
    pub environment: u8,
    /// A slot that wears out, a boot of a sound system that fails once, an install that meets an
    /// I/O error.
    pub media: u8,
    /// Acts of a technician.
    pub technician: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The environment.
    pub copies: Copies,
    /// What the recorder remembers; it survives the environment.
    pub recorder: Option<SnapshotId>,
    /// Both slots.
    pub slots: PerSlot<Content>,
    /// What runs.
    pub phase: Phase,
    /// What may still go wrong.
    pub left: Faults,
    /// Bundles known to have failed, by all that was stored and not lost by a fault since. Only
    /// the invariants read it.
    pub condemned: SystemSet,
}
