// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a server of hawkBit's interface answers, and what the agent kept of its action.

use crate::text::lossy;
use agents::Transport;
use agents::ddi::{
    ActionId, DdiState, MAX_SLEEP_SECS, MAX_STATE_BYTES, MIN_SLEEP_SECS, Resource, Server,
    parse_base, parse_cancel, parse_deployment,
};

/// An answer to any of the questions, a link, or a kept state. Sleeps are bounded, a bundle is never
/// on plain HTTP or near the device, and a state that is read is one that is kept.
pub fn hawkbit(data: &[u8]) {
    let place = ("DEFAULT", "device");
    let server = Server::new("https://server.example", Transport::HttpsOnly, place);
    let server = server.expect("a plain place");
    if let Ok(base) = parse_base(&server, data) {
        let secs = base.sleep.as_secs();
        assert!((u64::from(MIN_SLEEP_SECS)..=u64::from(MAX_SLEEP_SECS)).contains(&secs));
    }
    for resource in [Resource::Deployment, Resource::Confirmation] {
        if let Ok(found) = parse_deployment(&server, (resource, ActionId(5)), data) {
            assert_eq!(found.id, ActionId(5));
            assert!(found.artifact.url.starts_with("https://"));
            assert!(!found.artifact.url.starts_with("https://127."));
            assert!(
                found.artifact.file.to_ascii_lowercase().contains(".raucb")
                    || found.artifact.file.ends_with('…')
            );
            let _ = (found.permission(), found.offer());
        }
    }
    if let Ok(cancel) = parse_cancel(ActionId(5), data) {
        assert_eq!(cancel.id, ActionId(5));
    }
    if let Ok(link) = server.parse_link(Resource::Deployment, &lossy(data)) {
        let again = server.action(Resource::Deployment, &link, 0);
        assert_eq!(server.parse_link(Resource::Deployment, &again).ok(), Some(link));
    }
    if let Ok(state) = DdiState::parse(data) {
        let kept = state.record().expect("it can be kept");
        assert_eq!(DdiState::from_record(kept.as_ref()).ok(), Some(state));
        assert!(data.len() <= MAX_STATE_BYTES);
    }
}
