// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a record of the flight recorder say, in words and as JSON?

use crate::commands::bundle::date;
use bootctl::{
    AttemptsLeft, Decision, Entry, HealthVerdict, Load, Mark, Numbered, Record, SlotId, Timestamp,
};
use serde::Serialize;

/// A record as JSON, part of version 1 of `atomix why`. Members that its kind does not have are
/// left out; `docs/flight-recorder.md` lists the kinds.
#[derive(Default, Serialize)]
pub struct EntryView {
    /// Its place in the life of the board.
    pub sequence: u64,
    /// When it was written, if the clock was set.
    pub at: Option<String>,
    /// What happened, by name.
    pub kind: &'static str,
    /// The same in words.
    pub text: String,
    #[serde(flatten)]
    facts: Facts,
}

/// The members that only some kinds have.
#[derive(Default, Serialize)]
struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<String>,
    /// The other slot of a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_left: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<String>,
    /// Whether the slot loaded, of a decision of the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<bool>,
    /// The number of a decision on the firmware's trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
}

impl EntryView {
    /// The record for programs.
    #[must_use]
    pub fn new(record: &Record) -> Self {
        let (kind, facts) = facts(&record.entry);
        Self {
            sequence: record.sequence.0,
            at: when(record.at),
            kind,
            text: describe(&record.entry),
            facts,
        }
    }
}

/// A recorded time as text, nothing while the clock was not set.
pub fn when(at: Timestamp) -> Option<String> {
    at.unix_secs.and_then(|secs| i64::try_from(secs).ok()).map(date)
}

/// An entry in words.
pub fn describe(entry: &Entry) -> String {
    match entry {
        Entry::FirstBoot { disk } => format!("first boot on disk {disk}"),
        Entry::Booted { slot, reason, attempts } => {
            format!("booted {slot} ({reason}), {}", left_in_words(*attempts))
        }
        Entry::InstallBegan { slot, version, .. } => {
            format!("install of {version} into {slot} began")
        }
        Entry::InstallFinished { slot, version, .. } => format!("installed {version} into {slot}"),
        Entry::InstallFailed { slot, cause } => format!("install into {slot} failed: {cause}"),
        Entry::Verdict { slot, verdict: HealthVerdict::Healthy, .. } => {
            format!("{slot} is healthy")
        }
        Entry::Verdict { slot, verdict: HealthVerdict::Unhealthy, cause } => {
            format!("{slot} is not healthy: {cause}")
        }
        Entry::Marked { slot, mark } => format!("marked {slot} {}", mark_word(*mark)),
        Entry::FellBack { from, to, cause } => format!("fell back from {from} to {to}: {cause}"),
        Entry::States(snapshot) => {
            format!("states A {}, B {}", snapshot.a.state, snapshot.b.state)
        }
        Entry::DeadEnd { slot, cause } => format!("{slot} gave up: {cause}"),
        Entry::Chosen(Numbered { decision, .. }) => describe_decision(decision),
        Entry::Died { slot, cause, .. } => format!("{slot} died: {cause}"),
        Entry::Known { marks } => format!("words of {} dead boots are told", marks.len()),
        Entry::Asked { what } => format!("asked for: {what}"),
    }
}

/// What the firmware did, in words.
pub fn describe_decision(decision: &Decision) -> String {
    let Decision { slot, left, reason, load } = decision;
    let mut words = match load {
        Load::Started => format!("firmware started {slot} ({reason})"),
        Load::Failed => format!("firmware could not load {slot} ({reason})"),
    };
    if let Some(left) = left {
        words += &format!(", {}", left_in_words(*left));
    }
    words
}

fn left_in_words(left: AttemptsLeft) -> String {
    let plural = if left.get() == 1 { "" } else { "s" };
    format!("{left} attempt{plural} left")
}

const fn mark_word(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "good",
        Mark::Bad => "bad",
        Mark::Active => "active",
    }
}

fn facts(entry: &Entry) -> (&'static str, Facts) {
    let none = Facts::default();
    let of = |slot: &SlotId| Facts { slot: Some(slot.to_string()), ..Facts::default() };
    let caused = |slot, cause: &String| Facts { cause: Some(cause.clone()), ..of(slot) };
    let install = |slot, version: &String, bundle: &bootctl::BundleId| Facts {
        bundle_version: Some(version.clone()),
        bundle: Some(bundle.to_string()),
        ..of(slot)
    };
    match entry {
        Entry::FirstBoot { disk } => ("first-boot", Facts { disk: Some(disk.to_string()), ..none }),
        Entry::Booted { slot, reason, attempts } => {
            let reason = Some(reason.as_str());
            ("booted", Facts { reason, attempts_left: Some(attempts.get()), ..of(slot) })
        }
        Entry::InstallBegan { slot, version, bundle } => {
            ("install-began", install(slot, version, bundle))
        }
        Entry::InstallFinished { slot, version, bundle } => {
            ("install-finished", install(slot, version, bundle))
        }
        Entry::InstallFailed { slot, cause } => ("install-failed", caused(slot, cause)),
        Entry::Verdict { slot, verdict, cause } => {
            let cause = Some(cause.clone()).filter(|cause| !cause.is_empty());
            let healthy = Some(*verdict == HealthVerdict::Healthy);
            ("verdict", Facts { healthy, cause, ..of(slot) })
        }
        Entry::Marked { slot, mark } => {
            ("marked", Facts { mark: Some(mark_word(*mark)), ..of(slot) })
        }
        Entry::FellBack { from, to, cause } => {
            ("fell-back", Facts { to: Some(to.to_string()), ..caused(from, cause) })
        }
        Entry::States(_) => ("states", none),
        Entry::Known { .. } => ("known", none),
        Entry::DeadEnd { slot, cause } => ("gave-up", caused(slot, cause)),
        Entry::Chosen(Numbered { number, decision }) => {
            let facts = Facts {
                attempts_left: decision.left.map(AttemptsLeft::get),
                reason: Some(decision.reason.as_str()),
                loaded: Some(decision.load == Load::Started),
                number: Some(*number),
                ..of(&decision.slot)
            };
            ("chosen", facts)
        }
        Entry::Died { slot, cause, .. } => ("died", caused(slot, cause)),
        Entry::Asked { what } => ("asked", Facts { cause: Some(what.clone()), ..none }),
    }
}
