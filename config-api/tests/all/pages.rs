// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot pages over real sockets, as a browser without scripts sees them.

#![cfg(all(target_os = "linux", feature = "server"))]

use crate::door::{Answer, Call, Door};
use crate::fake::{CONFIG, Fake};
use config_api::protocol::{AuditEntry, Origin};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn, sockopt};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const VALID: &str = include_str!("../fixtures/001-minimal/input.toml");
const FAULTY: &str = "version = 1\n[users.admin]\nisAdmin = true\nshell = \"fish\"\n\n[network.firewall.inbound.wan]\ntcp = [80, 99999]\n";

fn look(door: &Door, target: &str) -> Answer {
    door.call(&Call::new("GET", target))
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The form as a browser sends it: lines of the text end in two bytes, a file is there even when
/// none was chosen.
fn form(pasted: &str, file: (&str, &[u8])) -> Call {
    let mut body = Vec::new();
    let mut field = |head: &str, content: &[u8]| {
        body.extend(format!("------x\r\nContent-Disposition: form-data; {head}\r\n\r\n").bytes());
        body.extend([content, b"\r\n"].concat());
    };
    field("name=\"config\"", pasted.replace('\n', "\r\n").as_bytes());
    let head =
        format!("name=\"file\"; filename=\"{}\"\r\nContent-Type: application/octet-stream", file.0);
    field(&head, file.1);
    body.extend(b"------x--\r\n");
    Call::new("POST", "/apply")
        .header("content-type", "multipart/form-data; boundary=----x")
        .body(body)
}

fn paste(text: &str) -> Call {
    form(text, ("", b""))
}

fn strict() -> Fake {
    let fake = Fake::unprovisioned();
    fake.with(|state| {
        state.is_strict = true;
        state.forwarding_url = Some("http://172.20.30.1:8080".to_owned());
    });
    fake
}

/// The job's page that a sent form leads to.
fn followed(answer: &Answer) -> String {
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 303, "{said}");
    answer.header("location").unwrap().to_owned()
}

fn over(door: &Door, target: &str) -> String {
    door.wait(&target.replace("/ui/", "/api/"));
    text(&look(door, target))
}

