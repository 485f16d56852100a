// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each rule by itself: what it says, in a verdict and in words.

use super::check::{shown, when};
use super::rollout::turn_of;
use super::target::{Target, target_of};
use super::{Case, Check, Rule, later};
use crate::lot::Lot;
use crate::memory::day_of;
use crate::{Downgrade, Facts, Link, MeteredRule, Opening, Policy};
use bootctl::SlotState;
use bundle::UnixTime;
use std::time::Duration;
use storage::ByteLen;
use updater::BundleVersion;

/// How long a slot that runs may take to get its verdict before an update goes on without one: the
/// verifier's deadline is 15 minutes.
const TRIAL_PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How long somebody may take to set the clock before a window is read off a clock that nobody set.
const CLOCK_PATIENCE: Duration = Duration::from_secs(60 * 60);
const CLOCK_AGAIN: Duration = Duration::from_secs(10 * 60);
const METERED_AGAIN: Duration = Duration::from_secs(60 * 60);
/// Over how long those come who wait for the same moment.
const SPREAD: Duration = Duration::from_secs(60 * 60);

/// All of them, in the order in which they count.
pub(super) fn all(case: &Case<'_>) -> Vec<Check> {
    let (facts, policy) = (case.facts, case.policy);
    let (forced, insisted) = (case.forced(), case.insisted());
    vec![
        slot(facts),
        product(case),
        manifest(case),
        size(case),
        version(case),
        failed(case).waived_by(case.retried()),
        downgrade(case),
        min_version(case),
        expiry(case),
        update_bytes(case),
        clock(facts, policy).waived_by(forced),
        rollout(case).waived_by(insisted),
        trial(facts).waived_by(forced),
        begun(case).waived_by(insisted),
        window(facts, policy, "install").waived_by(forced),
        metered(case).waived_by(insisted),
        day_bytes(case).waived_by(insisted),
    ]
}

fn slot(facts: &Facts) -> Check {
    match target_of(facts) {
        Target::Write(slot) => Check::passed(Rule::Slot, format!("it goes into slot {slot}")),
        Target::Leave { trial } => {
            let good = trial.other();
            let words = format!("slot {good} is the last good one: from there into slot {trial}");
            Check::passed(Rule::Slot, words)
        }
        Target::LastGood(slot) => {
            let running = slot.other();
            let words = format!(
                "slot {slot} is the last good one and slot {running}, which runs, is not \
                 confirmed: boot slot {slot}, or let slot {running} prove itself"
            );
            Check::refused(Rule::Slot, words)
        }
        Target::NoSlot => {
            let words = "the running system is from no slot: install by hand (`atomix install`)";
            Check::refused(Rule::Slot, words)
        }
    }
}

fn product(case: &Case<'_>) -> Check {
    let ours = shown(&case.facts.compatible);
    match case.looked {
        None => Check::open(Rule::Product),
        Some(looked) if looked.compatible == case.facts.compatible => {
            Check::passed(Rule::Product, format!("it is for {ours}"))
        }
        Some(looked) => {
            let words = format!("it is for {}, and this is {ours}", shown(&looked.compatible));
            Check::refused(Rule::Product, words)
        }
    }
}

fn manifest(case: &Case<'_>) -> Check {
    match (case.looked, case.offer.manifest) {
        (None, _) => Check::open(Rule::Manifest),
        (Some(_), None) => Check::passed(Rule::Manifest, "the server named no digest"),
        (Some(looked), Some(claimed)) if looked.manifest == claimed => {
            Check::passed(Rule::Manifest, "it is the bundle that the server named")
        }
        (Some(looked), Some(claimed)) => {
            let words = format!("its manifest is {}, the server named {claimed}", looked.manifest);
            Check::refused(Rule::Manifest, words)
        }
    }
}

fn size(case: &Case<'_>) -> Check {
    match (case.looked, case.offer.size) {
        (None, _) => Check::open(Rule::Size),
        (Some(_), None) => Check::passed(Rule::Size, "the server named no length"),
        (Some(looked), Some(claimed)) if looked.size == claimed => {
            Check::passed(Rule::Size, format!("it has the {claimed} that the server named"))
        }
        (Some(looked), Some(claimed)) => {
            let (has, named) = (looked.size.get(), claimed.get());
            let words = format!("it has {has} bytes, the server named {named}");
            Check::refused(Rule::Size, words)
        }
    }
}

