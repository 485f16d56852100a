// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom does a device believe, and what does it show, when it speaks with its fleet's server?

use super::proxy::start_proxy;
use super::tls::{Pki, Times};
use crate::http::test_server::{Reply, TestServer};
use crate::http::{
    ExchangeError, ExchangeMethod, ExchangeRequest, ExchangeTls, Exchanged, HttpUrl, exchange,
};
use openssl::ssl::{SslVerifyMode, SslVersion};
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::chain;

/// Only ends a test that would hang.
const LONG: Duration = Duration::from_secs(60);

struct Way<'a> {
    tls: Option<&'a ExchangeTls>,
    proxy: Option<&'a str>,
    stall: Duration,
    whole: Duration,
}

impl Default for Way<'_> {
    fn default() -> Self {
        Self { tls: None, proxy: None, stall: LONG, whole: LONG }
    }
}

fn post(url: &str, way: &Way<'_>) -> Result<Exchanged, ExchangeError> {
    exchange(&ExchangeRequest {
        method: ExchangeMethod::Post,
        url: &HttpUrl::parse(url).unwrap(),
        headers: &[("Authorization".to_owned(), "TargetToken secret".to_owned())],
        body: b"",
        answer_limit: 1000,
        connect: LONG,
        stall: way.stall,
        whole: Some(way.whole),
        tls: way.tls,
        proxy: way.proxy,
        stop: None,
    })
}

fn fine() -> impl Fn(&crate::http::test_server::Request) -> Reply + Send + Sync + 'static {
    |_| Reply::new(200, b"fine")
}

fn wants_clients() -> SslVerifyMode {
    SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
}

fn own(pki: &Pki) -> ExchangeTls {
    ExchangeTls {
        cert: pki.text("client.cert.pem"),
        key: pki.text("client.pem"),
        ca: pki.text("ca.pem"),
    }
}

#[test]
fn a_device_is_known_by_its_certificate_and_a_stranger_is_not_heard() {
    let pki = Pki::new();
    let server = pki.answering(wants_clients(), SslVersion::TLS1_3, fine());
    let with = own(&pki);
    let answer = post(&server.url, &Way { tls: Some(&with), ..Way::default() }).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"fine".as_slice()));
    // The key may lie in the file of the certificate.
    let both = ExchangeTls { cert: pki.text("client.both.pem"), key: None, ..with.clone() };
    post(&server.url, &Way { tls: Some(&both), ..Way::default() }).unwrap();
    assert_eq!(server.requests().len(), 2);
    for (cert, key) in [(None, None), (pki.text("other.cert.pem"), pki.text("other.pem"))] {
        let strange = ExchangeTls { cert, key, ..with.clone() };
        let way = Way { tls: Some(&strange), ..Way::default() };
        let text = chain(&post(&server.url, &way).unwrap_err());
        assert!(text.contains("certificate required") || text.contains("unknown ca"), "{text}");
    }
    let torn = ExchangeTls { key: pki.text("ca.pem"), ..with };
    let text = chain(&post(&server.url, &Way { tls: Some(&torn), ..Way::default() }).unwrap_err());
    assert!(text.contains("private key"), "{text}");
    assert_eq!(server.requests().len(), 2, "nobody else was heard");
}

#[test]
fn only_the_named_authority_is_believed_and_nothing_is_said_to_others() {
    let pki = Pki::new();
    let server = pki.answering(SslVerifyMode::NONE, SslVersion::TLS1_3, fine());
    let known = ExchangeTls { ca: pki.text("ca.pem"), ..ExchangeTls::default() };
    post(&server.url, &Way { tls: Some(&known), ..Way::default() }).unwrap();
    let foreign = ExchangeTls { ca: pki.text("stranger.pem"), ..ExchangeTls::default() };
    for tls in [None, Some(&foreign)] {
        let refused = post(&server.url, &Way { tls, ..Way::default() }).unwrap_err();
        assert!(matches!(refused, ExchangeError::Connect(_)), "{refused}");
        assert!(chain(&refused).contains("certificate"), "{}", chain(&refused));
    }
    // Its certificate is for 127.0.0.1: whatever else leads there is not believed.
    let by_name = server.url.replace("127.0.0.1", "localhost");
    let way = Way { tls: Some(&known), ..Way::default() };
    let text = chain(&post(&by_name, &way).unwrap_err());
    assert!(text.contains("no alternative certificate subject name matches"), "{text}");
    assert_eq!(server.requests().len(), 1, "the token was told to nobody");
}

