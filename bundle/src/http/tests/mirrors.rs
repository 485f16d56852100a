// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several servers with one bundle: who is asked, when is one left, and whose word counts?

use super::bundles::{Made, NOW, make, read_image};
use super::{chain, quick, sample};
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpError, HttpMirrors, HttpNotice, HttpOptions, Patience, retry_after};
use crate::{
    CheckTime, Keyring, KeyringOptions, Limits, RemoteBundle, RemoteError, RemoteRules, Source,
    Wanted, look,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::ByteLen;

type Told = Arc<Mutex<Vec<HttpNotice>>>;

fn telling() -> (HttpOptions, Told) {
    let told = Told::default();
    let notices = Arc::clone(&told);
    let notice = move |notice: &HttpNotice| notices.lock().unwrap().push(notice.clone());
    (HttpOptions { notices: Some(Arc::new(notice)), ..quick() }, told)
}

fn left(told: &Told) -> Vec<String> {
    let told = told.lock().unwrap();
    told.iter()
        .filter(|notice| matches!(notice, HttpNotice::MirrorLeft { .. }))
        .map(ToString::to_string)
        .collect()
}

fn read_all(source: &dyn Source) -> Result<Vec<u8>, String> {
    let mut all = vec![0; usize::try_from(source.len().get()).unwrap()];
    for (at, piece) in (0..).step_by(256 * 1024).zip(all.chunks_mut(256 * 1024)) {
        source.read_at(at, piece).map_err(|failure| chain(&failure))?;
    }
    Ok(all)
}

#[test]
fn mirror_that_is_not_there_is_passed_over_and_that_is_told() {
    let bytes = sample(1_000_000);
    let gone = TestServer::start(|_| Reply::new(404, b""));
    let good = TestServer::serve(bytes.clone());
    let (options, told) = telling();
    let source = HttpMirrors::open(&[gone.url.clone(), good.url.clone()], &options).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    let left = left(&told);
    assert!(left.len() == 1 && left[0].contains("404") && left[0].contains(&good.url), "{left:?}");
    // Each mirror is asked once, however many readers find out that it is gone.
    let served = bytes.clone();
    let dying = TestServer::start(move |request| match request.number {
        0 => Reply::file(request, &served),
        _ => Reply::new(404, b""),
    });
    let asked = gone.requests().len();
    let source = HttpMirrors::open(&[dying.url.clone(), gone.url.clone()], &options).unwrap();
    for _ in 0..3 {
        assert!(source.read_at(5000, &mut [0; 10]).is_err());
    }
    assert_eq!(gone.requests().len(), asked + 1);
    let refused = HttpMirrors::open(&[gone.url.clone(), gone.url.clone()], &options).unwrap_err();
    assert!(matches!(refused, HttpError::NotFound { .. }), "{refused}");
    assert!(matches!(HttpMirrors::open(&[], &options), Err(HttpError::Option { .. })));
}

/// Quick to fail, and slow by the second.
fn measured(total: Option<Duration>) -> (HttpOptions, Told) {
    let (options, told) = telling();
    let patience = Patience { average: Duration::from_secs(1), total, ..options.patience };
    (HttpOptions { patience, ..options }, told)
}

/// As fast as no stall is noticed for a minute. A server that drips held an install for a week.
#[test]
fn mirror_that_drips_is_left_for_the_next_and_the_last_one_is_borne_with() {
    let bytes = sample(200_000);
    let dripping = |from: usize| {
        let served = bytes.clone();
        TestServer::start(move |request| {
            let drip = (request.number >= from).then_some((20, Duration::from_millis(100)));
            Reply { drip, ..Reply::file(request, &served) }
        })
    };
    let (slow, good) = (dripping(1), TestServer::serve(bytes.clone()));
    let (options, told) = measured(None);
    let urls = [slow.url.clone(), good.url.clone()];
    let source = HttpMirrors::open(&urls, &options).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    let left = left(&told);
    assert!(left.len() == 1 && left[0].contains("bytes per second, less than 512"), "{left:?}");
    // Where it is the last, it is slow and goes on: the end of all patience is another one.
    let (options, told) = measured(Some(Duration::from_secs(4)));
    let source = HttpMirrors::open(std::slice::from_ref(&slow.url), &options).unwrap();
    let text = source.read_at(5000, &mut [0; 10_000]).unwrap_err();
    assert!(chain(&text).contains("the server is too slow"), "{text}");
    assert!(told.lock().unwrap().iter().all(|one| !matches!(one, HttpNotice::MirrorLeft { .. })));
}

/// A server that drips, of `bytes`, from its second answer on.
fn dripping(bytes: &[u8], (drop, pause): (usize, u64)) -> TestServer {
    let served = bytes.to_vec();
    TestServer::start(move |request| {
        let drip = (request.number > 0).then_some((drop, Duration::from_millis(pause)));
        Reply { drip, ..Reply::file(request, &served) }
    })
}

/// Bursts with pauses between, and pages of errors meanwhile, were as fast as anybody.
#[test]
fn a_mirror_that_fails_and_wants_pauses_is_left_for_being_slow() {
    let bytes = sample(70_000);
    let served = bytes.clone();
    let bad = TestServer::start(move |request| match request.number {
        0 => Reply::file(request, &served),
        _ => Reply::new(503, &[b'x'; 60_000]).with("Retry-After", "1"),
    });
    let good = TestServer::serve(bytes.clone());
    let (options, told) = measured(None);
    let patience = Patience { tries: 20, ..options.patience };
    let urls = [bad.url.clone(), good.url.clone()];
    let source = HttpMirrors::open(&urls, &HttpOptions { patience, ..options }).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    let left = left(&told);
    assert!(left.len() == 1 && left[0].contains("bytes per second, less than"), "{left:?}");
}

/// Over a slow line every place is slow: the honest one was left for a dead one, for good.
#[test]
fn a_slow_mirror_is_gone_back_to_where_no_other_has_the_file() {
    let bytes = sample(70_000);
    let slow = dripping(&bytes, (40, 100));
    let (options, told) = measured(None);
    let urls = [slow.url.clone(), "http://127.0.0.1:1/b".to_owned()];
    let source = HttpMirrors::open(&urls, &options).unwrap();
    let mut first = [0; 2_000];
    source.read_at(0, &mut first).unwrap();
    assert!(first == bytes[..2_000]);
    let left = left(&told);
    assert!(left.len() == 2 && left[1].contains("Could not connect"), "{left:?}");
}

/// What the first of two bad places gave excused the second.
#[test]
fn two_mirrors_that_drip_shut_no_third_one_out() {
    let bytes = sample(70_000);
    let (one, two) = (dripping(&bytes, (20, 100)), dripping(&bytes, (30, 100)));
    let good = TestServer::serve(bytes.clone());
    let (options, told) = measured(None);
    let urls = [one.url.clone(), two.url.clone(), good.url.clone()];
    let source = HttpMirrors::open(&urls, &options).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    assert_eq!(left(&told).len(), 2, "{told:?}");
}

/// Each of sixteen mirrors had all of it.
#[test]
fn end_of_all_patience_is_one_for_all_mirrors() {
    let faulty = || {
        TestServer::start(|request| match request.number {
            0 => Reply::file(request, &[7; 5000]),
            _ => Reply::new(503, b""),
        })
    };
    let (first, second) = (faulty(), faulty());
    let (options, told) = measured(Some(Duration::from_millis(500)));
    let patience = Patience { tries: 1_000_000, ..options.patience };
    let urls = [first.url.clone(), second.url.clone()];
    let source = HttpMirrors::open(&urls, &HttpOptions { patience, ..options }).unwrap();
    assert!(source.read_at(100, &mut [0; 10]).is_err());
    assert_eq!((second.requests().len(), left(&told)), (0, Vec::new()));
}

#[test]
fn reading_goes_on_at_the_same_place_when_a_mirror_dies_or_changes() {
    let bytes = sample(24 * 1024 * 1024);
    for change in [false, true] {
        let served = bytes.clone();
        let first = TestServer::start(move |request| match (request.number, change) {
            (0..=2, _) => Reply::file(request, &served),
            (_, false) => Reply::new(404, b""),
            (_, true) => {
                let mut reply = Reply::file(request, &served);
                reply.headers.retain(|(name, _)| name != "ETag");
                reply.with("ETag", "\"two\"")
            }
        });
        let second = TestServer::serve(bytes.clone());
        let (options, told) = telling();
        let urls = [first.url.clone(), second.url.clone()];
        let source = HttpMirrors::open(&urls, &options).unwrap();
        assert!(read_all(&source).unwrap() == bytes);
        let left = left(&told);
        let cause = if change { "changed while it was fetched" } else { "404" };
        assert!(left.len() == 1 && left[0].contains(cause), "{left:?}");
        // What the first brought is not asked for again, but for what it was ahead.
        let counts = source.counts();
        assert!(counts.bytes <= bytes.len() as u64 + 2 * 1024 * 1024, "{counts:?}");
        let lowest = second.requests().iter().skip(1).filter_map(|r| r.range()).min().unwrap();
        assert!(lowest.0 >= 256 * 1024, "{lowest:?}");
    }
}

#[test]
fn mirror_with_another_length_is_no_mirror() {
    let bytes = sample(3_000_000);
    let served = bytes.clone();
    let first = TestServer::start(move |request| match request.number {
        0 => Reply::file(request, &served),
        _ => Reply::new(410, b""),
    });
    let other = TestServer::serve(sample(2_999_999));
    let good = TestServer::serve(bytes.clone());
    let (options, told) = telling();
    let urls = [first.url.clone(), other.url.clone(), good.url.clone()];
    let source = HttpMirrors::open(&urls, &options).unwrap();
    assert!(read_all(&source).unwrap() == bytes);
    let left = left(&told);
    assert!(left.len() == 2 && left[1].contains("2999999 bytes instead of 3000000"), "{left:?}");
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn secrets_are_for_the_first_and_its_own_server_alone() {
    let bytes = sample(100_000);
    let served = bytes.clone();
    let home = TestServer::start(move |request| match request.path.as_str() {
        "/gone" => Reply::new(404, b""),
        _ => Reply::file(request, &served),
    });
    let far = TestServer::start(|_| Reply::new(500, b""));
    let (options, _) = telling();
    let options = HttpOptions {
        headers: vec!["X-Token: geheim".to_owned()],
        info_headers: vec![("RAUC-Serial".to_owned(), "geheim".to_owned())],
        ..options
    };
    let user = home.url.replace("http://", "http://joe:geheim@");
    let urls = [format!("{user}/gone"), far.url.clone(), format!("{}/there", home.url)];
    HttpMirrors::open(&urls, &options).unwrap();
    for request in far.requests() {
        assert!(request.headers.values().all(|value| !value.contains("geheim")), "{request:?}");
        assert!(request.header("authorization").is_none());
    }
    let there = home.requests().pop().unwrap();
    assert_eq!(there.header("x-token"), Some("geheim"));
    assert!(there.header("rauc-serial").is_none() && there.header("authorization").is_none());
}

#[test]
fn secrets_are_for_their_homes_where_nearer_places_are_asked_first() {
    let bytes = sample(100_000);
    let served = bytes.clone();
    let near = TestServer::start(|_| Reply::new(404, b""));
    let home = TestServer::start(move |request| Reply::file(request, &served));
    let (options, _) = telling();
    let options = HttpOptions {
        headers: vec!["X-Token: geheim".to_owned()],
        homes: vec![home.url.clone()],
        info_headers: vec![("RAUC-Boot-ID".to_owned(), "7".to_owned())],
        ..options
    };
    let urls = [format!("{}/b", near.url), format!("{}/b", home.url)];
    HttpMirrors::open(&urls, &options).unwrap();
    let asked = near.requests();
    assert!(!asked.is_empty() && asked.iter().all(|one| one.header("x-token").is_none()));
    assert_eq!(asked[0].header("rauc-boot-id"), None, "who asks is for homes to know");
    let direct = TestServer::serve(bytes.clone());
    let options = HttpOptions { homes: vec![direct.url.clone()], ..options };
    HttpMirrors::open(&[format!("{}/b", direct.url)], &options).unwrap();
    assert_eq!(direct.requests()[0].header("rauc-boot-id"), Some("7"));
    assert!(home.requests().iter().all(|one| one.header("x-token") == Some("geheim")));
    // The stores of a bundle on a mirror are the mirror's, not its home's.
    let store = options.for_other(&urls[0], &format!("{}/store", near.url)).unwrap();
    assert!(store.headers.is_empty());
}

fn look_at(made: &Made, servers: &[&TestServer]) -> (Result<RemoteBundle, RemoteError>, Told) {
    look_for(Wanted::default(), made, servers)
}

fn look_for(
    wanted: Wanted,
    made: &Made,
    servers: &[&TestServer],
) -> (Result<RemoteBundle, RemoteError>, Told) {
    let keyring = Keyring::from_pem(&made.ca, KeyringOptions::default()).unwrap();
    let rules = RemoteRules {
        limits: Limits::default(),
        keyring: &keyring,
        time: CheckTime::At(NOW),
        identity: &|| Ok(None),
        wanted,
    };
    let urls: Vec<String> = servers.iter().map(|server| format!("{}/b", server.url)).collect();
    let (options, told) = telling();
    (look(&urls, &options, &rules), told)
}

#[test]
fn look_reads_signature_and_manifest_and_nothing_of_the_content() {
    let made = make([100_000, 8 * 1024 * 1024]);
    let server = TestServer::serve(made.bundle.clone());
    let (seen, _) = look_at(&made, &[&server]);
    let seen = seen.unwrap();
    let facts = seen.facts();
    assert_eq!((facts.compatible.as_str(), facts.version.as_deref()), ("x", None));
    assert_eq!(facts.manifest, seen.bundle().manifest_digest());
    assert_eq!(facts.size, ByteLen::new(made.bundle.len() as u64));
    assert_eq!(facts.etag.as_deref(), Some("\"one\""));
    assert_eq!(facts.effective_url, format!("{}/b", server.url));
    let counts = seen.source().counts();
    assert!(counts.requests == 3 && counts.bytes < 32 * 1024, "{counts:?}");
    // The same connection goes on with the content.
    assert!(read_image(seen.bundle(), "boot").unwrap() == made.images[0]);
}

/// Fails at the first wrong block when nobody asks for another copy.
#[test]
fn blocks_that_are_not_the_signed_ones_come_from_the_next_mirror() {
    let made = make([100_000, 8 * 1024 * 1024]);
    let len = made.bundle.len();
    // In the data, and in the hash tree behind it.
    for place in [3_000_000, len - 20_000] {
        let mut bytes = made.bundle.clone();
        bytes[place] ^= 1;
        let (bad, good) = (TestServer::serve(bytes), TestServer::serve(made.bundle.clone()));
        let (seen, told) = look_at(&made, &[&bad, &good]);
        let seen = seen.unwrap();
        assert!(read_image(seen.bundle(), "boot").unwrap() == made.images[0], "{place}");
        assert!(read_image(seen.bundle(), "rootfs").unwrap() == made.images[1], "{place}");
        let left = left(&told);
        assert!(left.len() == 1 && left[0].contains("not the ones that were signed"), "{left:?}");
        // Where there is no other copy it fails as ever.
        let (seen, _) = look_at(&made, &[&bad]);
        let seen = seen.unwrap();
        let both = read_image(seen.bundle(), "boot").and(read_image(seen.bundle(), "rootfs"));
        assert!(both.is_err(), "{place}");
    }
}

#[test]
fn mirror_without_a_good_signature_is_left_before_anything_is_believed() {
    let made = make([100_000, 300_000]);
    let mut bytes = made.bundle.clone();
    // The end of the signature's value, before the eight bytes of its length.
    let place = bytes.len() - 20;
    bytes[place] ^= 1;
    let (bad, good) = (TestServer::serve(bytes), TestServer::serve(made.bundle.clone()));
    let (refused, _) = look_at(&made, &[&bad]);
    let text = chain(&refused.unwrap_err());
    assert!(text.starts_with("cannot use http://127.0.0.1"), "{text}");
    let (seen, told) = look_at(&made, &[&bad, &good]);
    assert!(read_image(seen.unwrap().bundle(), "rootfs").unwrap() == made.images[1]);
    assert_eq!(left(&told).len(), 1);
}

/// One bad mirror, asked first, must not keep every device from what the honest ones have.
#[test]
fn mirror_of_another_length_is_left_before_a_signature_held() {
    let made = make([100_000, 300_000]);
    let good = TestServer::serve(made.bundle.clone());
    let junk = TestServer::serve(sample(5_000_001));
    let huge = sample(9_000_000);
    let lost = TestServer::start(move |request| match request.number {
        0 => Reply::file(request, &huge),
        _ => Reply::new(404, b""),
    });
    for bad in [&junk, &lost] {
        let (seen, told) = look_at(&made, &[bad, &good]);
        let seen = seen.unwrap();
        assert_eq!(seen.facts().size, ByteLen::new(made.bundle.len() as u64));
        assert!(read_image(seen.bundle(), "rootfs").unwrap() == made.images[1]);
        assert_eq!(left(&told).len(), 1);
    }
    // From then on the length counts.
    let served = made.bundle.clone();
    let dying = TestServer::start(move |request| match request.number {
        0..=2 => Reply::file(request, &served),
        _ => Reply::new(404, b""),
    });
    let (seen, told) = look_at(&made, &[&dying, &junk, &good]);
    assert!(read_image(seen.unwrap().bundle(), "rootfs").unwrap() == made.images[1]);
    let left = left(&told);
    assert!(left.len() == 2 && left[1].contains("5000001 bytes instead of"), "{left:?}");
}

#[test]
fn mirror_with_another_true_bundle_is_left_where_the_wanted_one_is_known() {
    let (former, wanted) = (make([50_000, 200_000]), make([100_000, 300_000]));
    let ca = [former.ca.clone(), wanted.ca.clone()].concat();
    let (old, new) =
        (TestServer::serve(former.bundle.clone()), TestServer::serve(wanted.bundle.clone()));
    let made = Made { ca, ..wanted };
    let facts = |servers: &[&TestServer], wanted: &Wanted| {
        let (seen, told) = look_for(wanted.clone(), &made, servers);
        (seen.unwrap().facts(), left(&told))
    };
    let (known, _) = facts(&[&new], &Wanted::default());
    let (manifest, size) = (Some(known.manifest), Some(known.size));
    for wanted in [
        Wanted { manifest, ..Wanted::default() },
        Wanted { size, ..Wanted::default() },
        Wanted { manifest, size, version: None },
    ] {
        let (found, left) = facts(&[&old, &new], &wanted);
        assert_eq!(found.manifest, known.manifest, "{wanted:?}");
        assert!(left.len() == 1 && left[0].contains("its bundle"), "{left:?}");
        // What is there is for a judgement to refuse.
        assert_ne!(facts(&[&old], &wanted).0.manifest, known.manifest);
    }
    let version = Wanted { version: Some("9".to_owned()), ..Wanted::default() };
    assert_eq!(facts(&[&old, &new], &version).0.manifest, known.manifest);
    // Who looks for any takes the first.
    assert_ne!(facts(&[&old, &new], &Wanted::default()).0.manifest, known.manifest);
}

/// One mirror of several had the whole device wait for a day.
#[test]
fn the_mirror_that_asks_for_the_least_pause_is_the_one_that_is_told() {
    let put_off = |secs: &'static str| {
        TestServer::start(move |_| Reply::new(503, b"later").with("Retry-After", secs))
    };
    let (day, hour) = (put_off("86400"), put_off("3600"));
    let gone = TestServer::start(|_| Reply::new(404, b""));
    let told = |servers: &[&TestServer]| {
        let urls: Vec<String> = servers.iter().map(|server| server.url.clone()).collect();
        let failure = HttpMirrors::open(&urls, &quick()).unwrap_err();
        retry_after(&failure).map(|pause| pause.as_secs())
    };
    assert_eq!(told(&[&day]), Some(86_400));
    assert_eq!((told(&[&day, &hour]), told(&[&hour, &day])), (Some(3600), Some(3600)));
    assert_eq!((told(&[&day, &gone]), told(&[&gone, &day])), (None, None));
}
