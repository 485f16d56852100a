// SPDX-License-Identifier: MIT OR Apache-2.0
//! When did the line say that? The time of day for those who compare logs, and seconds since the
//! start for those who measure; a clock that is set meanwhile moves only the first.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970, UTC.
    pub unix_millis: u64,
    /// Since the listening began.
    pub since_start: Duration,
}

impl fmt::Display for Stamp {
    /// `2026-11-21T10:31:18.123Z    12.345`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.unix_millis) * 1_000_000;
        // Beyond the year 9999 there is no log.
        let at =
            OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {:9.3}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond(),
            self.since_start.as_secs_f64()
        )
    }
}

/// Gives moments.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Second 0 is now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a log of a line has the time of each line")]
    pub fn now(&self) -> Stamp {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp {
            unix_millis: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            since_start: self.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_sorts_as_text_and_counts_from_the_start() {
        let shown =
            Stamp { unix_millis: 1_795_257_078_045, since_start: Duration::from_millis(12_345) };
        assert_eq!(shown.to_string(), "2026-11-21T10:31:18.045Z    12.345");
    }
}
