// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the server hear and say while a slot is written? How far it is, and that it is to be
//! stopped.
//!
//! Nothing of it is kept before the end: a cut in between repeats progress, and the next poll finds
//! again that the action is to end.

use super::super::hands::{Stop, Watch};
use super::HawkbitTerms;
use super::told::Told;
use crate::ddi::{
    ActionId, AttributeMode, Context, DdiState, Effect, Event, Exchange, Keeper, converse,
};
use crate::{Clock, SHORTEST_WAIT};
use bundle::UnixTime;
use std::convert::Infallible;
use std::time::Duration;

/// Nobody keeps it.
struct Unkept;

impl Keeper for Unkept {
    type Error = Infallible;

    fn keep(&mut self, _state: &DdiState) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Who follows the install of an action.
pub(super) struct Follow<'a, E> {
    pub terms: HawkbitTerms<'a, E>,
    pub told: Told,
    pub clock: Clock,
    pub state: DdiState,
    pub id: ActionId,
    /// For the log, and a rest: said after the install, since the hands are busy.
    pub effects: Vec<Effect>,
    asked: UnixTime,
    pause: Duration,
    is_stopped: bool,
}

impl<'a, E: Exchange> Follow<'a, E> {
    pub fn new(
        terms: HawkbitTerms<'a, E>,
        (told, clock): (Told, Clock),
        (state, id): (DdiState, ActionId),
    ) -> Self {
        let (asked, pause) = (clock.now, SHORTEST_WAIT);
        let effects = Vec::new();
        Self { terms, told, clock, state, id, effects, asked, pause, is_stopped: false }
    }

    fn event(&mut self, event: Event) {
        let context = Context {
            server: self.terms.server,
            attributes: &self.told.attributes,
            mode: AttributeMode::Merge,
            details: &self.told.details,
            clock: self.clock,
            keep: self.terms.policy.keep,
        };
        let talk = (self.terms.exchange, &mut Unkept);
        let Ok(effects) = converse(&mut self.state, event, &context, talk);
        for effect in effects {
            match effect {
                Effect::Stop(id, why) => {
                    self.is_stopped |= id == self.id;
                    self.effects.push(Effect::Tell(why));
                }
                // While a slot is written the server's interval gives way: who cancels does not
                // want to wait for the end of it. A pause after a failure counts.
                Effect::Sleep(span) => {
                    let has_failed = self.state.failures() > 0;
                    self.pause = if has_failed { span.max(SHORTEST_WAIT) } else { SHORTEST_WAIT };
                }
                Effect::Tell(_) | Effect::Reported => self.effects.push(effect),
                // Another action waits for the end of this one, and this one is not offered anew.
                Effect::Send(_)
                | Effect::Confirm(_)
                | Effect::Offer(..)
                | Effect::Withdraw(..)
                | Effect::Reboot(..) => {}
            }
        }
    }

    fn is_due(&self, now: UnixTime) -> bool {
        let since = now.0.saturating_sub(self.asked.0);
        // A clock that was turned back is asked by from here on.
        u64::try_from(since).map_or(true, |since| since >= self.pause.as_secs())
    }
}

impl<E: Exchange> Watch for Follow<'_, E> {
    fn written(&mut self, percent: u8, now: UnixTime) -> Option<Stop> {
        self.clock.now = now;
        if !self.is_stopped {
            self.event(Event::Progress(self.id, percent));
        }
        if !self.is_stopped && self.is_due(now) {
            self.asked = now;
            self.event(Event::Poll);
        }
        self.is_stopped.then_some(Stop::Server)
    }
}
