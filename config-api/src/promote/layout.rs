// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does everything lie? All paths are relative to `/data`.
//!
//! ```text
//! config/promotion.json           which generation counts, and whether it still has to prove itself
//! config/generations/gen-7/…      a complete configuration; others beside it only during a promotion
//! config/generations/candidate/…  one being written; nobody reads it
//! config/generations/trash-5/…    one being deleted
//! config/current                  -> generations/gen-7
//! config/config.toml, …           -> current/config.toml, …: a name that the generation lacks dangles
//! config/managed-users.json       the accounts that we made: state of the machine, not configuration
//! config/hawkbit, os-upgrade       the operator's tokens, keys and certificates, untouched
//! config/ssh-wan-enabled, …       the operator's, untouched
//! ```

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The directory of the configuration.
pub const CONFIG: &str = "config";

/// The link to the generation that counts.
pub const CURRENT: &str = "config/current";

/// The promotion record.
pub const RECORD: &str = "config/promotion.json";

pub(super) const GENERATIONS: &str = "config/generations";
pub(super) const CANDIDATE: &str = "config/generations/candidate";
pub(super) const MANAGED_USERS: &str = "config/managed-users.json";

/// What the program before us kept beside `config`.
pub(super) const OLD_ROLLBACK: &str = "config-rollback";
pub(super) const OLD_CANDIDATE: &str = "config-candidate";
pub(super) const OLD_MARKER: &str = "config.atomixos-promotion-pending";
pub(super) const OLD_LOCK: &str = ".config.lock";

/// Before a name, while it is copied in, or after it was moved out of our way.
pub(super) const IMPORT_PREFIX: &str = ".import-";
pub(super) const REPLACED_PREFIX: &str = ".replaced-";
pub(super) const TRASH_PREFIX: &str = "trash-";

/// The names of a generation; in `config` each is a link into the current one.
pub const OWNED_NAMES: [&str; 13] = [
    "config.toml",
    "admin-signers",
    "users.json",
    "ssh-authorized-keys",
    "firewall-inbound.json",
    "lan-settings.json",
    "host-network.json",
    "os-upgrade.json",
    "health-required.json",
    "activation-policy.json",
    "quadlet",
    "quadlet-runtime.json",
    "files",
];

/// The number of a generation; never used twice while one of that number is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u32);

impl Generation {
    /// The first one of a device.
    pub const FIRST: Self = Self(1);

    /// Generation `number`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The one after it; the numbers of a device do not run out in its life.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Its directory.
    #[must_use]
    pub fn path(self) -> PathBuf {
        PathBuf::from(GENERATIONS).join(self.to_string())
    }

    /// What `current` says when it is this one.
    pub(super) fn link_target(self) -> PathBuf {
        PathBuf::from("generations").join(self.to_string())
    }

    /// Reads a directory's name; only the one spelling that we write.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let number = name.strip_prefix("gen-")?.parse().ok().map(Self)?;
        (number.to_string() == name).then_some(number)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gen-{}", self.0)
    }
}
