// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which time do files on a FAT carry? The one the caller names, never the clock's.

use fatfs::{Date, DateTime, Time, TimeProvider};
use std::cell::Cell;
use time::OffsetDateTime;

/// A moment as FAT stores it: 1980 to 2107, in steps of two seconds, UTC by our convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FatTime(DateTime);

impl FatTime {
    /// The earliest moment FAT can store.
    pub const EPOCH: Self = Self(DateTime {
        date: Date { year: 1980, month: 1, day: 1 },
        time: Time { hour: 0, min: 0, sec: 0, millis: 0 },
    });

    /// The moment `seconds` after 1970 in UTC; what FAT cannot store becomes [`FatTime::EPOCH`].
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        let Ok(moment) = OffsetDateTime::from_unix_timestamp(seconds) else { return Self::EPOCH };
        let Some(year) = u16::try_from(moment.year()).ok().filter(|y| (1980..=2107).contains(y))
        else {
            return Self::EPOCH;
        };
        let (hour, min, sec) = moment.time().as_hms();
        Self(DateTime {
            date: Date { year, month: u8::from(moment.month()).into(), day: moment.day().into() },
            time: Time { hour: hour.into(), min: min.into(), sec: u16::from(sec) & !1, millis: 0 },
        })
    }

    /// Makes this the time that [`CLOCK`] tells on this thread.
    pub(crate) fn set(self) {
        NOW.set(self);
    }
}

thread_local! {
    static NOW: Cell<FatTime> = const { Cell::new(FatTime::EPOCH) };
}

/// `fatfs` takes its clock by `'static` reference, so the time of the running call lies beside it.
#[derive(Debug)]
pub(crate) struct Clock;

/// The only clock.
pub(crate) static CLOCK: Clock = Clock;

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        NOW.get().0.date
    }

    fn get_current_date_time(&self) -> DateTime {
        NOW.get().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_outside_fat_become_its_epoch_and_others_keep_two_second_steps() {
        assert_eq!(FatTime::from_unix(0), FatTime::EPOCH);
        assert_eq!(FatTime::from_unix(i64::MAX), FatTime::EPOCH);
        let FatTime(moment) = FatTime::from_unix(1_700_000_001);
        assert_eq!((moment.date.year, moment.date.month, moment.date.day), (2023, 11, 14));
        assert_eq!((moment.time.hour, moment.time.min, moment.time.sec), (22, 13, 20));
    }
}
