// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes from a proxy, and what from the server behind it?
//!
//! The proxy is named by environment variables, so the test proper runs as a child.

use super::tls::Pki;
use super::{chain, quick, sample};
use crate::Source;
use crate::http::client::{Client, Target, Turn};
use crate::http::test_server::TestServer;
use crate::http::transfer::{Body, Expect};
use crate::http::{HttpError, HttpOptions, HttpSource, HttpUrl, Patience, Proxy};
use openssl::ssl::{SslVerifyMode, SslVersion};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proxy that makes tunnels; what it says to the wish for one is in the name of the host.
pub(super) fn start_proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || tunnel(stream));
        }
    });
    (url, asked)
}

fn tunnel(stream: TcpStream) {
    let mut back = stream.try_clone().unwrap();
    let mut from = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match from.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim_end().is_empty() => break,
            Ok(_) => lines.push(line),
        }
    }
    let place = lines[0].strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    if let Some((code, _)) = place.split_once(".proxy.test:") {
        let head = format!("HTTP/1.1 {code} No\r\nLocation: http://127.0.0.1:1/\r\n");
        let _ = back.write_all(format!("{head}Content-Length: 2\r\n\r\nno").as_bytes());
        return;
    }
    // What decides about an answer of the server decides nothing here.
    let head = "HTTP/1.1 200 Connection established\r\nContent-Encoding: gzip\r\n\r\n";
    back.write_all(head.as_bytes()).unwrap();
    let mut server = TcpStream::connect(place).unwrap();
    let mut answers = server.try_clone().unwrap();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut from, &mut server);
    let _ = server.shutdown(Shutdown::Both);
}

/// Runs a test of this file in an environment that names `proxy`, but for hosts of `no_proxy`.
fn run_child(name: &str, proxy: &str, no_proxy: &str) {
    let itself = std::env::current_exe().unwrap();
    let name = format!("http::tests::proxy::{name}");
    #[expect(clippy::disallowed_methods, reason = "tests run the programs they need")]
    let done = Command::new(itself)
        .args(["--ignored", "--exact", name.as_str(), "--nocapture"])
        .env("http_proxy", proxy)
        .env("https_proxy", proxy)
        .env_remove("NO_PROXY")
        .env("no_proxy", no_proxy)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_proxy_is_not_taken_for_the_server() {
    let (proxy, asked) = start_proxy();
    run_child("child_behind_proxy", &proxy, "");
    assert!(asked.load(Ordering::SeqCst) > 0, "the proxy was passed by");
}

#[test]
fn proxy_of_the_options_goes_before_the_environment() {
    let (proxy, asked) = start_proxy();
    run_child("child_with_options", &proxy, "127.0.0.1");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the environment's was asked");
}

#[test]
#[ignore = "the child of proxy_of_the_options_goes_before_the_environment"]
fn child_with_options() {
    let server = TestServer::serve(sample(100_000));
    // The environment says that nobody stands before 127.0.0.1, and who stands before others.
    let (own, asked) = start_proxy();
    let named = HttpOptions { proxy: Proxy::Url(own), ..quick() };
    HttpSource::open(&server.url, &named).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let direct = HttpOptions { proxy: Proxy::Direct, ..quick() };
    HttpSource::open(&server.url, &direct).unwrap();
    let patience = Patience { first_tries: 0, ..quick().patience };
    let nobody = HttpSource::open("http://302.proxy.test/", &HttpOptions { patience, ..direct });
    let text = chain(&nobody.unwrap_err());
    assert!(text.contains("resolve"), "{text}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
#[ignore = "the child of a_proxy_is_not_taken_for_the_server"]
fn child_behind_proxy() {
    let pki = Pki::new();
    let known = HttpOptions { tls_ca: pki.text("ca.pem"), ..quick() };
    let secret = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_3);
    let plain = TestServer::serve(sample(100_000));
    for server in [&plain, &secret] {
        let source = HttpSource::open(&server.url, &known).unwrap();
        let mut bytes = [0; 50];
        source.read_at(50, &mut bytes).unwrap();
        assert_eq!(server.connections(), 1, "the tunnel is kept");
    }

    // Nothing that a tunnel's end has not sent shows that a key is open, or where to go on.
    let fetch = |url: &str| {
        let expect = Expect::Range { first: 0, last: 3, identity: None };
        let target = Target::new(HttpUrl::parse(url).unwrap());
        let client = Client::new(&quick(), 1).unwrap();
        client.get(&target, Turn::First, &expect, Body::Memory(Vec::new()))
    };
    let untrusted = fetch(&secret.url);
    assert!(untrusted.outcome.is_err() && untrusted.broken.is_none());

    for code in ["302", "304", "401", "403", "404", "407"] {
        for scheme in ["http", "https"] {
            let refused = HttpSource::open(&format!("{scheme}://{code}.proxy.test/"), &quick());
            let refused = refused.unwrap_err();
            assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{code}: {refused}");
            assert!(chain(&refused).contains(code), "{}", chain(&refused));
        }
    }
    let busy = HttpSource::open("https://503.proxy.test/", &quick()).unwrap_err();
    assert!(matches!(busy, HttpError::Transfer { tries: 6, .. }), "{}", chain(&busy));
}
