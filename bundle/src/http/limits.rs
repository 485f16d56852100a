// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast may be fetched, and how much? Both are counted over all connections, and over all
//! sources whose options share one [`RateLimit`] or [`ByteBudget`].
//!
//! What counts are the bytes of bodies as they arrive, also those of redirects, refusals and
//! repetitions: they cost as much. Heads, TLS and TCP come on top (a few per cent).

use super::error::HttpError;
use super::options::HttpStop;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use storage::ByteLen;

/// What was not used of the rate is kept for so long: pauses between requests are not lost, and no
/// long one is followed by a flood.
const CREDIT: Duration = Duration::from_millis(250);

/// Most bytes per second.
#[derive(Debug)]
pub struct RateLimit {
    bytes_per_sec: NonZeroU64,
    /// When the bytes that came so far are paid for.
    paid: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// So many bytes per second, for everybody who shares it.
    #[must_use]
    pub const fn new(bytes_per_sec: NonZeroU64) -> Self {
        Self { bytes_per_sec, paid: Mutex::new(None) }
    }

    /// Counts bytes that arrived at `now`; so long nobody takes more.
    pub(super) fn took(&self, bytes: u64, now: Instant) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_sec.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = now.checked_sub(CREDIT).unwrap_or(now);
        let from = paid.map_or(oldest, |paid| paid.max(oldest));
        let until = from.checked_add(cost).unwrap_or(from);
        *paid = Some(until);
        until.saturating_duration_since(now)
    }
}

/// Most bytes altogether: of one update, or of a day.
#[derive(Debug)]
pub struct ByteBudget {
    most: ByteLen,
    spent: AtomicU64,
}

impl ByteBudget {
    /// So many bytes, for everybody who shares it.
    #[must_use]
    pub const fn new(most: ByteLen) -> Self {
        Self { most, spent: AtomicU64::new(0) }
    }

    /// How many bytes came so far; the last of them may lie beyond the limit.
    #[must_use]
    pub fn spent(&self) -> ByteLen {
        ByteLen::new(self.spent.load(Ordering::Relaxed))
    }

    /// How many may still come.
    #[must_use]
    pub fn left(&self) -> ByteLen {
        ByteLen::new(self.most.get().saturating_sub(self.spent().get()))
    }

    /// Before anything of it is fetched: whether `predicted` bytes may come.
    ///
    /// # Errors
    /// [`HttpError::TooDear`].
    pub fn demand(&self, predicted: ByteLen) -> Result<(), HttpError> {
        let left = self.left();
        if predicted <= left {
            return Ok(());
        }
        Err(HttpError::TooDear { predicted: predicted.get(), left: left.get() })
    }

    /// Counts bytes that arrived; the limit if they were too many.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), ByteLen> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.most.get() { Err(self.most) } else { Ok(()) }
    }
}

/// What one request is held to.
#[derive(Clone, Default)]
pub(super) struct Bounds {
    pub stop: Option<HttpStop>,
    pub rate: Option<Arc<RateLimit>>,
    pub budget: Option<Arc<ByteBudget>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_for_in_time_by_whoever_took_them() {
        let limit = RateLimit::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now() + Duration::from_secs(10);
        // The credit is a quarter of a second, so 250 bytes.
        assert_eq!(limit.took(250, start), Duration::ZERO);
        assert_eq!(limit.took(500, start), Duration::from_millis(500));
        // Somebody else on another connection waits behind it.
        assert_eq!(limit.took(500, start), Duration::from_millis(1000));
        let later = start + Duration::from_secs(1);
        assert_eq!(limit.took(100, later), Duration::from_millis(100));
        // A long pause gives no more than the credit.
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(limit.took(1250, much_later), Duration::from_secs(1));
    }

    #[test]
    fn budget_is_one_for_all_who_share_it() {
        let budget = ByteBudget::new(ByteLen::new(100));
        budget.demand(ByteLen::new(100)).unwrap();
        assert_eq!((budget.spend(60), budget.left()), (Ok(()), ByteLen::new(40)));
        let refused = budget.demand(ByteLen::new(41)).unwrap_err();
        assert!(matches!(refused, HttpError::TooDear { predicted: 41, left: 40 }));
        assert_eq!(budget.spend(41), Err(ByteLen::new(100)));
        assert_eq!((budget.left(), budget.spent()), (ByteLen::default(), ByteLen::new(101)));
    }
}
