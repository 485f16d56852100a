// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is this device, for its agent and its report? Reads what can be read; what cannot is told
//! and never replaced by a default that looks like knowledge. Changes nothing.

use crate::boot_view::BootView;
use crate::commands::flight_record::EntryView;
use crate::commands::install::version_floor;
use crate::commands::uenv::faults_of_copies;
use crate::context::Context;
use crate::device_name::device_name;
use crate::failure::Failure;
use crate::slot_records::{SlotRecords, is_current, slot_version};
use agents::{
    AgentFacts, BootFacts, Clock, DeviceName, EnvironmentFacts, Facts, Link, MemoryStore,
    RecorderFacts, ReportFacts, ReportedRecord, SlotContent, SlotFacts,
};
use bootctl::{BootState, PerSlot, SlotId, explain};
use std::path::Path;
use std::time::Duration;
use storage::{Access, ByteLen, Digest};
use updater::{Bootloader, BundleVersion, SystemConfig};

const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";

const UPTIME_PATH: &str = "/proc/uptime";

/// Longest of the kernel's one-line files.
const LINE_MAX: ByteLen = ByteLen::kib(1);

/// In the place of a name that is not known.
const UNNAMED: &str = "unknown";

/// What was read of the device.
pub struct DeviceFacts {
    /// What decisions go by. Nobody has looked at the link or asked who inhibits a restart.
    pub device: Facts,
    /// What it is called, and why so.
    pub name: DeviceName,
    boot: BootFacts,
    contents: PerSlot<SlotContent>,
    environment: Option<EnvironmentFacts>,
    seen: BootView,
    missing: Vec<String>,
}

impl DeviceFacts {
    /// Reads the device. `id` is its name where its owner gave it one.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] where this is no device.
    pub fn read(context: &Context, id: Option<&str>) -> Result<Self, Failure> {
        let mut seen = BootView::read(context)?;
        let mut missing = std::mem::take(&mut seen.warnings);
        missing.extend(seen.missing.take().map(|failure| failure.chain()));
        let state = seen.recalled.clone().or_else(|| seen.state.clone());
        let state = state.unwrap_or_else(BootState::lost);
        let next = explain(&seen.history, &state).next;
        let config = seen.config.as_ref();
        let slot = |slot: SlotId| slot_facts(context, config, &state, slot);
        let name = device_name(context, id, &mut missing);
        let device = Facts {
            compatible: config
                .map_or(UNNAMED.to_owned(), |config| config.system.compatible.clone()),
            device_id: name.name.clone().unwrap_or_else(|| UNNAMED.to_owned()),
            contract_id: name.contract.clone(),
            booted: seen.booted,
            a: slot(SlotId::A),
            b: slot(SlotId::B),
            next: next.slot,
            version_floor: config.and_then(|config| known_floor(context, config)),
            failed: state.failed.clone(),
            clock: clock(context, &mut missing),
            up: read_line(context, UPTIME_PATH, &mut missing)
                .map_or(Duration::ZERO, |text| uptime(&text)),
            link: Link::default(),
            inhibitors: Vec::new(),
        };
        let cmdline = context.cmdline().map_err(|failure| missing.push(failure.chain())).ok();
        Ok(Self {
            boot: BootFacts {
                id: read_line(context, BOOT_ID_PATH, &mut missing),
                reason: cmdline.and_then(|cmdline| cmdline.reason()),
                next_why: Some(next.why),
            },
            contents: config.map(|config| contents(context, config, &state)).unwrap_or_default(),
            environment: config.and_then(|config| environment(context, config, &mut missing)),
            device,
            name,
            seen,
            missing,
        })
    }

    /// Adds something that could not be read or kept.
    pub fn missed(&mut self, what: Option<String>) {
        self.missing.extend(what);
    }

    /// For a report that `key` will sign.
    #[must_use]
    pub fn for_report(&self, key: Option<Digest>, agent: AgentFacts) -> ReportFacts<'_> {
        ReportFacts {
            device: &self.device,
            key,
            atomix: env!("CARGO_PKG_VERSION"),
            boot: self.boot.clone(),
            contents: self.contents.clone(),
            environment: self.environment.clone(),
            history: &self.seen.history,
            words: self
                .seen
                .history
                .iter()
                .map(|record| in_words(&EntryView::new(record)))
                .collect(),
            recorder: RecorderFacts {
                readable: self.seen.recorder.readable,
                unreadable_blocks: self.seen.recorder.unreadable_blocks,
            },
            agent,
            missing: self.missing.clone(),
        }
    }
}

fn in_words(entry: &EntryView) -> ReportedRecord {
    ReportedRecord {
        sequence: entry.sequence,
        at: entry.at.clone(),
        kind: entry.kind.to_owned(),
        text: entry.text.clone(),
    }
}

fn slot_facts(
    context: &Context,
    config: Option<&SystemConfig>,
    state: &BootState,
    slot: SlotId,
) -> SlotFacts {
    let record = state.slot(slot);
    SlotFacts {
        state: record.state,
        attempts: record.attempts,
        bundle: record.bundle,
        version: config.and_then(|config| slot_version(context, config, state, slot)),
    }
}

/// What may follow at all: an install by hand goes by the same. What cannot be read says nothing.
fn known_floor(context: &Context, config: &SystemConfig) -> Option<BundleVersion> {
    let held = version_floor(context, config).ok().flatten();
    let floors = [held, config.system.min_bundle_version.clone()].into_iter().flatten();
    floors.reduce(BundleVersion::newer)
}

fn clock(context: &Context, missing: &mut Vec<String>) -> Clock {
    let (_, memory, told) = MemoryStore::load(&context.files);
    missing.extend(told);
    Clock {
        now: context.now.0,
        floor: memory.floor(),
        is_set: context.now.timestamp().unix_secs.is_some(),
    }
}

/// A line of the kernel's; one that is not there is not missed, one that cannot be read is.
fn read_line(context: &Context, path: &str, missing: &mut Vec<String>) -> Option<String> {
    match context.read_text(Path::new(path), LINE_MAX) {
        Ok(text) => text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        Err(failure) => {
            missing.push(failure.chain());
            None
        }
    }
}

/// The first number of `/proc/uptime`, in whole seconds.
fn uptime(text: &str) -> Duration {
    let seconds = text.split(['.', ' ']).next().and_then(|number| number.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// What the status file says of the slots, where it speaks of what they hold.
fn contents(context: &Context, config: &SystemConfig, state: &BootState) -> PerSlot<SlotContent> {
    let statuses = SlotRecords::read(context, config, state).statuses;
    let mut contents = PerSlot::default();
    for group in config.install_groups().unwrap_or_default() {
        let bundle = state.slot(group.slot_id).bundle;
        let Some(status) = statuses.slots.get(&group.root) else { continue };
        if is_current(&statuses, &group, bundle) {
            *contents.get_mut(group.slot_id) = SlotContent {
                manifest: status.bundle_hash,
                installed_at: status.installed_at.clone(),
            };
        }
    }
    contents
}

/// The copies of U-Boot's environment; other boot loaders have none of ours.
fn environment(
    context: &Context,
    config: &SystemConfig,
    missing: &mut Vec<String>,
) -> Option<EnvironmentFacts> {
    if config.system.bootloader != Bootloader::Uboot {
        return None;
    }
    let store = match context.env_store(Access::ReadOnly) {
        Ok(store) => store,
        Err(failure) => {
            missing.push(failure.chain());
            return None;
        }
    };
    let copies = store.copies();
    Some(EnvironmentFacts { copies: copies.len(), faults: faults_of_copies(&copies) })
}
