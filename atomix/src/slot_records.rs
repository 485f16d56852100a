// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is recorded of the slots' content: by the status file, by its fallback in `/run` where an
//! install could not write it, and by the flight recorder. Informs; decides nothing, and a record
//! that speaks of an older install than the slot holds is no record.

use crate::context::Context;
use crate::failure::chain;
use bootctl::{BootState, BundleId, Entry, SlotId, SlotState};
use std::path::Path;
use storage::{Access, ByteLen, Files};
use updater::{BundleVersion, InstallGroup, STATUS_FALLBACK_PATH, SlotStatusFile, SystemConfig};

/// Longest status file: RAUC's keys for some slots, a few KiB.
const STATUSES_MAX: ByteLen = ByteLen::mib(1);

/// What the image that runs says of itself, and how much of it is read.
const OS_RELEASE_PATH: &str = "/etc/os-release";
const OS_RELEASE_MAX: ByteLen = ByteLen::kib(16);

/// The slots' records, and what should be told of where they were found.
#[derive(Clone, Debug, Default)]
pub struct SlotRecords {
    /// One status per slot that has one.
    pub statuses: SlotStatusFile,
    /// What could not be used, and what came from the fallback.
    pub warnings: Vec<String>,
}

impl SlotRecords {
    /// Reads the status file, and the fallback for the groups of which the file does not speak or
    /// speaks of an older install. What cannot be used is a warning.
    #[must_use]
    pub fn read(context: &Context, config: &SystemConfig, state: &BootState) -> Self {
        let path = updater::status_path(config);
        let fallback_path = Path::new(STATUS_FALLBACK_PATH);
        let mut records = Self::default();
        records.statuses = records.read_file(context, &path);
        if path == fallback_path {
            return records;
        }
        let mut fallback = records.read_file(context, fallback_path);
        let mut taken = Vec::new();
        for group in config.install_groups().unwrap_or_default() {
            let bundle = state.slot(group.slot_id).bundle;
            if speaks_of(&records.statuses, &group, bundle) || !speaks_of(&fallback, &group, bundle)
            {
                continue;
            }
            for slot in &group.members {
                records.statuses.slots.remove(&slot.name);
                if let Some(status) = fallback.slots.remove(&slot.name) {
                    records.statuses.slots.insert(slot.name.clone(), status);
                    taken.push(slot.name.to_string());
                }
            }
        }
        if !taken.is_empty() {
            records.warnings.push(format!(
                "what {} hold is read from {STATUS_FALLBACK_PATH}, which the next boot loses: \
                 {} could not be written",
                taken.join(" and "),
                path.display()
            ));
        }
        records
    }

    fn read_file(&mut self, context: &Context, path: &Path) -> SlotStatusFile {
        let bytes = match context.files.read(path, STATUSES_MAX) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(cause) => {
                self.warnings.push(chain(&cause));
                return SlotStatusFile::default();
            }
        };
        SlotStatusFile::parse(&bytes).unwrap_or_else(|cause| {
            self.warnings.push(format!("cannot use {}: {}", path.display(), chain(&cause)));
            SlotStatusFile::default()
        })
    }
}

/// Whether the file says anything of what the group holds.
fn speaks_of(statuses: &SlotStatusFile, group: &InstallGroup, bundle: Option<BundleId>) -> bool {
    group.members.iter().any(|slot| statuses.slots.contains_key(&slot.name))
        && is_current(statuses, group, bundle)
}

/// Whether the status file is about what the group holds. It can be older: an install goes on
/// where the file cannot be written.
#[must_use]
pub fn is_current(
    statuses: &SlotStatusFile,
    group: &InstallGroup,
    bundle: Option<BundleId>,
) -> bool {
    // Of a slot without an identity (the factory's, or after a loss) nothing better is known.
    let Some(bundle) = bundle else { return true };
    let hashes =
        group.members.iter().filter_map(|slot| statuses.slots.get(&slot.name)?.bundle_hash);
    // A bundle may have written one slot of the group only.
    hashes.into_iter().any(|hash| BundleId::from(hash) == bundle)
}

/// The version of what a slot holds: by the status file or, where that is lost or older than the
/// slot, by the flight recorder.
///
/// `None` for a slot whose install is not finished: its records speak of what it should hold.
#[must_use]
pub fn slot_version(
    context: &Context,
    config: &SystemConfig,
    state: &BootState,
    slot: SlotId,
) -> Option<String> {
    // A half written slot holds no version, neither the old one nor the new.
    if state.slot(slot).state == SlotState::Writing {
        return None;
    }
    let group = config.install_groups().ok()?.into_iter().find(|group| group.slot_id == slot)?;
    let statuses = SlotRecords::read(context, config, state).statuses;
    let bundle = state.slot(slot).bundle;
    let noted = statuses.slots.get(&group.root).filter(|_| is_current(&statuses, &group, bundle));
    match noted.and_then(|status| status.version.clone()) {
        Some(version) => Some(version),
        None => recorded_version(context, bundle?),
    }
}

/// The version that the running image says of itself (`IMAGE_VERSION`). It tells no two images apart
/// and proves nothing: it only serves as a floor where no record says what runs. `VERSION_ID` is the
/// distribution's and says nothing of the image.
#[must_use]
pub fn image_version(context: &Context) -> Option<BundleVersion> {
    let text = context.read_text(Path::new(OS_RELEASE_PATH), OS_RELEASE_MAX).ok()??;
    let word = text.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION="))?;
    word.trim().trim_matches(['"', '\'']).parse().ok()
}

/// The version that the flight recorder remembers for a bundle. What cannot be read is not known.
fn recorded_version(context: &Context, wanted: BundleId) -> Option<String> {
    let recorder = context.recorder(&context.settings().ok()?, Access::ReadOnly).ok()?;
    let records = recorder.entries().ok()?;
    records.into_iter().rev().find_map(|record| {
        if let Entry::InstallFinished { version, bundle, .. } = record.entry
            && bundle == wanted
            && !version.is_empty()
        {
            return Some(version);
        }
        None
    })
}
