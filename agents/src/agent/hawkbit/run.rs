// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop of an agent of hawkBit's, and one round of it.
//!
//! It may end anywhere, as if the power went.

use super::super::course::Course;
use super::super::hands::{Hands, Stop};
use super::{Asks, Hawkbit, HawkbitEnd, HawkbitEnding, HawkbitTerms};
use crate::ddi::{Exchange, Stage};
use crate::{Memory, Pace};
use bootctl::Force;
use std::time::Duration;

/// How often it is looked whether the verifier has spoken, or what a restart waits for has ended.
const LOOKED_AGAIN: Duration = Duration::from_secs(60);
/// Who has a result to tell waits at most so much longer after a start than the network needs.
const RESULT_SPREAD: Duration = Duration::from_secs(5 * 60);
/// A restart that was asked for and has not come after this long is asked for again.
const RESTART_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Talks with the server until the program has to end.
pub fn run_hawkbit<E: Exchange>(
    hands: &mut dyn Hands,
    terms: HawkbitTerms<'_, E>,
    memory: &mut Memory,
) -> Stop {
    let mut talk = Hawkbit::new(Course::new(hands, memory, terms.policy), terms, Force::No);
    let first = talk.first();
    if !first.is_zero()
        && let Some(by) = talk.course.hands().sleep(first)
    {
        return by;
    }
    let mut question = Duration::ZERO;
    loop {
        let asks = if question.is_zero() { Asks::Server } else { Asks::Nobody };
        let end = talk.round(asks);
        let mut soon = talk.looks_again();
        match end.ending {
            HawkbitEnding::Stopped(by) => return by,
            HawkbitEnding::Restarting { .. } => (question, soon) = (RESTART_PATIENCE, None),
            HawkbitEnding::Rests | HawkbitEnding::Failed(_) if asks == Asks::Server => {
                question = end.wait;
            }
            HawkbitEnding::Rests | HawkbitEnding::Failed(_) => {}
        }
        let wake = soon.map_or(question, |soon| question.min(soon));
        if let Some(by) = talk.course.hands().sleep(wake) {
            return by;
        }
        question = question.saturating_sub(wake);
    }
}

/// One round, for a person or a timer; the person may insist.
pub fn hawkbit_once<E: Exchange>(
    hands: &mut dyn Hands,
    terms: HawkbitTerms<'_, E>,
    memory: &mut Memory,
    insist: Force,
) -> HawkbitEnd {
    let course = Course::new(hands, memory, terms.policy);
    Hawkbit::new(course, terms, insist).round(Asks::Server)
}

impl<E: Exchange> Hawkbit<'_, E> {
    /// How long the first round waits. The power may have returned to all devices at once; who was
    /// only started anew, long after the device, waits no more.
    fn first(&mut self) -> Duration {
        let mut up = Duration::ZERO;
        if let Ok(facts) = self.course.facts() {
            (self.device, up) = (facts.device_id, facts.up);
        }
        let interval = self.state.sleep();
        let interval = match self.stage() {
            Some(Stage::Installed(_) | Stage::Trial(_)) => interval.min(RESULT_SPREAD),
            _ => interval,
        };
        Pace::new(interval, self.terms.policy).first(&self.device).saturating_sub(up)
    }

    /// While a verdict or a restart is awaited.
    fn looks_again(&self) -> Option<Duration> {
        let is_awaited = matches!(self.stage(), Some(Stage::Installed(_) | Stage::Trial(_)));
        (is_awaited || self.course.memory().install.is_some()).then_some(LOOKED_AGAIN)
    }
}
