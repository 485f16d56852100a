// SPDX-License-Identifier: MIT OR Apache-2.0
//! When is the server asked next? So that a fleet never asks at once: not after a power return, not
//! after an outage of the server, and not when it sends everybody the same word.
//!
//! Pure, in spans from now: a clock that jumps moves no question, and tests and the fleet simulator
//! run it on virtual time. Which moment of a span a device takes is drawn from its name and the
//! number of the question.

use crate::Policy;
use crate::lot::Lot;
use std::time::Duration;

/// Nobody is asked more often, whatever a server or a setting says.
pub const SHORTEST_WAIT: Duration = Duration::from_secs(30);
/// Nobody is asked more seldom at a server's word: one that once said otherwise would have lost the
/// device.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest interval, which only the device's owner may want: its settings have no more.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What a device does without any settings: the original's interval.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// After the first failure the next try comes after this part of the interval, within these bounds.
const FIRST_RETRY_PART: u32 = 4;
const MOST_FIRST_RETRY: Duration = Duration::from_secs(15 * 60);
/// Tries after failures do not become more seldom than the interval, or this where it is shorter.
const LEAST_CAP: Duration = Duration::from_secs(30 * 60);
/// What a server puts off is spread over as much again, up to this or the interval where that is
/// longer. hawkBit's pauses double up to an hour while its interval is minutes: spread over those, a
/// fleet would come back from an outage together.
const MOST_SPREAD: Duration = Duration::from_secs(60 * 60);
/// By how much of its length a wait that the server set is spread.
const SPREAD_PART: u32 = 4;

/// How often the owner or the server wants it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    jitter: Duration,
    /// Between two questions, where the last one was answered.
    longest: Duration,
}

/// How the last question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// With an answer.
    Answered {
        /// The interval that the server wants from now on (hawkBit's polling sleep).
        sleep: Option<Duration>,
    },
    /// Without one.
    Failed {
        /// The `Retry-After` that came instead.
        retry_after: Option<Duration>,
    },
}

impl Pace {
    /// One question in each `interval` of a server's, a day at most, spread as the policy says: over
    /// the whole interval where it says nothing.
    #[must_use]
    pub fn new(interval: Duration, policy: &Policy) -> Self {
        Self::within(interval.min(LONGEST_WAIT), policy)
    }

    /// The same for the interval of the owner, who may want less: a week at most.
    #[must_use]
    pub fn of_owner(interval: Duration, policy: &Policy) -> Self {
        Self::within(interval.min(LONGEST_INTERVAL), policy)
    }

    fn within(interval: Duration, policy: &Policy) -> Self {
        let interval = interval.max(SHORTEST_WAIT);
        let jitter = policy.jitter.unwrap_or(interval).min(interval);
        Self { interval, jitter, longest: interval.max(LONGEST_WAIT) }
    }

    /// Longer than this no question waits.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// The interval.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long the first question waits after a start of the device. Where the power returns to all
    /// of them at once their names spread them over the interval; it is never less than a minute,
    /// in which the network comes up. A longer interval than a day is no reason to wait longer: a
    /// device that is switched off each week would never ask.
    #[must_use]
    pub fn first(&self, device: &str) -> Duration {
        // A jitter that is meant for single questions would let the herd through here.
        let spread = self.interval.max(self.jitter).min(LONGEST_WAIT);
        SHORTEST_WAIT.saturating_mul(2) + Lot::of_time("first", 0, device).of(spread)
    }

    /// How long the question after this one waits. `round` is its number since the start, and
    /// `failures` how often in a row there was no answer, this time included.
    #[must_use]
    pub fn next(&self, device: &str, round: u64, failures: u32, asked: Asked) -> Duration {
        let lot = Lot::of_time("next", round, device);
        let wait = match asked {
            Asked::Answered { sleep: None } => {
                return around(self.interval, self.jitter, lot).clamp(SHORTEST_WAIT, self.longest);
            }
            // The server counts on its interval: it is met within an eighth.
            Asked::Answered { sleep: Some(sleep) } => {
                let sleep = sleep.clamp(SHORTEST_WAIT, LONGEST_WAIT);
                around(sleep, sleep / SPREAD_PART, lot)
            }
            Asked::Failed { retry_after: None } => {
                let wait = self.after_failures(failures);
                around(wait, wait, lot)
            }
            // Never earlier than the server asks for, and not everybody at its moment.
            Asked::Failed { retry_after: Some(said) } => {
                let said = said.clamp(SHORTEST_WAIT, LONGEST_WAIT);
                let least = self.interval.min(LEAST_CAP);
                said + lot.of(said.clamp(least, self.interval.max(MOST_SPREAD)))
            }
        };
        wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }

    /// Doubled with each failure, up to the interval.
    fn after_failures(&self, failures: u32) -> Duration {
        let first = (self.interval / FIRST_RETRY_PART).clamp(SHORTEST_WAIT, MOST_FIRST_RETRY);
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.interval.clamp(LEAST_CAP, LONGEST_WAIT))
    }
}

/// `middle`, give or take half of `spread`.
fn around(middle: Duration, spread: Duration, lot: Lot) -> Duration {
    middle.saturating_sub(spread / 2).saturating_add(lot.of(spread))
}

/// How long it is until the device wakes: for its next question, or earlier for what it waits for
/// ([`crate::Decision::Wait`]), which is different for each device already.
#[must_use]
pub fn wake_after(question: Duration, wait: Option<Duration>) -> Duration {
    wait.map_or(question, |wait| question.min(wait.max(SHORTEST_WAIT)))
}

#[cfg(test)]
mod tests;
