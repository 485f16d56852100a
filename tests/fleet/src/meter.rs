// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much is a server asked? Every request that sets out counts, also one that is lost on the way
//! or meets a server that is away: it is what a herd is made of.

use std::ops::Range;
use std::time::Duration;

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// Whether there is an update.
    Question,
    /// The beginning of a bundle.
    Look,
    /// The rest of it, or of what is left.
    Fetch,
    /// A word about an action, or a device report.
    Word,
}

impl Request {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Question, Self::Look, Self::Fetch, Self::Word];

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Question => "questions",
            Self::Look => "looks",
            Self::Fetch => "fetches",
            Self::Word => "reports",
        }
    }
}

/// The counts of one server.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// By the second.
    seconds: Vec<u32>,
    kinds: [u64; 4],
    /// Bytes that went out.
    pub bytes: u64,
}

/// The load of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests.
    pub requests: u64,
    /// Requests in the mean minute.
    pub mean_minute: f64,
    /// Requests in the fullest minute.
    pub peak_minute: u64,
    /// Requests in the mean second.
    pub mean_second: f64,
    /// Requests in the fullest second.
    pub peak_second: u64,
}

impl Load {
    /// How many times the mean minute the fullest one is.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.mean_minute > 0.0 { as_f64(self.peak_minute) / self.mean_minute } else { 0.0 }
    }
}

/// Counts here are far below 2⁵².
#[must_use]
pub fn as_f64(number: u64) -> f64 {
    number as f64
}

fn index(at: Duration) -> usize {
    usize::try_from(at.as_secs()).unwrap_or(usize::MAX)
}

impl Meter {
    /// Counts a request.
    pub fn count(&mut self, at: Duration, what: Request) {
        let second = index(at);
        if second >= self.seconds.len() {
            self.seconds.resize(second + 1, 0);
        }
        if let Some(count) = self.seconds.get_mut(second) {
            *count += 1;
        }
        for (kind, count) in Request::ALL.iter().zip(&mut self.kinds) {
            *count += u64::from(*kind == what);
        }
    }

    /// Requests of this kind.
    #[must_use]
    pub fn of(&self, what: Request) -> u64 {
        let mut all = Request::ALL.iter().zip(self.kinds);
        all.find(|(kind, _)| **kind == what).map_or(0, |(_, count)| count)
    }

    /// All requests.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// Requests in each whole bucket of a span.
    #[must_use]
    pub fn buckets(&self, span: &Range<Duration>, bucket: Duration) -> Vec<u64> {
        let (from, width) = (index(span.start), index(bucket).max(1));
        let count = index(span.end).saturating_sub(from) / width;
        let second = |at: usize| self.seconds.get(at).map_or(0, |count| u64::from(*count));
        let sum = |nth: usize| (0..width).map(|at| second(from + nth * width + at)).sum();
        (0..count).map(sum).collect()
    }

    /// The load of a span, by its whole minutes.
    #[must_use]
    pub fn load(&self, span: &Range<Duration>) -> Load {
        let minutes = self.buckets(span, Duration::from_secs(60));
        let seconds = self.buckets(span, Duration::from_secs(1));
        let mean =
            |buckets: &[u64]| as_f64(buckets.iter().sum()) / as_f64(buckets.len().max(1) as u64);
        Load {
            requests: seconds.iter().sum(),
            mean_minute: mean(&minutes),
            peak_minute: minutes.iter().copied().max().unwrap_or(0),
            mean_second: mean(&seconds),
            peak_second: seconds.iter().copied().max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_the_fullest_whole_bucket() {
        let mut meter = Meter::default();
        for second in [0, 60, 61, 61, 119, 120, 500] {
            meter.count(Duration::from_secs(second), Request::Question);
        }
        meter.count(Duration::from_secs(121), Request::Word);
        let load = meter.load(&(Duration::from_secs(60)..Duration::from_secs(200)));
        assert_eq!((load.requests, load.peak_minute, load.peak_second), (6, 4, 2));
        assert!((load.mean_minute - 3.0).abs() < 1e-9, "the last 20 seconds are no minute");
        assert_eq!((meter.of(Request::Word), meter.all()), (1, 8));
    }
}
