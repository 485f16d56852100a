// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop around the judge: ask, judge, wait, until there is a verdict.

use crate::config::HealthConfig;
use crate::judge::{Next, Phase, judge};
use crate::round::{Round, run_round};
use crate::system::System;
use crate::verdict::Verdict;
use std::time::Duration;

/// A clock that never goes back.
pub trait Clock {
    /// Time since some fixed moment.
    fn now(&mut self) -> Duration;

    /// Returns when the clock reads at least `until`.
    fn wait_until(&mut self, until: Duration);
}

/// What happens during a verification, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthEvent {
    /// A round is over.
    Round {
        /// Rounds so far, counted from 1.
        number: u32,
        /// Time since the verification began.
        elapsed: Duration,
        /// How long everything has held, once it does.
        held: Option<Duration>,
        /// What the round found.
        round: Round,
    },
    /// It is decided.
    Decided {
        /// Time since the verification began.
        elapsed: Duration,
        /// The verdict.
        verdict: Verdict,
    },
}

/// Asks until there is a verdict. It ends: each round moves the clock on or the verdict nearer.
pub fn run_health(
    config: &HealthConfig,
    system: &mut dyn System,
    clock: &mut dyn Clock,
    progress: &mut dyn FnMut(HealthEvent),
) -> Verdict {
    let began = clock.now();
    let mut phase = Phase::Settling { since: began };
    let mut number = 0_u32;
    loop {
        let started = clock.now();
        let round = run_round(&config.probes, system);
        let ended = clock.now();
        number = number.saturating_add(1);
        let next = judge(&config.timing, &phase, &round, started, ended);
        let elapsed = ended.saturating_sub(began);
        let held = match &phase {
            Phase::Sustaining { since, .. } if round.passes() => Some(ended.saturating_sub(*since)),
            Phase::Sustaining { .. } | Phase::Settling { .. } => None,
        };
        progress(HealthEvent::Round { number, elapsed, held, round });
        match next {
            Next::Verdict(verdict) => {
                progress(HealthEvent::Decided { elapsed, verdict: verdict.clone() });
                return verdict;
            }
            Next::WaitUntil(until, then) => {
                phase = then;
                clock.wait_until(until);
            }
        }
    }
}
