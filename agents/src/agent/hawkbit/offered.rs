// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of an action that is offered, asked about, taken back, or due for its restart?

use super::super::course::{Considered, Course, Ending, RoundEnd};
use super::super::hands::{InstallEnding, Stop, Watch};
use super::super::refused::{Claimed, Taken};
use super::watch::Follow;
use super::{HandError, Hawkbit, recorded};
use crate::ddi::{
    ActionId, Consent, Deployment, Effect, Event, Exchange, InstallEnd, Judged, Permission, Stage,
};
use crate::{
    Asked, Decision, Facts, InstallOrder, InstallRecord, InstallStage, Judgement, Keep,
    LONGEST_WAIT, Looked, Offer, Pace, Rule, Urgency, View, judge_offer,
};
use bootctl::{SlotId, SlotState};
use bundle::UnixTime;
use std::error::Error;
use std::time::Duration;
use storage::{Digest, chain};

/// What is done about an offer.
enum Answer {
    Say(Judged),
    Install(InstallOrder),
    Leave(SlotId),
}

/// What could not be fetched, and is left alone for a while.
#[derive(Clone, Debug)]
pub(super) struct Held {
    id: ActionId,
    until: UnixTime,
    why: String,
}

impl<'a, E: Exchange> Hawkbit<'a, E> {
    /// Judges an offer, looks at its bundle, and installs or stores it where that is the judgement.
    pub(super) fn offered(
        &mut self,
        found: &Deployment,
        permission: Permission,
    ) -> Result<Vec<Effect>, HandError> {
        let id = found.id;
        if self.turn.is_over() {
            return Ok(Vec::new());
        }
        let now = self.clock.now;
        // Over for good: a clock that is turned back later does not begin it anew.
        self.held.take_if(|held| !is_ahead(held.until, now));
        // Another action has another bundle, or other places: the pause of the first is none of its.
        if let Some(Held { until, why, .. }) = self.held.clone().filter(|held| held.id == id) {
            self.again_at(until);
            return self.event(Event::Judged(id, Judged::Wait(why)));
        }
        self.turn.took = None;
        let offer = found.offer();
        let considered = match self.consider(&offer) {
            Ok(considered) => considered,
            Err(end) => {
                self.judged(&offer, &end.judgements, &end.ending);
                return self.not_looked_at(id, end);
            }
        };
        self.turn.judgements.clone_from(&considered.judgements);
        self.judged(&offer, &considered.judgements, &Ending::Judged);
        let mut effects = Vec::new();
        if let Some(looked) = &considered.looked {
            effects = self.event(Event::Looked(id, looked.manifest, looked.size))?;
            if !self.is_wanted(id) {
                return Ok(effects);
            }
        }
        effects.extend(match self.answer(id, &considered, &offer, permission)? {
            Answer::Say(judged) => self.event(Event::Judged(id, judged))?,
            Answer::Install(order) => self.install(id, considered, &order, permission)?,
            Answer::Leave(trial) => self.leave(id, trial)?,
        });
        Ok(effects)
    }

    /// What people and the fleet are told of it.
    fn judged(&mut self, offer: &Offer, judgements: &[Judgement], ending: &Ending) {
        let taken = Taken::of_offer(judgements, ending);
        let last = judgements.last();
        let words = match (&taken, ending) {
            (Taken::Refused { words, .. }, Ending::Refused(_)) => Some(format!("refused: {words}")),
            _ => last.map(Judgement::words),
        };
        let way_out = last.and_then(Judgement::way_out).map(str::to_owned);
        self.course.hear(|heard| (heard.decision, heard.way_out) = (words, way_out));
        let now = self.clock.is_set.then_some(self.clock.now);
        self.course.note_taken(taken, Claimed::from(offer), now);
    }

    /// By the bundle itself: two of them may share the version that the server claims, and a success
    /// is told of the one that was meant.
    fn consider(&mut self, offer: &Offer) -> Result<Considered, RoundEnd> {
        let considered = self.course.consider(offer)?;
        match (&considered.looked, considered.decision()) {
            (None, Decision::UpToDate | Decision::Reboot { .. } | Decision::Nothing) => {
                self.course.examine(offer, considered.judgements)
            }
            _ => Ok(considered),
        }
    }

