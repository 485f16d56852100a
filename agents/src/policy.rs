// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the owner of the device allow? Values only; [`crate::judge_offer`] and its kin obey
//! them.

use crate::window::{Opening, Window, next_opening};
use bundle::UnixTime;
use std::time::Duration;
use storage::ByteLen;

/// When the agent restarts the device into what it installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebootRule {
    /// After the install at once.
    #[default]
    Now,
    /// While a window is open.
    Window,
    /// Never: somebody else does.
    Never,
}

/// What happens where bytes are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeteredRule {
    /// As anywhere.
    #[default]
    Allow,
    /// Nothing is fetched there.
    Defer,
    /// Only what the server forces is fetched there.
    ForcedOnly,
}

/// Whether an older version may be installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downgrade {
    /// Not, also not when the server forces it.
    #[default]
    Refused,
    /// Yes.
    Allowed,
}

/// What becomes of a bundle on its way into the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// It is written as it comes, and nothing of it is stored elsewhere.
    #[default]
    Nothing,
    /// It is stored whole first.
    Bundle,
}

/// What the owner allows. The default is what a device without any settings does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// When an install may begin; none of them means always. An install that has begun is not
    /// stopped at the end of one.
    pub windows: Vec<Window>,
    /// When the restart may follow.
    pub reboot: RebootRule,
    /// On links that are paid by the byte.
    pub metered: MeteredRule,
    /// Most bytes that one update may fetch.
    pub most_update: Option<ByteLen>,
    /// Most bytes that all updates of one day (of UTC) may fetch.
    pub most_day: Option<ByteLen>,
    /// On older versions.
    pub downgrade: Downgrade,
    /// Most bytes in a second.
    pub rate: Option<ByteLen>,
    /// Over how long a time a fleet's questions are spread; nothing means the whole interval.
    pub jitter: Option<Duration>,
    /// What is stored.
    pub keep: Keep,
}

impl Policy {
    /// Whether a window is open, and when the next one opens.
    #[must_use]
    pub fn next_open(&self, now: UnixTime) -> Opening {
        next_opening(&self.windows, now)
    }
}
