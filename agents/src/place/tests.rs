// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use bundle::http::Nearness;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn public() -> Origin {
    Origin::document("https://updates.example.org/fleet/x.release?k=1", Transport::HttpsOnly)
        .unwrap()
}

fn refusal(text: &str) -> PlaceError {
    public().resolve(text).unwrap_err()
}

#[test]
fn relative_places_lie_beside_the_document() {
    for (text, found) in [
        ("a.raucb", "https://updates.example.org/fleet/a.raucb"),
        ("b/a.raucb?sig=2", "https://updates.example.org/fleet/b/a.raucb?sig=2"),
        ("../a.raucb", "https://updates.example.org/a.raucb"),
        ("/a.raucb", "https://updates.example.org/a.raucb"),
        ("//cdn.example.org/a.raucb", "https://cdn.example.org/a.raucb"),
        ("https://10.1.2.3:8443/a.raucb", "https://10.1.2.3:8443/a.raucb"),
        ("https://[fd00::7]/a.raucb", "https://[fd00::7]/a.raucb"),
    ] {
        assert_eq!(public().resolve(text).unwrap().without_user(), found);
    }
    assert_eq!(public().absolute("a.raucb"), Err(PlaceError::Relative));
}

#[test]
fn other_schemes_users_fragments_and_white_space_are_refused_by_name() {
    assert_eq!(refusal("http://updates.example.org/a"), PlaceError::NotHttps);
    for text in ["ftp://a/b", "file:///etc/shadow", "javascript:alert(1)", "data:,x"] {
        assert_eq!(refusal(text), UrlError::Scheme.into(), "{text}");
        assert_eq!(public().absolute(text), Err(UrlError::Scheme.into()), "{text}");
    }
    for text in ["https://me@a/b", "https://me:pass@a/b", "//me@a/b"] {
        assert_eq!(refusal(text), PlaceError::UserInfo, "{text}");
    }
    assert_eq!(public().absolute("https://me:pass@a/b"), Err(PlaceError::UserInfo));
    assert_eq!(refusal("a#b"), PlaceError::Fragment);
    for text in ["a b", "a\n", "ä", "https://updates.example.org/\u{202e}"] {
        assert_eq!(refusal(text), PlaceError::Character, "{text:?}");
    }
    assert_eq!(refusal(&"a".repeat(MAX_PLACE_BYTES + 1)), PlaceError::TooLong);
    assert_eq!(refusal(""), PlaceError::Relative);
}

#[test]
fn messages_hold_no_secret_of_a_url() {
    let secret = "https://me:topsecret@127.0.0.1/topsecret?topsecret";
    for text in [secret, &secret.replace("me:topsecret@", ""), "http://a/topsecret"] {
        let refused = refusal(text);
        assert!(!refused.to_string().contains("topsecret"), "{refused}");
    }
}

/// Each of them is the loopback address to one program or another.
#[test]
fn a_public_server_leads_nobody_to_his_own_services() {
    for host in [
        "127.0.0.1",
        "127.8.9.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "ip6-localhost",
        "[::1]",
        "[0:0::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "127.0.0.1.",
    ] {
        let refused = refusal(&format!("https://{host}/a"));
        let near = matches!(&refused, PlaceError::Url(UrlError::TooNear { what, .. }) if *what == "this device itself");
        assert!(near, "{host}: {refused}");
    }
    for host in ["169.254.169.254", "[fe80::1]", "[fe80::1%25eth0]", "[::ffff:169.254.0.1]"] {
        let refused = refusal(&format!("https://{host}/a"));
        let near = matches!(&refused, PlaceError::Url(UrlError::TooNear { what, .. }) if *what == "link-local");
        assert!(near, "{host}: {refused}");
    }
    for host in ["0.0.0.0", "0.1.2.3", "[::]", "224.0.0.1", "255.255.255.255", "[ff02::1]"] {
        let refused = refusal(&format!("https://{host}/a"));
        assert!(
            matches!(refused, PlaceError::Url(UrlError::NobodysHost { .. })),
            "{host}: {refused}"
        );
    }
    for host in [
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "a..b",
        "0x7f000001",
        "a.1",
    ] {
        let refused = refusal(&format!("https://{host}/a"));
        assert!(
            matches!(refused, PlaceError::Url(UrlError::AmbiguousHost { .. })),
            "{host}: {refused}"
        );
    }
}

#[test]
fn a_server_as_near_may_name_them() {
    let at = |text| Origin::document(text, Transport::HttpsOnly).unwrap();
    let own = at("https://localhost:8443/x");
    assert!(own.resolve("https://127.0.0.1/a").is_ok());
    assert!(own.resolve("https://169.254.1.1/a").is_ok());
    let link = at("https://[fe80::1%25eth0]/x");
    assert!(link.resolve("a").is_ok());
    assert!(link.resolve("https://[::1]/a").is_err());
}

#[test]
fn without_tls_only_a_server_for_development_is_asked() {
    let plain = "http://desk.example.org:8000";
    assert_eq!(Origin::server(plain, Transport::HttpsOnly), Err(PlaceError::NotHttps));
    let desk = Origin::server(plain, Transport::PlainForDevelopment).unwrap();
    assert!(desk.absolute("http://other.example.org/a").is_ok());
    let safe = Origin::server("https://desk.example.org", Transport::PlainForDevelopment).unwrap();
    assert_eq!(safe.absolute("http://desk.example.org/a"), Err(PlaceError::NotHttps));
    let query = Origin::server("https://a.example.org/?b", Transport::HttpsOnly);
    assert_eq!(query, Err(PlaceError::Query));
    assert_eq!(Origin::server("example.org", Transport::HttpsOnly), Err(PlaceError::Relative));
}

proptest! {
    /// Whatever is taken has TLS, no user and a host that is not nearer.
    #[test]
    fn what_is_taken_keeps_the_rules(text in "(https?:)?(//)?[a-z0-9.:@\\[\\]%/?#_-]{0,40}") {
        if let Ok(url) = public().resolve(&text) {
            prop_assert!(url.is_https() && !url.has_user());
            prop_assert_eq!(url.nearness(), Ok(Nearness::Away));
            // What is handed on is judged alike by whoever reads it again.
            let again = public().absolute(&url.without_user());
            prop_assert_eq!(again, Ok(url));
        }
    }

    #[test]
    fn every_loopback_address_is_near(low: u32) {
        let address = Ipv4Addr::from(0x7f00_0000 | (low >> 8));
        let mapped = format!("https://[{}]/", address.to_ipv6_mapped());
        let plain = format!("https://{address}/");
        prop_assert!(public().resolve(&plain).is_err());
        prop_assert!(public().resolve(&mapped).is_err());
    }
}
