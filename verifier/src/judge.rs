// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows from a round? Pure: the phase, the round and the clock's readings go in, the next
//! step or the verdict comes out.
//!
//! While *settling*, failures and restarts are the business of a machine that still starts; the
//! first passing round ends it. While *sustaining*, one failure or one restart ends it badly: a
//! service that crashes at second 50 would crash at second 70 too, after it was confirmed.

use crate::config::Timing;
use crate::probe::Level;
use crate::round::{Outcome, Round, Trouble};
use crate::verdict::{Finding, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far the verification has come. Times are readings of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No round has passed yet.
    Settling {
        /// When the verification began.
        since: Duration,
    },
    /// Every round since then has passed.
    Sustaining {
        /// When the first passing round ended.
        since: Duration,
        /// Restarts of every watched unit at the round before.
        restarts: BTreeMap<String, u32>,
    },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until the clock reads this, then ask again.
    WaitUntil(Duration, Phase),
    /// It is decided.
    Verdict(Verdict),
}

/// What a round is worth in a phase.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    Passed,
    Failed,
}

/// Judges a round that lasted from `started` to `ended`.
pub fn judge(
    timing: &Timing,
    phase: &Phase,
    round: &Round,
    started: Duration,
    ended: Duration,
) -> Next {
    let empty = BTreeMap::new();
    let before = match phase {
        Phase::Settling { .. } => &empty,
        Phase::Sustaining { restarts, .. } => restarts,
    };
    let (reasons, warnings) = findings(round, before);
    let worth = if reasons.is_empty() { Worth::Passed } else { Worth::Failed };
    let wait = |until: Duration, phase: Phase| {
        let next = started.saturating_add(timing.interval).min(until).max(ended);
        Next::WaitUntil(next, phase)
    };
    match (phase, worth) {
        (Phase::Settling { since }, Worth::Failed) => {
            let limit = since.saturating_add(timing.settle);
            if started >= limit {
                Next::Verdict(Verdict::Unhealthy { reasons, warnings })
            } else {
                wait(limit, phase.clone())
            }
        }
        (Phase::Settling { .. }, Worth::Passed) => {
            if timing.window.is_zero() {
                return Next::Verdict(Verdict::Healthy { warnings });
            }
            let sustaining = Phase::Sustaining { since: ended, restarts: restarts_of(round) };
            wait(ended.saturating_add(timing.window), sustaining)
        }
        (Phase::Sustaining { .. }, Worth::Failed) => {
            Next::Verdict(Verdict::Unhealthy { reasons, warnings })
        }
        (Phase::Sustaining { since, .. }, Worth::Passed) => {
            let end = since.saturating_add(timing.window);
            if started >= end {
                Next::Verdict(Verdict::Healthy { warnings })
            } else {
                wait(end, Phase::Sustaining { since: *since, restarts: restarts_of(round) })
            }
        }
    }
}

fn restarts_of(round: &Round) -> BTreeMap<String, u32> {
    round.results.iter().flat_map(|result| result.restarts.clone()).collect()
}

/// Every trouble of the round, and every restart since the round before, by level.
fn findings(round: &Round, before: &BTreeMap<String, u32>) -> (Vec<Finding>, Vec<Finding>) {
    let mut reasons = Vec::new();
    let mut warnings = Vec::new();
    for result in &round.results {
        let list = match result.level {
            Level::Required => &mut reasons,
            Level::Warning => &mut warnings,
        };
        if let Outcome::Failed(troubles) = &result.outcome {
            list.extend(troubles.iter().map(|trouble| Finding::new(&result.probe, trouble)));
        }
        for (unit, now) in &result.restarts {
            // The count falls when somebody starts the unit by hand; that is no failure of it.
            let times = before.get(unit).map_or(0, |then| now.saturating_sub(*then));
            if times > 0 {
                let trouble = Trouble::UnitRestarted { unit: unit.clone(), times };
                list.push(Finding::new(&result.probe, &trouble));
            }
        }
    }
    (reasons, warnings)
}
