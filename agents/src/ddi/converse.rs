// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who sends what a step wants sent? A talk with the server, until the device's hands are wanted.

use super::course::step;
use super::events::{Context, Effect, Event};
use super::request::{Exchange, NoAnswer};
use super::state::{DdiState, Talk};

/// Most requests of one talk. A round has a handful; a server that always wants one more would be
/// talked to for ever.
const MAX_REQUESTS: usize = 64;

/// Who makes the state durable.
pub trait Keeper {
    /// Why it could not be.
    type Error;

    /// Keeps a state, durably, before anything follows from it.
    ///
    /// # Errors
    /// When it cannot; the talk ends there.
    fn keep(&mut self, state: &DdiState) -> Result<(), Self::Error>;
}

/// Takes an event in, sends what is to be sent and takes the answers in, until nothing is left to
/// send. What remains are effects for the device's own hands, in order.
///
/// # Errors
/// That of the keeper: what follows from a state that could not be kept is not done.
pub fn converse<K: Keeper>(
    state: &mut DdiState,
    event: Event,
    context: &Context<'_>,
    (exchange, keeper): (&impl Exchange, &mut K),
) -> Result<Vec<Effect>, K::Error> {
    let mut remaining = Vec::new();
    let mut event = Some(event);
    let mut sent = 0;
    while let Some(happened) = event.take() {
        let (next, effects) = step(state.clone(), happened, context);
        if !next.is_kept_as(state)
            && let Err(failed) = keeper.keep(&next)
        {
            // Nobody waits for the answer that was just given; the next poll begins anew.
            state.talk = Talk::default();
            return Err(failed);
        }
        *state = next;
        for effect in effects {
            match effect {
                Effect::Send(request) => {
                    sent += 1;
                    let outcome = if sent > MAX_REQUESTS {
                        let reason = format!("it wanted more than {MAX_REQUESTS} requests at once");
                        Err(NoAnswer { reason })
                    } else {
                        exchange.send(&request)
                    };
                    event = Some(Event::Answered(request.asked, outcome));
                }
                Effect::Confirm(_)
                | Effect::Offer(..)
                | Effect::Stop(..)
                | Effect::Withdraw(..)
                | Effect::Reboot(..)
                | Effect::Reported
                | Effect::Sleep(_)
                | Effect::Tell(_) => remaining.push(effect),
            }
        }
    }
    Ok(remaining)
}
