// SPDX-License-Identifier: MIT OR Apache-2.0
//! What servers tell of updates: signed releases, and the original's answer.

use crate::fixtures::{KEYRING, NOW};
use agents::{Clock, MAX_PLACE_BYTES, Origin, Release, Transport, VerifiedRelease, parse_original};
use bundle::http::HttpUrl;
use std::sync::LazyLock;

static ORIGIN: LazyLock<Origin> = LazyLock::new(|| {
    let url = "https://updates.example.org/fleet/x.release";
    Origin::document(url, Transport::HttpsOnly).expect("the URL is an ordinary one")
});

/// A release, as if its signature had held: what is read is written and read again as the same, and
/// its places lead where a device may go. As it comes nobody has signed it.
pub fn release(data: &[u8]) {
    let clock = Clock { now: NOW, floor: None, is_set: true };
    assert!(VerifiedRelease::open(data, &KEYRING, &clock).is_err(), "nobody signs releases here");
    let Ok(release) = Release::parse(data) else { return };
    assert!(release.expires > release.issued && !release.urls.is_empty());
    let text = release.encode().expect("what was read has times that can be written");
    let again = Release::parse(text.as_bytes());
    assert_eq!(again.expect("what was written can be read"), release);
    for place in &release.urls {
        if let Ok(url) = ORIGIN.resolve(place) {
            may_be_asked(&url);
        }
    }
}

/// The answer of a server that is not ours.
pub fn original_answer(data: &[u8]) {
    let Ok(Some(offer)) = parse_original(data, &ORIGIN) else { return };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!((1..=128).contains(&offer.version.len()) && offer.version.bytes().all(legal));
    assert!(offer.manifest.is_none() && offer.file.is_none() && offer.size.is_none());
    let [url] = offer.urls.as_slice() else { panic!("{:?}", offer.urls) };
    may_be_asked(&HttpUrl::parse(url).expect("what is offered is a URL"));
}

/// With TLS, without a user, and judged alike when it is read again.
fn may_be_asked(url: &HttpUrl) {
    assert!(url.is_https() && !url.has_user());
    let host = url.host().trim_end_matches('.');
    assert!(!matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0"), "{url}");
    let text = url.without_user();
    // Letters that are encoded take more room than in the text that named them.
    if text.len() <= MAX_PLACE_BYTES {
        assert_eq!(ORIGIN.absolute(&text).expect("what was allowed stays so"), *url);
    }
}
