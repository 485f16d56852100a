// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of an action that is to end before its end: the server wants it back, has another
//! one, or does not show it any more.
//!
//! A cancellation is accepted when nothing of the action boots, and refused when that cannot be had
//! any more. hawkBit takes `closed` with success for yes and `rejected` for no.

use super::course::Course;
use super::events::Effect;
use super::feedback::{Execution, Feedback, Finished};
use super::server::{ActionId, Resource};
use super::state::{Stage, Wish};

impl Course<'_> {
    pub(super) fn withdrawn(&mut self, id: ActionId, outcome: Result<(), String>) {
        let Some(action) = self.state.of(id) else { return };
        let (stage, wish) = (action.stage, action.wish);
        match (outcome, wish) {
            (Ok(()), Some(wish)) => self.fulfil(id, wish),
            (Ok(()), None) => self.close(id, Finished::Failure, "it was withdrawn on the device"),
            (Err(why), wish) => {
                if let Some(wish) = wish {
                    let words = format!("it is installed and cannot be withdrawn: {why}");
                    self.refuse(id, wish, &words);
                }
                if let Stage::Installed(slot) = stage {
                    self.effects.push(Effect::Reboot(id, slot));
                }
            }
        }
    }

    /// The action is to be ended before its end.
    pub(super) fn end_wanted(&mut self, id: ActionId, wish: Wish) {
        let Some(action) = self.state.of(id) else { return };
        if action.wish == Some(wish) {
            return;
        }
        match action.stage {
            Stage::Announced | Stage::Confirming | Stage::Waiting => self.fulfil(id, wish),
            Stage::Offered | Stage::Stored => {
                self.effects.push(Effect::Stop(id, self.reason(wish)));
                self.fulfil(id, wish);
            }
            Stage::Installing => {
                action.wish = Some(wish);
                self.effects.push(Effect::Stop(id, self.reason(wish)));
            }
            // Its result cannot be told any more, and is no reason to undo what works.
            Stage::Installed(_) | Stage::Trial(_) if wish == Wish::Vanished => {
                self.tell(format!(
                    "the server does not show action {id} any more; it stays installed"
                ));
            }
            Stage::Installed(slot) => {
                action.wish = Some(wish);
                self.effects.push(Effect::Withdraw(id, slot));
            }
            Stage::Trial(_) => {
                self.refuse(id, wish, "it runs already and is judged by its own verifier");
            }
        }
    }

    fn reason(&self, wish: Wish) -> String {
        match wish {
            Wish::Cancel(_) => "the server cancels it".to_owned(),
            Wish::Superseded(by) => format!("the server has action {by} instead"),
            Wish::Vanished => "the server does not know it any more".to_owned(),
        }
    }

    /// Nothing is left of the action.
    pub(super) fn fulfil(&mut self, id: ActionId, wish: Wish) {
        let why = self.reason(wish);
        match wish {
            Wish::Cancel(cancel) => {
                let words = format!("action {id} was ended; nothing of it boots");
                let end = Feedback::end(Finished::Success, &words);
                self.say(Resource::Cancel, cancel, end);
            }
            Wish::Superseded(_) => {
                let end = Feedback::end(Finished::Failure, &format!("not installed: {why}"));
                self.say(Resource::Deployment, id, end);
            }
            Wish::Vanished => {}
        }
        self.tell(format!("action {id} is over: {why}"));
        self.state.action = None;
    }

    /// The action goes on.
    pub(super) fn refuse(&mut self, id: ActionId, wish: Wish, why: &str) {
        if let Wish::Cancel(cancel) = wish {
            let words = format!("action {id} is not ended: {why}");
            let rejected = Feedback::ongoing(Execution::Rejected, &words);
            self.say(Resource::Cancel, cancel, rejected);
        }
        if let Some(action) = self.state.of(id) {
            action.wish = None;
        }
        self.tell(format!("action {id} goes on, though {}: {why}", self.reason(wish)));
    }
}
