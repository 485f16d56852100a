// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which requests do reads make?

use super::{quick, sample};
use crate::Source;
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpOptions, HttpSource};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const SEGMENT: usize = 256 * 1024;

fn ranges(server: &TestServer) -> Vec<String> {
    let header = |r: &crate::http::test_server::Request| r.header("range").unwrap_or("").to_owned();
    server.requests().iter().map(header).collect()
}

#[test]
fn info_takes_three_exact_requests_and_info_headers_only_in_the_first() {
    let bytes = sample(26_506);
    let server = TestServer::serve(bytes.clone());
    let options = HttpOptions {
        headers: vec!["Test-Header: Test-Value".to_owned()],
        info_headers: vec![
            ("RAUC-Serial".to_owned(), "1234".to_owned()),
            ("RAUC-Variant".to_owned(), "x".to_owned()),
        ],
        ..quick()
    };
    let source = HttpSource::open(&format!("{}/b.raucb", server.url), &options).unwrap();
    assert_eq!(source.len().get(), 26_506);
    assert_eq!(source.etag(), Some("\"one\""));
    let mut trailer = [0; 8];
    source.read_at(26_498, &mut trailer).unwrap();
    let mut cms = vec![0; 26_498 - 24_576];
    source.read_at(24_576, &mut cms).unwrap();
    assert_eq!((&trailer[..], &cms[..]), (&bytes[26_498..], &bytes[24_576..26_498]));
    assert_eq!(ranges(&server), ["bytes=0-3", "bytes=26498-26505", "bytes=24576-26497"]);
    for (at, request) in server.requests().iter().enumerate() {
        let mut names: Vec<&str> = request.headers.keys().map(String::as_str).collect();
        names.retain(|name| !matches!(*name, "host" | "accept"));
        let first = ["range", "rauc-serial", "rauc-variant", "test-header", "user-agent"];
        let later = ["range", "test-header", "user-agent"];
        assert_eq!(names, if at == 0 { &first[..] } else { &later[..] });
        assert_eq!(request.header("user-agent"), Some("rauc/1.2.3"));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(source.counts().requests, 3);
    assert_eq!(source.bytes_fetched(), 4 + 8 + 1922);
}

#[test]
fn reading_on_takes_few_long_requests_and_every_byte_once() {
    let bytes = sample(48 * 1024 * 1024);
    let server = TestServer::serve(bytes.clone());
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let mut buf = vec![0; SEGMENT];
    for at in (0..bytes.len()).step_by(SEGMENT) {
        source.read_at(at as u64, &mut buf).unwrap();
        assert!(buf == bytes[at..at + SEGMENT], "{at}");
    }
    // First, the segment at 0, then 2 + 4 + 8 + 16 + rest MiB.
    assert_eq!(server.requests().len(), 7, "{:?}", ranges(&server));
    assert_eq!(source.bytes_fetched(), bytes.len() as u64 + 4);
    assert!(server.connections() <= 2);
}

#[test]
fn latency_is_paid_per_request_and_not_per_read() {
    let bytes = sample(32 * 1024 * 1024);
    let served = bytes.clone();
    let server = TestServer::start(move |request| Reply::file(request, &served));
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let mut buf = vec![0; SEGMENT];
    for at in (0..bytes.len()).step_by(SEGMENT) {
        source.read_at(at as u64, &mut buf).unwrap();
    }
    // 128 reads.
    assert!(server.requests().len() <= 8);
}

#[test]
fn a_near_server_is_asked_for_less_ahead_of_its_reader_than_a_far_one() {
    const MIB: u64 = 1 << 20;
    let bytes = sample(16 * 1024 * 1024);
    // A server may be late now and then; never sooner than its line is long.
    let fetched_ahead = |latency: fn(usize) -> u64, least: u64| {
        let served = bytes.clone();
        let server = TestServer::start(move |request| {
            std::thread::sleep(Duration::from_millis(latency(request.number)));
            Reply::file(request, &served)
        });
        let source = HttpSource::open(&server.url, &quick()).unwrap();
        for lone in 0..6 {
            source.read_at(15 * MIB + lone * 50_000, &mut [0; 10]).unwrap();
        }
        let mut buf = vec![0; SEGMENT];
        for at in (0..4 * SEGMENT).step_by(SEGMENT) {
            source.read_at(at as u64, &mut buf).unwrap();
        }
        let begun = Instant::now();
        while source.bytes_fetched() < MIB + least && begun.elapsed().as_secs() < 30 {
            std::thread::sleep(Duration::from_millis(10));
        }
        // For more to come that should not.
        std::thread::sleep(Duration::from_millis(400));
        source.bytes_fetched() - MIB
    };
    let near = fetched_ahead(|number| if number % 2 == 1 { 50 } else { 0 }, MIB);
    assert!((MIB..4 * MIB).contains(&near), "{near}");
    let far = fetched_ahead(|_| 30, 6 * MIB);
    assert!((6 * MIB..7 * MIB).contains(&far), "{far}");
}

#[test]
fn two_threads_and_reads_of_a_tree_between_do_not_break_the_stream() {
    let data = 40 * 1024 * 1024;
    let bytes = Arc::new(sample(data + 1024 * 1024));
    let served = Arc::clone(&bytes);
    let server = TestServer::start(move |request| Reply::file(request, &served));
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    source.end_of_data(data as u64);
    // As far apart as the threads of a payload may be, in either order.
    let step = Barrier::new(2);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (source, bytes, step) = (&source, &bytes, &step);
            scope.spawn(move || {
                let mut buf = vec![0; SEGMENT];
                let mut leaf = vec![0; 65_536];
                for piece in (thread..data / SEGMENT).step_by(2) {
                    step.wait();
                    let at = piece * SEGMENT;
                    source.read_at(at as u64, &mut buf).unwrap();
                    assert!(buf == bytes[at..at + SEGMENT], "{at}");
                    // As the verity reader does every 8 MiB, on whichever thread it falls.
                    if piece % 32 == 0 {
                        let at = data + piece / 32 * leaf.len();
                        source.read_at(at as u64, &mut leaf).unwrap();
                        assert!(leaf == bytes[at..at + leaf.len()], "{at}");
                    }
                }
            });
        }
    });
    let fetched = source.bytes_fetched();
    // Neither is the tree fetched by the stream, nor data twice.
    assert!(fetched <= bytes.len() as u64 + 4 * SEGMENT as u64, "{fetched}");
    assert!(server.requests().len() <= 18, "{:?}", ranges(&server));
}

