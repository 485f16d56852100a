// SPDX-License-Identifier: MIT OR Apache-2.0
//! `system.conf`, the status file, versions.

use crate::text::lossy;
use std::path::Path;
use updater::{BundleVersion, SlotStatusFile, SystemConfig};

/// `system.conf`: parents are flattened, and every install group holds its own slots.
pub fn system_conf(data: &[u8]) {
    let Ok(config) = SystemConfig::parse(&lossy(data), Path::new("/etc/rauc")) else { return };
    let _ = config.unsupported();
    for slot in config.slots.values() {
        if let Some(parent) = &slot.parent {
            let parent = config.slots.get(parent).expect("a parent exists");
            assert!(parent.parent.is_none(), "parents are flattened");
        }
    }
    for group in config.install_groups().unwrap_or_default() {
        assert!(!group.members.is_empty());
        // A few: to look up every one would take the square of their number.
        for slot in group.members.iter().take(64) {
            assert_eq!(group.member(&slot.name.class).map(|found| &found.name), Some(&slot.name));
        }
    }
}

/// The status file: what is read is written and read again as the same.
pub fn slot_status(data: &[u8]) {
    let Ok(file) = SlotStatusFile::parse(data) else { return };
    let written = file.encode();
    match SlotStatusFile::parse(written.as_bytes()) {
        Ok(again) => assert_eq!(again, file, "{written}"),
        Err(refused) => panic!("{refused} in what was written: {written}"),
    }
}

/// Two versions, `\0` between them: at most one is older than the other, and a version is shown
/// as it was read.
pub fn bundle_version(data: &[u8]) {
    let text = lossy(data);
    let mut parts = text.split('\0').map(str::parse::<BundleVersion>);
    let (Some(Ok(first)), Some(Ok(second))) = (parts.next(), parts.next()) else { return };
    assert!(!first.is_older_than(&first));
    assert!(!(first.is_older_than(&second) && second.is_older_than(&first)));
    assert_eq!(first.to_string().parse().as_ref(), Ok(&first));
}