    fn not_looked_at(&mut self, id: ActionId, end: RoundEnd) -> Result<Vec<Effect>, HandError> {
        self.turn.judgements = end.judgements;
        let judged = match end.ending {
            Ending::Refused(source) => {
                let why = chain(&*source);
                self.turn.took = Some(Ending::Refused(source));
                Judged::Refuse(why)
            }
            Ending::Unreachable { retry_after, source } => {
                let why = format!("the bundle cannot be had: {}", chain(&*source));
                self.turn.took = Some(Ending::Unreachable { retry_after, source });
                Judged::Wait(self.hold(id, retry_after, why))
            }
            Ending::Stopped(by) => {
                self.turn.stopped = Some(by);
                return Ok(Vec::new());
            }
            Ending::Failed(failed) => {
                let why = words_of(&failed);
                self.turn.took = Some(Ending::Failed(failed));
                Judged::Wait(self.hold(id, None, why))
            }
            Ending::Judged | Ending::Installed(_) | Ending::Restarting { .. } => {
                Judged::Wait("it was not looked at".to_owned())
            }
        };
        self.event(Event::Judged(id, judged))
    }

    /// Nothing of this action is fetched for a while.
    fn hold(&mut self, id: ActionId, retry_after: Option<Duration>, why: String) -> String {
        self.tries = self.tries.saturating_add(1);
        let pace = Pace::new(self.state.sleep(), self.terms.policy);
        let pause = pace.next(&self.device, self.round, self.tries, Asked::Failed { retry_after });
        let secs = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
        let until = UnixTime(self.clock.now.0.saturating_add(secs));
        self.again_at(until);
        self.held = Some(Held { id, until, why: why.clone() });
        why
    }

    fn answer(
        &mut self,
        id: ActionId,
        considered: &Considered,
        offer: &Offer,
        permission: Permission,
    ) -> Result<Answer, HandError> {
        let facts = &considered.facts;
        if let Some((slot, looked)) = waits_in(facts, considered.looked.as_ref()) {
            if permission != Permission::Install {
                let words = format!("it lies in slot {slot} already; the server's window is shut");
                return Ok(Answer::Say(Judged::Wait(words)));
            }
            self.remember_written(facts, (looked.manifest, looked.version.clone()), slot, offer)?;
            return Ok(Answer::Say(Judged::RebootDue(slot)));
        }
        let judgement = considered.judgements.last();
        Ok(match considered.decision() {
            Decision::UpToDate => Answer::Say(match (facts.booted, facts.running()) {
                (Some(slot), Some(running)) if running.state != SlotState::Good => {
                    Judged::OnTrial(slot)
                }
                _ => Judged::Running,
            }),
            Decision::Refuse { .. } => {
                Answer::Say(Judged::Refuse(judgement.map(because).unwrap_or_default()))
            }
            Decision::Wait { until, .. } => {
                self.again_at(*until);
                Answer::Say(Judged::Wait(self.reason(id, judgement)))
            }
            Decision::Install { order } => Answer::Install(order.clone()),
            Decision::LeaveTrial { .. } if permission != Permission::Install => {
                let words = "the slot that runs is on trial, and no install is permitted yet";
                Answer::Say(Judged::Wait(words.to_owned()))
            }
            Decision::LeaveTrial { trial } => Answer::Leave(*trial),
            Decision::Look | Decision::Reboot { .. } | Decision::Nothing => {
                Answer::Say(Judged::Wait(self.reason(id, judgement)))
            }
        })
    }

    /// The words of a reason to wait. Their times change with each judgement; the reason is told
    /// once.
    fn reason(&mut self, id: ActionId, judgement: Option<&Judgement>) -> String {
        let Some(judgement) = judgement else { return "it was not judged".to_owned() };
        let rule = judgement.because().map_or(Rule::Same, |check| check.rule);
        let told = self.reason.as_ref().filter(|(of, known, _)| (*of, *known) == (id, rule));
        if let Some((.., words)) = told {
            return words.clone();
        }
        let words = because(judgement);
        self.reason = Some((id, rule, words.clone()));
        words
    }

    /// Something may have put the bundle there before there was a record of it, and a restart is due
    /// only for what is on record.
    fn remember_written(
        &mut self,
        facts: &Facts,
        (manifest, version): (Digest, Option<String>),
        slot: SlotId,
        offer: &Offer,
    ) -> Result<(), HandError> {
        let known = self.course.memory().install.as_ref();
        if known.is_some_and(|known| known.manifest == manifest && known.slot == slot) {
            return Ok(());
        }
        let record = InstallRecord {
            manifest,
            version,
            url: offer.urls.first().cloned(),
            etag: None,
            slot,
            from: facts.running().and_then(|running| running.bundle),
            urgency: offer.urgency,
            stage: InstallStage::Written,
        };
        self.course.keep(|memory| memory.install = Some(record))
    }

