// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of an offer? One course for every way to be told of an update: judge, look, judge
//! again, remember, install, remember, restart.
//!
//! The power may go between any two of these. What counts is durable before what follows from it:
//! the install's record before the first byte, its end before the restart, the slot that is given up
//! before it is marked. A new start of the agent reads facts and record, and needs nothing else; it
//! never believes the record where a slot says otherwise ([`crate::Outcome`]).
//!
//! What a hand refuses is told and ends the course; nothing is done in its stead.

use super::hands::{HandError, Hands, InstallEnding, LookDone, LookError, Watch};
use super::round::wait_of;
pub use super::round::{Acting, Considered, Ending, RoundEnd};
use crate::ddi::FileHashes;
use crate::decide::{is_given_up, most_bytes};
use crate::{
    Decision, Facts, Heard, InstallOrder, InstallRecord, InstallStage, Judgement, Keep, Looked,
    Memory, Offer, Outcome, Policy, View, judge_bundle, judge_offer, judge_waiting,
};
use bootctl::{Force, SlotId};
use std::time::Duration;
use storage::{ByteLen, chain};

/// How soon a restart is tried again that something of the owner's forbade.
const RESTART_AGAIN: Duration = Duration::from_secs(5 * 60);

/// One device with what its agent remembers, for as long as the owner's rules stay the same.
pub struct Course<'a> {
    hands: &'a mut dyn Hands,
    memory: &'a mut Memory,
    policy: &'a Policy,
    insist: Force,
    acting: Acting,
    /// What is durable may be another record: the last time it was to be kept failed, or seemed to.
    is_unkept: bool,
    /// A restart was refused since the last look at what is due; until the next one it stays so.
    is_held: bool,
}

impl<'a> Course<'a> {
    /// With these hands.
    pub fn new(hands: &'a mut dyn Hands, memory: &'a mut Memory, policy: &'a Policy) -> Self {
        let (insist, acting) = (Force::No, Acting::Act);
        Self { hands, memory, policy, insist, acting, is_unkept: false, is_held: false }
    }

    /// The same where a person at the device insists, or only asks.
    #[must_use]
    pub fn asked(self, insist: Force, acting: Acting) -> Self {
        Self { insist, acting, ..self }
    }

    /// The hands.
    pub fn hands(&mut self) -> &mut dyn Hands {
        self.hands
    }