/// A server that says one version and gives another would offer it again for ever.
fn version(case: &Case<'_>) -> Check {
    let claimed = shown(&case.offer.version);
    match case.looked.map(|looked| looked.version.as_deref()) {
        None => Check::open(Rule::Version),
        Some(Some(actual)) if actual == case.offer.version => {
            Check::passed(Rule::Version, format!("it is version {claimed}"))
        }
        Some(actual) => {
            let actual = actual.map_or_else(|| "none".to_owned(), shown);
            let words = format!("its version is {actual}, the server named {claimed}");
            Check::refused(Rule::Version, words)
        }
    }
}

fn failed(case: &Case<'_>) -> Check {
    let spent = if case.is_force_spent() { ", also by force of this release" } else { "" };
    match case.id() {
        None => Check::open(Rule::Failed),
        Some(id) if case.facts.is_known_failed(&id) => {
            let words = format!("it was tried here before{spent} and did not prove itself");
            Check::refused(Rule::Failed, words)
        }
        Some(id) if case.view.memory.refused.is_some_and(|refused| id == refused.into()) => {
            let words = format!("its install was refused here before{spent}");
            Check::refused(Rule::Failed, words)
        }
        Some(_) => Check::passed(Rule::Failed, "it is not known to have failed here"),
    }
}

/// What runs is known by its record. Without one the floor takes its place, and without that nobody
/// could tell an old bundle that the vendor once signed from a new one.
fn downgrade(case: &Case<'_>) -> Check {
    let running = case.facts.running().and_then(|slot| slot.version.as_deref());
    let offered = case.version().unwrap_or_default();
    let known = match (running, &case.facts.version_floor) {
        (Some(text), _) => match text.parse::<BundleVersion>() {
            Ok(running) => Some((running, format!("{}, which runs", shown(text)))),
            Err(_) => {
                let words = format!("what runs has no version to compare with ({})", shown(text));
                return Check::passed(Rule::Downgrade, words);
            }
        },
        (None, Some(floor)) => {
            let words = format!("{}, the oldest that may follow here", shown(&floor.to_string()));
            Some((floor.clone(), words))
        }
        (None, None) => None,
    };
    let against = match (known, offered.parse::<BundleVersion>()) {
        (Some((known, words)), Ok(offered)) if !offered.is_older_than(&known) => {
            return Check::passed(Rule::Downgrade, format!("it is not older than {words}"));
        }
        (Some((_, words)), Ok(_)) => format!("{} is older than {words}", shown(offered)),
        (Some((_, words)), Err(_)) => {
            format!("{:?} cannot be compared with {words}", shown(offered))
        }
        (None, _) => "no record says which version runs, and neither IMAGE_VERSION of os-release \
                      nor `min-bundle-version` of system.conf which may follow"
            .to_owned(),
    };
    let check = Check::refused(Rule::Downgrade, against);
    match case.policy.downgrade {
        Downgrade::Refused => check,
        Downgrade::Allowed => check.waived_by(Some("the policy allows it")),
    }
}

fn min_version(case: &Case<'_>) -> Check {
    let Some(wanted) = case.offer.min_version.as_deref() else {
        return Check::passed(Rule::MinVersion, "any version may take it");
    };
    let running = case.facts.running().and_then(|slot| slot.version.as_deref());
    let orders = (running.map(str::parse::<BundleVersion>), wanted.parse::<BundleVersion>());
    let wanted = shown(wanted);
    match orders {
        (Some(Ok(running)), Ok(minimum)) if !running.is_older_than(&minimum) => {
            Check::passed(Rule::MinVersion, format!("what runs is not older than {wanted}"))
        }
        _ => {
            let running = running.map_or_else(|| "of no known version".to_owned(), shown);
            let words = format!("it wants {wanted} or later, and what runs is {running}");
            Check::refused(Rule::MinVersion, words)
        }
    }
}

/// Without a clock only the floor counts: no moment is believed that nobody proved.
fn expiry(case: &Case<'_>) -> Check {
    let Some(expires) = case.offer.expires else {
        return Check::passed(Rule::Expiry, "it does not expire");
    };
    let clock = &case.facts.clock;
    let proven = if clock.is_set { Some(clock.latest()) } else { clock.floor };
    match proven {
        Some(proven) if proven > expires => {
            Check::refused(Rule::Expiry, format!("it counted until {}", when(expires)))
        }
        Some(_) => Check::passed(Rule::Expiry, format!("it counts until {}", when(expires))),
        None => Check::passed(Rule::Expiry, "nobody set the clock, and no time is proven"),
    }
}

