// SPDX-License-Identifier: MIT OR Apache-2.0
//! May the device be restarted into what waits in the other slot? In its window, and never while
//! somebody has asked that it be left running.

use super::check::{shown, when};
use super::{Check, Decision, Judgement, Rule, insisted, later, rules};
use crate::memory::Outcome;
use crate::{Facts, Policy, RebootRule, Urgency, View};
use bootctl::{SlotId, SlotState};
use std::time::Duration;

/// How soon it is looked again whether somebody still wants the device left running.
const INHIBITED_AGAIN: Duration = Duration::from_secs(5 * 60);
/// Most of those who ask for that are named.
const MAX_INHIBITORS: usize = 3;

/// Whether a restart is due for what the agent installed before, whatever the server offers now, and
/// also when it cannot be asked.
#[must_use]
pub fn judge_waiting(facts: &Facts, view: &View<'_>, policy: &Policy) -> Judgement {
    if let Some(trial) = view.memory.leaving
        && is_given_up(facts, trial)
    {
        return judge_leaving(facts, policy, trial);
    }
    let waiting = view.memory.install.as_ref();
    let waiting = waiting.filter(|install| install.outcome(facts) == Outcome::AwaitsRestart);
    match waiting {
        Some(install) => {
            let words = format!("what was installed is in slot {}, which boots next", install.slot);
            let first = Check::passed(Rule::Same, words);
            judge(facts, policy, view, install.urgency, install.slot, first)
        }
        None => {
            let words = "nothing that was installed waits for a restart";
            let checks = vec![Check::passed(Rule::Reboot, words)];
            Judgement { decision: Decision::Nothing, checks }
        }
    }
}

pub(super) fn judge(
    facts: &Facts,
    policy: &Policy,
    view: &View<'_>,
    urgency: Urgency,
    into: SlotId,
    first: Check,
) -> Judgement {
    let mut checks = vec![first];
    if let Some(never) = permission(policy) {
        checks.push(never);
        return Judgement { decision: Decision::Nothing, checks };
    }
    if policy.reboot == RebootRule::Window {
        let forced = insisted(view).or(match urgency {
            Urgency::Forced => Some("the server forces it"),
            Urgency::Ordinary => None,
        });
        checks.push(rules::clock(facts, policy).waived_by(forced));
        checks.push(rules::window(facts, policy, "restart").waived_by(forced));
    }
    checks.push(inhibitors(facts));
    let decision = Judgement::held(&checks).unwrap_or(Decision::Reboot { into });
    Judgement { decision, checks }
}

/// Whether the slot that runs was marked as failed, so that the other one boots next.
pub(crate) fn is_given_up(facts: &Facts, trial: SlotId) -> bool {
    facts.booted == Some(trial)
        && facts.slot(trial).state == SlotState::Bad
        && facts.next == Some(trial.other())
}

/// That the slot is left was decided already, windows included.
fn judge_leaving(facts: &Facts, policy: &Policy, trial: SlotId) -> Judgement {
    let into = trial.other();
    let words = format!("slot {trial} was given up for an update; slot {into} boots next");
    let mut checks = vec![Check::passed(Rule::Same, words)];
    if let Some(never) = permission(policy) {
        checks.push(never);
        return Judgement { decision: Decision::Nothing, checks };
    }
    checks.push(inhibitors(facts));
    let decision = Judgement::held(&checks).unwrap_or(Decision::Reboot { into });
    Judgement { decision, checks }
}

/// What speaks against any restart.
pub(super) fn permission(policy: &Policy) -> Option<Check> {
    match policy.reboot {
        RebootRule::Now | RebootRule::Window => None,
        RebootRule::Never => {
            let words = "the restart is left to somebody else (policy: reboot = \"never\")";
            Some(Check::refused(Rule::Reboot, words))
        }
    }
}

/// Nobody overrules those: whoever is in the middle of something is asked at the device.
pub(super) fn inhibitors(facts: &Facts) -> Check {
    if facts.inhibitors.is_empty() {
        return Check::passed(Rule::Inhibitors, "nobody asks that it be left running");
    }
    let named: Vec<String> =
        facts.inhibitors.iter().take(MAX_INHIBITORS).map(|one| shown(one)).collect();
    let more = match facts.inhibitors.len().saturating_sub(MAX_INHIBITORS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let until = later(facts, INHIBITED_AGAIN);
    let words =
        format!("asked to be left running: {}{more}; again {}", named.join(", "), when(until));
    Check::waits(Rule::Inhibitors, until, words)
}