#[test]
fn a_pasted_text_becomes_the_configuration_and_the_page_says_where_the_device_is() {
    let door = Door::open(strict());
    let first = text(&look(&door, "/"));
    for part in ["<label for=\"config\">", "<label for=\"file\">", "0a1b2c3d4e5f", "</button>"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    let job = followed(&door.call(&paste(VALID)));
    let done = over(&door, &job);
    assert!(done.contains(r#"<a href="http://172.20.30.1:8080">"#), "{done}");
    assert!(!done.contains("http-equiv"), "{done}");
    let applied = door.fake.with(|state| state.applied.clone());
    assert_eq!(applied, [(Origin::FirstClaim, VALID.to_owned())], "byte for byte what was pasted");
    assert_eq!(door.spooled(), 0);
    let after = look(&door, "/");
    assert_eq!(after.status, 404);
    assert!(text(&after).contains("This device has a configuration"));
    let again = door.call(&paste(VALID));
    assert_eq!(again.status, 404);
    assert!(text(&again).contains("belongs to its administrators"));
    let end = Instant::now() + Duration::from_secs(60);
    let denied = |entry: &AuditEntry| matches!(entry, AuditEntry::Denied { code, .. } if code == "already-provisioned");
    while !door.fake.with(|state| state.audit.iter().any(denied)) {
        assert!(Instant::now() < end, "it was not written down");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(look(&door, &job).status, 200, "its end can still be read");
}

#[test]
fn every_fault_is_told_at_its_place_and_the_text_is_kept() {
    let door = Door::open(strict());
    let answer = door.call(&paste(FAULTY));
    assert_eq!(answer.status, 422);
    let page = text(&answer);
    let anchors = page.matches("href=\"#fault-").count();
    assert!(anchors >= 3, "{page}");
    for number in 1..=anchors {
        assert!(page.contains(&format!("<li id=\"fault-{number}\"")), "{number}: {page}");
    }
    for part in [
        "Line 4, column 9",
        "shell = <mark>&quot;fish&quot;</mark>",
        "tcp = [80, <mark>99999</mark>]",
        "<code>network.firewall.inbound.wan.tcp[1]</code>",
        "Hint: ",
        "autofocus aria-labelledby=\"faults-title\"",
        "aria-invalid=\"true\" aria-describedby=\"config-hint faults-title\"",
        "<a href=\"#config\" data-line=\"4\" data-column=\"9\">",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let kept = format!(">\n{}</textarea>", FAULTY.replace('"', "&quot;"));
    assert!(page.contains(&kept), "{page}");
    assert_eq!(answer.header("hx-push-url"), Some("false"));
    assert!(door.fake.with(|state| state.applied.is_empty()) && door.spooled() == 0);
}

#[test]
fn hostile_text_stays_text() {
    let door = Door::open(strict());
    let hostile = "</textarea><script>alert(1)</script>\n\"><img src=x onerror=alert(1)> = 1\n";
    let page = text(&door.call(&paste(hostile)));
    assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;/textarea&gt;&lt;script&gt;"));
    let named = form("", ("<b>.toml", FAULTY.as_bytes()));
    assert!(!text(&door.call(&named)).contains("<b>.toml"));
}

#[test]
fn a_faulty_file_is_shown_and_can_be_corrected_in_the_form() {
    let door = Door::open(strict());
    let chosen = form("version = 1 # is not taken", ("mine.toml", FAULTY.as_bytes()));
    let page = text(&door.call(&chosen));
    assert!(page.contains("<b>mine.toml</b> stands in the form below"), "{page}");
    assert!(page.contains(&format!(">\n{}</textarea>", FAULTY.replace('"', "&quot;"))));
    let bundle = bundle(FAULTY);
    let page = text(&door.call(&form("", ("/home/me/b.tar.gz", &bundle))));
    assert!(
        page.contains("Correct <b>b.tar.gz</b>") && page.contains("<mark>99999</mark>"),
        "{page}"
    );
    assert!(page.contains(">\n</textarea>"), "its text alone would lose the files");
    let page = text(&door.call(&form("", ("b.tar.gz", b"no archive"))));
    assert!(page.contains("the bundle is damaged"), "{page}");
}

#[test]
fn a_chosen_bundle_is_applied() {
    let door = Door::open(strict());
    let job = followed(&door.call(&form("", ("b.tar.gz", &bundle(VALID)))));
    assert!(over(&door, &job).contains("the configuration is in force"));
    assert_eq!(door.fake.with(|state| state.applied[0].1.clone()), VALID);
}

/// A bundle with this configuration.
fn bundle(config: &str) -> Vec<u8> {
    let mut header = [0; 512];
    header[..11].copy_from_slice(b"config.toml");
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", config.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = [header.as_slice(), config.as_bytes()].concat();
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn what_is_not_taken_says_why_and_keeps_what_was_entered() {
    let door = Door::open(strict());
    let long = "x".repeat(600_000);
    let unmeasured = Call::new("POST", "/apply").header("transfer-encoding", "chunked");
    let cases = [
        (paste(" \n"), 400, "Paste a configuration or choose a file."),
        (paste(&long), 413, "The text is longer than 256 KiB."),
        (paste(VALID).header("content-length", "99999999"), 413, "The limit is 33554432 bytes."),
        (Call::new("POST", "/apply").body("config=x"), 400, "The request is no form with files."),
        (Call::new("POST", "/apply"), 400, "The request is no form with files."),
        (unmeasured, 411, "Say the body's length"),
    ];
    for (call, status, said) in cases {
        let answer = door.call(&call);
        let page = text(&answer);
        assert_eq!(answer.status, status, "{page}");
        assert!(page.contains(said), "{said}: {page}");
        assert_eq!(answer.header("hx-retarget"), Some("#notice"));
    }
    let mut cut = paste(VALID);
    cut.body.as_mut().unwrap().truncate(80 + VALID.len());
    let page = text(&door.call(&cut));
    assert!(page.contains("cut off or garbled") && page.contains("version = 1"), "{page}");
    assert_eq!(door.spooled(), 0);
}

#[test]
fn while_a_change_is_under_way_others_are_told_so() {
    let door = Door::open(strict());
    door.fake.hold();
    let job = followed(&door.call(&paste(VALID)));
    let running = text(&look(&door, &job));
    assert!(running.contains("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>"));
    assert!(running.contains(&format!("sse-connect=\"{job}/events\"")), "{running}");
    let other = look(&door, "/");
    assert_eq!(other.status, 200);
    let other = text(&other);
    assert!(other.contains("is being applied") && !other.contains(&job), "its name is its key");
    let second = door.call(&paste("version = 1 # mine"));
    assert_eq!(second.status, 409);
    door.fake.release();
    assert!(over(&door, &job).contains("in force"));
}

#[test]
fn a_job_is_followed_in_pieces_of_its_page() {
    let door = Door::open(strict());
    door.fake.hold();
    let job = followed(&door.call(&paste(VALID)));
    let mut stream = door.connect();
    stream.write_all(&Call::new("GET", &format!("{job}/events")).bytes("localhost")).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first: Vec<String> = lines.by_ref().take_while(|line| line != "event: job").collect();
    assert!(first.iter().any(|line| line == "content-type: text/event-stream"), "{first:?}");
    assert!(first.iter().any(|line| line.starts_with("data: Under way: ")), "{first:?}");
    door.fake.release();
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|line| line == "data: Done: the configuration is in force."));
    assert!(rest.iter().any(|line| line.contains("http://172.20.30.1:8080")), "{rest:?}");
    assert_eq!(rest.iter().rfind(|line| line.starts_with("event:")).unwrap(), "event: done");
}

#[test]
fn a_failed_change_says_why_and_what_was_left_behind() {
    let fake = strict();
    fake.with(|state| state.failure = Some("caddy.service: exited with 1".to_owned()));
    let door = Door::open(fake);
    let job = followed(&door.call(&paste(VALID)));
    let page = over(&door, &job);
    for part in
        ["Failed: ", "<p>caddy.service: exited with 1</p>", "as it was delivered", "href=\"/\""]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(look(&door, "/").status, 200, "it can be tried again");
}

#[test]
fn a_service_that_is_started_anew_goes_on_telling() {
    let door = Door::open(strict());
    door.fake.hold();
    let job = followed(&door.call(&paste(VALID)));
    let begun = |door: &Door| text(&look(door, &job)).contains("checking the configuration");
    while !begun(&door) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let fake = door.fake.clone();
    let door = Door::open_in(door.kill(), fake.clone());
    assert!(text(&look(&door, &job)).contains("Under way"));
    fake.release();
    assert!(over(&door, &job).contains("http://172.20.30.1:8080"));
}

#[test]
fn nobody_knows_a_job_that_there_is_not() {
    let door = Door::open(strict());
    let target = "/ui/jobs/00000000-0000-4000-8000-000000000000";
    let answer = look(&door, target);
    assert_eq!(answer.status, 404);
    assert!(text(&answer).contains("No such job."));
    assert_eq!(look(&door, &format!("{target}/events")).status, 404);
}

#[test]
fn another_sites_page_cannot_send_the_form() {
    let door = Door::open(strict());
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("referer", "http://evil.example/"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.local"),
    ] {
        let answer = door.call(&paste(VALID).header(name, value));
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert!(text(&answer).contains("That does not work"));
    }
    assert!(door.fake.with(|state| state.applied.is_empty()));
    let own = format!("http://{}", door.address);
    let call = paste(VALID).header("origin", &own).header("referer", &format!("{own}/"));
    followed(&door.call(&call));
}

#[test]
fn pages_run_nothing_but_our_files_and_are_nobodys_to_frame() {
    let door = Door::open(strict());
    let mut pages = vec![look(&door, "/"), door.call(&paste(FAULTY)), door.call(&paste(""))];
    pages.push(look(&door, "/ui/jobs/x"));
    let job = followed(&door.call(&paste(VALID)));
    pages.push(look(&door, &job));
    over(&door, &job);
    pages.extend([look(&door, &job), look(&door, "/")]);
    for answer in pages {
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // Browsers give a page with `no-referrer` no origin to send its form with.
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        let page = text(&answer);
        for forbidden in ["<script>", "style=", " onclick", "javascript:", "http://", "https://"] {
            let own = page.replace("http://172.20.30.1:8080", "");
            assert!(!own.contains(forbidden), "{forbidden}: {page}");
        }
        for (at, _) in page.match_indices("=\"/assets/") {
            let name = page[at + 2..].split('"').next().unwrap();
            let asset = look(&door, name);
            assert_eq!(
                (asset.status, asset.header("x-content-type-options")),
                (200, Some("nosniff"))
            );
        }
    }
    assert_eq!(look(&door, "/assets/README.md").status, 404);
    assert_eq!(door.call(&Call::new("HEAD", "/")).status, 404, "claimed by now");
    let back = look(&door, "/apply");
    assert_eq!((back.status, back.header("location")), (303, Some("/")));
}

#[test]
fn two_forms_at_once_and_the_others_are_told_to_come_again() {
    let door = Door::open(Fake::unprovisioned());
    // A file that does not end: whoever began one in the spool has a place.
    let chosen = form("", ("config.toml", CONFIG.as_bytes()));
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = door.connect();
            let bytes = chosen.clone().header("content-length", "5000").bytes("localhost");
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(60);
    while door.spooled() < slow.len() {
        assert!(Instant::now() < end, "nobody took a place");
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = door.call(&paste(CONFIG));
    assert_eq!((answer.status, answer.header("hx-retarget")), (429, Some("#notice")));
    drop(slow);
    while door.call(&paste("")).status == 429 {
        assert!(Instant::now() < end, "a sender that left keeps its place");
    }
}

/// A connection with packets of a cable's size: for those of loopback, the kernel would hold a whole
/// page for its reader.
fn through_a_cable(door: &Door) -> TcpStream {
    let (kind, none) = (SockType::Stream, SockFlag::empty());
    let socket = socket::socket(AddressFamily::Inet, kind, none, None).unwrap();
    socket::setsockopt(&socket, sockopt::TcpMaxSeg, &1000).unwrap();
    socket::setsockopt(&socket, sockopt::RcvBuf, &4096).unwrap();
    let SocketAddr::V4(address) = door.address else { panic!("{}", door.address) };
    socket::connect(socket.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
    TcpStream::from(socket)
}

#[test]
fn answers_that_nobody_reads_are_few() {
    let door = Door::open(strict());
    let large = paste(&"\"".repeat(450_000));
    let unread: Vec<_> = (0..8)
        .map(|number| {
            let mut stream = through_a_cable(&door);
            stream.write_all(&large.bytes("localhost")).unwrap();
            // Its answer has begun, so that its body has left the spool's two places.
            let mut first = [0; 16];
            std::io::Read::read_exact(&mut stream, &mut first).unwrap();
            assert!(first.starts_with(b"HTTP/1.1 422"), "{number}");
            stream
        })
        .collect();
    let refused = door.call(&paste(VALID));
    assert_eq!((refused.status, refused.header("hx-retarget")), (429, Some("#notice")));
    assert_eq!(look(&door, "/").status, 200);
    drop(unread);
    let end = Instant::now() + Duration::from_secs(60);
    while door.call(&paste("")).status == 429 {
        assert!(Instant::now() < end, "a reader that left keeps its place");
    }
    followed(&door.call(&paste(VALID)));
}

#[test]
fn a_helper_that_is_away_is_said_on_a_page() {
    let door = Door::open(strict());
    assert_eq!(look(&door, "/").status, 200);
    std::fs::remove_file(door.dir.path().join("helper.sock")).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // What was in force a second ago is believed.
    let answer = loop {
        let answer = look(&door, "/");
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < end);
    };
    assert_eq!(answer.status, 503);
    assert!(text(&answer).contains("The helper cannot be reached."));
}
