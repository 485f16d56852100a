// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the real nginx makes of our requests.

use super::{quick, sample};
use crate::Source;
use crate::http::{HttpError, HttpFiles, HttpOptions, HttpSource};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use storage::ByteLen;

struct Nginx {
    process: Child,
    url: String,
    bytes: Vec<u8>,
    _dir: tempfile::TempDir,
}

impl Nginx {
    #[expect(clippy::disallowed_methods, reason = "tests run the programs they need")]
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Whoever takes the port between is a failure of the test, and improbable.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (place, bytes) = (dir.path().display(), sample(30 * 1024 * 1024));
        let conf = format!(
            "daemon off; master_process off; user root; error_log {place}/log; pid {place}/pid;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {place}/t; root {place};\n\
             fastcgi_temp_path {place}/t; proxy_temp_path {place}/t; scgi_temp_path {place}/t;\n\
             uwsgi_temp_path {place}/t;\n\
             server {{ listen 127.0.0.1:{port};\n\
             location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}\n\
             location /whole/ {{ alias {place}/; max_ranges 0; }}\n\
             location /single/ {{ alias {place}/; max_ranges 1; }} }} }}\n"
        );
        for (name, content) in [("nginx.conf", conf.as_bytes()), ("b.raucb", &bytes)] {
            std::fs::File::create(dir.path().join(name)).unwrap().write_all(content).unwrap();
        }
        let conf = dir.path().join("nginx.conf");
        let process = Command::new("/usr/sbin/nginx").arg("-c").arg(conf).spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "nginx does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, url: format!("http://127.0.0.1:{port}"), bytes, _dir: dir }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wanted() -> Vec<(u64, u64)> {
    (0..90).map(|at| (at * 300_000, at * 300_000 + 4096)).collect()
}

fn read_wanted(nginx: &Nginx, path: &str) -> u64 {
    let source = HttpSource::open(&format!("{}{path}", nginx.url), &quick()).unwrap();
    source.prefetch(&wanted());
    let mut buf = vec![0; 4096];
    for (first, end) in wanted() {
        source.read_at(first, &mut buf).unwrap();
        let (first, end) = (usize::try_from(first).unwrap(), usize::try_from(end).unwrap());
        assert!(buf == nginx.bytes[first..end], "{first}");
    }
    source.counts().requests
}

#[test]
fn ranges_parts_redirects_and_conditions_are_understood() {
    let nginx = Nginx::start();
    let url = format!("{}/moved/b.raucb", nginx.url);
    let source = HttpSource::open(&url, &quick()).unwrap();
    assert_eq!(source.effective_url(), format!("{}/b.raucb", nginx.url));
    let mut all = vec![0; nginx.bytes.len()];
    for (at, piece) in (0..).step_by(256 * 1024).zip(all.chunks_mut(256 * 1024)) {
        source.read_at(at, piece).unwrap();
    }
    assert!(all == nginx.bytes);
    assert_eq!(source.bytes_fetched(), nginx.bytes.len() as u64 + 4 + redirect_body(&source));
    // 90 ranges in two requests, or one by one where the server allows no more.
    assert_eq!(read_wanted(&nginx, "/b.raucb"), 1 + 2);
    let single = read_wanted(&nginx, "/single/b.raucb");
    assert!((1 + 90 + 1..=1 + 90 + 2).contains(&single), "{single}");
    let refused = HttpSource::open(&format!("{}/whole/b.raucb", nginx.url), &quick()).unwrap_err();
    assert!(matches!(refused, HttpError::RangesUnsupported { .. }), "{refused}");
    let known = HttpOptions { if_none_match: source.etag().map(str::to_owned), ..quick() };
    let again = HttpSource::open(&format!("{}/b.raucb", nginx.url), &known).unwrap_err();
    assert!(matches!(again, HttpError::NotModified { .. }), "{again}");
    let files = HttpFiles::open(&nginx.url, &quick()).unwrap();
    assert!(files.get("b.raucb", ByteLen::new(1)).is_err());
    assert!(files.get("missing", ByteLen::kib(1)).unwrap().is_none());
}

/// What the first request read of nginx's page about the redirect.
fn redirect_body(source: &HttpSource) -> u64 {
    let plain = HttpSource::open(&source.effective_url(), &quick()).unwrap();
    let moved = source.effective_url().replace("/b.raucb", "/moved/b.raucb");
    HttpSource::open(&moved, &quick()).unwrap().bytes_fetched() - plain.bytes_fetched()
}
