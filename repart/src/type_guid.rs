// SPDX-License-Identifier: MIT OR Apache-2.0
//! The type of a partition, by GUID or by the name that definition files use.
//!
//! Names and GUIDs follow the UAPI group's Discoverable Partitions Specification and the UEFI
//! specification.

use std::fmt;
use std::str::FromStr;
use uuid::{Uuid, uuid};

/// A GPT partition type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeGuid(pub Uuid);

/// Every name this crate knows, with its GUID.
const NAMES: [(&str, Uuid); 8] = [
    ("esp", uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")),
    ("xbootldr", uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172")),
    ("swap", uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")),
    ("home", uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915")),
    ("linux-generic", uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4")),
    ("root-arm64", uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae")),
    ("root-x86-64", uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")),
    ("var", uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d")),
];

impl TypeGuid {
    /// Extended boot loader partition.
    pub const XBOOTLDR: Self = Self(uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"));
    /// Root file system of a 64-bit Arm machine.
    pub const ROOT_ARM64: Self = Self(uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"));
    /// Linux data without further meaning.
    pub const LINUX_GENERIC: Self = Self(uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"));

    /// The name of the type, where it has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, guid)| *guid == self.0).map(|(name, _)| *name)
    }
}

impl fmt::Display for TypeGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => self.0.hyphenated().fmt(f),
        }
    }
}

/// The text is neither a GUID nor a known name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a GUID nor a known partition type")]
pub struct ParseTypeGuidError;

impl FromStr for TypeGuid {
    type Err = ParseTypeGuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, guid)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*guid));
        }
        match Uuid::parse_str(text) {
            Ok(guid) if !guid.is_nil() => Ok(Self(guid)),
            Ok(_) | Err(_) => Err(ParseTypeGuidError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_guids_mean_the_same_and_nil_is_refused() {
        assert_eq!("xbootldr".parse(), Ok(TypeGuid::XBOOTLDR));
        assert_eq!("BC13C2FF-59E6-4262-A352-B275FD6F7172".parse(), Ok(TypeGuid::XBOOTLDR));
        assert_eq!("root-arm64".parse(), Ok(TypeGuid::ROOT_ARM64));
        assert_eq!(TypeGuid::LINUX_GENERIC.to_string(), "linux-generic");
        assert_eq!(Uuid::nil().to_string().parse::<TypeGuid>(), Err(ParseTypeGuidError));
        assert_eq!("boot".parse::<TypeGuid>(), Err(ParseTypeGuidError));
    }
}
