// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that lose, change, stall and lie.

use super::{chain, quick, sample};
use crate::Source;
use crate::http::test_server::{Reply, Request, TestServer};
use crate::http::{
    HttpError, HttpNotice, HttpOptions, HttpSource, HttpStop, Patience, retry_after,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SEGMENT: usize = 256 * 1024;

fn read_all(source: &HttpSource) -> Result<Vec<u8>, String> {
    let len = usize::try_from(source.len().get()).unwrap();
    let mut all = vec![0; len];
    for (at, piece) in (0..).step_by(SEGMENT).zip(all.chunks_mut(SEGMENT)) {
        source.read_at(at, piece).map_err(|failure| chain(&failure))?;
    }
    Ok(all)
}

/// Opens what `after` answers from the second request on, and reads all of it.
fn read_from(
    bytes: &[u8],
    after: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
) -> Result<Vec<u8>, String> {
    let served = bytes.to_vec();
    let server = TestServer::start(move |request| {
        let good = Reply::file(request, &served);
        if request.number == 0 { good } else { after(request, good) }
    });
    let url = server.url.replace("http://", "http://joe:geheim@");
    let source = HttpSource::open(&format!("{url}/b.raucb?token=geheim"), &quick()).unwrap();
    let found = read_all(&source);
    if let Err(text) = &found {
        assert!(text.contains("/b.raucb"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
    found
}

#[test]
fn statuses_are_told_apart_in_raucs_words() {
    for (status, words) in [
        (200, "range requests not supported by server"),
        (204, "no content"),
        (304, "not modified"),
        (401, "unauthorized: unexpected HTTP response code 401"),
        (404, "not found: unexpected HTTP response code 404"),
        (403, "unexpected HTTP response code 403"),
        (416, "unexpected HTTP response code 416"),
    ] {
        let server = TestServer::start(move |_| Reply::new(status, b""));
        let refused = HttpSource::open(&server.url, &quick()).unwrap_err();
        assert!(refused.to_string().starts_with(words), "{refused}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
    let server = TestServer::start(|_| Reply::new(500, b"oops"));
    let refused = HttpSource::open(&server.url, &quick()).unwrap_err();
    assert!(matches!(refused, HttpError::Transfer { tries: 6, .. }), "{refused}");
    assert!(chain(&refused).contains("response code 500"), "{}", chain(&refused));
    assert_eq!(server.requests().len(), 6);
}

/// Fails when a server that wants to be left alone for an hour is asked again within minutes, or when
/// whoever wants the file is not told of that hour, at the first request or behind it.
#[test]
fn a_server_that_puts_off_for_long_is_left_alone_and_its_word_arrives() {
    let busy = |after: &str| Reply::new(503, b"busy").with("Retry-After", after);
    let server = TestServer::start(move |_| busy("3600"));
    let refused = HttpSource::open(&server.url, &quick()).unwrap_err();
    assert_eq!(retry_after(&refused), Some(Duration::from_secs(3600)), "{refused}");
    assert_eq!(server.requests().len(), 1);

    let bytes = sample(3_000_000);
    let server = TestServer::start(move |request| {
        if request.number > 0 { busy("61") } else { Reply::file(request, &bytes) }
    });
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let failed = source.read_at(2_000_000, &mut [0; 70_000]).unwrap_err();
    assert_eq!(retry_after(&failed), Some(Duration::from_secs(61)), "{}", chain(&failed));

    // A short pause is made, and a broken line is no word of the server's.
    let server = TestServer::start(move |_| busy("0"));
    let refused = HttpSource::open(&server.url, &quick()).unwrap_err();
    assert_eq!((retry_after(&refused), server.requests().len()), (Some(Duration::ZERO), 6));
    let nobody = HttpSource::open("http://127.0.0.1:1/b", &quick()).unwrap_err();
    assert_eq!(retry_after(&nobody), None);
}

#[test]
fn sporadic_errors_of_the_server_pass() {
    let bytes = sample(3_000_000);
    let served = bytes.clone();
    let server = TestServer::start(move |request| {
        if request.number % 2 == 0 {
            Reply::new(500, b"").with("Retry-After", "0")
        } else {
            Reply::file(request, &served)
        }
    });
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let options = HttpOptions {
        notices: Some(Arc::new(move |notice: &HttpNotice| {
            told.lock().unwrap().push(notice.clone())
        })),
        ..quick()
    };
    let source = HttpSource::open(&server.url, &options).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    let notices = notices.lock().unwrap();
    assert!(notices.len() >= 3);
    assert!(notices.iter().all(|notice| matches!(notice, HttpNotice::Retry { .. })), "{notices:?}");
}

#[test]
fn conditional_request_says_not_modified() {
    let bytes = sample(100);
    let server = TestServer::start(move |request| {
        if request.header("if-none-match") == Some("\"one\"") {
            Reply::new(304, b"")
        } else {
            Reply::file(request, &bytes)
        }
    });
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let known = HttpOptions { if_none_match: source.etag().map(str::to_owned), ..quick() };
    let again = HttpSource::open(&server.url, &known);
    assert!(matches!(again, Err(HttpError::NotModified { .. })));
    let other = HttpOptions { if_none_match: Some("\"two\"".to_owned()), ..quick() };
    let other = HttpSource::open(&server.url, &other).unwrap();
    other.read_at(50, &mut [0; 4]).unwrap();
    let last = server.requests().pop().unwrap();
    assert!(last.header("if-none-match").is_none(), "only the first request is conditional");
}

#[test]
fn lost_connections_go_on_at_the_next_missing_byte() {
    let bytes = sample(20 * 1024 * 1024);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let found = read_from(&bytes, move |request, reply| {
        let cut = 150_000 + request.number * 7919;
        counted.fetch_add(cut.min(reply.body.len()), Ordering::Relaxed);
        Reply { cut: Some(cut), ..reply }
    });
    assert!(found.unwrap() == bytes);
    // What was sent and lost between the server and a reader is little.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < bytes.len() * 21 / 20, "{sent}");
}

#[test]
fn server_that_never_brings_a_byte_is_given_up() {
    let text =
        read_from(&sample(1_000_000), |_, reply| Reply { cut: Some(0), ..reply }).unwrap_err();
    assert!(text.contains("cannot fetch byte 0"), "{text}");
    assert!(text.contains("(try 9)"), "{text}");
}

#[test]
fn file_that_changes_between_requests_ends_the_fetch() {
    let bytes = sample(2_000_000);
    for (header, value, what) in [
        ("ETag", "\"two\"", "ETag"),
        ("Content-Range", "", "length"),
        ("Last-Modified", "b", "Last-Modified"),
    ] {
        let served = bytes.clone();
        let server = TestServer::start(move |request| {
            let mut reply = Reply::file(request, &served);
            if header == "Last-Modified" {
                reply = reply.with(header, if request.number == 0 { "a" } else { value });
            } else if request.number > 0 {
                reply.headers.retain(|(name, _)| name != header);
                let (first, last) = request.range().unwrap();
                let other = format!("bytes {first}-{last}/2000001");
                reply = reply.with(header, if value.is_empty() { &other } else { value });
            }
            reply
        });
        let source = HttpSource::open(&server.url, &quick()).unwrap();
        let text = read_all(&source).unwrap_err();
        assert!(text.contains("changed while it was fetched"), "{text}");
        assert!(text.contains(what), "{text}");
        let asked = server.requests().len();
        assert!(source.read_at(1_500_000, &mut [0; 10]).is_err(), "stays failed");
        assert_eq!(server.requests().len(), asked);
    }
}

#[test]
fn ranges_other_than_asked_for_are_refused() {
    let bytes = sample(1_000_000);
    type Lie = fn(&Request, Reply) -> Reply;
    let lies: [(&str, Lie); 6] = [
        ("instead of", |request, reply| shifted(request, reply, 1, 1)),
        ("instead of", |request, reply| shifted(request, reply, 0, -1)),
        ("did not send the range", |_, mut reply| {
            reply.headers.retain(|(name, _)| name != "Content-Range");
            reply
        }),
        ("invalid content-range value", |_, mut reply| {
            reply.headers.retain(|(name, _)| name != "Content-Range");
            reply.with("Content-Range", "bytes 0-3/*")
        }),
        ("range requests not supported", |_, reply| Reply { status: 200, ..reply }),
        ("content encoding", |_, reply| reply.with("Content-Encoding", "gzip")),
    ];
    for (words, lie) in lies {
        let text = read_from(&bytes, lie).unwrap_err();
        assert!(text.contains(words), "{text}");
    }
}

fn shifted(request: &Request, mut reply: Reply, by: usize, longer: isize) -> Reply {
    let (first, last) = request.range().unwrap();
    reply.headers.retain(|(name, _)| name != "Content-Range");
    let last = (last + by).checked_add_signed(if by == 0 { longer } else { 0 }).unwrap();
    reply.with("Content-Range", &format!("bytes {}-{last}/1000000", first + by))
}

#[test]
fn body_longer_or_shorter_than_its_range_is_noticed() {
    let bytes = sample(1_000_000);
    // Framed as longer than the range: refused. Framed as shorter: likewise.
    for length in [10, 10_000_000] {
        let text =
            read_from(&bytes, move |_, reply| Reply { length: Some(length), ..reply }).unwrap_err();
        assert!(text.contains("instead of"), "{text}");
    }
}

#[test]
fn stalled_and_dripping_servers_are_given_up_in_time() {
    let patience = Patience { stall: Duration::from_millis(400), tries: 1, ..quick().patience };
    for fault in [
        Reply { stall: Some(1000), ..Reply::default() },
        Reply { drip: Some((1, Duration::from_millis(50))), ..Reply::default() },
        Reply { delay: Duration::from_secs(300), ..Reply::default() },
    ] {
        let bytes = sample(100_000);
        let server = TestServer::start(move |request| {
            let good = Reply::file(request, &bytes);
            // Whoever opens it again, since the machine was busy, is served well too.
            if request.headers.get("range").is_some_and(|range| range == "bytes=0-3") {
                return good;
            }
            Reply { stall: fault.stall, drip: fault.drip, delay: fault.delay, ..good }
        });
        let source = HttpSource::open(&server.url, &HttpOptions { patience, ..quick() }).unwrap();
        let start = Instant::now();
        let text = read_all(&source).unwrap_err();
        assert!(text.contains("no progress for") || text.contains("too slow"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

#[test]
fn end_of_all_patience_holds_over_repetitions() {
    let patience =
        Patience { total: Some(Duration::from_secs(2)), tries: 1_000_000, ..quick().patience };
    let server = TestServer::start(|request| match request.number {
        0 => Reply::file(request, &[7; 5000]),
        _ => Reply::new(503, b""),
    });
    let source = HttpSource::open(&server.url, &HttpOptions { patience, ..quick() }).unwrap();
    let start = Instant::now();
    let text = read_all(&source).unwrap_err();
    assert!(text.contains("503") || text.contains("too slow"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// As `InspectBundle` opens bundles: a server that drips its first answer, or leads on and on,
/// must not hold whoever waits for the engine.
#[test]
fn end_of_all_patience_holds_for_the_first_answer_and_over_redirects() {
    let dripping = TestServer::start(|request| Reply {
        drip: Some((1, Duration::from_millis(700))),
        ..Reply::file(request, &[7; 5000])
    });
    let leading = TestServer::start(|request| Reply {
        delay: Duration::from_millis(900),
        ..Reply::redirect(302, &format!("/{}", request.number))
    });
    let total = Some(Duration::from_millis(1500));
    let patience = Patience { total, tries: 1000, first_tries: 1000, ..Patience::default() };
    for server in [dripping, leading] {
        let start = Instant::now();
        let refused = HttpSource::open(&server.url, &HttpOptions { patience, ..quick() });
        let text = chain(&refused.unwrap_err());
        assert!(text.contains("too slow"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?} {text}", start.elapsed());
    }
}

#[test]
fn stop_question_ends_waiting_reads_long_before_the_server_is_given_up() {
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    let stop: HttpStop =
        Arc::new(move || asked.load(Ordering::SeqCst).then_some("cancelled by user"));
    let bytes = sample(4_000_000);
    let server = TestServer::start(move |request| {
        let good = Reply::file(request, &bytes);
        // The stream starts at the second segment and then stalls.
        if request.number > 1 { Reply { stall: Some(300_000), ..good } } else { good }
    });
    let options = HttpOptions { stop: Some(stop), ..quick() };
    let options = HttpOptions { patience: Patience::default(), ..options };
    let source = HttpSource::open(&server.url, &options).unwrap();
    let later = Arc::clone(&stopped);
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        later.store(true, Ordering::SeqCst);
        Instant::now()
    });
    let text = read_all(&source).unwrap_err();
    let took = stopper.join().unwrap().elapsed();
    assert!(text.contains("fetching was stopped: cancelled by user"), "{text}");
    assert!(took < Patience::default().stall / 2, "{took:?}");
}

#[test]
fn dead_port_and_wrong_urls_fail_with_their_reason() {
    let refused = HttpSource::open("http://127.0.0.1:1/x", &quick()).unwrap_err();
    assert!(chain(&refused).contains("onnect"), "{}", chain(&refused));
    for url in ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://a\\@127.0.0.1/"] {
        assert!(matches!(HttpSource::open(url, &quick()), Err(HttpError::Url(_))), "{url}");
    }
}
