// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has a source cost, and how has it answered so far? Counted by all its connections.

use super::average::Average;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What was sent and received, for whoever compares.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub requests: AtomicU64,
    pub bytes: AtomicU64,
    /// From a request to the first byte of its answer, the fastest of all; unknown before one.
    fastest: Mutex<Option<Duration>>,
    average: Mutex<Average>,
}

impl Counters {
    /// A request's answer took so long to begin.
    pub fn note_answer(&self, took: Duration) {
        let mut fastest = self.fastest.lock().unwrap_or_else(PoisonError::into_inner);
        *fastest = Some(fastest.map_or(took, |known| known.min(took)));
    }

    /// How fast it has been lately.
    pub fn average(&self) -> MutexGuard<'_, Average> {
        // Numbers, which are whole whoever panicked since.
        self.average.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast it was, in bytes per second, where another place is to be asked for that.
    pub fn too_slow(&self) -> Option<u64> {
        self.average().too_slow()
    }

    /// The shortest of those times.
    pub fn fastest_answer(&self) -> Option<Duration> {
        *self.fastest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
