// SPDX-License-Identifier: MIT OR Apache-2.0
//! From facts to a report. Pure: the same facts are the same report.

use super::bounds::{DECISION_MAX, NAME_MAX, TEXT_MAX, VERDICTS_MAX, fit, optional, remarks, text};
use super::outcome::{last_update, of_this_board};
use super::{
    EnvironmentFacts, LastUpdate, REPORT_VERSION, Report, ReportFacts, ReportedAgent, ReportedBoot,
    ReportedDevice, ReportedEnvironment, ReportedRecord, ReportedRecorder, ReportedRefusal,
    ReportedSlot, ReportedTime, ReportedVerdict,
};
use crate::Refusal;
use bootctl::{Entry, HealthVerdict, Load, Record, SlotId};
use bundle::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Kinds of records that tell a reader of reports nothing: snapshots, and a list of checksums.
const SILENT_KINDS: [&str; 2] = ["states", "known"];

/// The kind of record of what a person did, whose words may be that person's.
const ASKED_KIND: &str = "asked";

impl Report {
    /// The report of these facts, within its limits.
    #[must_use]
    pub fn new(facts: &ReportFacts<'_>) -> Self {
        let device = facts.device;
        let mut report = Self {
            version: REPORT_VERSION,
            device: ReportedDevice {
                id: text(&device.device_id, NAME_MAX),
                compatible: text(&device.compatible, NAME_MAX),
                atomix: text(facts.atomix, NAME_MAX),
                key: facts.key.map(|key| key.to_string()),
            },
            boot: boot(facts),
            slots: SlotId::ALL.map(|slot| slot_of(facts, slot)).to_vec(),
            last_update: last_update(facts.history, device).map(bounded),
            verdicts: verdicts(facts),
            last_trouble: last_trouble(facts),
            failed: device
                .failed
                .iter()
                .take(bootctl::FAILED_MAX)
                .map(ToString::to_string)
                .collect(),
            environment: facts.environment.as_ref().map(environment),
            time: ReportedTime {
                is_set: device.clock.is_set,
                now: device.clock.is_set.then(|| instant(device.clock.now)),
                floor: device.clock.floor.map(instant),
            },
            agent: ReportedAgent {
                mode: optional(facts.agent.mode.as_deref(), NAME_MAX),
                last_contact: facts.agent.last_contact.map(instant),
                last_decision: optional(facts.agent.last_decision.as_deref(), DECISION_MAX),
                failures: Some(facts.agent.failures).filter(|failures| *failures > 0),
                refusal: facts.agent.refusal.as_ref().map(refusal),
            },
            recorder: ReportedRecorder {
                readable: facts.recorder.readable,
                unreadable_blocks: facts.recorder.unreadable_blocks,
                newest: facts.history.last().map(|record| record.sequence.0),
                left_out: 0,
                records: excerpt(&facts.words),
            },
            missing: remarks(&facts.missing),
        };
        let all = report.recorder.records.len();
        fit(&mut report);
        let left_out = all.saturating_sub(report.recorder.records.len());
        report.recorder.left_out = u64::try_from(left_out).unwrap_or(u64::MAX);
        report
    }
}

