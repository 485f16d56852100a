// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are the services up, and do they stay up?
//!
//! All that are watched must be active at the same time, and from then on for the settle time, with
//! no restart in between; whatever breaks that begins the count anew, until the deadline. So a slow
//! start is waited for (B4) and a service that comes up and dies again and again never passes.

use super::policy::ActivationPlan;
use super::services::ServiceUnit;
use crate::promote::Moment;
use serde::Serialize;
use std::collections::BTreeMap;
use verifier::{ActiveState, UnitStatus};

/// Between two looks.
const POLL_SECS: u64 = 1;

/// A service that crashes at once is up for a moment; so long it must stay up whatever the
/// configuration says, but never for more than half of the time that it has.
const LEAST_SETTLE_SECS: u64 = 3;

/// A service that failed and is not tried again by anybody for so long does not come back.
const GIVEN_UP_SECS: u64 = 10;

/// One look at one service; an error is what was said instead of an answer.
pub type Sample = Result<UnitStatus, String>;

/// What is said of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitState {
    /// systemd's words, `active (running)`, or what went wrong in asking.
    pub words: String,
    /// How often systemd restarted it.
    pub restarts: u32,
    /// Whether that is good.
    pub is_up: bool,
}

/// A change that somebody may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which service.
    pub unit: ServiceUnit,
    /// What is said of it now.
    pub state: UnitState,
}

/// A service that kept the activation from succeeding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which one.
    pub unit: String,
    /// Why.
    pub why: String,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Look again then.
    Wait(Moment),
    /// They are up and stayed up.
    Healthy,
    /// They did not.
    Failed(Vec<Failure>),
}

struct Known {
    state: UnitState,
    /// Since when it has failed with nobody trying again.
    failed_since: Option<Moment>,
}

/// The look at all services of an activation.
pub struct Watch {
    until: Moment,
    settle_secs: u64,
    /// Since when all are up.
    held_since: Option<Moment>,
    known: BTreeMap<ServiceUnit, Known>,
}

impl Watch {
    /// Begins now and ends at `until`.
    #[must_use]
    pub fn new(plan: &ActivationPlan, now: Moment, until: Moment) -> Self {
        let window = until.0.saturating_sub(now.0);
        let least = LEAST_SETTLE_SECS.min(window / 2);
        let settle_secs = plan.settle_secs.max(least);
        Self { until, settle_secs, held_since: None, known: BTreeMap::new() }
    }

    /// Takes a look at every watched service; `changed` hears what is new.
    pub fn look(
        &mut self,
        now: Moment,
        samples: &BTreeMap<ServiceUnit, Sample>,
        changed: &mut dyn FnMut(Event),
    ) -> Judgement {
        let mut all_up = true;
        let mut was_restarted = false;
        for (unit, sample) in samples {
            let state = state_of(sample);
            let before = self.known.get(unit);
            was_restarted |= before.is_some_and(|known| known.state.restarts < state.restarts);
            all_up &= state.is_up;
            if before.is_none_or(|known| known.state != state) {
                changed(Event { unit: unit.clone(), state: state.clone() });
            }
            let failed = matches!(sample, Ok(status) if status.active == ActiveState::Failed);
            let same = before.filter(|known| known.state == state);
            let since = same.and_then(|known| known.failed_since).unwrap_or(now);
            let failed_since = failed.then_some(since);
            self.known.insert(unit.clone(), Known { state, failed_since });
        }
        if !all_up {
            self.held_since = None;
            return self.not_up(now);
        }
        if was_restarted {
            self.held_since = None;
        }
        let since = *self.held_since.get_or_insert(now);
        if now >= since.plus_secs(self.settle_secs) {
            return Judgement::Healthy;
        }
        self.wait_or(now, "did not stay up long enough in the time it had")
    }

    fn not_up(&self, now: Moment) -> Judgement {
        let given_up = |known: &Known| {
            known.failed_since.is_some_and(|since| now >= since.plus_secs(GIVEN_UP_SECS))
        };
        let lost: Vec<Failure> = self
            .known
            .iter()
            .filter(|(_, known)| given_up(known))
            .map(|(unit, known)| failure(unit, &known.state, "and is not tried again"))
            .collect();
        if !lost.is_empty() {
            return Judgement::Failed(lost);
        }
        self.wait_or(now, "when its time was over")
    }

    fn wait_or(&self, now: Moment, why: &str) -> Judgement {
        if now < self.until {
            return Judgement::Wait(now.plus_secs(POLL_SECS).min(self.until));
        }
        let down = self.known.iter().filter(|(_, known)| !known.state.is_up);
        let mut failures: Vec<Failure> =
            down.map(|(unit, known)| failure(unit, &known.state, why)).collect();
        if failures.is_empty() {
            failures =
                self.known.iter().map(|(unit, known)| failure(unit, &known.state, why)).collect();
        }
        Judgement::Failed(failures)
    }
}

/// What is said of a service.
pub(super) fn state_of(sample: &Sample) -> UnitState {
    match sample {
        Ok(status) if !status.exists => {
            UnitState { words: "not found".to_owned(), restarts: 0, is_up: false }
        }
        Ok(status) => UnitState {
            words: format!("{} ({})", status.active.word(), status.sub),
            restarts: status.restarts,
            is_up: status.active == ActiveState::Active,
        },
        Err(problem) => UnitState { words: problem.clone(), restarts: 0, is_up: false },
    }
}

fn failure(unit: &ServiceUnit, state: &UnitState, why: &str) -> Failure {
    let restarts = match state.restarts {
        0 => String::new(),
        count => format!(", restarted {count} times"),
    };
    Failure { unit: unit.name.clone(), why: format!("{}{restarts}, {why}", state.words) }
}
