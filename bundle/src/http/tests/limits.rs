// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be fetched, how fast, and from whom.

use super::tls::Pki;
use super::{chain, quick, sample};
use crate::Source;
use crate::http::test_server::{Reply, TestServer};
use crate::http::{
    ByteBudget, HttpError, HttpMirrors, HttpOptions, HttpSource, Patience, Proxy, RateLimit,
    Schemes,
};
use openssl::ssl::{SslVerifyMode, SslVersion};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storage::ByteLen;

fn limited(bytes_per_sec: u64) -> HttpOptions {
    let rate = RateLimit::new(NonZeroU64::new(bytes_per_sec).unwrap());
    HttpOptions { rate_limit: Some(Arc::new(rate)), ..quick() }
}

/// Does not hold when each connection is limited on its own, nor when the limit counts as the
/// server's slowness.
#[test]
fn rate_is_one_for_all_connections_and_no_fault_of_the_server() {
    let server = TestServer::serve(sample(400_000));
    let known = limited(200_000);
    let patience = Patience {
        // Less than it takes at that rate, and enough for a busy machine.
        stall: Duration::from_millis(1200),
        min_bytes_per_sec: 2_000_000,
        tries: 0,
        ..known.patience
    };
    let options = HttpOptions { patience, ..known };
    let begun = Instant::now();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let source = HttpSource::open(&server.url, &options).unwrap();
            std::thread::spawn(move || {
                let mut bytes = vec![0; 200_000];
                source.read_at(0, &mut bytes).unwrap();
                bytes
            })
        })
        .collect();
    for reader in readers {
        assert!(reader.join().unwrap() == sample(400_000)[..200_000]);
    }
    let took = begun.elapsed();
    // 400 kB at 200 kB/s, less the credit; what came last is waited for too.
    assert!((1600..60_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn waiting_for_the_rate_ends_when_somebody_stops_it() {
    let server = TestServer::serve(sample(300_000));
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    let options = HttpOptions {
        stop: Some(Arc::new(move || asked.load(Ordering::SeqCst).then_some("test"))),
        ..limited(1000)
    };
    let source = HttpSource::open(&server.url, &options).unwrap();
    let later = Arc::clone(&stopped);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        later.store(true, Ordering::SeqCst);
    });
    let begun = Instant::now();
    let text = chain(&source.read_at(0, &mut vec![0; 200_000]).unwrap_err());
    assert!(text.contains("fetching was stopped"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn budget_ends_a_transfer_with_its_name_and_nothing_is_asked_after() {
    let server = TestServer::serve(sample(20 * 1024 * 1024));
    let budget = Arc::new(ByteBudget::new(ByteLen::mib(3)));
    let options = HttpOptions { budget: Some(Arc::clone(&budget)), ..quick() };
    let source = HttpSource::open(&server.url, &options).unwrap();
    let mut at = 0;
    let text = loop {
        let mut piece = vec![0; 256 * 1024];
        if let Err(failure) = source.read_at(at, &mut piece) {
            break chain(&failure);
        }
        at += piece.len() as u64;
    };
    assert!(text.contains("no more than 3145728 bytes may be fetched"), "{text}");
    // What libcurl had in its hands when it was too much, once as spent and once as not delivered,
    // and the one request that was cut.
    let (limit, hands, request) = (3 * 1024 * 1024, 2 * 128 * 1024, 1024 * 1024);
    assert!((limit - request - hands..=limit).contains(&at), "{at}");
    let spent = budget.spent().get();
    assert!(spent <= limit + hands, "{spent}");
    let asked = server.requests().len();
    assert!(source.read_at(0, &mut [0; 10]).is_err(), "stays failed");
    assert_eq!(server.requests().len(), asked);
    // Another source of the same owner has nothing left either.
    let refused = HttpSource::open(&server.url, &options).unwrap_err();
    assert!(matches!(refused, HttpError::OverBudget { limit: 3_145_728, .. }), "{refused}");
    assert!(refused.hint().is_some());
}

#[test]
fn refusals_and_error_pages_count_too() {
    let server = TestServer::start(|_| Reply::new(503, &[b'x'; 50_000]));
    let budget = Arc::new(ByteBudget::new(ByteLen::new(120_000)));
    let patience = Patience { first_tries: 1000, ..quick().patience };
    let options = HttpOptions { budget: Some(budget), patience, ..quick() };
    let refused = HttpSource::open(&server.url, &options).unwrap_err();
    assert!(matches!(refused, HttpError::OverBudget { .. }), "{}", chain(&refused));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn https_alone_means_the_first_url_redirects_and_mirrors() {
    let strict = HttpOptions { schemes: Schemes::HttpsOnly, ..quick() };
    let plain = TestServer::serve(sample(1000));
    let refused = HttpSource::open(&plain.url, &strict).unwrap_err();
    assert!(matches!(refused, HttpError::Insecure { .. }), "{refused}");
    let urls = [plain.url.clone(), plain.url.clone()];
    let refused = HttpMirrors::open(&urls, &strict).unwrap_err();
    assert!(matches!(refused, HttpError::Insecure { .. }), "{refused}");
    assert_eq!(plain.requests().len(), 0);

    let pki = Pki::new();
    let strict = HttpOptions { tls_ca: pki.text("ca.pem"), ..strict };
    let to = plain.url.clone();
    let leading = pki.answering(SslVerifyMode::NONE, SslVersion::TLS1_3, move |_| {
        Reply::redirect(302, &format!("{to}/b"))
    });
    let refused = HttpSource::open(&leading.url, &strict).unwrap_err();
    assert!(matches!(refused, HttpError::Downgrade { .. }), "{refused}");
    assert_eq!(plain.requests().len(), 0);
    let secret = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_3);
    HttpSource::open(&secret.url, &strict).unwrap();
}

#[test]
fn proxy_that_is_no_url_is_refused_before_anything_is_asked() {
    let server = TestServer::serve(sample(1000));
    for url in ["", "socks5://127.0.0.1:1", "http://a b/", "127.0.0.1:3128"] {
        let options = HttpOptions { proxy: Proxy::Url(url.to_owned()), ..quick() };
        let refused = HttpSource::open(&server.url, &options).unwrap_err();
        assert!(matches!(refused, HttpError::Option { option: "proxy", .. }), "{refused}");
    }
    assert_eq!(server.requests().len(), 0);
}
