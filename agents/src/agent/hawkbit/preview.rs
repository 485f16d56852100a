// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would be done about what the server has for this device? It is asked and told nothing, and
//! nothing is kept. hawkBit itself may note that its description was asked for.

use super::super::course::{Acting, Course, Ending};
use super::super::hands::{HandError, Hands};
use super::HawkbitTerms;
use super::offered::wants_consent;
use super::told::Told;
use crate::ddi::{
    ActionId, AttributeMode, Consent, Context, DdiAnswer, DdiMethod, DdiRequest, DdiState,
    DdiTrouble, Effect, Event, Exchange, Keeper, NoAnswer, Permission, converse,
};
use crate::{Judgement, Memory};
use bootctl::Force;
use std::convert::Infallible;
use storage::chain;

/// What would be done.
#[derive(Debug, Default)]
pub struct HawkbitPreview {
    /// The server's action, if there is one that may be judged.
    pub action: Option<ActionId>,
    /// What the server permits of it.
    pub permission: Option<Permission>,
    /// What was judged, in order.
    pub judgements: Vec<Judgement>,
    /// What there is to say beside, in words: why there is no judgement, or why the bundle was not
    /// looked at.
    pub words: Vec<String>,
    /// How far the offer came, where that was not to a judgement.
    pub took: Option<Ending>,
    /// Why the server could not be asked, or what it has not be used.
    pub trouble: Option<DdiTrouble>,
}

/// Sends questions and tells nothing.
struct Mute<'e, E>(&'e E);

impl<E: Exchange> Exchange for Mute<'_, E> {
    fn send(&self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer> {
        match request.method {
            DdiMethod::Get => self.0.send(request),
            DdiMethod::Post | DdiMethod::Put => {
                Ok(DdiAnswer { status: 200, retry_after: None, body: Vec::new() })
            }
        }
    }
}

struct Unkept;

impl Keeper for Unkept {
    type Error = Infallible;

    fn keep(&mut self, _state: &DdiState) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Asks and judges.
///
/// # Errors
/// When not even what runs can be told.
pub fn preview_hawkbit<E: Exchange>(
    hands: &mut dyn Hands,
    terms: HawkbitTerms<'_, E>,
    memory: &mut Memory,
    insist: Force,
) -> Result<HawkbitPreview, HandError> {
    let course = Course::new(hands, memory, terms.policy);
    let mut course = course.asked(insist, Acting::DryRun);
    let facts = course.facts()?;
    let told = Told::default();
    let context = Context {
        server: terms.server,
        attributes: &told.attributes,
        mode: AttributeMode::Merge,
        details: &told.details,
        clock: facts.clock,
        keep: terms.policy.keep,
    };
    // Not the one that is kept: an action that is under way would not be described again.
    let mut state = DdiState::default();
    let talk = (&Mute(terms.exchange), &mut Unkept);
    let Ok(effects) = converse(&mut state, Event::Poll, &context, talk);
    let mut preview = HawkbitPreview::default();
    for effect in effects {
        match effect {
            Effect::Offer(found, permission) => {
                (preview.action, preview.permission) = (Some(found.id), Some(permission));
                match course.consider(&found.offer()) {
                    Ok(considered) => preview.judgements = considered.judgements,
                    Err(end) => {
                        preview.words.extend(words_of(&end.ending));
                        preview.judgements = end.judgements;
                        preview.took = Some(end.ending);
                    }
                }
            }
            Effect::Confirm(found) => {
                preview.action = Some(found.id);
                preview.words.push(match terms.operator {
                    Some(operator) if operator.on(found.id) == Consent::Later => {
                        wants_consent(found.id)
                    }
                    _ => format!("action {} waits for a yes or no of this device", found.id),
                });
            }
            Effect::Tell(words) => preview.words.push(words),
            Effect::Send(_)
            | Effect::Stop(..)
            | Effect::Withdraw(..)
            | Effect::Reboot(..)
            | Effect::Reported
            | Effect::Sleep(_) => {}
        }
    }
    if let (Some(action), true) = (&state.action, preview.judgements.is_empty()) {
        preview.action = Some(action.id);
    }
    preview.trouble = state.trouble().cloned();
    Ok(preview)
}

fn words_of(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Unreachable { source, .. } => {
            Some(format!("the bundle cannot be had: {}", chain(&**source)))
        }
        Ending::Refused(source) => Some(format!("the bundle is not taken: {}", chain(&**source))),
        Ending::Failed(failed) => Some(chain(failed)),
        Ending::Judged | Ending::Installed(_) | Ending::Restarting { .. } | Ending::Stopped(_) => {
            None
        }
    }
}
