// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far did a course come, and what is waited for?

use super::hands::{HandError, Stop};
use crate::{Decision, Facts, Judgement, Looked};
use bootctl::SlotId;
use std::error::Error;
use std::time::Duration;

/// Whether a course changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acting {
    /// It does what was decided.
    #[default]
    Act,
    /// It decides and does nothing of it. The beginning of the bundle is looked at, because nothing
    /// could be decided without.
    DryRun,
}

/// How far a course came.
#[derive(Debug)]
pub enum Ending {
    /// To the last judgement, which wants nothing done, or did while nothing is to change.
    Judged,
    /// The bundle was not had, or not to its end; what is there is gone on with.
    Unreachable {
        /// What a server said about when.
        retry_after: Option<Duration>,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The bundle is not taken on this device.
    Refused(Box<dyn Error + Send + Sync>),
    /// It is installed, and the restart has to wait.
    Installed(SlotId),
    /// The restart was asked for.
    Restarting {
        /// Into this slot.
        into: SlotId,
    },
    /// Somebody wanted it to end.
    Stopped(Stop),
    /// A hand could not do its part.
    Failed(HandError),
}

/// A course that is over.
#[derive(Debug)]
pub struct RoundEnd {
    /// What was judged, in order.
    pub judgements: Vec<Judgement>,
    /// How far it came.
    pub ending: Ending,
    /// What it waits for comes then, as far as the device can know.
    pub again: Option<Duration>,
}

impl RoundEnd {
    pub(super) const fn new(judgements: Vec<Judgement>, ending: Ending) -> Self {
        Self { judgements, ending, again: None }
    }
}

/// An offer that was judged as far as that is possible without changing anything.
#[derive(Debug)]
pub struct Considered {
    /// The device, as it was judged.
    pub facts: Facts,
    /// The beginning of the bundle, where it was looked at.
    pub looked: Option<Looked>,
    /// As claimed, and as looked at.
    pub judgements: Vec<Judgement>,
}

impl Considered {
    /// What is to be done.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        self.judgements.last().map_or(&Decision::Nothing, |judgement| &judgement.decision)
    }

    /// How long what is waited for takes to come.
    pub(super) fn again(&self) -> Option<Duration> {
        wait_of(self.decision(), &self.facts)
    }
}

/// How long it is until what a decision waits for, by the device's clock.
pub(super) fn wait_of(decision: &Decision, facts: &Facts) -> Option<Duration> {
    let Decision::Wait { until, .. } = decision else { return None };
    let secs = until.0.saturating_sub(facts.clock.now.0);
    Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
}
