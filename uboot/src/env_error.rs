// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with an environment or with its copies.

use storage::StorageError;

/// A failed act on the environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The variables do not fit.
    #[error("environment of {used} bytes does not fit its {capacity} bytes")]
    TooBig {
        /// Bytes needed, the closing NUL included.
        used: usize,
        /// Bytes of the data area.
        capacity: usize,
    },
    /// A name the format cannot hold.
    #[error("variable name {name:?} is empty, starts with a blank or #, or holds = or NUL")]
    BadName {
        /// The name.
        name: String,
    },
    /// A value the format cannot hold.
    #[error("value of variable {name:?} holds NUL")]
    BadValue {
        /// The variable.
        name: String,
    },
    /// The data area has no double NUL.
    #[error("environment data does not end")]
    Unterminated,
    /// An entry has no name; U-Boot refuses the whole environment for it.
    #[error("environment data has an entry without a name")]
    EmptyName,
    /// The image is too short to hold a header and an end.
    #[error("environment image of {found} bytes is shorter than {least}")]
    TooShort {
        /// Bytes given.
        found: usize,
        /// Bytes needed at least.
        least: usize,
    },
    /// The checksum of an image is wrong.
    #[error("environment checksum is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Checksum in the header.
        expected: u32,
        /// Checksum of the data.
        found: u32,
    },
    /// A copy has a size this crate refuses to work with.
    #[error("environment of {bytes} bytes in {label} is not between {least} and {most} bytes")]
    BadSize {
        /// Device.
        label: String,
        /// Configured size.
        bytes: u32,
        /// Smallest size.
        least: u32,
        /// Largest size.
        most: u32,
    },
    /// Neither one nor two copies, or two copies of different sizes or kinds of place.
    #[error("environment copies do not match: {reason}")]
    CopiesDiffer {
        /// What differs.
        reason: &'static str,
    },
    /// The copies share bytes or an erase block, so writing one would destroy the other.
    #[error("environment copies at offsets {first:#x} and {second:#x} of {label} overlap")]
    CopiesOverlap {
        /// Device.
        label: String,
        /// Offset of copy 1.
        first: u64,
        /// Offset of copy 2.
        second: u64,
    },
    /// Every copy is blank: nothing was ever stored, or the flash was erased.
    #[error("no environment is stored at {places}")]
    Lost {
        /// All places.
        places: String,
    },
    /// Content is there and no copy is valid.
    #[error("no environment copy is valid: {places}")]
    BothCorrupt {
        /// A clause for each copy: which one, where, what is wrong with it.
        places: String,
    },
    /// Bytes are there that are no environment and never were one; nothing was written.
    #[error("other bytes than an environment lie at {places}, so nothing is written")]
    Foreign {
        /// The places.
        places: String,
    },
    /// No copy is valid and at least one could not be read, so nothing may be concluded.
    #[error("{}environment copy {copy} at {place} cannot be read", listed(.others))]
    Unreadable {
        /// Number of the copy, from 1.
        copy: usize,
        /// Where it lies.
        place: String,
        /// A clause for each other copy that is of no use either.
        others: Vec<String>,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// A copy could not be written.
    #[error("cannot write environment copy {copy}")]
    Write {
        /// Number of the copy, from 1.
        copy: usize,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// What was read back is not what was written; the other copy is untouched.
    #[error("environment copy {copy} at {offset:#x} of {label} reads back differently")]
    ReadBack {
        /// Number of the copy, from 1.
        copy: usize,
        /// Device.
        label: String,
        /// Offset of the first byte that differs.
        offset: u64,
    },
}

fn listed(others: &[String]) -> String {
    others.iter().map(|other| format!("{other}, and ")).collect()
}

impl EnvError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooBig { .. } => Some("remove variables that are not needed"),
            Self::BadSize { .. } | Self::CopiesDiffer { .. } | Self::TooShort { .. } => {
                Some("compare fw_env.config with the offsets and sizes U-Boot was built with")
            }
            Self::CopiesOverlap { .. } => Some("give each copy erase blocks of its own"),
            Self::Lost { .. } | Self::BothCorrupt { .. } => Some(
                "check fw_env.config; if it is right, U-Boot boots from its defaults and the \
                 state is restored from the flight recorder",
            ),
            Self::Foreign { .. } => Some(
                "correct fw_env.config; if it is right, reboot: U-Boot writes the place anew; if \
                 it cannot, erase the place (flash_erase)",
            ),
            Self::EmptyName | Self::Unterminated | Self::Checksum { .. } => {
                Some("write the environment anew; U-Boot does not accept this one either")
            }
            Self::ReadBack { .. } => Some("the flash may be worn out; plan to replace it"),
            Self::Unreadable { .. } | Self::Write { .. } => None,
            Self::BadName { .. } | Self::BadValue { .. } => None,
        }
    }
}
