// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the status kept when its place cannot be written? Updating must not need `/data`: a
//! status that cannot go to its file goes to `/run`, and the install goes on, with a warning.

use crate::{SlotName, SlotStatus, SlotStatusFile, StatusPlace, SystemConfig};
use std::error::Error;
use std::path::{Path, PathBuf};
use storage::Files;

/// Deviates: with `per-slot` RAUC keeps a file inside each slot and mounts the slot to read it.
/// We mount nothing, so the status is central then too.
const DEFAULT_PATH: &str = "/data/atomix/status.raucs";

/// Where the status goes when its own place cannot be written: lost at the next boot, and better
/// than nothing until then.
pub const STATUS_FALLBACK_PATH: &str = "/run/atomix/status.raucs";

/// Where the status of this system is kept.
#[must_use]
pub fn status_path(config: &SystemConfig) -> PathBuf {
    match &config.system.status {
        StatusPlace::Central(path) => path.clone(),
        StatusPlace::PerSlot => PathBuf::from(DEFAULT_PATH),
    }
}

/// Changes the status of slots and stores it; every failure becomes a warning.
pub(crate) fn update_status(
    files: &mut dyn Files,
    config: &SystemConfig,
    slots: &mut dyn Iterator<Item = &SlotName>,
    change: &dyn Fn(&SlotName, &mut SlotStatus),
    warn: &mut dyn FnMut(String),
) {
    let path = status_path(config);
    let mut status = load(files, &path, warn);
    for name in slots {
        change(name, status.slots.entry(name.clone()).or_default());
    }
    if let Err(error) = status.store(files, &path) {
        warn(format!("{}; the status is kept in {STATUS_FALLBACK_PATH}", chain(&error)));
        if let Err(error) = status.store(files, Path::new(STATUS_FALLBACK_PATH)) {
            warn(chain(&error));
        }
    }
}

fn load(files: &mut dyn Files, path: &Path, warn: &mut dyn FnMut(String)) -> SlotStatusFile {
    let (status, aside) = match SlotStatusFile::load(files, path) {
        Ok(loaded) => loaded,
        Err(error) => {
            warn(chain(&error));
            SlotStatusFile::load(files, Path::new(STATUS_FALLBACK_PATH)).unwrap_or_default()
        }
    };
    if let Some(aside) = aside {
        warn(aside.to_string());
    }
    status
}

/// A failure with its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
