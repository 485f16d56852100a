// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows from what happened? The course of an action, as a function of values.
//!
//! The agent makes a state durable before it does the effects of the step that led there. Then a cut
//! repeats the last effect at most: a request that the server has seen (it says "gone"), an install
//! of a slot that does not boot, a restart. Nothing is decided here about whether an update is
//! wanted: that is [`crate::decide`]'s, and its answer an event.

use super::boot::BootOutcome;
use super::deployment::{Deployment, Permission};
use super::events::{Consent, Context, Effect, Event, InstallEnd, Judged};
use super::feedback::{Confirmed, Execution, Feedback, Finished, shorten};
use super::hashes::FileHashes;
use super::limits::{
    KEPT_ENTRIES, MAX_DETAIL_CHARS, MAX_END_LINE_CHARS, MAX_END_LINES, MAX_ENTRIES, MAX_OUTBOX,
    PROGRESS_STEP,
};
use super::request::Asked;
use super::server::{ActionId, Resource};
use super::state::{Action, DdiState, Outgoing, Stage, Words};
use super::trouble::DdiTrouble;
use crate::policy::Keep;
use bootctl::SlotId;
use storage::{ByteLen, Digest};

/// One step.
#[must_use]
pub fn step(state: DdiState, event: Event, context: &Context<'_>) -> (DdiState, Vec<Effect>) {
    let mut course = Course { state, context: *context, effects: Vec::new() };
    match event {
        Event::Started => course.started(),
        Event::Poll => course.poll(),
        Event::News => course.state.talk.has_news = true,
        Event::Again(id) => course.again(id),
        Event::Answered(asked, outcome) => course.answered(&asked, outcome),
        Event::Confirmation(id, consent) => course.consent(id, consent),
        Event::Looked(id, manifest, size) => course.looked(id, manifest, size),
        Event::Judged(id, judged) => course.judged(id, judged),
        Event::Fetched(id, hashes) => course.fetched(id, &hashes),
        Event::Progress(id, percent) => course.progress(id, percent),
        Event::Installed(id, end) => course.installed(id, end),
        Event::RebootWaits(id, why) => {
            course.wait(id, &format!("installed; the restart waits: {why}"))
        }
        Event::Withdrawn(id, outcome) => course.withdrawn(id, outcome),
        Event::Booted(outcome) => course.booted(outcome),
    }
    course.pump();
    (course.state, course.effects)
}

pub(super) struct Course<'c> {
    pub state: DdiState,
    pub context: Context<'c>,
    pub effects: Vec<Effect>,
}

