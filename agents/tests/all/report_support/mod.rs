// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device for tests of its report: runs 2.0.0 in B since its update from 1.0.0, confirmed.
#![allow(dead_code, reason = "each test program uses a part of it")]

use agents::{
    AgentFacts, BootFacts, Clock, EnvironmentFacts, Facts, Link, RecorderFacts, ReportFacts,
    ReportedRecord, SlotContent, SlotFacts,
};
use bootctl::{
    AttemptsLeft, BundleId, Entry, HealthVerdict, Mark, PerSlot, Reason, Record, Sequence, SlotId,
    SlotState, Timestamp,
};
use bundle::UnixTime;
use storage::{Digest, PartUuid};

pub const NOW: UnixTime = UnixTime(1_795_230_000);
const BEGAN: u64 = 1_795_000_000;

pub fn digest(tag: u8) -> Digest {
    Digest::from_bytes([tag; 32])
}

pub fn bundle(tag: u8) -> BundleId {
    digest(tag).into()
}

/// What a test changes.
#[derive(Clone)]
pub struct Device {
    pub facts: Facts,
    pub history: Vec<Record>,
    pub boot: BootFacts,
    pub environment: Option<EnvironmentFacts>,
    pub agent: AgentFacts,
    pub contents: PerSlot<SlotContent>,
    pub key: Option<Digest>,
    pub missing: Vec<String>,
}

pub fn install(slot: SlotId, tag: u8, version: &str) -> [Entry; 2] {
    let (version, bundle) = (version.to_owned(), bundle(tag));
    [
        Entry::InstallBegan { slot, version: version.clone(), bundle },
        Entry::InstallFinished { slot, version, bundle },
    ]
}

pub fn booted(slot: SlotId, reason: Reason) -> Entry {
    Entry::Booted { slot, reason, attempts: AttemptsLeft::DEFAULT }
}

pub fn verdict(slot: SlotId, cause: &str) -> Entry {
    let verdict = if cause.is_empty() { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy };
    Entry::Verdict { slot, verdict, cause: cause.to_owned() }
}

pub const fn marked(slot: SlotId, mark: Mark) -> Entry {
    Entry::Marked { slot, mark }
}

impl Device {
    pub fn new() -> Self {
        let slot = |tag, version: &str, state| SlotFacts {
            state,
            attempts: AttemptsLeft::DEFAULT,
            bundle: Some(bundle(tag)),
            version: Some(version.to_owned()),
        };
        let content = |tag, at: &str| SlotContent {
            manifest: Some(digest(tag)),
            installed_at: Some(at.to_owned()),
        };
        let mut device = Self {
            facts: Facts {
                compatible: "small-board".to_owned(),
                device_id: "0200c0a80042".to_owned(),
                contract_id: None,
                booted: Some(SlotId::B),
                a: slot(1, "1.0.0", SlotState::Good),
                b: slot(2, "2.0.0", SlotState::Good),
                next: Some(SlotId::B),
                version_floor: None,
                failed: Vec::new(),
                clock: Clock { now: NOW, floor: Some(UnixTime(NOW.0 - 86_400)), is_set: true },
                up: std::time::Duration::from_secs(300),
                link: Link::Flat,
                inhibitors: Vec::new(),
            },
            history: Vec::new(),
            boot: BootFacts {
                id: Some("0b1f4a1e-6a51-4b5c-9a0e-2f6f0c7f8a11".to_owned()),
                reason: Some(Reason::Normal),
                next_why: Some("it is first in the order and good".to_owned()),
            },
            environment: Some(EnvironmentFacts { copies: 2, faults: Vec::new() }),
            agent: AgentFacts {
                mode: Some("poll".to_owned()),
                last_contact: Some(UnixTime(NOW.0 - 600)),
                last_decision: Some("up to date: 2.0.0 runs".to_owned()),
                failures: 0,
                refusal: None,
            },
            contents: PerSlot {
                a: content(1, "2026-10-01T08:00:00Z"),
                b: content(2, "2026-11-18T08:00:00Z"),
            },
            key: Some(digest(9)),
            missing: Vec::new(),
        };
        device.record(Entry::FirstBoot {
            disk: "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a001".parse::<PartUuid>().unwrap(),
        });
        device.record(booted(SlotId::A, Reason::Normal));
        install(SlotId::A, 1, "1.0.0").into_iter().for_each(|entry| device.record(entry));
        install(SlotId::B, 2, "2.0.0").into_iter().for_each(|entry| device.record(entry));
        device.record(booted(SlotId::B, Reason::Trying));
        device.record(verdict(SlotId::B, ""));
        device.record(marked(SlotId::B, Mark::Good));
        device
    }

    pub fn record(&mut self, entry: Entry) {
        let number = self.history.last().map_or(1, |record| record.sequence.0 + 1);
        let at = Timestamp::from_unix(BEGAN + number * 60);
        self.history.push(Record { sequence: Sequence(number), at, entry });
    }

    pub fn facts(&self) -> ReportFacts<'_> {
        ReportFacts {
            device: &self.facts,
            key: self.key,
            atomix: "0.1.0",
            boot: self.boot.clone(),
            contents: self.contents.clone(),
            environment: self.environment.clone(),
            history: &self.history,
            words: self.history.iter().map(words).collect(),
            recorder: RecorderFacts { readable: true, unreadable_blocks: 0 },
            agent: self.agent.clone(),
            missing: self.missing.clone(),
        }
    }

    pub fn report(&self) -> agents::Report {
        agents::Report::new(&self.facts())
    }
}

/// As the program tells a record, in fewer words.
fn words(record: &Record) -> ReportedRecord {
    let (kind, text) = match &record.entry {
        Entry::FirstBoot { .. } => ("first-boot", "first boot".to_owned()),
        Entry::Booted { slot, reason, .. } => ("booted", format!("booted {slot} ({reason})")),
        Entry::InstallBegan { slot, version, .. } => {
            ("install-began", format!("install of {version} into {slot} began"))
        }
        Entry::InstallFinished { slot, version, .. } => {
            ("install-finished", format!("installed {version} into {slot}"))
        }
        Entry::InstallFailed { slot, cause } => {
            ("install-failed", format!("install into {slot} failed: {cause}"))
        }
        Entry::Verdict { slot, cause, .. } if cause.is_empty() => {
            ("verdict", format!("{slot} is healthy"))
        }
        Entry::Verdict { slot, cause, .. } => {
            ("verdict", format!("{slot} is not healthy: {cause}"))
        }
        Entry::Marked { slot, mark } => ("marked", format!("marked {slot} {mark:?}")),
        Entry::FellBack { from, to, cause } => {
            ("fell-back", format!("fell back from {from} to {to}: {cause}"))
        }
        Entry::Died { slot, cause, .. } => ("died", format!("{slot} died: {cause}")),
        Entry::DeadEnd { slot, cause } => ("gave-up", format!("{slot} gave up: {cause}")),
        Entry::Asked { what } => ("asked", format!("asked for: {what}")),
        Entry::States(_) => ("states", "states".to_owned()),
        Entry::Known { .. } => ("known", "known".to_owned()),
        Entry::Chosen(_) => ("chosen", "firmware chose".to_owned()),
    };
    ReportedRecord {
        sequence: record.sequence.0,
        at: Some("2026-11-20T08:00:00Z".to_owned()),
        kind: kind.to_owned(),
        text,
    }
}
