// SPDX-License-Identifier: MIT OR Apache-2.0
//! An update server as it was before us, over TLS: it says what the test put at a path, whole or in
//! the range that was asked for, and knows nothing else.
#![allow(dead_code, reason = "each test program uses a part of it")]

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// 1970 to 2099.
const ALWAYS: (i64, i64) = (0, 4_102_444_799);

/// Times of a certificate as a device whose clock is wrong sees those of every server, and what is said.
pub const OUTSIDE: [((i64, i64), &str); 2] = [
    ((0, 946_684_800), "certificate has expired"),
    ((4_070_908_800, 4_102_444_799), "certificate is not yet valid"),
];

/// Where the original contract has its answer.
pub const LATEST: &str = "/api/v1/updates/latest";

/// What is at a path.
#[derive(Clone)]
pub struct Page {
    pub status: u16,
    pub headers: String,
    pub body: Arc<Vec<u8>>,
    /// Whether a part of it may be asked for.
    pub ranges: bool,
    /// Whether it has an entity tag.
    pub tagged: bool,
    /// After so many bytes of an answer the rest comes by one byte in half a second.
    pub drips_after: usize,
}

impl Page {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = Arc::new(body.into());
        Self {
            status,
            headers: String::new(),
            body,
            ranges: true,
            tagged: true,
            drips_after: usize::MAX,
        }
    }
}

/// A request that came: its path, and its headers in small letters.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whose certificate was shown.
    pub client: Option<String>,
}

impl Asked {
    /// How many bytes were asked for, where it was a range.
    pub fn range_bytes(&self) -> Option<u64> {
        let (first, last) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some(last.parse::<u64>().ok()? + 1 - first.parse::<u64>().ok()?)
    }
}

pub struct UpdateServer {
    pub url: String,
    /// The certificate that a device has to believe, PEM.
    pub ca_pem: Vec<u8>,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl UpdateServer {
    pub fn start() -> Self {
        Self::start_as(None, ALWAYS)
    }

    /// One whose certificate is good between these times alone.
    pub fn start_between(times: (i64, i64)) -> Self {
        Self::start_as(None, times)
    }

    /// One that lets only the client with this certificate in.
    pub fn start_for(client: &Certificate) -> Self {
        Self::start_as(Some(client), ALWAYS)
    }

    fn start_as(client: Option<&Certificate>, times: (i64, i64)) -> Self {
        let (ca_pem, acceptor) = identity(client, times);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let pages: Arc<Mutex<BTreeMap<String, Page>>> = Arc::default();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (served, noted) = (Arc::clone(&pages), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, served, noted) =
                    (acceptor.clone(), Arc::clone(&served), Arc::clone(&noted));
                std::thread::spawn(move || {
                    if let Ok(stream) = acceptor.accept(stream) {
                        let client = stream.ssl().peer_certificate();
                        let client = client.map(|client| name_of(&client));
                        serve(BufReader::new(stream), client.as_deref(), &served, &noted);
                    }
                });
            }
        });
        Self { url, ca_pem, pages, asked }
    }

    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Offers a bundle as the original server does.
    pub fn offer(&self, version: &str, bundle: Vec<u8>) {
        self.put("/os/update.raucb", Page::new(200, bundle));
        let url = format!("{}/os/update.raucb", self.url);
        let answer = serde_json::json!({ "version": version, "bundle_url": url });
        self.put(LATEST, Page::new(200, answer.to_string()));
    }

    /// What there is.
    pub fn paths(&self) -> Vec<String> {
        self.pages.lock().unwrap().keys().cloned().collect()
    }

    /// From now on all that is there comes whole only.
    pub fn forget_ranges(&self) {
        self.pages.lock().unwrap().values_mut().for_each(|page| page.ranges = false);
    }

    /// The requests since the last question.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn serve<S: Read + Write>(
    mut stream: BufReader<S>,
    client: Option<&str>,
    pages: &Mutex<BTreeMap<String, Page>>,
    asked: &Mutex<Vec<Asked>>,
) {
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let headers: BTreeMap<String, String> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let len = headers.get("content-length").map_or(0, |len| len.parse().unwrap());
        let mut body = vec![0; len];
        stream.read_exact(&mut body).unwrap();
        let range = headers.get("range").cloned();
        let client = client.map(str::to_owned);
        asked.lock().unwrap().push(Asked { path: path.clone(), headers, body, client });
        let page = pages.lock().unwrap().get(&path).cloned();
        let page = page.unwrap_or_else(|| Page::new(404, "nothing"));
        let answer = answer(&page, range.as_deref());
        let (now, later) = answer.split_at(page.drips_after.min(answer.len()));
        let mut drops = later.chunks(1);
        let drips = |drop: &[u8], to: &mut S| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            to.write_all(drop)
        };
        let to = stream.get_mut();
        if to.write_all(now).and_then(|()| drops.try_for_each(|drop| drips(drop, to))).is_err() {
            return;
        }
    }
}

fn answer(page: &Page, range: Option<&str>) -> Vec<u8> {
    let all = &page.body;
    let part = range.filter(|_| page.status == 200 && page.ranges).and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        Some((first, last.min(all.len().checked_sub(1)?)))
    });
    let (status, range, body) = match part {
        Some((first, last)) if first <= last => {
            let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", all.len());
            (206, range, &all[first..=last])
        }
        _ => (page.status, String::new(), all.as_slice()),
    };
    let len = body.len();
    let headers = &page.headers;
    let tag = if page.tagged { format!("ETag: \"{}\"\r\n", all.len()) } else { String::new() };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {len}\r\n{tag}{range}{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn name_of(certificate: &X509) -> String {
    let name = certificate.subject_name().entries().next().unwrap();
    String::from_utf8(name.data().as_slice().to_vec()).unwrap()
}

/// A certificate for this machine that is its own authority, with its key.
pub struct Certificate {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// Makes one.
pub fn certify(subject: &str) -> Certificate {
    certify_between(subject, ALWAYS)
}

fn certify_between(subject: &str, (from, until): (i64, i64)) -> Certificate {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, subject).unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap();
    made.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::from_unix(from).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::from_unix(until).unwrap()).unwrap();
    made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    // The second is this machine for a guest of the emulator.
    let mut names = SubjectAlternativeName::new();
    let names =
        names.ip("127.0.0.1").ip("10.0.2.2").build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(names).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    Certificate { certificate: made.build(), key }
}

/// Who answers, for whom: for everybody, or for who shows this certificate.
fn identity(client: Option<&Certificate>, times: (i64, i64)) -> (Vec<u8>, SslAcceptor) {
    let Certificate { certificate, key } = certify_between("updates", times);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    if let Some(client) = client {
        acceptor.cert_store_mut().add_cert(client.certificate.clone()).unwrap();
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    (certificate.to_pem().unwrap(), acceptor.build())
}
