// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a poll asks of a server in this process, and what it makes of the answers.

use super::*;
use bundle::{
    BundleContent, BundleFormat, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    SigningIdentity, SquashfsCompression, create_bundle,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex};

pub(crate) static PKI: LazyLock<DevelopmentPki> = LazyLock::new(|| {
    DevelopmentPki::generate("polls", &DevelopmentPkiOptions::new(now())).unwrap()
});

/// A bundle with an image of 1 MiB.
pub(crate) fn make(pki: &DevelopmentPki, format: BundleFormat) -> Vec<u8> {
    let files = BTreeMap::from([("rootfs.img".to_owned(), vec![b'x'; 1 << 20])]);
    let manifest = "[update]\ncompatible=x\nversion=2\n[image.rootfs]\nfilename=rootfs.img\n";
    let identity = SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"");
    let request = CreateRequest {
        content: BundleContent::Memory { manifest, files: &files },
        format: Some(format),
        compression: SquashfsCompression::Stored,
        identity: &identity.unwrap(),
        salt: [7; 32],
        timestamp: now(),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.raucb");
    create_bundle(&request, &path, &mut |_| {}).unwrap();
    fs::read(path).unwrap()
}

/// The heads of the requests, and how many bytes were sent.
type Seen = Arc<Mutex<(Vec<String>, usize)>>;

/// Serves `bytes` by ranges, or only `status` where that is another one.
fn serve(bytes: Vec<u8>, status: u16) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.raucb", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer_all(&stream.unwrap(), &bytes, status, &noted);
        }
    });
    (url, seen)
}

/// Answers until the client leaves.
fn answer_all(stream: &TcpStream, bytes: &[u8], status: u16, seen: &Seen) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let head: Vec<String> =
            lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        if head.is_empty() {
            return;
        }
        let head = head.join("\n").to_lowercase();
        let range = head.split_once("range: bytes=").map(|(_, range)| range.lines().next());
        let range = range.flatten().and_then(|range| range.split_once('-'));
        let known = head.contains("if-none-match: \"one\"");
        let (head_line, body) = match (range, status) {
            (Some(_), 206) if known => ("304 Not Modified".to_owned(), &[][..]),
            (Some((first, last)), 206) => {
                let first: usize = first.parse().unwrap();
                let last = last.parse::<usize>().unwrap().min(bytes.len() - 1);
                let range = format!("Content-Range: bytes {first}-{last}/{}", bytes.len());
                (format!("206 Some\r\n{range}"), &bytes[first..=last])
            }
            _ => (format!("{status} X"), &[][..]),
        };
        let mut held = seen.lock().unwrap();
        held.0.push(head);
        held.1 += body.len();
        let mut out = stream;
        let dates = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"one\"";
        let length = if status == 204 || known { None } else { Some(body.len()) };
        let length = length.map(|len| format!("\r\nContent-Length: {len}")).unwrap_or_default();
        write!(out, "HTTP/1.1 {head_line}\r\n{dates}{length}\r\n\r\n").unwrap();
        out.write_all(body).unwrap();
    }
}

fn look(url: &str, if_none_match: Option<&str>) -> Fetched {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, &PKI.ca_cert_pem).unwrap();
    let text = format!(
        "[system]\ncompatible=x\nbootloader=noop\nbundle-formats=plain verity\n\
         [keyring]\npath={}\n[polling]\nurl={url}\n",
        ca.display()
    );
    let env = RaucEnv::default();
    let hands = HostHands {
        config: SystemConfig::parse(&text, Path::new("/")).unwrap(),
        keys: Keys::new(&env, None),
        env,
        url: url.to_owned(),
    };
    let headers = vec![("RAUC-Serial".to_owned(), "77".to_owned())];
    hands.look(headers, if_none_match.map(str::to_owned), Arc::new(|| None))
}

fn failure(url: &str) -> String {
    let found = look(url, None);
    let Fetched::Failed(why) = found else { panic!("{found:?}") };
    why
}

#[test]
fn a_poll_costs_three_small_requests_and_an_unchanged_bundle_one() {
    let bytes = make(&PKI, BundleFormat::Verity);
    let size = bytes.len() as u64;
    let (url, seen) = serve(bytes, 206);
    let Fetched::Bundle(found) = look(&url, None) else { panic!("no bundle") };
    assert_eq!(found.manifest.update.version.as_deref(), Some("2"));
    let expected = ServedBundle {
        size,
        effective_url: Some(url.clone()),
        modified_time: 784_111_777,
        etag: Some("\"one\"".to_owned()),
    };
    assert_eq!(found.served, expected);
    let (heads, sent) = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(heads.len(), 3, "{heads:?}");
    assert!(sent < 8192, "{sent} bytes");
    let told: Vec<bool> = heads.iter().map(|head| head.contains("rauc-serial: 77")).collect();
    assert_eq!(told, [true, false, false]);
    assert_eq!(look(&url, found.served.etag.as_deref()), Fetched::NotModified);
    assert_eq!(seen.lock().unwrap().0.len(), 1);
}

#[test]
fn no_content_is_no_failure_and_no_file_is_one() {
    let (url, seen) = serve(Vec::new(), 204);
    assert_eq!(look(&url, None), Fetched::NoContent);
    assert_eq!(seen.lock().unwrap().0.len(), 1);
    let (url, _) = serve(Vec::new(), 404);
    assert!(failure(&url).contains("404"));
}

#[test]
fn a_strangers_bundle_is_not_shown_and_a_plain_one_not_fetched() {
    let stranger = DevelopmentPki::generate("else", &DevelopmentPkiOptions::new(now())).unwrap();
    let (url, _) = serve(make(&stranger, BundleFormat::Verity), 206);
    let why = failure(&url);
    assert!(why.contains("signature verification failed"), "{why}");
    let (url, seen) = serve(make(&PKI, BundleFormat::Plain), 206);
    assert!(failure(&url).contains("not supported in streaming mode"));
    assert!(seen.lock().unwrap().1 < 8192);
}

#[test]
fn a_reboot_command_gets_its_arguments_as_they_are_and_its_failure_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a 'b'");
    let env = RaucEnv::default();
    let text = "[system]\ncompatible=x\nbootloader=noop\n";
    let hands = HostHands {
        config: SystemConfig::parse(text, Path::new("/")).unwrap(),
        keys: Keys::new(&env, None),
        env,
        url: String::new(),
    };
    let run = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        hands.reboot(&words, Arc::new(|| None))
    };
    assert_eq!(run(&["touch", file.to_str().unwrap()]), Ok(()));
    assert!(file.exists());
    assert!(run(&["false"]).unwrap_err().contains("exit status 1"));
    run(&["/no/such/program"]).unwrap_err();
    run(&[]).unwrap_err();
}

#[test]
fn dates_of_servers_are_seconds_and_odd_ones_are_none() {
    assert_eq!(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    for odd in ["", "yesterday", "Sun, 06 Nov 1894 08:49:37 GMT", "784111777"] {
        assert_eq!(seconds_of(odd), None, "{odd}");
    }
}

#[test]
fn the_time_goes_on_and_is_the_kernels() {
    let before = boot_time();
    assert!(before > BootTime::default());
    assert!(boot_time() >= before);
}