    /// Writes it into its slot, or into a file where no more is permitted.
    fn install(
        &mut self,
        id: ActionId,
        considered: Considered,
        order: &InstallOrder,
        permission: Permission,
    ) -> Result<Vec<Effect>, HandError> {
        if permission == Permission::Install {
            self.course.begin(considered, order).map_err(|(_, failed)| failed)?;
        }
        let mut effects = self.event(Event::Judged(id, Judged::Install))?;
        if !self.is_wanted(id) {
            effects.extend(self.event(Event::Installed(id, InstallEnd::Stopped))?);
            return Ok(effects);
        }
        if order.keep == Keep::Bundle {
            match self.follow(id, &mut effects, |course, watch| course.store(order, watch)) {
                Ok(hashes) => effects.extend(self.event(Event::Fetched(id, hashes))?),
                Err(ending) => {
                    effects.extend(self.installed(id, order, ending)?);
                    return Ok(effects);
                }
            }
            let is_installing = self.stage() == Some(Stage::Installing);
            if permission != Permission::Install || !is_installing {
                return Ok(effects);
            }
            if !self.is_wanted(id) {
                effects.extend(self.event(Event::Installed(id, InstallEnd::Stopped))?);
                return Ok(effects);
            }
        }
        let ending = self.follow(id, &mut effects, |course, watch| course.fill(order, watch));
        effects.extend(self.installed(id, order, ending)?);
        Ok(effects)
    }

