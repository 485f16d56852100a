// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this update taken, when, and why not? Two judgements: about an offer as it is claimed, and
//! about the bundle once its signed beginning was looked at. Only the second may install.
//!
//! Pure. Neither asks whether the device is healthy (I8), and what was decided is never remembered:
//! who asks again later is told what counts then. A wait always ends; until then the agent goes on
//! asking the server, which may have changed its mind.
//!
//! Who is overruled by whom: a server that forces overrules the memory of failures (a signed document
//! once), windows, links that are only for what is forced, and the wait for a verdict. A person who
//! insists overrules these and rollouts, links and the bytes of a day. Nobody overrules product,
//! digest, length, version, downgrade, expiry, the bytes of one update, and what may be written.

mod check;
mod restart;
mod rollout;
mod rules;
mod show;
mod target;
mod way_out;

pub use check::{Check, Rule, Verdict};
pub(crate) use restart::is_given_up;
pub use restart::judge_waiting;

use crate::{Downgrade, Facts, Keep, Looked, Offer, Policy, Urgency, View};
use bootctl::{BundleId, Force, SlotId};
use bundle::UnixTime;
use std::time::Duration;
use storage::{ByteLen, Digest};
use target::Target;

/// What is installed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallOrder {
    /// The bundle of this manifest and no other.
    pub manifest: Digest,
    /// Where it is, best first.
    pub urls: Vec<String>,
    /// The slot it goes into.
    pub slot: SlotId,
    /// How many bytes that should take.
    pub transfer: ByteLen,
    /// Most bytes it may take; beyond them it stops.
    pub most_bytes: Option<ByteLen>,
    /// Most bytes in a second.
    pub rate: Option<ByteLen>,
    /// What is stored.
    pub keep: Keep,
    /// Whether an older version is allowed.
    pub downgrade: Downgrade,
    /// Whether it is installed although it failed here.
    pub force: Force,
    /// What the restart after it is like.
    pub urgency: Urgency,
    /// The document whose force this attempt uses up.
    pub forced_by: Option<Digest>,
    /// Whether the same bundle was begun in the same slot, so that what is there need not be
    /// fetched again.
    pub resumes: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The device runs it.
    UpToDate,
    /// It is not taken.
    Refuse {
        /// Because of this.
        why: Rule,
    },
    /// Not yet.
    Wait {
        /// Ask again then, by the device's clock. Devices that wait for the same thing are told
        /// different times.
        until: UnixTime,
        /// Because of this.
        why: Rule,
    },
    /// Look at the beginning of the bundle, and judge again.
    Look,
    /// Install it.
    Install {
        /// How.
        order: InstallOrder,
    },
    /// Mark the running slot as failed and restart: the other slot is the last good one, and the
    /// update goes into this one from there.
    LeaveTrial {
        /// The slot that runs.
        trial: SlotId,
    },
    /// Restart the device.
    Reboot {
        /// Into this slot.
        into: SlotId,
    },
    /// Nothing: what is left to do is somebody else's.
    Nothing,
}

/// What is to be done, and everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// It.
    pub decision: Decision,
    /// In the order in which they count.
    pub checks: Vec<Check>,
}

impl Judgement {
    /// The check that decided, where one did.
    #[must_use]
    pub fn because(&self) -> Option<&Check> {
        let why = match &self.decision {
            Decision::Refuse { why } | Decision::Wait { why, .. } => *why,
            Decision::UpToDate => Rule::Same,
            Decision::Nothing => Rule::Reboot,
            Decision::Look
            | Decision::Install { .. }
            | Decision::LeaveTrial { .. }
            | Decision::Reboot { .. } => return None,
        };
        self.checks.iter().rev().find(|check| check.rule == why)
    }

    /// What speaks against it: a refusal before a wait, and of the waits the longest.
    fn held(checks: &[Check]) -> Option<Decision> {
        let refused = checks.iter().find(|check| check.verdict == Verdict::Refused);
        if let Some(check) = refused {
            return Some(Decision::Refuse { why: check.rule });
        }
        let waits = checks.iter().filter_map(|check| match check.verdict {
            Verdict::Waits { until } => Some((until, check.rule)),
            Verdict::Passed | Verdict::Waived | Verdict::Open | Verdict::Refused => None,
        });
        let longest = waits.reduce(|one, other| if other.0 > one.0 { other } else { one });
        longest.map(|(until, why)| Decision::Wait { until, why })
    }
}

/// Everything a judgement is made from.
#[derive(Clone, Copy)]
struct Case<'a> {
    facts: &'a Facts,
    offer: &'a Offer,
    looked: Option<&'a Looked>,
    view: &'a View<'a>,
    policy: &'a Policy,
}

/// How the offered bundle stands to what the slots hold.
enum Identity {
    /// It runs.
    Runs,
    /// It is in this slot, which boots next.
    BootsNext(SlotId),
    /// It is neither, as far as is known.
    New,
}

impl<'a> Case<'a> {
    fn id(&self) -> Option<BundleId> {
        let claimed = || self.offer.manifest.map(BundleId::from);
        self.looked.map(Looked::id).or_else(claimed)
    }

