// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::Transport;
use bundle::http::UrlError;
use proptest::prelude::*;
use storage::chain;

fn server() -> Origin {
    Origin::server("https://updates.example.org/base/", Transport::HttpsOnly).unwrap()
}

fn offer(body: &str) -> Option<Offer> {
    parse_original(body.as_bytes(), &server()).unwrap()
}

fn refusal(body: impl AsRef<[u8]>) -> OriginalError {
    parse_original(body.as_ref(), &server()).unwrap_err()
}

#[test]
fn the_request_is_that_of_the_original() {
    let ask = |mac, version| OriginalRequest::new(&server(), mac, version).unwrap();
    let request = ask(Some("02:A1:22:0f:bb:CC\n"), Some("25.11-rc_1"));
    let url = "https://updates.example.org/base/api/v1/updates/latest";
    assert_eq!(request.url.without_user(), url);
    let headers = [("X-Device-ID", "02a1220fbbcc"), ("X-Current-Version", "25.11-rc_1")];
    assert_eq!(request.headers, headers.map(|(name, value)| (name, value.to_owned())));
    for mac in ["", "02:a1:22", "02:a1:22:0f:bb:cc:dd", "zz:a1:22:0f:bb:cc", "02-a1-22-0f-bb-cc"] {
        assert_eq!(ask(Some(mac), None).headers[0].1, "unknown", "{mac}");
    }
    for version in ["", "a b", "1+2", "1\r\nX-Evil: 1", &"9".repeat(129)] {
        assert_eq!(ask(None, Some(version)).headers[1].1, "unknown", "{version:?}");
    }
    let plain = Origin::server("https://updates.example.org", Transport::HttpsOnly).unwrap();
    let request = OriginalRequest::new(&plain, None, None).unwrap();
    assert_eq!(request.url.without_user(), "https://updates.example.org/api/v1/updates/latest");
}

#[test]
fn an_answer_with_both_members_is_an_offer_and_others_are_free() {
    let found = offer(
        r#"{"version":"25.11.2","bundle_url":"https://cdn.example.org/u.raucb?k=1","notes":[{}]}"#,
    )
    .unwrap();
    assert_eq!(found.version, "25.11.2");
    assert_eq!(found.urls, ["https://cdn.example.org/u.raucb?k=1"]);
    assert_eq!((found.manifest, found.file, found.size), (None, None, None));
    assert_eq!(found.urgency, Urgency::Ordinary);
}

#[test]
fn without_one_of_the_members_there_is_no_update() {
    for body in [
        "",
        " \n",
        "{}",
        r#"{"version":"1"}"#,
        r#"{"bundle_url":"https://a.example.org/b"}"#,
        r#"{"version":null,"bundle_url":"https://a.example.org/b"}"#,
        r#"{"version":"","bundle_url":"https://a.example.org/b"}"#,
        // The original reads both before it judges one.
        r#"{"version":"../..","bundle_url":null}"#,
        r#"{"version":"1","bundle_url":false}"#,
    ] {
        assert_eq!(offer(body), None, "{body}");
    }
}

#[test]
fn whatever_else_comes_is_refused_by_name() {
    assert!(matches!(refusal("<!doctype html><title>Log in</title>"), OriginalError::WebPage));
    let long = format!("{{\"version\":\"{}\"}}", "1".repeat(70_000));
    assert!(matches!(refusal(long), OriginalError::TooLong { .. }));
    let deep = "[".repeat(60_000);
    assert!(chain(&refusal(deep)).contains("more than 16 levels"));
    let wide = format!("[{}0]", "0,".repeat(30_000));
    assert!(chain(&refusal(wide)).contains("more than 4096 values"));
    for (body, words) in [
        ("[]", "answer is a list"),
        ("\"1\"", "answer is text"),
        (r#"{"version":25,"bundle_url":"https://a/b"}"#, "answer.version is a whole number"),
        (r#"{"version":{},"bundle_url":"https://a/b"}"#, "answer.version is an object"),
        (r#"{"version":"1","bundle_url":["https://a/b"]}"#, "answer.bundle_url is a list"),
        (r#"{"version":"1","version":"2","bundle_url":"https://a/b"}"#, "stands twice"),
        ("{\"version\":\"1\",", "EOF"),
        ("nonsense", "expected"),
    ] {
        let refused = refusal(body);
        assert!(matches!(refused, OriginalError::Json(_)), "{body}: {refused}");
        assert!(chain(&refused).contains(words), "{body}: {}", chain(&refused));
    }
    for version in ["1 2", "../1", "1/2", "\u{e9}", &"1".repeat(129)] {
        let body = format!("{{\"version\":\"{version}\",\"bundle_url\":\"https://a/b\"}}");
        assert!(matches!(refusal(body), OriginalError::Version), "{version}");
    }
    for (url, cause) in [
        ("http://cdn.example.org/b", PlaceError::NotHttps),
        ("ftp://cdn.example.org/b", UrlError::Scheme.into()),
        ("file:///data/b", UrlError::Scheme.into()),
        ("b.raucb", PlaceError::Relative),
        ("//cdn.example.org/b", PlaceError::Relative),
        ("https://me:secret@cdn.example.org/b", PlaceError::UserInfo),
    ] {
        let body = format!("{{\"version\":\"1\",\"bundle_url\":\"{url}\"}}");
        let refused = refusal(body);
        assert!(matches!(&refused, OriginalError::Place(found) if *found == cause), "{url}");
        assert!(!chain(&refused).contains("secret"), "{refused}");
        assert!(!refused.hint().is_empty());
    }
    let near = r#"{"version":"1","bundle_url":"https://127.0.0.1/b"}"#;
    assert!(matches!(
        refusal(near),
        OriginalError::Place(PlaceError::Url(UrlError::TooNear { .. }))
    ));
}

proptest! {
    #[test]
    fn no_body_breaks_it(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_original(&body, &server());
    }

    /// What is offered can be a file name, a header and a URL.
    #[test]
    fn an_offer_is_clean(version in "\\PC{0,140}", url in "https://\\PC{0,40}") {
        let body = serde_json::json!({ "version": version, "bundle_url": url }).to_string();
        if let Ok(Some(offer)) = parse_original(body.as_bytes(), &server()) {
            prop_assert!(is_version(&offer.version));
            prop_assert!(offer.urls[0].starts_with("https://") && offer.urls[0].is_ascii());
        }
    }
}
