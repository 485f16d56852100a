// SPDX-License-Identifier: MIT OR Apache-2.0
//! The unique identity of a partition.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A GPT unique partition GUID; text form is lower-case with dashes, as in `PARTUUID=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartUuid(pub Uuid);

impl fmt::Display for PartUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for PartUuid {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}