#[test]
fn lone_reads_fetch_exactly_their_bytes_and_repeated_ones_nothing() {
    let bytes = sample(8 * 1024 * 1024);
    let server = TestServer::serve(bytes.clone());
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let mut buf = vec![0; 4096];
    for _ in 0..3 {
        for at in [5_000_000, 100, 3_000_000, 7_000_000_usize] {
            source.read_at(at as u64, &mut buf).unwrap();
            assert!(buf == bytes[at..at + 4096], "{at}");
        }
    }
    assert_eq!(source.counts().requests, 1 + 4);
    assert_eq!(source.bytes_fetched(), 4 + 4 * 4096);
}

/// Two neighbours each half megabyte.
fn scattered() -> Vec<(u64, u64)> {
    (0..60)
        .flat_map(|at| {
            let first = at * 500_000;
            [(first, first + 4096), (first + 4096, first + 8192)]
        })
        .collect()
}

/// Reads what was announced; the source, for its counts.
fn read_scattered(server: &TestServer, bytes: &[u8]) -> HttpSource {
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    let wanted = scattered();
    source.prefetch(&wanted);
    let mut buf = vec![0; 4096];
    for (first, end) in &wanted {
        source.read_at(*first, &mut buf).unwrap();
        let first = usize::try_from(*first).unwrap();
        assert!(buf == bytes[first..usize::try_from(*end).unwrap()], "{first}");
    }
    source
}

#[test]
fn announced_ranges_take_few_requests_where_the_server_can() {
    let bytes = sample(30 * 1024 * 1024);
    let served = bytes.clone();
    let server = TestServer::start(move |request| Reply::parts(request, &served));
    let source = read_scattered(&server, &bytes);
    assert_eq!(source.counts().requests, 1 + 2);
    assert!(source.bytes_fetched() < 60 * (8192 + 200), "{}", source.bytes_fetched());
}

#[test]
fn announced_ranges_are_fetched_one_by_one_from_other_servers() {
    let bytes = sample(30 * 1024 * 1024);
    // Whole file, refusal, one range of them, damaged parts: what servers really do.
    for kind in 0..4 {
        let served = bytes.clone();
        let server = TestServer::start(move |request| {
            let several = request.header("range").is_some_and(|range| range.contains(','));
            match kind {
                0 if several => Reply::new(200, &served),
                1 if several => Reply::new(416, b""),
                2 if several => Reply::new(206, &served[..8192])
                    .with("Content-Range", &format!("bytes 0-8191/{}", served.len())),
                3 if several => {
                    let mut reply = Reply::parts(request, &served);
                    reply.body.truncate(50_000);
                    reply
                }
                _ => Reply::file(request, &served),
            }
        });
        let source = read_scattered(&server, &bytes);
        // Two threads may each have asked once.
        let requests = source.counts().requests;
        assert!((1 + 60 + 1..=1 + 60 + 2).contains(&requests), "{kind}: {requests}");
    }
}

#[test]
fn server_that_drops_the_line_at_several_ranges_is_asked_for_one_at_a_time() {
    let bytes = sample(30 * 1024 * 1024);
    let served = bytes.clone();
    let server = TestServer::start(move |request| {
        let several = request.header("range").is_some_and(|range| range.contains(','));
        Reply { cut: several.then_some(0), ..Reply::file(request, &served) }
    });
    let source = read_scattered(&server, &bytes);
    assert!(source.counts().requests <= 1 + 60 + 4, "{:?}", source.counts());
}

#[test]
fn file_that_changes_is_noticed_in_parts_too() {
    let bytes = sample(30 * 1024 * 1024);
    let server = TestServer::start(move |request| {
        let mut reply = Reply::parts(request, &bytes);
        if request.number > 0 {
            reply.headers.retain(|(name, _)| name != "ETag");
            reply = reply.with("ETag", "\"two\"");
        }
        reply
    });
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    source.prefetch(&scattered());
    let failure = source.read_at(0, &mut [0; 4096]).unwrap_err();
    assert!(super::chain(&failure).contains("ETag was"), "{}", super::chain(&failure));
}

#[test]
fn ranges_outside_and_empty_reads_ask_nobody() {
    let server = TestServer::serve(sample(1000));
    let source = HttpSource::open(&server.url, &quick()).unwrap();
    source.read_at(1000, &mut []).unwrap();
    assert!(source.read_at(999, &mut [0; 2]).is_err());
    assert!(source.read_at(u64::MAX, &mut [0; 2]).is_err());
    assert_eq!(server.requests().len(), 1);
}