impl Course<'_> {
    pub fn tell(&mut self, words: impl Into<String>) {
        self.effects.push(Effect::Tell(words.into()));
    }

    /// Adds a status entry, if it is needed or the action has not had enough of them.
    pub fn say(&mut self, resource: Resource, id: ActionId, feedback: Feedback) {
        let clock = self.context.clock;
        let at = clock.is_set.then_some(clock.now.0);
        let mut feedback = feedback;
        for text in &mut feedback.details {
            *text = shorten(text, MAX_DETAIL_CHARS);
        }
        let new = Outgoing { resource, id, words: Words::Status(feedback), at, tries: 0 };
        if !new.is_needed() {
            let kept = if new.is_progress() { KEPT_ENTRIES } else { 0 };
            let Some(action) = self.state.of(id) else { return };
            if action.entries >= MAX_ENTRIES.saturating_sub(kept) {
                return;
            }
            action.entries += 1;
        }
        self.queue(new);
    }

    pub fn queue(&mut self, new: Outgoing) {
        let outbox = &mut self.state.outbox;
        // What is out already has to stay the first.
        let out = usize::from(matches!(self.state.talk.out, Some(Asked::Feedback(..))));
        let mut at = 0;
        outbox.retain(|old| {
            at += 1;
            let is_old_news = old.id == new.id && old.is_progress() && !old.is_needed();
            at <= out || !is_old_news
        });
        if outbox.len() >= MAX_OUTBOX {
            let spare = outbox.iter().skip(out).position(|old| !old.is_needed());
            outbox.remove(spare.map_or(out, |spare| spare + out));
        }
        outbox.push_back(new);
    }

    /// Closes the action.
    pub fn close(&mut self, id: ActionId, finished: Finished, words: &str) {
        let mut end = Feedback::end(finished, words);
        let details = self.context.details.iter().take(MAX_END_LINES);
        end.details.extend(details.map(|line| shorten(line, MAX_END_LINE_CHARS)));
        self.say(Resource::Deployment, id, end);
        let what = if finished == Finished::Success { "succeeded" } else { "failed" };
        self.tell(format!("action {id} {what}: {words}"));
        if self.state.of(id).is_some() {
            self.state.action = None;
        }
    }

    fn again(&mut self, id: ActionId) {
        if let Some(action) = self.state.of(id).filter(|action| action.stage == Stage::Waiting) {
            action.stage = Stage::Announced;
        }
    }

    fn ongoing(&mut self, id: ActionId, execution: Execution, words: &str) {
        self.say(Resource::Deployment, id, Feedback::ongoing(execution, words));
    }

    /// Tells a reason to wait, once.
    pub fn wait(&mut self, id: ActionId, why: &str) {
        let Some(action) = self.state.of(id) else { return };
        let why = shorten(why, MAX_DETAIL_CHARS);
        if action.waits.as_ref() == Some(&why) {
            return;
        }
        action.waits = Some(why.clone());
        self.ongoing(id, Execution::Scheduled, &why);
    }

    fn started(&mut self) {
        self.state.talk = super::state::Talk::default();
        let Some(action) = self.state.action.as_mut() else { return };
        let (id, wish) = (action.id, action.wish);
        match action.stage {
            Stage::Offered | Stage::Installing | Stage::Stored => {
                action.stage = Stage::Announced;
                // The slot was not made bootable: nothing is left of it.
                match wish {
                    Some(wish) => self.fulfil(id, wish),
                    None => {
                        self.ongoing(id, Execution::Resumed, "the agent was restarted; goes on")
                    }
                }
            }
            Stage::Installed(slot) => {
                if wish.is_some() {
                    self.effects.push(Effect::Withdraw(id, slot));
                }
            }
            Stage::Announced | Stage::Confirming | Stage::Waiting | Stage::Trial(_) => {}
        }
    }

    fn consent(&mut self, id: ActionId, consent: Consent) {
        let Some(action) = self.state.of(id) else { return };
        if action.stage != Stage::Confirming {
            return;
        }
        let (confirmed, words) = match consent {
            Consent::Later => return,
            Consent::Yes => (Confirmed::Yes, "may be installed here".to_owned()),
            Consent::No(why) => (Confirmed::No, shorten(&why, MAX_DETAIL_CHARS)),
        };
        action.denied = (confirmed == Confirmed::No).then_some(confirmed);
        if confirmed == Confirmed::Yes {
            action.stage = Stage::Announced;
        }
        let words = Words::Confirmation(confirmed, words);
        self.queue(Outgoing { resource: Resource::Confirmation, id, words, at: None, tries: 0 });
    }

    fn looked(&mut self, id: ActionId, manifest: Digest, size: ByteLen) {
        let Some(action) = self.state.of(id) else { return };
        action.manifest = Some(manifest);
        if let Err(differs) = action.artifact.check_size(size) {
            self.give_up(id, &differs.to_string());
        }
    }

    fn fetched(&mut self, id: ActionId, hashes: &FileHashes) {
        let Some(action) = self.state.of(id) else { return };
        if let Err(differs) = action.artifact.check_file(hashes) {
            return self.give_up(id, &differs.to_string());
        }
        if action.permission == Permission::Fetch {
            action.stage = Stage::Stored;
            let words = "fetched, and its hashes are the server's";
            self.ongoing(id, Execution::Downloaded, words);
        }
    }

    /// Stops whatever works on it, and closes it as failed.
    fn give_up(&mut self, id: ActionId, why: &str) {
        self.effects.push(Effect::Stop(id, why.to_owned()));
        self.blame(id, why);
    }

    /// Closes an action that is itself at fault.
    pub fn blame(&mut self, id: ActionId, why: &str) {
        self.state.talk.trouble = Some(DdiTrouble::Action { id, why: why.to_owned() });
        self.close(id, Finished::Failure, why);
    }

    fn judged(&mut self, id: ActionId, judged: Judged) {
        let Some(action) = self.state.of(id) else { return };
        if action.stage != Stage::Offered {
            return;
        }
        match judged {
            Judged::Install => {
                action.stage = Stage::Installing;
                let artifact = &action.artifact;
                let words = format!("accepted: {} of version {}", artifact.file, artifact.version);
                self.ongoing(id, Execution::Proceeding, &words);
            }
            Judged::Wait(why) => {
                action.stage = Stage::Waiting;
                self.wait(id, &why);
            }
            Judged::Refuse(why) => self.close(id, Finished::Failure, &why),
            Judged::Running => {
                self.close(id, Finished::Success, "it runs already, from a good slot")
            }
            Judged::OnTrial(slot) => self.on_trial(id, slot),
            Judged::RebootDue(slot) => self.installed(id, InstallEnd::Done(slot)),
        }
    }

    fn progress(&mut self, id: ActionId, percent: u8) {
        let Some(action) = self.state.of(id) else { return };
        let percent = percent.min(100);
        let step = percent - percent % PROGRESS_STEP;
        if action.stage != Stage::Installing || step <= action.told {
            return;
        }
        action.told = step;
        // gooseBit reads the number out of these words.
        let words = format!("Downloaded {step}%");
        let mut feedback = Feedback::ongoing(Execution::Proceeding, &words);
        feedback.percent = Some(step);
        self.say(Resource::Deployment, id, feedback);
    }

    fn installed(&mut self, id: ActionId, end: InstallEnd) {
        let Some(action) = self.state.of(id) else {
            if let InstallEnd::Done(slot) = end {
                self.tell(format!("action {id} is no more; slot {slot} is not to boot"));
                self.effects.push(Effect::Withdraw(id, slot));
            }
            return;
        };
        if !matches!(action.stage, Stage::Offered | Stage::Installing) {
            return;
        }
        match (end, action.wish) {
            (InstallEnd::Done(slot), wish) => {
                action.stage = Stage::Installed(slot);
                if wish.is_some() {
                    return self.effects.push(Effect::Withdraw(id, slot));
                }
                let words = format!("written to slot {slot} and read back; the restart follows");
                self.ongoing(id, Execution::Proceeding, &words);
                self.effects.push(Effect::Reboot(id, slot));
            }
            (
                InstallEnd::Failed(_) | InstallEnd::Interrupted(_) | InstallEnd::Stopped,
                Some(wish),
            ) => self.fulfil(id, wish),
            (InstallEnd::Failed(why), None) => self.close(id, Finished::Failure, &why),
            (InstallEnd::Interrupted(why), None) => {
                action.stage = Stage::Announced;
                self.wait(id, &format!("it goes on later where it stands: {why}"));
            }
            (InstallEnd::Stopped, None) => {
                action.stage = Stage::Announced;
                self.wait(id, "the install was stopped on the device; it begins again");
            }
        }
    }

    fn on_trial(&mut self, id: ActionId, slot: SlotId) {
        let Some(action) = self.state.of(id) else { return };
        if action.stage != Stage::Trial(slot) {
            action.stage = Stage::Trial(slot);
            let words = format!("runs from slot {slot}; the verifier judges it");
            self.ongoing(id, Execution::Proceeding, &words);
        }
        if let Some(wish) = self.state.of(id).and_then(|action| action.wish) {
            self.refuse(id, wish, "it runs already and is judged by its own verifier");
        }
    }

    fn booted(&mut self, outcome: BootOutcome) {
        let Some(action) = self.state.action.as_ref() else { return };
        let (Stage::Installed(slot) | Stage::Trial(slot)) = action.stage else { return };
        let (id, wish) = (action.id, action.wish);
        match outcome {
            BootOutcome::OnTrial => self.on_trial(id, slot),
            BootOutcome::Good => {
                if let Some(wish) = wish {
                    self.refuse(id, wish, "it runs already and is good");
                }
                let words = format!("runs from slot {slot}, and the verifier marked it good");
                self.close(id, Finished::Success, &words);
            }
            BootOutcome::FellBack { why } => match wish {
                Some(wish) => self.fulfil(id, wish),
                None => self.close(id, Finished::Failure, &why),
            },
            BootOutcome::NotYet => {
                if wish.is_none() {
                    self.effects.push(Effect::Reboot(id, slot));
                }
            }
        }
    }

    /// A new or changed description.
    pub fn described(&mut self, resource: Resource, change: Option<i64>, found: Deployment) {
        let (id, permission) = (found.id, found.permission());
        let known = self.state.action.take().filter(|action| action.id == id);
        let mut action = known.unwrap_or_else(|| Action {
            id,
            change,
            stage: Stage::Announced,
            permission,
            artifact: found.artifact.clone(),
            manifest: None,
            wish: None,
            entries: 0,
            told: 0,
            waits: None,
            denied: None,
        });
        let is_stored = action.stage == Stage::Stored;
        (action.change, action.permission) = (change, permission);
        action.artifact.clone_from(&found.artifact);
        let (stage, waits) = match (resource, permission) {
            (Resource::Confirmation, _) => (Stage::Confirming, None),
            (_, Permission::Wait) => (Stage::Waiting, Some("the server wants it later")),
            (_, Permission::Fetch) if self.context.keep == Keep::Nothing => {
                let words = "this device stores no bundles: it fetches when it may install";
                (Stage::Waiting, Some(words))
            }
            (_, Permission::Fetch) if is_stored => (Stage::Stored, None),
            (_, Permission::Fetch | Permission::Install) => (Stage::Offered, None),
        };
        action.stage = stage;
        self.state.action = Some(action);
        match (stage, waits) {
            (Stage::Confirming, _) => self.effects.push(Effect::Confirm(Box::new(found))),
            (Stage::Offered, _) => self.effects.push(Effect::Offer(Box::new(found), permission)),
            (_, Some(why)) => self.wait(id, why),
            (_, None) => {}
        }
    }
}
