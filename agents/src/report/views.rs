// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report for hawkBit: a flat map of attributes, and lines beside a status.

use super::bounds::text;
use super::{LastUpdate, Report, ReportedSlot};
use std::collections::BTreeMap;

/// Most letters of an attribute's value in hawkBit.
pub const ATTRIBUTE_MAX: usize = 128;

/// Most letters of one line of details in hawkBit.
pub const DETAIL_MAX: usize = 512;

/// In the place of what is not known: a value that is left out would keep its old one there.
const UNKNOWN: &str = "-";

impl Report {
    /// Attributes, always the same names: what is not known is `-`.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty()).unwrap_or(UNKNOWN);
            all.insert(name.to_owned(), text(value, ATTRIBUTE_MAX));
        };
        put("compatible", Some(&self.device.compatible));
        put("atomix", Some(&self.device.atomix));
        put("report.key", self.device.key.as_deref());
        put("boot.slot", self.boot.slot.as_deref());
        put("boot.reason", self.boot.reason.as_deref());
        put("boot.next", self.boot.next.as_deref());
        let booted = self.slots.iter().find(|slot| Some(&slot.name) == self.boot.slot.as_ref());
        put("version", booted.and_then(|slot| slot.version.as_deref()));
        for slot in &self.slots {
            let name = slot.name.to_ascii_lowercase();
            put(&format!("slot.{name}.state"), Some(&slot.state));
            put(&format!("slot.{name}.attempts"), Some(&slot.attempts_left.to_string()));
            put(&format!("slot.{name}.version"), slot.version.as_deref());
            put(&format!("slot.{name}.bundle"), slot.bundle_digits());
            put(&format!("slot.{name}.installed"), slot.installed_at.as_deref());
        }
        let update = self.last_update.as_ref();
        put("update.from", update.and_then(|update| update.from.as_deref()));
        put("update.to", update.and_then(|update| update.to.as_deref()));
        put("update.result", update.map(|update| update.result.as_str()));
        put("update.why", update.and_then(|update| update.why.as_deref()));
        put("health", Some(&self.health()));
        put("trouble", self.last_trouble.as_ref().map(|trouble| trouble.text.as_str()));
        put("failed", self.failed.first().map(String::as_str));
        put("failed.count", Some(&self.failed.len().to_string()));
        put("environment", self.environment_words().as_deref());
        put("clock", Some(if self.time.is_set { "set" } else { "unset" }));
        all
    }

    /// At most `most` lines, the most important first: how the update ended, the slots, what went
    /// wrong, then records of the flight recorder, newest first.
    #[must_use]
    pub fn details(&self, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.last_update.iter().map(|update| format!("update {}", update.in_words())));
        let booted = self.boot.slot.as_deref().unwrap_or("no slot");
        let reason = self.boot.reason.as_deref().unwrap_or("reason not known");
        let next = self.boot.next.as_deref().unwrap_or("not known");
        lines.push(format!("booted {booted} ({reason}), next {next}"));
        lines.extend(self.slots.iter().map(slot_line));
        lines.push(format!("health {}", self.health()));
        lines.extend(self.environment_words().map(|words| format!("environment {words}")));
        lines.extend(self.missing.iter().map(|missing| format!("not read: {missing}")));
        for record in &self.recorder.records {
            let at = record.at.as_deref().unwrap_or("clock unset");
            lines.push(format!("{} {at} {}", record.sequence, record.text));
        }
        lines.truncate(most);
        lines.iter().map(|line| text(line, DETAIL_MAX)).collect()
    }

    /// The newest verdict in words.
    #[must_use]
    pub fn health(&self) -> String {
        match self.verdicts.first() {
            None => "no verdict on record".to_owned(),
            Some(verdict) if verdict.healthy => format!("{} is healthy", verdict.slot),
            Some(verdict) => {
                let cause = verdict.cause.as_deref().unwrap_or("no cause on record");
                format!("{} is not healthy: {cause}", verdict.slot)
            }
        }
    }

    /// The environment in words.
    #[must_use]
    pub fn environment_words(&self) -> Option<String> {
        let environment = self.environment.as_ref()?;
        let mut words = format!("{} of {} copies whole", environment.whole, environment.copies);
        for fault in &environment.faults {
            words.push_str("; ");
            words.push_str(fault);
        }
        Some(words)
    }
}

impl LastUpdate {
    /// From which version to which, in which slot, and how it ended.
    #[must_use]
    pub fn in_words(&self) -> String {
        let name = |version: &Option<String>| version.clone().unwrap_or_else(unknown_version);
        let why = self.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (from, to, result) = (name(&self.from), name(&self.to), self.result.as_str());
        format!("{from} to {to} in {}: {result}{why}", self.slot)
    }
}

impl ReportedSlot {
    /// The most that is known of the bundle's manifest.
    #[must_use]
    pub fn bundle_digits(&self) -> Option<&str> {
        self.manifest.as_deref().or(self.bundle.as_deref())
    }
}

fn unknown_version() -> String {
    "unknown version".to_owned()
}

fn slot_line(slot: &ReportedSlot) -> String {
    let version = slot.version.clone().unwrap_or_else(unknown_version);
    let digits = slot.bundle_digits().map(|digits| format!(", {digits}")).unwrap_or_default();
    let (name, state, left) = (&slot.name, &slot.state, slot.attempts_left);
    format!("slot {name} {state}, attempts left {left}, {version}{digits}")
}