fn update_bytes(case: &Case<'_>) -> Check {
    match (case.policy.most_update, case.looked) {
        (None, _) => Check::passed(Rule::UpdateBytes, "one update may fetch any number of bytes"),
        (Some(_), None) => Check::open(Rule::UpdateBytes),
        (Some(most), Some(looked)) if looked.transfer <= most => {
            let words = format!("{} are to be fetched, of {most} allowed", looked.transfer);
            Check::passed(Rule::UpdateBytes, words)
        }
        (Some(most), Some(looked)) => {
            let words = format!("{} would be fetched, and {most} are allowed", looked.transfer);
            Check::refused(Rule::UpdateBytes, words)
        }
    }
}

/// Only windows need the hour.
pub(super) fn clock(facts: &Facts, policy: &Policy) -> Check {
    if facts.clock.is_set {
        return Check::passed(Rule::Clock, format!("it is {}", when(facts.clock.now)));
    }
    if policy.windows.is_empty() {
        return Check::passed(Rule::Clock, "nobody set it; nothing is decided by the hour");
    }
    if facts.up >= CLOCK_PATIENCE {
        let words = "nobody set it; windows are read off it all the same, after an hour";
        return Check::passed(Rule::Clock, words);
    }
    let words = "nobody set it, and windows want the hour; they do not wait longer than one hour";
    Check::waits(Rule::Clock, later(facts, CLOCK_AGAIN), words)
}

fn rollout(case: &Case<'_>) -> Check {
    let facts = case.facts;
    let Some(rollout) = &case.offer.rollout else {
        return Check::passed(Rule::Rollout, "it is for the whole fleet");
    };
    let manifest = case.looked.map(|looked| looked.manifest).or(case.offer.manifest);
    let Some(manifest) = manifest else { return Check::open(Rule::Rollout) };
    let lot = Lot::of_rollout(&manifest, &facts.device_id);
    let turn = turn_of(rollout, lot);
    let proven = proven_now(case);
    if turn <= proven {
        return Check::passed(Rule::Rollout, "it is this device's turn");
    }
    // The ramp spreads those below the percentage; the others would all come at its end.
    let spread = if turn >= rollout.ends { lot.of(SPREAD) } else { Duration::ZERO };
    let left = u64::try_from(turn.0.saturating_sub(proven.0)).unwrap_or(0);
    let until = later(facts, Duration::from_secs(left).saturating_add(spread));
    let percent = rollout.percent.min(100);
    let words = format!("{percent} % by {}; this device {}", when(rollout.ends), when(turn));
    Check::waits(Rule::Rollout, until, words)
}

/// Without a clock, or with one that shows less than what is proven, time goes on from the floor, so
/// that nobody waits for ever. Only what has passed since the device was told of it counts: one that
/// had been running for a month would take every rollout on its first day.
fn proven_now(case: &Case<'_>) -> UnixTime {
    let clock = &case.facts.clock;
    match clock.floor {
        Some(floor) if !clock.is_set || clock.now < floor => {
            let since = case.view.memory.since_floor(case.facts.up);
            let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            UnixTime(floor.0.saturating_add(since)).max(clock.now)
        }
        Some(_) | None => clock.now,
    }
}

fn trial(facts: &Facts) -> Check {
    let Some((slot, running)) = facts.booted.zip(facts.running()) else {
        return Check::passed(Rule::Trial, "the running system is from no slot");
    };
    match running.state {
        SlotState::Good | SlotState::Bad => {
            Check::passed(Rule::Trial, format!("slot {slot}, which runs, is {}", running.state))
        }
        SlotState::Trying | SlotState::Unknown | SlotState::Empty | SlotState::Writing
            if facts.up < TRIAL_PATIENCE =>
        {
            let until = later(facts, TRIAL_PATIENCE.saturating_sub(facts.up));
            let words =
                format!("slot {slot}, which runs, has until {} for its verdict", when(until));
            Check::waits(Rule::Trial, until, words)
        }
        SlotState::Trying | SlotState::Unknown | SlotState::Empty | SlotState::Writing => {
            let words = format!("slot {slot}, which runs, has no verdict; that holds nothing up");
            Check::passed(Rule::Trial, words)
        }
    }
}

