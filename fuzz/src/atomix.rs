// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's own settings, and what a slot of a virtual board declares.

use crate::text::lossy;
use atomix::settings::{SETTINGS_PATH, Settings};
use atomix::virtual_board::system::{Declaration, VirtualSystem};
use std::path::Path;
use std::time::Duration;
use storage::HostFiles;
use verifier::{Clock, System};

/// The settings: what is accepted has room for the recorder's two blocks, and a refusal names a
/// line that exists.
pub fn settings(data: &[u8]) {
    let text = lossy(data);
    match Settings::parse(Path::new(SETTINGS_PATH), &text) {
        Ok(settings) => {
            assert!(settings.recorder.blocks >= 2);
            let _ = settings.recorder.len();
        }
        Err(atomix::settings::SettingsError::Invalid { line, what, .. }) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {what}");
            assert!(!what.contains('\n'), "{what:?}");
        }
        Err(_) => {}
    }
}

/// The declaration of a virtual board's slot: units and interfaces answer at any time.
pub fn virtual_system(data: &[u8]) {
    let Ok(declared) = Declaration::parse(&lossy(data)) else { return };
    let (mut system, mut clock) = VirtualSystem::start(declared, HostFiles::new("/nowhere"));
    for secs in [0, 3, 50, u64::MAX] {
        clock.wait_until(Duration::from_secs(secs));
        for unit in ["a.service", "dnsmasq.service"] {
            let status = system.unit(unit).expect("a virtual unit always answers");
            assert!(status.exists && !status.sub.is_empty());
        }
        assert!(system.addresses("eth1").is_ok_and(|addresses| addresses.is_some()));
    }
}
