// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which URLs are taken, and what they show of themselves.

use super::*;

#[test]
fn what_may_be_logged_has_no_secrets() {
    for (text, expected) in [
        ("HTTPS://u:p@H:8/a?token=1#f", "https://h:8/a?…"),
        ("http://u:p@x@h/a", "http://…"),
        ("/data/a://b", "/data/a://b"),
    ] {
        assert_eq!(shown_url(text), expected);
    }
}

#[test]
fn plain_urls_are_read_and_cleaned() {
    for (text, expected) in [
        ("http://example.com", "http://example.com/"),
        ("HTTPS://Example.COM:8443/a/../b/./c?x=/../y#f", "https://example.com:8443/b/c?x=/../y"),
        ("http://[::1]:80/a b/ü", "http://[::1]:80/a%20b/%C3%BC"),
        ("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]/"),
        ("http://127.0.0.1?q", "http://127.0.0.1/?q"),
        ("http://h/a//b/..", "http://h/a//"),
        ("http://h/../..", "http://h/"),
    ] {
        assert_eq!(HttpUrl::parse(text).unwrap().without_user(), expected, "{text}");
    }
}

#[test]
fn what_two_parsers_may_read_differently_is_refused() {
    for text in [
        "",
        "example.com",
        "ftp://h/",
        "file:///etc/passwd",
        "http:/h/",
        "http:///x",
        "http://",
        "http://good\\@evil/",
        "http://good\\.evil/",
        "http://a@b@c/",
        "http://a b/",
        "http://h:/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:+8/",
        "http://h:80:80/",
        "http://h\r\nX: y/",
        "http://h/\r\nX: y",
        "http://h/\0",
        "http://[::1/",
        "http://[::1]x/",
        "http://[]/",
        "http://h%2eevil/",
        "http://hé/",
        "http://u%0ax@h/",
        "http://u%3ax:y@h/",
        "http://u%zz@h/",
        "http://u\"@h/",
        "http://.h/",
        "http://[1.2.3.4]/",
        "http:////h/",
    ] {
        assert!(HttpUrl::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(HttpUrl::parse(&format!("http://h/{}", "a".repeat(9000))), Err(UrlError::TooLong));
}

#[test]
fn nothing_shown_holds_user_or_query() {
    let url = HttpUrl::parse("https://joe:se%63ret@h/p?token=abc").unwrap();
    assert_eq!(url.to_string(), "https://h/p?…");
    assert_eq!(format!("{url:?}"), "https://h/p?…");
    assert_eq!(url.user().unwrap().password, "secret");
    assert_eq!(url.without_user(), "https://h/p?token=abc");
}

#[test]
fn redirects_resolve_and_keep_credentials_at_home() {
    let base = HttpUrl::parse("https://u:p@h:443/a/b?q").unwrap();
    for (location, expected, home) in [
        ("c", "https://h:443/a/c", true),
        ("/c?d", "https://h:443/c?d", true),
        ("?d", "https://h:443/a/b?d", true),
        ("../../c", "https://h:443/c", true),
        ("https://H/x", "https://h/x", true),
        ("//h/x", "https://h/x", true),
        ("//other/x", "https://other/x", false),
        ("http://h:443/x", "http://h:443/x", false),
        ("https://h:444/x", "https://h:444/x", false),
        ("", "https://h:443/a/b?q", true),
    ] {
        let joined = base.join(location).unwrap();
        assert_eq!(joined.without_user(), expected, "{location}");
        assert_eq!(joined.user().is_some(), home, "{location}");
        assert_eq!(joined.same_origin(&base), home, "{location}");
    }
    for location in ["https://x:y@h/", "javascript:alert(1)", "file:///x", "http:evil", "/\\evil"] {
        assert!(base.join(location).is_err(), "{location}");
    }
}

#[test]
fn files_stay_below_their_directory() {
    let base = HttpUrl::parse("http://h/store?sig=1").unwrap();
    let file = base.file("00ab/00ab+c d.cacnk").unwrap();
    assert_eq!(file.without_user(), "http://h/store/00ab/00ab%2Bc%20d.cacnk?sig=1");
    for name in ["", "/etc", "../x", "a/../b", "a//b", ".", "a\\b", "a\nb"] {
        assert!(base.file(name).is_err(), "{name:?}");
    }
}
