// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do redirects lead, and what goes along?

use super::{chain, quick, sample};
use crate::Source;
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpError, HttpFiles, HttpOptions, HttpSource};
use storage::ByteLen;

fn secretive() -> HttpOptions {
    HttpOptions {
        headers: vec!["Authorization: Bearer geheim".to_owned(), "X-Token: geheim".to_owned()],
        info_headers: vec![("RAUC-Serial".to_owned(), "geheim".to_owned())],
        ..quick()
    }
}

#[test]
fn effective_url_is_used_from_then_on() {
    let bytes = sample(5000);
    let served = bytes.clone();
    let server = TestServer::start(move |request| match request.path.as_str() {
        "/redir/b?x" => Reply::redirect(302, "../real/b"),
        "/real/b" => Reply::redirect(307, "/last?y"),
        "/last?y" => Reply::file(request, &served),
        _ => Reply::new(404, b""),
    });
    let source = HttpSource::open(&format!("{}/redir/b?x", server.url), &secretive()).unwrap();
    assert_eq!(source.effective_url(), format!("{}/last?y", server.url));
    source.read_at(100, &mut [0; 10]).unwrap();
    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/redir/b?x", "/real/b", "/last?y", "/last?y"]);
    // At home all headers go along; those of the first request only there.
    assert!(requests.iter().all(|request| request.header("x-token").is_some()));
    assert!(requests[2].header("rauc-serial").is_some());
    assert!(requests[3].header("rauc-serial").is_none());
}

#[test]
fn nothing_of_the_user_reaches_another_server_and_nothing_comes_back() {
    let bytes = sample(400_000);
    let served = bytes.clone();
    // Another port is another server. It sends back home, which must not help.
    let last = TestServer::start(move |request| Reply::file(request, &served));
    let home = TestServer::start({
        let last = last.url.clone();
        move |request| match request.path.as_str() {
            "/back" => Reply::redirect(302, &format!("{last}/b")),
            _ => Reply::redirect(302, &format!("{}/away", last)),
        }
    });
    let back = home.url.clone();
    let away = TestServer::start(move |_| Reply::redirect(301, &format!("{back}/back")));
    let start = TestServer::start({
        let away = away.url.clone();
        move |_| Reply::redirect(302, &format!("{away}/x"))
    });
    let url = start.url.replace("http://", "http://joe:geheim@");
    let source = HttpSource::open(&url, &secretive()).unwrap();
    source.read_at(0, &mut vec![0; 70_000]).unwrap();
    source.read_at(70_000, &mut vec![0; 70_000]).unwrap();
    source.read_at(140_000, &mut vec![0; 70_000]).unwrap();
    assert!(start.requests()[0].header("x-token").is_some());
    assert!(start.requests()[0].header("rauc-serial").is_some());
    for server in [&away, &home, &last] {
        assert!(!server.requests().is_empty());
        for request in server.requests() {
            for (name, value) in &request.headers {
                assert!(!value.contains("geheim") && name != "authorization", "{request:?}");
            }
        }
    }
    assert!(!source.effective_url().contains("geheim"));
}

#[test]
fn user_information_of_the_url_goes_to_its_own_server() {
    let server = TestServer::serve(sample(100));
    let url = server.url.replace("http://", "http://joe:g%65heim@");
    HttpSource::open(&url, &quick()).unwrap();
    // joe:geheim
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic am9lOmdlaGVpbQ=="));
    let own = HttpOptions { headers: vec!["Authorization: Bearer x".to_owned()], ..quick() };
    HttpSource::open(&server.url, &own).unwrap();
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer x"));
}

#[test]
fn eight_redirects_are_followed_and_nine_are_not() {
    let server = TestServer::start(|request| {
        let left: usize = request.path.trim_start_matches('/').parse().unwrap();
        match left {
            0 => Reply::file(request, &[1; 10]),
            left => Reply::redirect(302, &format!("/{}", left - 1)),
        }
    });
    HttpSource::open(&format!("{}/8", server.url), &quick()).unwrap();
    let refused = HttpSource::open(&format!("{}/9", server.url), &quick()).unwrap_err();
    assert!(matches!(refused, HttpError::TooManyRedirects { limit: 8, .. }), "{refused}");
}

#[test]
fn redirects_to_other_protocols_and_with_credentials_are_refused() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1\\@evil/",
        "",
    ] {
        let server = TestServer::start(move |_| match location {
            "" => Reply::new(302, b""),
            location => Reply::redirect(302, location),
        });
        let refused = HttpSource::open(&server.url, &quick()).unwrap_err();
        assert!(matches!(refused, HttpError::Redirect { .. }), "{}", chain(&refused));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn chunks_follow_the_same_rules() {
    let cdn = TestServer::start(|_| Reply::new(200, b"chunk"));
    let cdn_url = cdn.url.clone();
    let store = TestServer::start(move |request| {
        Reply::redirect(302, &format!("{cdn_url}{}", request.path))
    });
    let files = HttpFiles::open(&format!("{}/store/", store.url), &secretive()).unwrap();
    let chunk = files.get("00ab/00ab.cacnk", ByteLen::kib(1)).unwrap();
    assert_eq!(chunk.as_deref(), Some(&b"chunk"[..]));
    assert!(store.requests()[0].header("x-token").is_some());
    assert_eq!(cdn.requests()[0].path, "/store/00ab/00ab.cacnk");
    assert!(cdn.requests()[0].headers.values().all(|value| !value.contains("geheim")));
}
