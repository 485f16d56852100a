// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole files: stores and downloads.

use super::{chain, quick, sample};
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpError, HttpFiles, HttpOptions, download};
use std::collections::HashSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use storage::ByteLen;

/// Only ends a test that would hang.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn missing_chunks_are_none_and_large_ones_refused() {
    let server = TestServer::start(|request| match request.path.as_str() {
        "/s/a?k=1" => Reply::new(200, &[1; 1000]),
        "/s/unframed?k=1" => Reply::new(200, &[1; 1000]),
        "/s/broken?k=1" => Reply::new(403, b""),
        _ => Reply::new(404, b"no"),
    });
    let files = HttpFiles::open(&format!("{}/s?k=1", server.url), &quick()).unwrap();
    assert_eq!(files.get("a", ByteLen::new(1000)).unwrap().unwrap(), [1; 1000]);
    assert!(files.get("b", ByteLen::new(1000)).unwrap().is_none());
    let large = files.get("a", ByteLen::new(999)).unwrap_err();
    assert!(matches!(large, HttpError::TooLarge { limit: 999, .. }), "{large}");
    let refused = files.get("broken", ByteLen::new(999)).unwrap_err();
    assert!(matches!(refused, HttpError::Status { status: 403, .. }), "{refused}");
    assert!(matches!(files.get("../x", ByteLen::new(9)), Err(HttpError::Url(_))));
    assert_eq!(server.connections(), 2, "only the refused body costs its connection");
}

#[test]
fn many_chunks_come_in_order_over_few_connections() {
    // Of four, the first is answered when the last was asked for: asked one by one, none comes.
    let asked = Arc::new((Mutex::new(HashSet::new()), Condvar::new()));
    let server = TestServer::start(move |request| {
        let number: usize = request.path.trim_start_matches('/').parse().unwrap();
        let (numbers, more) = &*asked;
        let mut numbers = numbers.lock().unwrap();
        numbers.insert(number);
        more.notify_all();
        if number.is_multiple_of(4) {
            let alone = |numbers: &mut HashSet<usize>| !numbers.contains(&(number + 3));
            if more.wait_timeout_while(numbers, LONG, alone).unwrap().1.timed_out() {
                return Reply::new(500, b"");
            }
        }
        match number {
            7 => Reply::new(404, b""),
            number => Reply::new(200, format!("chunk {number}").as_bytes()),
        }
    });
    let files = HttpFiles::open(&server.url, &quick()).unwrap();
    let names: Vec<_> = (0..120).map(|number: u32| (number.to_string(), ByteLen::kib(1))).collect();
    let mut seen = Vec::new();
    files.get_many(&names, &mut |number, found| {
        let found = found.unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found, (number != 7).then(|| format!("chunk {number}")));
        seen.push(number);
        ControlFlow::Continue(())
    });
    assert_eq!(seen, (0..120).collect::<Vec<_>>());
    assert!(server.connections() <= 8, "{}", server.connections());
    assert_eq!(files.counts().requests, 120);
}

#[test]
fn callback_that_breaks_ends_the_fetching_soon() {
    let server = TestServer::start(|_| Reply::new(200, b"x"));
    let files = HttpFiles::open(&server.url, &quick()).unwrap();
    let names: Vec<_> =
        (0..1000).map(|number: u32| (number.to_string(), ByteLen::kib(1))).collect();
    let mut seen = 0;
    files.get_many(&names, &mut |_, _| {
        seen += 1;
        if seen == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(seen, 10);
    assert!(server.requests().len() <= 10 + 24, "{}", server.requests().len());
}

fn content(file: &std::fs::File) -> Vec<u8> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn download_goes_on_where_it_broke() {
    let bytes = sample(1_000_000);
    let served = bytes.clone();
    let server = TestServer::start(move |request| Reply {
        cut: (request.number < 4).then_some(200_000),
        ..Reply::file(request, &served)
    });
    let file = tempfile::tempfile().unwrap();
    let options = HttpOptions { info_headers: vec![("I".into(), "1".into())], ..quick() };
    let found = download(&server.url, &options, &file, ByteLen::new(1_000_000)).unwrap();
    assert!(content(&file) == bytes);
    assert_eq!((found.len.get(), found.etag.as_deref()), (1_000_000, Some("\"one\"")));
    assert_eq!(found.counts.bytes, 1_000_000);
    let requests = server.requests();
    assert_eq!(requests[0].header("range"), None);
    assert_eq!(requests[1].header("range"), Some("bytes=200000-999999"));
    assert!(requests[0].header("i").is_some() && requests[1].header("i").is_none());
}

#[test]
fn download_begins_anew_where_going_on_is_impossible_or_wrong() {
    // No ranges; another file after the break.
    for kind in 0..2 {
        let bytes = sample(300_000);
        let count = Arc::new(AtomicUsize::new(0));
        let served = bytes.clone();
        let server = TestServer::start(move |request| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let mut reply = Reply::file(request, &served);
            if kind == 0 {
                reply =
                    Reply::new(200, &served).with("Accept-Ranges", "bytes").with("ETag", "\"a\"");
            } else if number > 0 {
                reply.headers.retain(|(name, _)| name != "ETag");
                reply = reply.with("ETag", "\"new\"");
            }
            Reply { cut: (number == 0).then_some(100_000), ..reply }
        });
        let file = tempfile::tempfile().unwrap();
        let found = download(&server.url, &quick(), &file, ByteLen::new(300_000)).unwrap();
        assert!(content(&file) == bytes);
        assert_eq!(found.len.get(), 300_000);
    }
}

#[test]
fn download_that_always_breaks_ends() {
    let bytes = sample(500_000);
    let server =
        TestServer::start(move |_| Reply { cut: Some(400_000), ..Reply::new(200, &bytes) });
    let file = tempfile::tempfile().unwrap();
    let refused = download(&server.url, &quick(), &file, ByteLen::new(500_000)).unwrap_err();
    assert!(matches!(refused, HttpError::Transfer { .. }), "{}", chain(&refused));
    assert_eq!(server.requests().len(), 6);
}

/// What came counted as progress each time, so that the whole file was fetched and written for ever.
#[test]
fn download_of_a_file_that_never_stays_the_same_ends() {
    let bytes = sample(500_000);
    let server = TestServer::start(move |request| {
        let mut reply = Reply::file(request, &bytes);
        reply.headers.retain(|(name, _)| name != "ETag");
        let tag = format!("\"{}\"", request.number);
        Reply { cut: Some(499_000), ..reply.with("ETag", &tag) }
    });
    let file = tempfile::tempfile().unwrap();
    let refused = download(&server.url, &quick(), &file, ByteLen::new(500_000)).unwrap_err();
    assert!(chain(&refused).contains("the file changed"), "{}", chain(&refused));
    let whole = server.requests().iter().filter(|asked| asked.range().is_none()).count();
    assert_eq!(whole, 3);
}

#[test]
fn download_stops_at_its_limit() {
    let server = TestServer::start(|_| Reply::new(200, &[0; 100_000]));
    let file = tempfile::tempfile().unwrap();
    let refused = download(&server.url, &quick(), &file, ByteLen::new(99_999)).unwrap_err();
    assert!(refused.to_string().starts_with("Maximum bundle download size exceeded"), "{refused}");
    assert!(content(&file).is_empty());
}
