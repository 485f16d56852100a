// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the update agent was told to be.

use agents::{Login, OPERATOR_DIRS, Settings, Source};
use std::path::Path;

/// `os-upgrade.json`. What is accepted names files of the operator's alone, and addresses without
/// a user, a query or a fragment.
pub fn agent_settings(data: &[u8]) {
    let Ok(settings) = Settings::parse(data) else { return };
    assert_eq!(Settings::parse(data).expect("it was read before"), settings);
    let (urls, files): (Vec<&String>, Vec<&Path>) = match &settings.source {
        Source::Poll(poll) => {
            let identity = poll.tls.identity.iter().flat_map(|one| [&*one.cert, &*one.key]);
            let urls = [&poll.server_url].into_iter().chain(&poll.report_url);
            (urls.chain(&poll.mirrors).collect(), identity.chain(poll.tls.ca.as_deref()).collect())
        }
        Source::Hawkbit(hawkbit) => {
            let files: Vec<&Path> = match &hawkbit.login {
                Login::TargetToken(file) | Login::GatewayToken(file) => vec![file],
                Login::Certificate(identity) => vec![&identity.cert, &identity.key],
            };
            (vec![&hawkbit.url], files.into_iter().chain(hawkbit.ca.as_deref()).collect())
        }
    };
    for file in files {
        let below = OPERATOR_DIRS.iter().find_map(|dir| file.strip_prefix(dir).ok());
        let below = below.and_then(Path::to_str).expect("below a directory of the operator's");
        assert!(!below.is_empty() && !below.split('/').any(|part| part.starts_with('.')));
    }
    for url in urls.into_iter().chain(&settings.proxy) {
        let rest = url.split_once("://").expect("it has a scheme").1;
        assert!(!rest.split('/').next().unwrap_or_default().contains('@'), "a user: {url}");
        assert!(!url.contains(['?', '#', '\\', '\n', ' ']), "{url}");
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    assert!(settings.before_reboot.iter().all(|hook| hook.chars().all(plain)));
}
