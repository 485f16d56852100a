// SPDX-License-Identifier: MIT OR Apache-2.0
//! What time is it for an agent that lives for months? The system's clock, with all its jumps; a
//! command that was begun at another time (a test's) keeps its distance to it.

use crate::context::{Context, Now};
use crate::rauc::clock;
use bundle::UnixTime;

/// The clock.
#[derive(Clone, Copy, Debug)]
pub struct DeviceClock {
    ahead_secs: i64,
}

impl DeviceClock {
    /// The clock of a command that begins now.
    #[must_use]
    pub fn new(began: Now) -> Self {
        Self { ahead_secs: began.0.0.saturating_sub(clock().0) }
    }

    /// The time.
    #[must_use]
    pub fn now(self) -> Now {
        Now(UnixTime(clock().0.saturating_add(self.ahead_secs)))
    }

    /// The device as a command that begins now sees it.
    #[must_use]
    pub fn device(self, context: &Context) -> Context {
        context.at(self.now())
    }

    /// The time for certificates: a clock that was turned back is not believed below what something
    /// signed has proven. One that was never set stays one that was never set.
    #[must_use]
    pub fn above(self, floor: Option<UnixTime>) -> Now {
        let now = self.now();
        let is_set = now.timestamp().unix_secs.is_some();
        let above = floor.filter(|floor| is_set && *floor > now.0);
        above.map_or(now, Now)
    }

    /// The device at that time.
    #[must_use]
    pub fn device_above(self, context: &Context, floor: Option<UnixTime>) -> Context {
        context.at(self.above(floor))
    }
}
