// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device for tests: slot A runs and is good, slot B is empty, and nothing is wrong.

use crate::{Clock, Facts, Link, SlotFacts};
use bootctl::{AttemptsLeft, SlotId, SlotState};
use bundle::UnixTime;
use std::time::Duration;
use storage::Digest;

/// 2026-11-22, a Sunday, at 12:00 UTC.
pub const NOON: UnixTime = UnixTime(1_795_348_800);

/// The manifest of bundle `number`.
pub fn manifest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

/// The device. What runs is bundle 1.
pub fn facts() -> Facts {
    Facts {
        compatible: "gateway".to_owned(),
        device_id: "0123456789ab".to_owned(),
        contract_id: Some("0123456789ab".to_owned()),
        booted: Some(SlotId::A),
        a: SlotFacts {
            state: SlotState::Good,
            attempts: AttemptsLeft::DEFAULT,
            bundle: Some(manifest(1).into()),
            version: Some("1.0".to_owned()),
        },
        b: SlotFacts {
            state: SlotState::Empty,
            attempts: AttemptsLeft::DEFAULT,
            bundle: None,
            version: None,
        },
        next: Some(SlotId::A),
        version_floor: None,
        failed: Vec::new(),
        clock: Clock { now: NOON, floor: None, is_set: true },
        up: Duration::from_secs(86_400),
        link: Link::Flat,
        inhibitors: Vec::new(),
    }
}