/// A clock that is wrong by years makes good certificates look like these.
#[test]
fn a_certificate_outside_its_time_is_refused_in_words_and_nothing_is_said() {
    for (times, words) in
        [(Times::Past, "certificate has expired"), (Times::Future, "certificate is not yet valid")]
    {
        let pki = Pki::with_server_of(times);
        let server = pki.answering(SslVerifyMode::NONE, SslVersion::TLS1_3, fine());
        let known = ExchangeTls { ca: pki.text("ca.pem"), ..ExchangeTls::default() };
        let way = Way { tls: Some(&known), ..Way::default() };
        let refused = post(&server.url, &way).unwrap_err();
        assert!(matches!(refused, ExchangeError::Connect(_)), "{refused}");
        assert!(chain(&refused).contains(words), "{}", chain(&refused));
        assert!(server.requests().is_empty());
    }
}

#[test]
fn a_proxy_sees_the_tunnel_and_its_refusal_is_told() {
    let pki = Pki::new();
    let server = pki.answering(wants_clients(), SslVersion::TLS1_3, fine());
    let (proxy, asked) = start_proxy();
    let with = own(&pki);
    let way = Way { tls: Some(&with), proxy: Some(&proxy), ..Way::default() };
    let answer = post(&server.url, &way).unwrap();
    assert_eq!(answer.body, b"fine", "not what the proxy said of its tunnel");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for code in ["302", "403", "407", "503"] {
        let refused = post(&format!("https://{code}.proxy.test/"), &way).unwrap_err();
        assert!(chain(&refused).contains(code), "{}", chain(&refused));
    }
    // A name that nobody has: who does not ask the proxy finds nobody.
    let alone = Way { proxy: None, ..way };
    let text = chain(&post("https://200.proxy.test/", &alone).unwrap_err());
    assert!(text.contains("resolve"), "{text}");
}

/// A network that wants a login first answers in the server's place, mostly by sending elsewhere.
#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = TestServer::start(fine());
    let pki = Pki::new();
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.url.clone();
        let portal = pki.answering(SslVerifyMode::NONE, SslVersion::TLS1_3, move |_| {
            Reply::redirect(status, &to)
        });
        let known = ExchangeTls { ca: pki.text("ca.pem"), ..ExchangeTls::default() };
        let answer = post(&portal.url, &Way { tls: Some(&known), ..Way::default() }).unwrap();
        assert_eq!(answer.status, status);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn endless_dripping_and_silent_answers_end() {
    let endless = TestServer::start(|_| Reply::new(200, &[b' '; 1_000_000]));
    let refused = post(&endless.url, &Way::default()).unwrap_err();
    assert_eq!(refused, ExchangeError::TooLarge { limit: 1000 });
    // It says nothing of its length.
    let framed =
        TestServer::start(|_| Reply { length: Some(100), ..Reply::new(200, &[b' '; 1_000_000]) });
    post(&framed.url, &Way::default()).unwrap();
    let dripping = TestServer::start(|_| Reply {
        drip: Some((1, Duration::from_millis(100))),
        ..Reply::new(200, &[b' '; 900])
    });
    let short = Duration::from_secs(2);
    let refused = post(&dripping.url, &Way { whole: short, ..Way::default() }).unwrap_err();
    assert_eq!(refused, ExchangeError::Slow { secs: 2 });
    let silent = TestServer::start(|_| Reply { stall: Some(10), ..Reply::new(200, &[b' '; 900]) });
    let refused = post(&silent.url, &Way { stall: short, ..Way::default() }).unwrap_err();
    assert!(matches!(refused, ExchangeError::Silent { secs: 2 }), "{refused}");
}
