// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows from what the server answers, and what is asked next?
//!
//! One request is out at a time. What waits to be told goes first: an action that is closed here and
//! open there would be offered again. After a failure nothing is sent before the next poll.

use super::base::{Base, Wanted, parse_base, parse_cancel};
use super::course::Course;
use super::deployment::parse_deployment;
use super::error::DdiError;
use super::events::Effect;
use super::feedback::{Confirmed, Feedback, Finished, attributes_body, confirmation_body, shorten};
use super::limits::{
    FIRST_BACK_OFF_SECS, LAST_BACK_OFF_SECS, MAX_DETAIL_CHARS, MAX_HISTORY, MAX_TRIES,
};
use super::request::{
    Asked, DdiAnswer, DdiMethod, DdiRequest, NoAnswer, Status, parse_retry_after,
};
use super::server::{ActionId, ActionLink, Resource};
use super::state::{Action, Outgoing, Stage, Wish, Words};
use super::trouble::DdiTrouble;
use bundle::UnixTime;
use std::time::Duration;

impl Course<'_> {
    pub(super) fn poll(&mut self) {
        let talk = &mut self.state.talk;
        talk.is_paused = false;
        if talk.in_round {
            return;
        }
        (talk.in_round, talk.trouble) = (true, None);
        talk.next.push_back(Asked::Base);
        if talk.has_news {
            // After the poll, by which some servers come to know the device.
            talk.next.push_back(Asked::Attributes);
        }
    }

    /// Sends what is due, if nothing is out.
    pub(super) fn pump(&mut self) {
        if self.state.talk.out.is_some() || self.state.talk.is_paused {
            return;
        }
        let waiting = self.state.outbox.front().map(|one| Asked::Feedback(one.resource, one.id));
        if let Some(asked) = waiting.or_else(|| self.state.talk.next.pop_front()) {
            let request = self.request(asked);
            self.state.talk.out = Some(request.asked.clone());
            return self.effects.push(Effect::Send(request));
        }
        if self.state.talk.in_round {
            self.state.talk.in_round = false;
            self.effects.push(Effect::Sleep(Duration::from_secs(u64::from(self.state.sleep))));
        }
    }

    fn request(&self, asked: Asked) -> DdiRequest {
        let server = self.context.server;
        let (method, url, body) = match &asked {
            Asked::Base => (DdiMethod::Get, server.poll(), None),
            Asked::Action(resource, link) => {
                (DdiMethod::Get, server.action(*resource, link, self.history(link.id)), None)
            }
            Asked::Attributes => {
                let body = attributes_body(self.context.attributes, self.context.mode);
                (DdiMethod::Put, server.attributes(), Some(body))
            }
            Asked::Feedback(resource, id) => {
                let body = self.state.outbox.front().map(body_of);
                (DdiMethod::Post, server.feedback(*resource, *id), body)
            }
        };
        DdiRequest { asked, method, url, body }
    }

    /// What the server remembers is asked of it where this device remembers nothing of the action.
    fn history(&self, id: ActionId) -> usize {
        let is_known = self.state.action.as_ref().is_some_and(|action| action.id == id);
        if is_known { 0 } else { MAX_HISTORY }
    }

    pub(super) fn answered(&mut self, asked: &Asked, outcome: Result<DdiAnswer, NoAnswer>) {
        if self.state.talk.out.as_ref() != Some(asked) {
            // Of a talk before a restart.
            return;
        }
        self.state.talk.out = None;
        let answer = match outcome {
            Ok(answer) => answer,
            Err(none) => return self.fail(DdiTrouble::NoAnswer(none), None),
        };
        let status = Status::of(asked, answer.status);
        match asked {
            Asked::Feedback(_, id) => self.feedback_answered(*id, status, &answer),
            Asked::Attributes => match status {
                Status::Done => self.reported(),
                Status::Gone | Status::Refused | Status::Conflict => {
                    // The server asks again; the rest of the round does not wait for it.
                    self.tell(format!("the attributes were not taken: {}", shown(&answer)));
                    self.reported();
                }
                Status::Denied | Status::Enough | Status::Broken => self.fail_with(&answer),
            },
            Asked::Base => match status {
                Status::Done => match parse_base(self.context.server, &answer.body) {
                    Ok(base) => self.base(base),
                    Err(odd) => self.fail(DdiTrouble::unread(&odd), None),
                },
                Status::Gone
                | Status::Refused
                | Status::Conflict
                | Status::Denied
                | Status::Enough
                | Status::Broken => self.fail_with(&answer),
            },
            Asked::Action(resource, link) => match status {
                Status::Done => self.action_answered(*resource, link, &answer.body),
                Status::Gone => {
                    if *resource != Resource::Cancel {
                        self.end_wanted(link.id, Wish::Vanished);
                    }
                }
                Status::Refused
                | Status::Conflict
                | Status::Denied
                | Status::Enough
                | Status::Broken => self.fail_with(&answer),
            },
        }
    }

    fn reported(&mut self) {
        self.state.talk.has_news = false;
        self.effects.push(Effect::Reported);
    }

    fn fail_with(&mut self, answer: &DdiAnswer) {
        let now = self.context.clock.now;
        let after = parse_retry_after(answer.retry_after.as_deref(), now);
        self.fail(DdiTrouble::Status { code: answer.status, said: shown(answer) }, after);
    }

    /// Ends the round; what waits goes on waiting.
    fn fail(&mut self, trouble: DdiTrouble, after: Option<u32>) {
        let doubled = FIRST_BACK_OFF_SECS.checked_shl(self.state.failures.min(16));
        let secs = doubled.unwrap_or(LAST_BACK_OFF_SECS).min(LAST_BACK_OFF_SECS);
        let secs = secs.max(after.unwrap_or(0));
        self.state.failures = self.state.failures.saturating_add(1);
        let talk = &mut self.state.talk;
        talk.next.clear();
        (talk.in_round, talk.is_paused) = (false, true);
        let why = chain(&trouble);
        talk.trouble = Some(trouble);
        self.tell(format!("the server cannot be asked: {why}; again in {secs} s"));
        self.effects.push(Effect::Sleep(Duration::from_secs(u64::from(secs))));
    }

    fn base(&mut self, base: Base) {
        self.state.failures = 0;
        self.state.sleep = u32::try_from(base.sleep.as_secs()).unwrap_or(self.state.sleep);
        let next = &mut self.state.talk.next;
        if base.attributes == Wanted::Yes && !next.contains(&Asked::Attributes) {
            next.push_back(Asked::Attributes);
        }
        if let Some(link) = &base.cancel {
            next.push_back(Asked::Action(Resource::Cancel, link.clone()));
        }
        match (base.deployment, base.confirmation) {
            (Some(link), _) => self.announced(Resource::Deployment, link),
            (None, Some(link)) => self.announced(Resource::Confirmation, link),
            (None, None) => {
                if let (None, Some(action)) = (&base.cancel, &self.state.action) {
                    self.end_wanted(action.id, Wish::Vanished);
                }
            }
        }
    }

    fn announced(&mut self, resource: Resource, link: ActionLink) {
        if let Some(action) = &self.state.action {
            if action.id != link.id {
                self.end_wanted(action.id, Wish::Superseded(link.id));
            } else if !wants_description(action, resource, &link) {
                return;
            }
        }
        // One at a time: another one is asked about when the first is over.
        if self.state.action.as_ref().is_none_or(|action| action.id == link.id) {
            self.state.talk.next.push_back(Asked::Action(resource, link));
        }
    }

    fn action_answered(&mut self, resource: Resource, link: &ActionLink, body: &[u8]) {
        if resource == Resource::Cancel {
            return match parse_cancel(link.id, body) {
                Ok(cancel) if self.state.of(cancel.stop).is_some() => {
                    self.end_wanted(cancel.stop, Wish::Cancel(cancel.id));
                }
                Ok(cancel) => {
                    let words = format!("action {} is not under way here", cancel.stop);
                    let end = Feedback::end(Finished::Success, &words);
                    self.say(Resource::Cancel, cancel.id, end);
                }
                Err(odd) => self.fail(DdiTrouble::unread(&odd), None),
            };
        }
        match parse_deployment(self.context.server, (resource, link.id), body) {
            Ok(found) => {
                self.tell_history(&found.history);
                self.described(resource, link.change, found);
            }
            Err(odd) if is_for_the_operator(&odd) => match resource {
                Resource::Deployment => self.blame(link.id, &chain(&odd)),
                // Nobody has said yes to it, and it fails as soon as somebody does.
                Resource::Confirmation | Resource::Cancel => self.tell(chain(&odd)),
            },
            Err(odd) => self.fail(DdiTrouble::unread(&odd), None),
        }
    }

    fn tell_history(&mut self, history: &[String]) {
        if !history.is_empty() {
            self.tell(format!("the server remembers: {}", history.join(" | ")));
        }
    }

    fn feedback_answered(&mut self, id: ActionId, status: Status, answer: &DdiAnswer) {
        let Some(one) = self.state.outbox.front_mut() else { return };
        let is_needed = one.is_needed();
        match status {
            Status::Done => {
                self.state.failures = 0;
                self.state.outbox.pop_front();
            }
            Status::Gone => {
                let resource = one.resource;
                self.state.outbox.pop_front();
                self.tell(format!("action {id} takes no word any more: {}", shown(answer)));
                if resource == Resource::Deployment {
                    self.end_wanted(id, Wish::Vanished);
                }
            }
            Status::Refused if is_needed && one.tries == 0 => {
                // The words may be what it does not like; the result has to arrive.
                one.tries = 1;
                strip_words(one);
            }
            Status::Refused => {
                self.state.outbox.pop_front();
                self.tell(format!("a word on action {id} was refused: {}", shown(answer)));
            }
            // hawkBit has a limit of entries for an action, and its end is not one of them.
            Status::Enough if !is_needed => {
                self.state.outbox.pop_front();
                self.fail_with(answer);
            }
            Status::Conflict => {
                one.tries = one.tries.saturating_add(1);
                if one.tries > MAX_TRIES {
                    self.state.outbox.pop_front();
                }
                self.fail_with(answer);
            }
            Status::Denied | Status::Enough | Status::Broken => self.fail_with(answer),
        }
    }
}

