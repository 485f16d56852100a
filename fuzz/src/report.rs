// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device says of itself, as a server reads it.

use agents::{ATTRIBUTE_MAX, DETAIL_MAX, DeviceKey, Report, verify_report};
use bundle::UnixTime;
use std::sync::LazyLock;

/// A device's key of which nothing here is signed.
static CERTIFICATE: LazyLock<Vec<u8>> =
    LazyLock::new(|| DeviceKey::passing().expect("a key can be made").certificate_pem);

/// Nothing that this device did not sign is believed. What is read as a report is written and read
/// again as the same, and its views keep their limits.
pub fn device_report(data: &[u8]) {
    assert!(verify_report(data, &CERTIFICATE, UnixTime(1_800_000_000)).is_err());
    let Ok(report) = Report::parse(data) else { return };
    let bytes = report.encode().expect("what was read can be written");
    // Blanks and members that nobody knows are gone; escapes may be shorter, never longer.
    let again = Report::parse(&bytes).expect("what was written can be read");
    assert_eq!(again, report);
    assert_eq!(again.news(), report.news());
    for value in report.attributes().values() {
        assert!(!value.is_empty() && value.chars().count() <= ATTRIBUTE_MAX);
    }
    let details = report.details(20);
    assert!(details.len() <= 20);
    assert!(details.iter().all(|line| line.chars().count() <= DETAIL_MAX));
}