/// A server must not have slots begun one after the other, whatever it forces: flash wears.
fn begun(case: &Case<'_>) -> Check {
    let memory = case.view.memory;
    let manifest = case.looked.map(|looked| looked.manifest).or(case.offer.manifest);
    match (memory.begins_from(manifest, case.facts), memory.begun()) {
        (Some(from), begun) => {
            let words = format!("{begun} were begun and none proved itself; {}", when(from));
            Check::waits(Rule::Begun, from, words)
        }
        (None, 0) => Check::passed(Rule::Begun, "no other one was begun"),
        (None, begun) => {
            Check::passed(Rule::Begun, format!("{begun} begun since one proved itself"))
        }
    }
}

pub(super) fn window(facts: &Facts, policy: &Policy, what: &str) -> Check {
    match policy.next_open(facts.clock.now) {
        Opening::Always => Check::passed(Rule::Window, format!("{what} at any time")),
        Opening::Open { closes } => {
            Check::passed(Rule::Window, format!("{what} until {}", when(closes)))
        }
        Opening::Closed { opens, closes } => {
            // Not the whole fleet at the stroke of the hour, and nobody when it is nearly over.
            let half = u64::try_from(closes.0.saturating_sub(opens.0) / 2).unwrap_or(0);
            let spread = Duration::from_secs(half).min(policy.jitter.unwrap_or(SPREAD));
            let round = u64::try_from(opens.0).unwrap_or(0);
            let part = Lot::of_time("window", round, &facts.device_id).of(spread);
            let part = i64::try_from(part.as_secs()).unwrap_or(0);
            let until = UnixTime(opens.0.saturating_add(part));
            let words = format!("{what} from {}, this device {}", when(opens), when(until));
            Check::waits(Rule::Window, until, words)
        }
    }
}

fn metered(case: &Case<'_>) -> Check {
    let again = || later(case.facts, METERED_AGAIN);
    match (case.facts.link, case.policy.metered) {
        (Link::Flat, _) => Check::passed(Rule::Metered, "bytes cost nothing here"),
        (Link::Metered, MeteredRule::Allow) => {
            Check::passed(Rule::Metered, "bytes are paid for, and the policy allows it")
        }
        (Link::Metered, MeteredRule::Defer) => {
            let words = format!("bytes are paid for here; again {}", when(again()));
            Check::waits(Rule::Metered, again(), words)
        }
        (Link::Metered, MeteredRule::ForcedOnly) => {
            let words =
                format!("bytes are paid for, and nobody forces it; again {}", when(again()));
            let check = Check::waits(Rule::Metered, again(), words);
            if case.forced().is_none() {
                return check;
            }
            Check::passed(Rule::Metered, "bytes are paid for, and it is forced")
        }
    }
}

fn day_bytes(case: &Case<'_>) -> Check {
    let Some(most) = case.policy.most_day else {
        return Check::passed(Rule::DayBytes, "a day may take any number of bytes");
    };
    let now = case.facts.clock.now;
    let spent = case.view.memory.spent(now);
    let needed = match case.looked {
        Some(looked) => looked.transfer,
        None if spent < most => return Check::open(Rule::DayBytes),
        // Also a look takes bytes.
        None => ByteLen::ZERO,
    };
    if needed > most {
        let words = format!("{needed} would be fetched, and a day may take {most}");
        return Check::refused(Rule::DayBytes, words);
    }
    let is_within = ByteLen::new(spent.get().saturating_add(needed.get())) <= most;
    if is_within && case.looked.is_some() {
        let words = format!("{spent} and {needed} are within the {most} of a day");
        return Check::passed(Rule::DayBytes, words);
    }
    let midnight = day_of(now).saturating_add(1).saturating_mul(86_400);
    let lot = Lot::of_time("day", 0, &case.facts.device_id).of(SPREAD);
    let left = u64::try_from(midnight.saturating_sub(now.0)).unwrap_or(0);
    let until = later(case.facts, Duration::from_secs(left).saturating_add(lot));
    let words = format!("{spent} of {most} were fetched today, {needed} more are needed");
    Check::waits(Rule::DayBytes, until, words)
}
