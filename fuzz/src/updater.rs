// SPDX-License-Identifier: MIT OR Apache-2.0
//! `system.conf`, the status file, versions, option lists, boot records.

use crate::text::lossy;
use std::path::Path;
use updater::system::{HandlerLine, MAX_VARIABLES, SystemInfo, parse_handler_line};
use updater::{BootRecord, BundleVersion, Region, SlotStatusFile, SystemConfig, split_shell_words};

/// `system.conf`: parents are flattened, and every install group holds its own slots.
pub fn system_conf(data: &[u8]) {
    let (text, base) = (lossy(data), Path::new("/etc/rauc"));
    let strict = SystemConfig::parse(&text, base);
    let Ok((config, odd)) = SystemConfig::parse_lenient(&text, base) else {
        assert!(strict.is_err(), "what is taken strictly is taken");
        return;
    };
    assert_eq!(odd.is_empty(), strict.is_ok(), "{odd:?}");
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

/// A line of options: words that are quoted again are the same words.
pub fn shell_words(data: &[u8]) {
    let Ok(words) = split_shell_words(&lossy(data)) else { return };
    let quoted: Vec<String> =
        words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    assert_eq!(split_shell_words(&quoted.join(" ")), Ok(words));
}

/// A boot record, 512 bytes; before it 16 of a region. A record that names one half is switched to
/// the other and back, and nothing but its first entry changes.
pub fn boot_record(data: &[u8]) {
    let Some((numbers, sector)) = data.split_at_checked(16) else { return };
    let (start, half) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes) % (1 << 40);
    let region = Region { start: number(start).max(1) * 512, half: number(half).max(1) * 512 };
    let mut sector = sector.to_vec();
    sector.resize(512, 0);
    let _ = BootRecord::parse(sector.clone());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let record = BootRecord::parse(sector).expect("the mark is there");
    let _ = record.is_protective_alone();
    let Ok(active) = record.active(region, 512) else { return };
    let Ok(switched) = record.switched(region, active.other(), 512) else { return };
    assert_eq!(switched.active(region, 512), Ok(active.other()));
    let outside = |record: &BootRecord| {
        let mut bytes = record.bytes().to_vec();
        bytes.drain(446..462);
        bytes
    };
    assert_eq!(outside(&switched), outside(&record));
    let back = switched.switched(region, active, 512).expect("it was there");
    assert_eq!(back.active(region, 512), Ok(active));
}

/// What a system-info handler printed: no more variables than the limit, and headers that stay one
/// line each.
pub fn system_info(data: &[u8]) {
    let mut info = SystemInfo::default();
    for line in lossy(data).split('\n') {
        let _ = info.take_line(line);
    }
    assert!(info.iter().count() <= MAX_VARIABLES);
    assert!(info.iter().all(|(name, value)| name.starts_with("RAUC_") && !value.contains('\0')));
    for (name, value) in info.headers() {
        assert!(!name.contains([':', '\r', '\n']) && !value.contains(['\r', '\n']));
    }
}

/// Lines of a handler: what is shown is bounded, and only lines of the protocol are messages.
pub fn handler_lines(data: &[u8]) {
    for line in lossy(data).split('\n') {
        match parse_handler_line(line) {
            HandlerLine::Print(text) => assert!(line.starts_with(&text)),
            HandlerLine::Message(_) | HandlerLine::Nothing => assert!(line.starts_with("<< ")),
        }
    }
}
