// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is a server so slow that another place of the same file is worth asking?
//!
//! Judged only where there is another place. What counts is the time in which something was waited
//! for, over all connections of a source, with the pauses behind its failures and without pauses of our
//! own: a reader that writes flash, or a limit of the owner's, makes no server slow. Pure: the moments are arguments.
//!
//! The floor follows the file, so that it would come within [`LONGEST_WHOLE_SECS`]; never more than
//! [`HIGHEST_FLOOR`], since requests of a few KiB over a satellite bring no more. The last place is held
//! to no more than the fastest one before it gave: what one slow place gives excuses no other in between.

use super::options::Patience;
use std::time::{Duration, Instant};

/// A file should come within this.
const LONGEST_WHOLE_SECS: u64 = 6 * 3600;
/// Bytes in a second that are enough, however large the file.
const HIGHEST_FLOOR: u64 = 8 * 1024;

/// Whether the same file lies at another place, which is asked when this one is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Elsewhere {
    /// As far as is known it does not: a slow server is better than none.
    #[default]
    Nowhere,
    /// It does.
    Known {
        /// At the last place: the bytes per second of the fastest one that was left, which is gone back
        /// to where this one gives less.
        best: Option<u64>,
    },
}

/// Bytes in a second below which another place is asked for a file of `total` bytes; none where
/// there is no other.
pub(super) fn floor(patience: &Patience, total: u64) -> Option<u64> {
    let Elsewhere::Known { best } = patience.elsewhere else { return None };
    let least = patience.min_bytes_per_sec;
    let wanted = (total / LONGEST_WHOLE_SECS).min(HIGHEST_FLOOR).max(least);
    Some(best.map_or(wanted, |best| wanted.min(best)))
}

/// What a source has given lately.
#[derive(Debug, Default)]
pub(super) struct Average {
    busy: Duration,
    bytes: u64,
    /// The moment up to which time is counted.
    noted: Option<Instant>,
    /// The measure that was below the floor.
    slow: Option<u64>,
}

impl Average {
    /// A connection was busy for so long up to `now`, and so many bytes came. Connections beside each
    /// other are busy at the same time: it counts once.
    pub fn note(&mut self, now: Instant, (busy, bytes): (Duration, u64)) {
        let since = self.noted.map(|noted| now.saturating_duration_since(noted));
        self.busy = self.busy.saturating_add(since.map_or(busy, |since| since.min(busy)));
        self.bytes = self.bytes.saturating_add(bytes);
        self.noted = Some(self.noted.map_or(now, |noted| noted.max(now)));
    }

    /// How fast it is, where that is below `floor` over the time of a measure; once it is, for good.
    pub fn judge(&mut self, over: Duration, floor: u64) -> Option<u64> {
        if self.slow.is_none() && self.busy >= over {
            let millis = u64::try_from(self.busy.as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = self.bytes.saturating_mul(1000) / millis;
            (self.busy, self.bytes) = (Duration::ZERO, 0);
            self.slow = (rate < floor).then_some(rate);
        }
        self.slow
    }

    /// The measure that was below the floor.
    pub const fn too_slow(&self) -> Option<u64> {
        self.slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Duration = Duration::from_secs(300);

    fn known(best: Option<u64>) -> Patience {
        Patience { elsewhere: Elsewhere::Known { best }, ..Patience::default() }
    }

    #[test]
    fn the_floor_follows_the_file_and_what_other_places_gave() {
        let mib = |mib: u64| mib * 1024 * 1024;
        assert_eq!(floor(&Patience::default(), mib(1000)), None, "there is no other");
        assert_eq!(floor(&known(None), 4), Some(512));
        assert_eq!(floor(&known(None), mib(100)), Some(4854));
        assert_eq!(floor(&known(None), mib(10_000)), Some(8192));
        assert_eq!(floor(&known(None), u64::MAX), Some(8192));
        assert_eq!(floor(&known(Some(3000)), mib(100)), Some(3000));
        assert_eq!(floor(&known(Some(90_000)), mib(100)), Some(4854));
    }

    /// So many bytes each second for so long.
    fn drip(average: &mut Average, begin: Instant, (secs, bytes): (u64, u64)) -> Option<u64> {
        (1..=secs).find_map(|second| {
            let now = begin + Duration::from_secs(second);
            average.note(now, (Duration::from_secs(1), bytes));
            average.judge(OVER, 4854)
        })
    }

    /// 513 bytes a second passed for up to a week.
    #[test]
    fn who_drips_is_slow_after_one_measure_and_stays_so() {
        let (begin, mut average) = (Instant::now(), Average::default());
        assert_eq!(drip(&mut average, begin, (299, 513)), None);
        assert_eq!(drip(&mut average, begin + Duration::from_secs(299), (1, 513)), Some(513));
        assert_eq!(average.too_slow(), Some(513));
        assert_eq!(drip(&mut average, begin, (1, 1 << 20)), Some(513), "for good");
        let mut fair = Average::default();
        assert_eq!(drip(&mut fair, begin, (100_000, 4854)), None);
    }

    #[test]
    fn a_pause_of_ours_and_connections_beside_each_other_make_nobody_slow() {
        let (mut now, mut average) = (Instant::now(), Average::default());
        for _ in 0..600 {
            // Four connections bring 1250 bytes each; then a minute of writing.
            now += Duration::from_secs(1);
            for _ in 0..4 {
                average.note(now, (Duration::from_secs(1), 1250));
            }
            now += Duration::from_secs(60);
            assert_eq!(average.judge(OVER, 4854), None);
        }
        assert_eq!(average.too_slow(), None);
    }
}
