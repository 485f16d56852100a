// SPDX-License-Identifier: MIT OR Apache-2.0
//! When is a maintenance window open? Windows recur every week, in a fixed offset from UTC: a
//! device knows no time zones, and an hour that summer time skips or repeats opens nothing twice.

use bundle::UnixTime;
use time::Weekday;

const MINUTE_SECS: i64 = 60;
const DAY_MINUTES: u16 = 24 * 60;
const DAY_SECS: i64 = 24 * 60 * MINUTE_SECS;
/// Offsets of today's zones end at 14 hours; laws change.
const MOST_OFFSET_MINUTES: u16 = 18 * 60;
/// Later clocks are read as this one, so that no sum overflows.
const LATEST_SECS: i64 = 1 << 60;

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// All seven.
    pub const EVERY: Self = Self(0x7f);

    /// These.
    #[must_use]
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Self {
        Self(days.into_iter().fold(0, |bits, day| bits | 1 << day.number_days_from_monday()))
    }

    /// Whether `day` is one of them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.number_days_from_monday()) != 0
    }
}

/// A time that comes back every week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    days: Days,
    from: u16,
    minutes: u16,
    offset: i16,
}

/// These are no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It would never open.
    #[error("the window has no days")]
    NoDays,
    /// A day has 1440 minutes.
    #[error("minute {minute} is not one of a day (0 to 1439; an end may be 1440)")]
    NoMinute {
        /// The number.
        minute: u16,
    },
    /// No zone is so far from UTC.
    #[error("an offset of {minutes} minutes from UTC is more than 18 hours")]
    Offset {
        /// The number.
        minutes: i16,
    },
}

impl Window {
    /// A window that opens on each of `days` at minute `from` and closes at minute `to`, both
    /// counted from midnight at `offset` minutes east of UTC. One that ends before it begins goes
    /// over midnight and belongs to the day it begins on; equal ones are 24 hours.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn new(days: Days, from: u16, to: u16, offset: i16) -> Result<Self, WindowError> {
        if days.0 == 0 {
            return Err(WindowError::NoDays);
        }
        if from >= DAY_MINUTES {
            return Err(WindowError::NoMinute { minute: from });
        }
        if to > DAY_MINUTES {
            return Err(WindowError::NoMinute { minute: to });
        }
        if offset.unsigned_abs() > MOST_OFFSET_MINUTES {
            return Err(WindowError::Offset { minutes: offset });
        }
        let minutes = if to > from { to - from } else { DAY_MINUTES - from + to };
        Ok(Self { days, from, minutes, offset })
    }

    /// Its days.
    #[must_use]
    pub const fn days(&self) -> Days {
        self.days
    }

    /// The minute of the day at which it opens.
    #[must_use]
    pub const fn from(&self) -> u16 {
        self.from
    }

    /// For how many minutes it is open, 1 to 1440.
    #[must_use]
    pub const fn minutes(&self) -> u16 {
        self.minutes
    }

    /// How many minutes east of UTC it is meant.
    #[must_use]
    pub const fn offset(&self) -> i16 {
        self.offset
    }

    /// The first span that is not over at `now`.
    fn next(&self, now: i64) -> Option<Span> {
        let offset = i64::from(self.offset) * MINUTE_SECS;
        let today = (now + offset).div_euclid(DAY_SECS);
        // One that began yesterday may be open still, and the same day of next week is the last.
        let mut days = (today - 1)..=(today + 7);
        days.find_map(|day| {
            let begins = day * DAY_SECS - offset + i64::from(self.from) * MINUTE_SECS;
            let span = Span { begins, ends: begins + i64::from(self.minutes) * MINUTE_SECS };
            (self.opens_on(day) && now < span.ends).then_some(span)
        })
    }

    /// `day` counts from 1970-01-01, a Thursday.
    fn opens_on(&self, day: i64) -> bool {
        self.days.0 & (1 << (day + 3).rem_euclid(7)) != 0
    }
}

#[derive(Clone, Copy)]
struct Span {
    begins: i64,
    ends: i64,
}

/// Whether something may begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// There are no windows.
    Always,
    /// One is open.
    Open {
        /// Until then.
        closes: UnixTime,
    },
    /// None is open.
    Closed {
        /// Until then.
        opens: UnixTime,
        /// When the one that opens then will close.
        closes: UnixTime,
    },
}

