// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands before the power comes?

use bootctl::{PerSlot, SlotId};
use std::fmt;
use uboot::Env;

/// What a slot's boot partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A script that starts.
    Starts,
    /// A script that loads and returns: its kernel does not.
    Returns,
    /// Nothing that can be read: the seal is broken.
    Unsealed,
}

/// The disk's partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// All partitions.
    Whole,
    /// Slot B's boot partition, by which a disk is known, is missing.
    NoBootB,
    /// There is none.
    Unreadable,
}

/// What becomes of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// It is done.
    Works,
    /// The flash refuses it with an error.
    Refused,
    /// The flash is write-protected and says nothing: it seems done.
    Ignored,
}

/// What the firmware finds beside the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// The partition table.
    pub table: Table,
    /// What the slots hold.
    pub slots: PerSlot<Content>,
    /// What becomes of a save.
    pub saving: Saving,
}

impl Around {
    /// Nothing is wrong.
    pub const WHOLE: Self = Self {
        table: Table::Whole,
        slots: PerSlot { a: Content::Starts, b: Content::Starts },
        saving: Saving::Works,
    };

    /// Whether a slot starts.
    #[must_use]
    pub fn starts(&self, slot: SlotId) -> bool {
        let there = match (self.table, slot) {
            (Table::Whole, _) | (Table::NoBootB, SlotId::A) => true,
            (Table::NoBootB, SlotId::B) | (Table::Unreadable, _) => false,
        };
        there && *self.slots.get(slot) == Content::Starts
    }
}

/// One environment, and the board around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// By which it can be found again.
    pub name: String,
    /// The stored variables beside the selector's scripts; `None`: the flash is erased.
    pub env: Option<Env>,
    /// The board around it.
    pub around: Around,
}

impl Case {
    /// A board with nothing wrong and this environment.
    #[must_use]
    pub fn new(name: impl Into<String>, env: Env) -> Self {
        Self { name: name.into(), env: Some(env), around: Around::WHOLE }
    }

    /// The same with variables set; an empty value removes one.
    #[must_use]
    pub fn with(mut self, variables: &[(&str, &str)]) -> Self {
        if let Some(env) = &mut self.env {
            put(env, variables);
        }
        self
    }

    /// The same with other surroundings.
    #[must_use]
    pub fn around(mut self, around: Around) -> Self {
        self.around = around;
        self
    }
}

/// Sets variables. What the format cannot hold does not get into an environment either way, and
/// the lists of this module have none of it.
pub(super) fn put(env: &mut Env, variables: &[(&str, &str)]) {
    for (name, value) in variables {
        let held = env.set(name, value);
        debug_assert!(held.is_ok(), "{name}={value}");
    }
}

/// The environment of a board that is known: an order, and state and attempts of both slots.
#[must_use]
pub fn known(order: &str, a: (&str, &str), b: (&str, &str)) -> Env {
    let mut env = Env::new();
    put(
        &mut env,
        &[
            ("atomix_env", "1"),
            ("atomix_disk", super::DISK),
            ("BOOT_ORDER", order),
            ("atomix_state_A", a.0),
            ("BOOT_A_LEFT", a.1),
            ("atomix_state_B", b.0),
            ("BOOT_B_LEFT", b.1),
            // Of nobody here: it stays whatever happens.
            ("ethaddr", "02:00:00:00:00:01"),
        ],
    );
    env
}

/// As text that says all of it: what a report of a difference begins with.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Around { table, slots, saving } = &self.around;
        writeln!(f, "{}", self.name)?;
        writeln!(f, "  table {table:?}, A {:?}, B {:?}, save {saving:?}", slots.a, slots.b)?;
        match &self.env {
            None => writeln!(f, "  erased"),
            Some(env) => env.iter().try_for_each(|(name, value)| writeln!(f, "  {name}={value:?}")),
        }
    }
}
