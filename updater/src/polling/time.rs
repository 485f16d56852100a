// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time that goes on while a device is suspended, and how fast it goes in tests.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// A moment of the clock that counts from the boot, suspended time included
/// (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(u64);

impl BootTime {
    /// A moment that many microseconds after the boot.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds after the boot, as RAUC's properties give it.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The most that RAUC lets its tests shorten delays.
pub const SPEEDUP_MAX: u32 = 1000;

/// How many times shorter every delay is (`RAUC_TEST_POLLING_SPEEDUP`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speedup(NonZeroU32);

impl Speedup {
    /// As on devices.
    pub const NONE: Self = Self(NonZeroU32::MIN);

    /// The value of `RAUC_TEST_POLLING_SPEEDUP`; `None` where it is none of 1 to 1000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let times = text.parse().ok().filter(|times: &NonZeroU32| times.get() <= SPEEDUP_MAX)?;
        Some(Self(times))
    }

    pub(super) fn of(self, delay: Duration) -> Duration {
        delay.checked_div(self.0.get()).unwrap_or(delay)
    }
}

/// A delay as RAUC tells it: days, hours, minutes and seconds that are not zero.
pub(super) struct Told(pub(super) Duration);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_secs();
        let parts = [
            (total / 86_400, "d"),
            (total / 3600 % 24, "h"),
            (total / 60 % 60, "m"),
            (total % 60, "s"),
        ];
        let words: Vec<String> = parts
            .into_iter()
            .filter(|(count, unit)| *count > 0 || (total == 0 && *unit == "s"))
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_told_without_zeros() {
        for (secs, text) in
            [(0, "0s"), (60, "1m"), (86_400, "1d"), (90_061, "1d 1h 1m 1s"), (3601, "1h 1s")]
        {
            assert_eq!(Told(Duration::from_secs(secs)).to_string(), text);
        }
    }

    #[test]
    fn tests_may_shorten_delays_a_thousand_times_at_most() {
        let times = |text| Speedup::parse(text).map(|speedup| speedup.of(Duration::from_secs(60)));
        assert_eq!(times("1"), Some(Duration::from_secs(60)));
        assert_eq!(times("10"), Some(Duration::from_secs(6)));
        assert_eq!(times("1000"), Some(Duration::from_millis(60)));
        for wrong in ["0", "1001", "-1", "x", ""] {
            assert_eq!(times(wrong), None, "{wrong:?}");
        }
    }
}