/// What `windows` say about `now`.
pub(crate) fn next_opening(windows: &[Window], now: UnixTime) -> Opening {
    let now = now.0.clamp(0, LATEST_SECS);
    let spans = windows.iter().filter_map(|window| window.next(now));
    // Of those that are open the one that closes last, else the one that opens first.
    let best = spans.min_by_key(|span| (span.begins.max(now), std::cmp::Reverse(span.ends)));
    match best {
        None => Opening::Always,
        Some(span) if span.begins <= now => Opening::Open { closes: UnixTime(span.ends) },
        Some(span) => Opening::Closed { opens: UnixTime(span.begins), closes: UnixTime(span.ends) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-22, a Sunday, at 00:00 UTC.
    const SUNDAY: i64 = 1_795_305_600;

    fn at(day: i64, hour: i64, minute: i64) -> UnixTime {
        UnixTime(SUNDAY + day * DAY_SECS + hour * 3600 + minute * 60)
    }

    fn window(days: Days, from: u16, to: u16, offset: i16) -> Window {
        Window::new(days, from, to, offset).unwrap()
    }

    #[test]
    fn without_windows_it_is_always_open() {
        assert_eq!(next_opening(&[], at(0, 12, 0)), Opening::Always);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let saturday = [window(Days::of([Weekday::Saturday]), 23 * 60, 2 * 60, 0)];
        let open = Opening::Open { closes: at(0, 2, 0) };
        assert_eq!(next_opening(&saturday, at(0, 1, 59)), open);
        assert_eq!(next_opening(&saturday, at(-1, 23, 0)), open);
        let closed = Opening::Closed { opens: at(6, 23, 0), closes: at(7, 2, 0) };
        assert_eq!(next_opening(&saturday, at(0, 2, 0)), closed);
        assert_eq!(next_opening(&saturday, at(0, 23, 30)), closed, "Sunday is no day of it");
    }

    #[test]
    fn the_offset_moves_the_day_with_the_hour() {
        // Sunday 01:00 at UTC+2 is Saturday 23:00 UTC.
        let east = [window(Days::of([Weekday::Sunday]), 60, 120, 120)];
        assert_eq!(next_opening(&east, at(-1, 23, 30)), Opening::Open { closes: at(0, 0, 0) });
        // Sunday 22:00 at UTC-5 is Monday 03:00 UTC.
        let west = [window(Days::of([Weekday::Sunday]), 22 * 60, 23 * 60, -300)];
        let closed = Opening::Closed { opens: at(1, 3, 0), closes: at(1, 4, 0) };
        assert_eq!(next_opening(&west, at(0, 22, 30)), closed);
    }

    #[test]
    fn of_several_the_first_that_opens_and_the_last_that_closes_count() {
        let two = [window(Days::EVERY, 120, 180, 0), window(Days::EVERY, 60, 240, 0)];
        let closed = Opening::Closed { opens: at(0, 1, 0), closes: at(0, 4, 0) };
        assert_eq!(next_opening(&two, at(0, 0, 30)), closed);
        assert_eq!(next_opening(&two, at(0, 2, 30)), Opening::Open { closes: at(0, 4, 0) });
    }

    #[test]
    fn equal_ends_are_a_whole_day() {
        let whole = [window(Days::of([Weekday::Sunday]), 300, 300, 0)];
        assert_eq!(next_opening(&whole, at(1, 4, 59)), Opening::Open { closes: at(1, 5, 0) });
        assert_eq!(window(Days::EVERY, 0, 1440, 0).minutes(), 1440);
    }

    #[test]
    fn what_never_opens_or_names_no_time_is_refused() {
        assert_eq!(Window::new(Days::of([]), 0, 60, 0), Err(WindowError::NoDays));
        assert!(Window::new(Days::EVERY, 1440, 60, 0).is_err());
        assert!(Window::new(Days::EVERY, 0, 1441, 0).is_err());
        assert!(Window::new(Days::EVERY, 0, 60, 1081).is_err());
        assert!(Window::new(Days::EVERY, 0, 60, i16::MIN).is_err());
    }

    proptest! {
        /// Found by going through a week minute by minute, as nobody would write it.
        #[test]
        fn openings_are_those_that_a_calendar_shows(
            bits in 1_u8..128, from in 0_u16..1440, to in 0_u16..=1440,
            offset in -1080_i16..=1080, minute in 0_i64..(14 * 1440),
        ) {
            let window = window(Days(bits), from, to, offset);
            let is_open = |secs: i64| {
                let local = secs + i64::from(offset) * 60;
                (0..2).any(|back| {
                    let day = local.div_euclid(DAY_SECS) - back;
                    let into = (local - day * DAY_SECS) / 60 - i64::from(from);
                    bits & (1 << (day + 3).rem_euclid(7)) != 0
                        && (0..i64::from(window.minutes())).contains(&into)
                })
            };
            let now = SUNDAY + minute * 60;
            let next = (0..=7 * 1440).map(|later| now + later * 60).find(|time| is_open(*time));
            match next_opening(&[window], UnixTime(now)) {
                Opening::Always => prop_assert!(false, "there is a window"),
                Opening::Open { closes } => {
                    prop_assert!(is_open(now) && is_open(closes.0 - 60));
                }
                Opening::Closed { opens, closes } => {
                    prop_assert_eq!(next, Some(opens.0));
                    prop_assert!(opens < closes);
                }
            }
        }

        #[test]
        fn any_clock_finds_a_window_within_eight_days(now: i64, from in 0_u16..1440) {
            let window = window(Days::of([Weekday::Friday]), from, from, 0);
            let now = UnixTime(now);
            let held = now.0.clamp(0, LATEST_SECS);
            match next_opening(&[window], now) {
                Opening::Always => prop_assert!(false),
                Opening::Open { closes } => prop_assert!(closes.0 > held),
                Opening::Closed { opens, .. } => {
                    prop_assert!(opens.0 > held && opens.0 - held <= 8 * DAY_SECS);
                }
            }
        }
    }
}
