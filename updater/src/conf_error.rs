// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a `system.conf` is refused, with the line.

use crate::SlotName;
use bundle::keyfile::KeyFileError;

/// A `system.conf` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemConfError {
    /// The file has no group at all.
    #[error("the configuration is empty")]
    Empty,
    /// The text is not a key file, or has a group or key twice.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The group is not one that RAUC documents.
    #[error("line {line}: unknown group [{group}]")]
    UnknownGroup {
        /// Group name.
        group: String,
        /// Line of its head.
        line: usize,
    },
    /// The key is not one that RAUC documents for this group.
    #[error("line {line}: unknown key {key} in [{group}]")]
    UnknownKey {
        /// Group name.
        group: String,
        /// Key.
        key: String,
        /// Line.
        line: usize,
    },
    /// A group that must be there is not.
    #[error("group [{group}] is missing")]
    MissingGroup {
        /// Group name.
        group: &'static str,
    },
    /// A key that must be there is not.
    #[error("line {line}: [{group}] needs key {key}")]
    Missing {
        /// Group name.
        group: String,
        /// Key.
        key: String,
        /// Line of the group's head.
        line: usize,
    },
    /// A value is not of its kind.
    #[error("line {line}: {key}={value} in [{group}] is not {expected}")]
    Invalid {
        /// Group name.
        group: String,
        /// Key.
        key: String,
        /// Value as written.
        value: String,
        /// What it must be.
        expected: &'static str,
        /// Line.
        line: usize,
    },
    /// A key without a value, where RAUC goes on as if the key were not there.
    #[error("line {line}: {key} in [{group}] has no value")]
    NoValue {
        /// Group name.
        group: String,
        /// Key.
        key: String,
        /// Line.
        line: usize,
    },
    /// Two settings exclude each other, or one has no meaning without another.
    #[error("line {line}: {key} in [{group}] {why}")]
    Conflict {
        /// Group name.
        group: String,
        /// Key.
        key: String,
        /// Why it cannot stand there.
        why: &'static str,
        /// Line.
        line: usize,
    },
    /// A parent names no slot.
    #[error("slot {slot} has the parent {parent}, which does not exist")]
    ParentMissing {
        /// The child.
        slot: SlotName,
        /// The missing name.
        parent: SlotName,
    },
    /// Following the parents does not end.
    #[error("the parents of slot {slot} form a loop")]
    ParentLoop {
        /// A slot in it.
        slot: SlotName,
    },
    /// A child carries a bootname.
    #[error("line {line}: slot {slot} has a parent and must not have a bootname")]
    BootnameOnChild {
        /// The child.
        slot: SlotName,
        /// Line of the slot.
        line: usize,
    },
    /// Two slots carry one bootname.
    #[error("line {line}: slot {slot} has the bootname {bootname} of slot {other}")]
    BootnameTaken {
        /// The later slot.
        slot: SlotName,
        /// The earlier slot.
        other: Box<SlotName>,
        /// The name.
        bootname: String,
        /// Line of the later slot.
        line: usize,
    },
    /// Two slots are one device: writing one would overwrite the other.
    #[error("line {line}: slot {slot} has the device {device} of slot {other}", device = device.display())]
    DeviceTaken {
        /// The later slot.
        slot: SlotName,
        /// The earlier slot.
        other: Box<SlotName>,
        /// The device.
        device: std::path::PathBuf,
        /// Line of the later slot.
        line: usize,
    },
    /// The bootname is neither A nor B.
    #[error("line {line}: slot {slot} has the bootname {bootname}, which is neither A nor B")]
    BootnameNotAB {
        /// The slot.
        slot: SlotName,
        /// The name.
        bootname: String,
        /// Line of the slot.
        line: usize,
    },
    /// A group has two slots of one class.
    #[error("line {line}: slot {slot} is of the same class and install group as {other}")]
    ClassTwiceInGroup {
        /// The later slot.
        slot: SlotName,
        /// The earlier slot.
        other: Box<SlotName>,
        /// Line of the later slot.
        line: usize,
    },
}

impl SystemConfError {
    /// The way out, where there is one to name.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BootnameNotAB { .. } => Some("name the two groups A and B"),
            Self::UnknownKey { .. } | Self::UnknownGroup { .. } => {
                Some("own settings belong into /etc/atomix/atomix.toml")
            }
            Self::Empty
            | Self::KeyFile(_)
            | Self::MissingGroup { .. }
            | Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::NoValue { .. }
            | Self::Conflict { .. }
            | Self::ParentMissing { .. }
            | Self::ParentLoop { .. }
            | Self::BootnameOnChild { .. }
            | Self::BootnameTaken { .. }
            | Self::DeviceTaken { .. }
            | Self::ClassTwiceInGroup { .. } => None,
        }
    }
}
