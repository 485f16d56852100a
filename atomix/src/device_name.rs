// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of this device could name it? Its network cards and the machine's id; which of them does is
//! [`DeviceName`]'s to say. Changes nothing.

use crate::context::Context;
use agents::{Card, DeviceName};
use std::path::Path;
use storage::{ByteLen, Files};

const CARDS: &str = "/sys/class/net";
const MACHINE_ID: &str = "/etc/machine-id";
/// The service manager's, where the id is one of this boot alone.
const TRANSIENT_MACHINE_ID: &str = "/run/machine-id";
/// Longest of these files.
const LINE_MAX: ByteLen = ByteLen::kib(1);
/// A machine with more cards than this is looked at no further.
const MOST_CARDS: usize = 64;

/// The name of this device. What cannot be read is said in `missing`.
#[must_use]
pub fn device_name(
    context: &Context,
    owners: Option<&str>,
    missing: &mut Vec<String>,
) -> DeviceName {
    let list = |dir: &Path| context.files.list(dir);
    let mut line = |path: &str| match context.read_text(Path::new(path), LINE_MAX) {
        Ok(text) => text.map(|text| text.trim().to_owned()),
        Err(failure) => {
            missing.push(failure.chain());
            None
        }
    };
    let names = list(Path::new(CARDS)).unwrap_or_default();
    let cards: Vec<Card> = names
        .into_iter()
        .filter(|name| name != "lo")
        .take(MOST_CARDS)
        .map(|name| {
            let place = format!("{CARDS}/{name}");
            let parts = list(Path::new(&place)).unwrap_or_default();
            let mut part = |file: &str| {
                parts.iter().any(|part| part == file).then(|| line(&format!("{place}/{file}")))?
            };
            Card {
                address: part("address"),
                assigned: part("addr_assign_type"),
                is_hardware: parts.iter().any(|part| part == "device"),
                name,
            }
        })
        .collect();
    let machine_id = match line(TRANSIENT_MACHINE_ID) {
        Some(_) => None,
        None => line(MACHINE_ID),
    };
    let name = DeviceName::of(owners, &cards, machine_id.as_deref());
    if name.name.is_none() {
        missing.push(format!("the device's name: {}", name.from));
    }
    name
}
