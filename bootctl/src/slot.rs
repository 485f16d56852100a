// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two slots of the boot protocol and values held once per slot.

use std::fmt;
use std::str::FromStr;

/// An install group of the board: the slots written together under one bootname.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotId {
    /// Bootname `A`; the one a freshly flashed board starts from.
    A,
    /// Bootname `B`.
    B,
}

/// The text is not the bootname of a slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is not a bootname of this board (A or B)")]
pub struct UnknownSlot {
    /// The text found.
    pub name: String,
}

impl SlotId {
    /// Both slots, in the order they are tried when nothing else is known.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other slot.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The bootname used in variables and on the kernel command line.
    #[must_use]
    pub const fn boot_name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.boot_name())
    }
}

impl FromStr for SlotId {
    type Err = UnknownSlot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "A" => Ok(Self::A),
            "B" => Ok(Self::B),
            _ => Err(UnknownSlot { name: text.to_owned() }),
        }
    }
}

/// One value for each slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerSlot<T> {
    /// The value of slot A.
    pub a: T,
    /// The value of slot B.
    pub b: T,
}

impl<T> PerSlot<T> {
    /// The value of `slot`.
    pub const fn get(&self, slot: SlotId) -> &T {
        match slot {
            SlotId::A => &self.a,
            SlotId::B => &self.b,
        }
    }

    /// The value of `slot`, writable.
    pub const fn get_mut(&mut self, slot: SlotId) -> &mut T {
        match slot {
            SlotId::A => &mut self.a,
            SlotId::B => &mut self.b,
        }
    }
}