/// A moment as RFC 3339 in UTC.
pub(super) fn instant(at: UnixTime) -> String {
    OffsetDateTime::from_unix_timestamp(at.0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}

fn refusal(refusal: &Refusal) -> ReportedRefusal {
    ReportedRefusal {
        kind: text(&refusal.kind, NAME_MAX),
        words: text(&refusal.words, TEXT_MAX),
        since: refusal.since.map(instant),
    }
}

fn boot(facts: &ReportFacts<'_>) -> ReportedBoot {
    let history = of_this_board(facts.history);
    let boots: Vec<_> = history
        .iter()
        .filter_map(|record| {
            if let Entry::Booted { reason, .. } = &record.entry {
                return Some(*reason);
            }
            None
        })
        .collect();
    let reason = facts.boot.reason.or(boots.last().copied());
    let begins = |record: &Record| matches!(record.entry, Entry::FirstBoot { .. });
    ReportedBoot {
        id: optional(facts.boot.id.as_deref(), NAME_MAX),
        count: u64::try_from(boots.len()).unwrap_or(u64::MAX),
        counted_all: history.first().is_some_and(begins),
        slot: facts.device.booted.map(|slot| slot.to_string()),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        next: facts.device.next.map(|slot| slot.to_string()),
        next_why: optional(facts.boot.next_why.as_deref(), TEXT_MAX),
    }
}

fn slot_of(facts: &ReportFacts<'_>, slot: SlotId) -> ReportedSlot {
    let (known, content) = (facts.device.slot(slot), facts.contents.get(slot));
    ReportedSlot {
        name: slot.to_string(),
        state: known.state.to_string(),
        attempts_left: known.attempts.get(),
        version: optional(known.version.as_deref(), NAME_MAX),
        bundle: known.bundle.map(|bundle| bundle.to_string()),
        manifest: content.manifest.map(|manifest| manifest.to_string()),
        installed_at: optional(content.installed_at.as_deref(), NAME_MAX),
    }
}

fn bounded(update: LastUpdate) -> LastUpdate {
    LastUpdate {
        from: optional(update.from.as_deref(), NAME_MAX),
        to: optional(update.to.as_deref(), NAME_MAX),
        why: optional(update.why.as_deref(), TEXT_MAX),
        ..update
    }
}

fn verdicts(facts: &ReportFacts<'_>) -> Vec<ReportedVerdict> {
    let verdict = |record: &Record| {
        let Entry::Verdict { slot, verdict, cause } = &record.entry else { return None };
        Some(ReportedVerdict {
            sequence: record.sequence.0,
            at: record
                .at
                .unix_secs
                .and_then(|at| i64::try_from(at).ok())
                .map(UnixTime)
                .map(instant),
            slot: slot.to_string(),
            healthy: *verdict == HealthVerdict::Healthy,
            cause: optional(Some(cause), TEXT_MAX),
        })
    };
    let newest = of_this_board(facts.history).iter().rev();
    newest.filter_map(verdict).take(VERDICTS_MAX).collect()
}

/// The newest record of something that went wrong on this board, in words.
fn last_trouble(facts: &ReportFacts<'_>) -> Option<ReportedRecord> {
    let record = of_this_board(facts.history).iter().rev().find(|one| is_trouble(&one.entry))?;
    let words = facts.words.iter().find(|words| words.sequence == record.sequence.0)?;
    Some(told(words))
}

fn is_trouble(entry: &Entry) -> bool {
    match entry {
        Entry::FellBack { .. }
        | Entry::InstallFailed { .. }
        | Entry::DeadEnd { .. }
        | Entry::Died { .. } => true,
        Entry::Verdict { verdict, .. } => *verdict == HealthVerdict::Unhealthy,
        Entry::Chosen(chosen) => chosen.decision.load == Load::Failed,
        Entry::FirstBoot { .. }
        | Entry::Booted { .. }
        | Entry::InstallBegan { .. }
        | Entry::InstallFinished { .. }
        | Entry::Marked { .. }
        | Entry::States(_)
        | Entry::Known { .. }
        | Entry::Asked { .. } => false,
    }
}

fn environment(facts: &EnvironmentFacts) -> ReportedEnvironment {
    let whole = facts.copies.saturating_sub(facts.faults.len());
    let count = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    ReportedEnvironment {
        copies: count(facts.copies),
        whole: count(whole),
        redundant: whole > 1,
        faults: remarks(&facts.faults),
    }
}

/// Newest first.
fn excerpt(words: &[ReportedRecord]) -> Vec<ReportedRecord> {
    let speaks = |record: &&ReportedRecord| !SILENT_KINDS.contains(&record.kind.as_str());
    words.iter().rev().filter(speaks).map(told).collect()
}

fn told(record: &ReportedRecord) -> ReportedRecord {
    let words = match record.kind.as_str() {
        ASKED_KIND => "a person changed something at the device",
        _ => &record.text,
    };
    ReportedRecord {
        sequence: record.sequence,
        at: optional(record.at.as_deref(), NAME_MAX),
        kind: text(&record.kind, NAME_MAX),
        text: text(words, TEXT_MAX),
    }
}