    /// Has something done, while the server hears of it.
    fn follow<T>(
        &mut self,
        id: ActionId,
        effects: &mut Vec<Effect>,
        work: impl FnOnce(&mut Course<'a>, &mut dyn Watch) -> T,
    ) -> T {
        let about = (self.told.clone(), self.clock);
        let mut follow = Follow::new(self.terms, about, (self.state.clone(), id));
        let done = work(&mut self.course, &mut follow);
        self.state = follow.state;
        effects.append(&mut follow.effects);
        // What was told is told, durable or not.
        let failures = self.state.failures();
        if let Ok(record) = recorded(&self.state) {
            self.course.note(|memory| (memory.action, memory.failures) = (record, failures));
        }
        done
    }

    fn installed(
        &mut self,
        id: ActionId,
        order: &InstallOrder,
        ending: InstallEnding,
    ) -> Result<Vec<Effect>, HandError> {
        let end = match ending {
            InstallEnding::Written => {
                self.course.finish(order);
                (self.tries, self.held) = (0, None);
                InstallEnd::Done(order.slot)
            }
            // As if the power went: the next start goes on.
            InstallEnding::Stopped(Stop::Program) => {
                self.turn.stopped = Some(Stop::Program);
                return Ok(Vec::new());
            }
            InstallEnding::Stopped(Stop::Server) => {
                // Another action may be there already.
                self.turn.asks_again = true;
                InstallEnd::Stopped
            }
            InstallEnding::Interrupted { retry_after, source } => {
                let why = self.hold(id, retry_after, words_of(&*source));
                self.turn.took = Some(Ending::Unreachable { retry_after, source });
                InstallEnd::Interrupted(why)
            }
            InstallEnding::Failed(source) => {
                let why = self.hold(id, None, words_of(&*source));
                let doing = "install the offered bundle".to_owned();
                self.turn.took = Some(Ending::Failed(HandError { doing, source }));
                InstallEnd::Interrupted(why)
            }
            InstallEnding::Refused(source) => {
                self.course.refuse(order);
                let why = words_of(&*source);
                self.turn.took = Some(Ending::Refused(source));
                InstallEnd::Failed(why)
            }
        };
        self.event(Event::Installed(id, end))
    }

    /// The slot on trial is nobody's action here: it is left as for any other offer, and the action
    /// goes on from the good slot.
    fn leave(&mut self, id: ActionId, trial: SlotId) -> Result<Vec<Effect>, HandError> {
        let words = format!("slot {trial}, which runs on trial, is left first; then it goes on");
        let effects = self.event(Event::Judged(id, Judged::Wait(words)))?;
        let end = self.course.leave(trial, Vec::new());
        self.take_restart(&end.ending);
        self.wait_for(end.again);
        match end.ending {
            Ending::Failed(failed) => Err(failed),
            Ending::Judged
            | Ending::Unreachable { .. }
            | Ending::Refused(_)
            | Ending::Installed(_)
            | Ending::Restarting { .. }
            | Ending::Stopped(_) => Ok(effects),
        }
    }

    /// The device says no to what it would refuse anyway. To everything else it says yes, or what the
    /// operator does.
    pub(super) fn asked_for_consent(
        &mut self,
        found: &Deployment,
    ) -> Result<Vec<Effect>, HandError> {
        let facts = self.course.facts()?;
        let view = View { memory: self.course.memory(), insist: self.insist };
        let judgement = judge_offer(&facts, &found.offer(), &view, self.terms.policy);
        let consent = match judgement.decision {
            Decision::Refuse { .. } => Consent::No(because(&judgement)),
            Decision::UpToDate
            | Decision::Wait { .. }
            | Decision::Look
            | Decision::Install { .. }
            | Decision::LeaveTrial { .. }
            | Decision::Reboot { .. }
            | Decision::Nothing => match self.terms.operator {
                Some(operator) => operator.on(found.id),
                None => Consent::Yes,
            },
        };
        if consent == Consent::Later && self.asked_operator != Some(found.id) {
            self.asked_operator = Some(found.id);
            self.tell(&wants_consent(found.id));
        }
        self.turn.asks_again |= consent == Consent::Yes;
        self.turn.judgements = vec![judgement];
        self.event(Event::Confirmation(found.id, consent))
    }

    pub(super) fn withdraw(
        &mut self,
        id: ActionId,
        slot: SlotId,
    ) -> Result<Vec<Effect>, HandError> {
        let outcome = self.course.hands().withdraw(slot).map_err(|failed| chain(&failed));
        if outcome.is_ok() {
            self.course.note(|memory| memory.install = None);
            self.turn.asks_again = true;
        }
        self.event(Event::Withdrawn(id, outcome))
    }

    pub(super) fn restart(&mut self, id: ActionId, slot: SlotId) -> Result<Vec<Effect>, HandError> {
        let manifest = self.state.action.as_ref().and_then(|action| action.manifest);
        if let Some(manifest) = manifest.filter(|_| self.course.memory().install.is_none()) {
            let facts = self.course.facts()?;
            let version = facts.slot(slot).version.clone();
            self.remember_written(&facts, (manifest, version), slot, &lost_offer())?;
        }
        let end = self.course.due();
        self.take_restart(&end.ending);
        self.wait_for(end.again);
        let why = match &end.ending {
            Ending::Restarting { .. } | Ending::Stopped(_) => return Ok(Vec::new()),
            Ending::Failed(failed) => chain(failed),
            Ending::Judged
            | Ending::Unreachable { .. }
            | Ending::Refused(_)
            | Ending::Installed(_) => self.reason(id, end.judgements.last()),
        };
        self.turn.judgements.extend(end.judgements);
        self.event(Event::RebootWaits(id, why))
    }
}

/// Whether a pause until then still lasts. None is longer than the longest: what seems to be was begun
/// under a clock that has been set back since.
fn is_ahead(then: UnixTime, now: UnixTime) -> bool {
    let left = then.0.saturating_sub(now.0);
    left > 0 && u64::try_from(left).is_ok_and(|secs| secs <= LONGEST_WAIT.as_secs())
}

/// What an action waits for that the operator has not spoken of.
pub(super) fn wants_consent(id: ActionId) -> String {
    format!("action {id} waits for a yes: `atomix agent confirm {id}`, or `atomix agent deny {id}`")
}

/// What is known of an offer whose record was lost with `/data`.
const fn lost_offer() -> Offer {
    Offer {
        version: String::new(),
        manifest: None,
        file: None,
        size: None,
        urls: Vec::new(),
        min_version: None,
        rollout: None,
        expires: None,
        urgency: Urgency::Ordinary,
        document: None,
    }
}

/// The slot beside the running one that holds the bundle and boots next.
fn waits_in<'l>(facts: &Facts, looked: Option<&'l Looked>) -> Option<(SlotId, &'l Looked)> {
    let (looked, slot) = (looked?, facts.next?);
    let is_there = Some(slot) != facts.booted && facts.slot(slot).bundle == Some(looked.id());
    is_there.then_some((slot, looked))
}

/// Why, in the words of the rule that decided.
fn because(judgement: &Judgement) -> String {
    judgement.because().map_or_else(|| judgement.words(), |check| check.words.clone())
}

fn words_of(source: &(dyn Error + Send + Sync)) -> String {
    chain(source)
}