    /// The version that would be installed.
    fn version(&self) -> Option<&'a str> {
        self.looked.map_or(Some(&*self.offer.version), |looked| looked.version.as_deref())
    }

    /// By the digest, where one was named; else by the version, which two bundles may share.
    fn identity(&self) -> Identity {
        let facts = self.facts;
        let holds = |slot: SlotId| {
            let slot = facts.slot(slot);
            match (self.id(), slot.bundle) {
                (Some(id), Some(held)) => id == held,
                (Some(_), None) => false,
                (None, _) => slot.version.is_some() && slot.version.as_deref() == self.version(),
            }
        };
        match (facts.booted, facts.next) {
            (Some(running), _) if holds(running) => Identity::Runs,
            (Some(running), Some(next)) if next != running && holds(next) => {
                Identity::BootsNext(next)
            }
            _ => Identity::New,
        }
    }

    /// Who overrules what a server may overrule.
    fn forced(&self) -> Option<&'static str> {
        self.insisted().or(match self.offer.urgency {
            Urgency::Forced => Some("the server forces it"),
            Urgency::Ordinary => None,
        })
    }

    /// Whether the document of the offer forced an attempt that came to its end.
    fn is_force_spent(&self) -> bool {
        self.offer.document.is_some() && self.offer.document == self.view.memory.forced
    }

    /// Who overrules the memory of failures. Nobody tells the server of a signed document how an
    /// attempt ended: its force would have the same failure repeated at every question, for ever.
    fn retried(&self) -> Option<&'static str> {
        if self.is_force_spent() { self.insisted() } else { self.forced() }
    }

    /// Who overrules what only a person may.
    fn insisted(&self) -> Option<&'static str> {
        insisted(self.view)
    }

    fn judge(&self) -> Judgement {
        match self.identity() {
            Identity::Runs => {
                let words = "this bundle runs already";
                let checks = vec![Check::passed(Rule::Same, words)];
                return Judgement { decision: Decision::UpToDate, checks };
            }
            Identity::BootsNext(slot) => {
                let words = format!("this bundle is in slot {slot}, which boots next");
                let first = Check::passed(Rule::Same, words);
                let urgency = self.offer.urgency;
                return restart::judge(self.facts, self.policy, self.view, urgency, slot, first);
            }
            Identity::New => {}
        }
        let mut checks = rules::all(self);
        let target = target::target_of(self.facts);
        if let (Target::Leave { .. }, Some(_)) = (target, self.looked) {
            checks.extend(restart::permission(self.policy));
            checks.push(restart::inhibitors(self.facts));
        }
        let decision = Judgement::held(&checks).unwrap_or_else(|| self.act(target));
        Judgement { decision, checks }
    }

    /// What is done when nothing speaks against it.
    fn act(&self, target: Target) -> Decision {
        match (self.looked, target) {
            (None, _) => Decision::Look,
            (Some(looked), Target::Write(slot)) => {
                Decision::Install { order: self.order(looked, slot) }
            }
            (Some(_), Target::Leave { trial }) => Decision::LeaveTrial { trial },
            (Some(_), Target::LastGood(_) | Target::NoSlot) => Decision::Refuse { why: Rule::Slot },
        }
    }

    fn order(&self, looked: &Looked, slot: SlotId) -> InstallOrder {
        let begun = self.view.memory.install.as_ref();
        let resumes =
            begun.is_some_and(|begun| begun.manifest == looked.manifest && begun.slot == slot);
        let failed = self.facts.is_known_failed(&looked.id());
        InstallOrder {
            manifest: looked.manifest,
            urls: self.offer.urls.clone(),
            slot,
            transfer: looked.transfer,
            most_bytes: most_bytes(self.facts.clock.now, self.view, self.policy),
            rate: self.policy.rate,
            keep: self.policy.keep,
            downgrade: self.policy.downgrade,
            force: if failed { Force::Yes } else { Force::No },
            urgency: self.offer.urgency,
            forced_by: self.offer.document.filter(|_| self.offer.urgency == Urgency::Forced),
            resumes,
        }
    }
}

/// How many bytes one update may fetch now.
pub(crate) fn most_bytes(now: UnixTime, view: &View<'_>, policy: &Policy) -> Option<ByteLen> {
    let today = policy.most_day.filter(|_| insisted(view).is_none()).map(|most| {
        let spent = view.memory.spent(now);
        ByteLen::new(most.get().saturating_sub(spent.get()))
    });
    policy.most_update.into_iter().chain(today).min()
}

fn insisted(view: &View<'_>) -> Option<&'static str> {
    match view.insist {
        Force::Yes => Some("a person insists"),
        Force::No => None,
    }
}

/// A time by the device's clock.
fn later(facts: &Facts, wait: Duration) -> UnixTime {
    let secs = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
    UnixTime(facts.clock.now.0.saturating_add(secs))
}

/// Judges an offer as it is claimed: nothing of it was fetched.
#[must_use]
pub fn judge_offer(facts: &Facts, offer: &Offer, view: &View<'_>, policy: &Policy) -> Judgement {
    Case { facts, offer, looked: None, view, policy }.judge()
}

/// Judges the bundle behind an offer: its signed beginning was read.
#[must_use]
pub fn judge_bundle(
    facts: &Facts,
    offer: &Offer,
    looked: &Looked,
    view: &View<'_>,
    policy: &Policy,
) -> Judgement {
    Case { facts, offer, looked: Some(looked), view, policy }.judge()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_tests;
