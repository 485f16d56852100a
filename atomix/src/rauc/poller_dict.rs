// SPDX-License-Identifier: MIT OR Apache-2.0
//! The property `Status` of `de.pengutronix.rauc.Poller`, from what the poller knows; pure.

use crate::rauc::dict::{Dict, Node, manifest_dict};
use updater::{PollStatus, ServedBundle};

fn put(dict: &mut Dict, key: &'static str, text: Option<&str>) {
    dict.extend(text.map(|text| (key, Node::from(text))));
}

/// What is known from the polls so far.
#[must_use]
pub fn poll_dict(status: &PollStatus) -> Dict {
    let mut dict: Dict = vec![
        ("attempt-count", Node::Size(status.attempt_count)),
        ("recent-error-count", Node::Size(status.recent_error_count)),
        ("last-attempt-time", Node::Size(status.last_attempt_time.as_micros())),
        ("last-success-time", Node::Size(status.last_success_time.as_micros())),
    ];
    put(&mut dict, "last-error-message", status.last_error_message.as_deref());
    dict.push(("update-available", Node::Flag(status.update_available)));
    put(&mut dict, "summary", status.summary.as_deref());
    let attempted = status.attempted_hash.map(|hash| hash.to_string());
    put(&mut dict, "attempted-hash", attempted.as_deref());
    if let Some(bundle) = &status.bundle {
        dict.push(("manifest", Node::Dict(manifest_dict(&bundle.manifest, bundle.hash))));
        dict.push(("bundle", Node::Dict(served_dict(&bundle.served))));
    }
    dict
}

fn served_dict(served: &ServedBundle) -> Dict {
    let mut dict = Dict::new();
    if served.size > 0 {
        dict.push(("size", Node::Size(served.size)));
    }
    put(&mut dict, "effective-url", served.effective_url.as_deref());
    if served.modified_time > 0 {
        dict.push(("modified-time", Node::Size(served.modified_time)));
    }
    put(&mut dict, "etag", served.etag.as_deref());
    dict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rauc::dict::dict_to_json;
    use bundle::{Manifest, ManifestUse};
    use storage::Digest;
    use updater::{BootTime, PolledBundle};

    #[test]
    fn only_what_is_known_is_said() {
        let json = |status: &PollStatus| dict_to_json(&poll_dict(status)).compact();
        let expected = r#"{"attempt-count":0,"recent-error-count":0,"last-attempt-time":0,"last-success-time":0,"update-available":false}"#;
        assert_eq!(json(&PollStatus::default()), expected);
        let text = "[update]\ncompatible=x\nversion=2\n[bundle]\nformat=plain\n";
        let manifest = Manifest::parse(text.as_bytes(), ManifestUse::Internal).unwrap();
        let served = ServedBundle {
            size: 9,
            effective_url: Some("http://x/b".to_owned()),
            modified_time: 0,
            etag: Some("\"e\"".to_owned()),
        };
        let hash = Digest::from_bytes([1; 32]);
        let json = json(&PollStatus {
            attempt_count: 2,
            last_attempt_time: BootTime::from_micros(7),
            last_error_message: Some("no".to_owned()),
            attempted_hash: Some(hash),
            bundle: Some(PolledBundle { hash, manifest, served }),
            ..PollStatus::default()
        });
        assert!(json.contains(r#""last-attempt-time":7,"#), "{json}");
        assert!(json.contains(r#""last-error-message":"no","#), "{json}");
        assert!(json.contains(&format!(r#""attempted-hash":"{hash}""#)), "{json}");
        assert!(json.contains(r#""update":{"compatible":"x","version":"2"}"#), "{json}");
        let bundle = r#""bundle":{"size":9,"effective-url":"http://x/b","etag":"\"e\""}}"#;
        assert!(json.ends_with(bundle), "{json}");
    }
}