/// Whether the description of a known action is to be asked for (again). hawkBit notes each of these
/// questions, so it is not asked for nothing.
fn wants_description(action: &Action, resource: Resource, link: &ActionLink) -> bool {
    let has_changed = link.change.is_none() || action.change != link.change;
    match action.stage {
        Stage::Announced => true,
        Stage::Confirming => {
            resource == Resource::Deployment || action.denied != Some(Confirmed::No) || {
                link.change.is_some() && has_changed
            }
        }
        Stage::Waiting | Stage::Stored => has_changed,
        Stage::Offered | Stage::Installing | Stage::Installed(_) | Stage::Trial(_) => false,
    }
}

/// Whether the action itself is at fault, and stays so until somebody makes another one.
fn is_for_the_operator(odd: &DdiError) -> bool {
    matches!(
        odd,
        DdiError::NoBundle { .. }
            | DdiError::ManyBundles { .. }
            | DdiError::Encrypted { .. }
            | DdiError::NoLink { .. }
            | DdiError::Artifact { .. }
    )
}

fn body_of(one: &Outgoing) -> Vec<u8> {
    match &one.words {
        Words::Status(feedback) => feedback.body(one.id, one.at.map(UnixTime)),
        Words::Confirmation(confirmed, words) => confirmation_body(*confirmed, words),
    }
}

fn strip_words(one: &mut Outgoing) {
    one.at = None;
    match &mut one.words {
        Words::Status(feedback) => feedback.details.clear(),
        Words::Confirmation(_, words) => words.clear(),
    }
}

/// A status, and the beginning of what the server says about it.
fn shown(answer: &DdiAnswer) -> String {
    let meaning = match answer.status {
        300..=399 => " (a redirect, which is not followed: correct the server's address)",
        401 | 403 => " (the device's token or certificate is not accepted)",
        404 => " (not known there)",
        407 => " (a proxy wants a password)",
        _ => "",
    };
    let text = String::from_utf8_lossy(&answer.body);
    let text = shorten(text.trim(), 120);
    let pause = if text.is_empty() { "" } else { ": " };
    format!("status {}{meaning}{pause}{text}", answer.status)
}

/// An error with its causes, as the server takes words.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    shorten(&storage::chain(error), MAX_DETAIL_CHARS)
}
