// SPDX-License-Identifier: MIT OR Apache-2.0
//! What time is it? Virtual: spans since the begin of a run, which no clock of this machine moves.

use bundle::UnixTime;
use std::time::Duration;

/// When every run begins: 2026-11-22, a Sunday, at 12:00 UTC.
pub const BEGIN: UnixTime = UnixTime(1_795_348_800);
/// A minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3600);

/// What clocks show that somebody has set.
#[must_use]
pub fn unix(at: Duration) -> UnixTime {
    UnixTime(BEGIN.0 + signed(at))
}

/// Whole seconds.
#[must_use]
pub fn signed(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// From `now` until `then`, both by one clock; nothing where that is past.
#[must_use]
pub fn until(now: UnixTime, then: UnixTime) -> Duration {
    Duration::from_secs(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0))
}