    /// What is remembered.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        self.memory
    }

    /// Whether anything may change.
    #[must_use]
    pub const fn acting(&self) -> Acting {
        self.acting
    }

    /// What the device is now.
    ///
    /// # Errors
    /// [`HandError`].
    pub fn facts(&mut self) -> Result<Facts, HandError> {
        self.hands.facts(self.memory)
    }

    /// Changes the record, and counts the change only once it is durable.
    ///
    /// # Errors
    /// [`HandError`]: nothing was changed then.
    pub fn keep(&mut self, change: impl FnOnce(&mut Memory)) -> Result<(), HandError> {
        let mut next = self.memory.clone();
        change(&mut next);
        if next != *self.memory {
            self.make_durable(&next)?;
            *self.memory = next;
        }
        Ok(())
    }

    fn make_durable(&mut self, memory: &Memory) -> Result<(), HandError> {
        let stored = self.hands.remember(memory);
        self.is_unkept = stored.is_err();
        stored
    }

    /// Changes the record for what has happened already: it counts, durable or not.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut Memory)) {
        let mut next = self.memory.clone();
        change(&mut next);
        if next == *self.memory && !self.is_unkept {
            return;
        }
        let stored = self.make_durable(&next);
        *self.memory = next;
        if let Err(failed) = stored {
            self.tell(&chain(&failed));
        }
    }

    /// Keeps what was heard of the server; a dry run hears nothing.
    pub(super) fn hear(&mut self, change: impl FnOnce(&mut Heard)) {
        if self.acting == Acting::Act {
            change(&mut self.memory.heard);
            self.hands.heard(&self.memory.heard);
        }
    }

    fn tell(&mut self, words: &str) {
        self.hands.tell(words);
    }

    fn failed(&mut self, judgements: Vec<Judgement>, failed: HandError) -> RoundEnd {
        self.tell(&chain(&failed));
        RoundEnd::new(judgements, Ending::Failed(failed))
    }

    /// Looks what became of the last update, and of a slot that was given up; both are forgotten
    /// once they are told.
    fn settle(&mut self, facts: &Facts) -> Option<Outcome> {
        if self.memory.leaving.is_some_and(|trial| !is_given_up(facts, trial)) {
            self.note(|memory| memory.leaving = None);
        }
        let install = self.memory.install.as_ref()?;
        let outcome = install.outcome(facts);
        let version = install.version.as_deref().unwrap_or("of no version");
        let slot = install.slot;
        let words = match outcome {
            Outcome::Unfinished | Outcome::AwaitsRestart | Outcome::OnTrial => {
                return Some(outcome);
            }
            Outcome::Good => format!("the update {version} in slot {slot} was confirmed"),
            Outcome::FellBack => {
                format!("the update {version} in slot {slot} did not prove itself and was left")
            }
            Outcome::Superseded => {
                format!("somebody put something else in the place of the update {version}")
            }
        };
        self.tell(&words);
        self.note(|memory| {
            memory.install = None;
            // What was refused under the old system may be taken under a new one.
            if outcome == Outcome::Good {
                memory.refused = None;
                memory.proved();
            }
        });
        Some(outcome)
    }

    /// Looks what became of what was installed, and restarts the device where that is due. Needs no
    /// server.
    pub fn due(&mut self) -> RoundEnd {
        self.is_held = false;
        let facts = match self.facts() {
            Ok(facts) => facts,
            Err(failed) => return self.failed(Vec::new(), failed),
        };
        if self.acting == Acting::Act {
            self.settle(&facts);
            // What could not be kept before is tried again.
            self.note(|_| ());
        }
        let view = View { memory: self.memory, insist: self.insist };
        let judgement = judge_waiting(&facts, &view, self.policy);
        self.obey_restart(&facts, vec![judgement], Ending::Judged)
    }

    /// Restarts where the last judgement says so.
    fn obey_restart(
        &mut self,
        facts: &Facts,
        judgements: Vec<Judgement>,
        otherwise: Ending,
    ) -> RoundEnd {
        let last = judgements.last();
        match last.map(|judgement| (&judgement.decision, judgement.words())) {
            Some((Decision::Reboot { into }, words)) if self.acting == Acting::Act => {
                let into = *into;
                self.tell(&words);
                self.restart(into, judgements)
            }
            Some((decision @ Decision::Wait { .. }, words)) => {
                let again = wait_of(decision, facts);
                self.tell(&words);
                RoundEnd { judgements, ending: otherwise, again }
            }
            _ => RoundEnd::new(judgements, otherwise),
        }
    }

    fn restart(&mut self, into: SlotId, judgements: Vec<Judgement>) -> RoundEnd {
        if self.is_held {
            let again = Some(RESTART_AGAIN);
            return RoundEnd { again, ..RoundEnd::new(judgements, Ending::Judged) };
        }
        match self.hands.reboot(self.policy) {
            Ok(()) => RoundEnd::new(judgements, Ending::Restarting { into }),
            Err(refused) => {
                self.is_held = true;
                let end = self.failed(judgements, refused);
                RoundEnd { again: Some(RESTART_AGAIN), ..end }
            }
        }
    }

    /// Takes an offer as far as it goes now.
    pub fn take(&mut self, offer: &Offer, watch: &mut dyn Watch) -> RoundEnd {
        let considered = match self.consider(offer) {
            Ok(considered) => considered,
            Err(end) => return end,
        };
        if self.acting == Acting::DryRun {
            let again = considered.again();
            return RoundEnd { again, ..RoundEnd::new(considered.judgements, Ending::Judged) };
        }
        match considered.decision() {
            Decision::Install { order } => {
                let order = order.clone();
                self.install(considered, &order, watch)
            }
            Decision::LeaveTrial { trial } => {
                let trial = *trial;
                self.leave(trial, considered.judgements)
            }
            Decision::Reboot { into } => {
                let into = *into;
                self.restart(into, considered.judgements)
            }
            Decision::UpToDate
            | Decision::Refuse { .. }
            | Decision::Wait { .. }
            | Decision::Look
            | Decision::Nothing => {
                let again = considered.again();
                RoundEnd { again, ..RoundEnd::new(considered.judgements, Ending::Judged) }
            }
        }
    }

    /// Judges an offer, looks at the bundle where that is wanted, and judges that. Changes nothing
    /// but the count of the day's bytes.
    ///
    /// # Errors
    /// The end of the course, where facts or bundle cannot be had.
    pub fn consider(&mut self, offer: &Offer) -> Result<Considered, RoundEnd> {
        let facts = self.facts().map_err(|failed| self.failed(Vec::new(), failed))?;
        let view = View { memory: self.memory, insist: self.insist };
        let claimed = judge_offer(&facts, offer, &view, self.policy);
        if claimed.decision != Decision::Look {
            self.tell(&claimed.words());
            return Ok(Considered { facts, looked: None, judgements: vec![claimed] });
        }
        self.examine(offer, vec![claimed])
    }

    /// Looks at the bundle behind an offer that was judged as claimed, and judges that.
    ///
    /// # Errors
    /// As [`Course::consider`].
    pub(super) fn examine(
        &mut self,
        offer: &Offer,
        mut judgements: Vec<Judgement>,
    ) -> Result<Considered, RoundEnd> {
        let may_fetch = judgements.last().is_some_and(|last| last.decision == Decision::Look);
        let looked = match self.look(|hands, policy, most| hands.look(offer, policy, most)) {
            Err(whole @ LookError::Whole) if may_fetch => {
                self.tell(&chain(&whole));
                if self.acting == Acting::DryRun {
                    let facts = self.facts().map_err(|failed| self.failed(Vec::new(), failed))?;
                    return Ok(Considered { facts, looked: None, judgements });
                }
                self.look(|hands, policy, most| hands.look_whole(offer, policy, most))
            }
            looked => looked,
        };
        let looked = match looked {
            Ok(looked) => looked,
            Err(no) => {
                self.tell(&chain(&no));
                let ending = match no {
                    whole @ LookError::Whole => Ending::Refused(whole.into()),
                    LookError::Own(source) => {
                        let doing = "look at the offered bundle".to_owned();
                        Ending::Failed(HandError { doing, source })
                    }
                    LookError::Refused(source) => Ending::Refused(source),
                    LookError::Unreachable { retry_after, source } => {
                        Ending::Unreachable { retry_after, source }
                    }
                };
                return Err(RoundEnd::new(judgements, ending));
            }
        };
        // Looking takes its time; windows close and people install meanwhile.
        let facts = match self.facts() {
            Ok(facts) => facts,
            Err(failed) => return Err(self.failed(judgements, failed)),
        };
        let view = View { memory: self.memory, insist: self.insist };
        let judgement = judge_bundle(&facts, offer, &looked, &view, self.policy);
        self.tell(&judgement.words());
        judgements.push(judgement);
        Ok(Considered { facts, looked: Some(looked), judgements })
    }

    /// Has a bundle looked at within the bytes that the owner allows, and counts what it cost: a server
    /// that offers ever another bundle is looked at for ever. What fetches all of it is begun only
    /// where everything that can be judged of the offer itself allows it: windows, links, the rollout.
    fn look(
        &mut self,
        look: impl FnOnce(&mut dyn Hands, &Policy, Option<ByteLen>) -> LookDone,
    ) -> Result<Looked, LookError> {
        let view = View { memory: self.memory, insist: self.insist };
        let most = most_bytes(self.hands.now(), &view, self.policy);
        let done = look(self.hands, self.policy, most);
        // A dry run changes nothing.
        if self.acting == Acting::Act {
            self.spend(done.fetched);
        }
        done.looked
    }

    /// Installs what was considered, and restarts where that is due at once.
    pub fn install(
        &mut self,
        considered: Considered,
        order: &InstallOrder,
        watch: &mut dyn Watch,
    ) -> RoundEnd {
        let judgements = match self.begin(considered, order) {
            Ok(judgements) => judgements,
            Err((judgements, failed)) => return self.failed(judgements, failed),
        };
        match self.write(order, watch) {
            InstallEnding::Written => self.written(order, judgements),
            InstallEnding::Stopped(by) => RoundEnd::new(judgements, Ending::Stopped(by)),
            InstallEnding::Interrupted { retry_after, source } => {
                self.tell(&format!("the install is interrupted: {}", chain(&*source)));
                RoundEnd::new(judgements, Ending::Unreachable { retry_after, source })
            }
            InstallEnding::Failed(source) => {
                let failed = HandError { doing: "install the offered bundle".to_owned(), source };
                self.failed(judgements, failed)
            }
            InstallEnding::Refused(source) => {
                self.tell(&format!("the install is refused: {}", chain(&*source)));
                self.refuse(order);
                RoundEnd::new(judgements, Ending::Refused(source))
            }
        }
    }

    /// Remembers what is about to be written: before its first byte.
    pub(super) fn begin(
        &mut self,
        considered: Considered,
        order: &InstallOrder,
    ) -> Result<Vec<Judgement>, (Vec<Judgement>, HandError)> {
        let Considered { facts, looked, judgements } = considered;
        let record = InstallRecord {
            manifest: order.manifest,
            version: looked.and_then(|looked| looked.version),
            url: order.urls.first().cloned(),
            etag: None,
            slot: order.slot,
            from: facts.running().and_then(|running| running.bundle),
            urgency: order.urgency,
            stage: InstallStage::Begun,
        };
        // A record of another bundle gives way here: what it began is about to be written over.
        let change = |memory: &mut Memory| {
            memory.begins(order.manifest, &facts);
            memory.install = Some(record);
        };
        match self.keep(change) {
            Ok(()) => Ok(judgements),
            Err(failed) => Err((judgements, failed)),
        }
    }

    /// Remembers that what was tried is not taken here.
    pub(super) fn refuse(&mut self, order: &InstallOrder) {
        self.note(|memory| {
            memory.install = None;
            memory.refused = Some(order.manifest);
            memory.forced = order.forced_by.or(memory.forced);
        });
    }

    /// Has the bundle written, stored first where the owner wants that. What it cost is counted
    /// however it ends.
    fn write(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallEnding {
        if order.keep == Keep::Bundle
            && let Err(ending) = self.store(order, watch)
        {
            return ending;
        }
        self.fill(order, watch)
    }

    /// Stores the bundle.
    pub(super) fn store(
        &mut self,
        order: &InstallOrder,
        watch: &mut dyn Watch,
    ) -> Result<FileHashes, InstallEnding> {
        let stored = self.hands.store(order, watch);
        self.spend(stored.fetched);
        stored.ending
    }

    /// Writes the slot.
    pub(super) fn fill(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallEnding {
        let done = self.hands.install(order, watch);
        self.spend(done.fetched);
        done.ending
    }

    fn spend(&mut self, fetched: ByteLen) {
        let now = self.hands.now();
        if fetched > ByteLen::ZERO {
            self.note(|memory| memory.spend(now, fetched));
        }
    }

    /// Remembers that it is written. A cut before loses nothing: the slot says so.
    pub(super) fn finish(&mut self, order: &InstallOrder) {
        self.note(|memory| {
            if let Some(install) = &mut memory.install {
                install.stage = InstallStage::Written;
            }
            memory.refused.take_if(|refused| *refused == order.manifest);
            memory.forced = order.forced_by.or(memory.forced);
        });
        self.tell(&format!("installed into slot {}, which boots next", order.slot));
    }

    fn written(&mut self, order: &InstallOrder, mut judgements: Vec<Judgement>) -> RoundEnd {
        self.finish(order);
        let installed = Ending::Installed(order.slot);
        let facts = match self.facts() {
            Ok(facts) => facts,
            Err(failed) => {
                self.tell(&chain(&failed));
                let again = Some(RESTART_AGAIN);
                return RoundEnd { again, ..RoundEnd::new(judgements, installed) };
            }
        };
        let view = View { memory: self.memory, insist: self.insist };
        judgements.push(judge_waiting(&facts, &view, self.policy));
        self.obey_restart(&facts, judgements, installed)
    }

    /// Gives the slot on trial up and restarts. That it is left is remembered first: where the
    /// restart is forbidden after the mark, nothing else would say that it is still due.
    pub(super) fn leave(&mut self, trial: SlotId, judgements: Vec<Judgement>) -> RoundEnd {
        let marked = self
            .keep(|memory| memory.leaving = Some(trial))
            .and_then(|()| self.hands.give_up(trial));
        match marked {
            Ok(()) => self.restart(trial.other(), judgements),
            Err(failed) => self.failed(judgements, failed),
        }
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
