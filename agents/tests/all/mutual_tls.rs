// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that proves itself by its certificate: its report and its questions to hawkBit reach a server
//! that lets nobody else in, and a server of another authority hears nothing.

use crate::report_support::{Device, NOW};
use agents::ddi::{
    Asked, Credentials, DdiMethod, DdiRequest, Exchange as _, HttpExchange, HttpWay,
};
use agents::{
    Delivery, DeviceKey, ReportAnswer, ReportRequest, ReportTries, ReportWay, sign_report,
    verify_report,
};
use bundle::http::{ExchangeTls, HttpUrl};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{HandshakeError, SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

type Identity = (X509, PKey<Private>);

/// The lines of a head with the client's name before them, and the body.
type Heard = (Vec<String>, Vec<u8>);

fn certify(name: &str, issuer: Option<&Identity>) -> Identity {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut cert = X509::builder().unwrap();
    cert.set_version(2).unwrap();
    cert.set_subject_name(&subject).unwrap();
    cert.set_issuer_name(issuer.map_or(&subject, |(cert, _)| cert.subject_name())).unwrap();
    cert.set_pubkey(&key).unwrap();
    cert.set_not_before(&Asn1Time::from_unix(1_600_000_000).unwrap()).unwrap();
    cert.set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap()).unwrap();
    let extension = if issuer.is_none() {
        BasicConstraints::new().critical().ca().build().unwrap()
    } else {
        let context = cert.x509v3_context(None, None);
        SubjectAlternativeName::new().ip("127.0.0.1").build(&context).unwrap()
    };
    cert.append_extension(extension).unwrap();
    cert.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (cert.build(), key)
}

/// Authorities and their files: `fleet` is the fleet's own, `other` is anybody's.
struct House {
    dir: tempfile::TempDir,
    fleet: Identity,
}

impl House {
    fn new() -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap(), fleet: certify("fleet", None) };
        let other = certify("other", None);
        for (name, issuer) in [("fleet", &house.fleet), ("other", &other)] {
            let (cert, key) = certify("dev1", Some(issuer));
            fs::write(house.at(&format!("{name}.ca")), issuer.0.to_pem().unwrap()).unwrap();
            fs::write(house.at(&format!("{name}.cert")), cert.to_pem().unwrap()).unwrap();
            let key = key.private_key_to_pem_pkcs8().unwrap();
            fs::write(house.at(&format!("{name}.key")), key).unwrap();
        }
        house
    }

    fn at(&self, name: &str) -> String {
        Path::new(self.dir.path()).join(name).display().to_string()
    }

    /// The keys of one authority's client, which believes servers of the other.
    fn tls(&self, client: Option<&str>, ca: &str) -> ExchangeTls {
        ExchangeTls {
            cert: client.map(|name| self.at(&format!("{name}.cert"))),
            key: client.map(|name| self.at(&format!("{name}.key"))),
            ca: Some(self.at(&format!("{ca}.ca"))),
        }
    }

    /// A server of the fleet's, which gives this answer to whoever shows the fleet's certificate; what
    /// it heard.
    fn serve(&self, answer: &'static str) -> (String, Receiver<Heard>) {
        let (cert, key) = certify("server", Some(&self.fleet));
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&cert).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.cert_store_mut().add_cert(self.fleet.0.clone()).unwrap();
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (hears, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match acceptor.accept(stream) {
                    Ok(stream) => {
                        let name = stream.ssl().peer_certificate().map(|cert| name_of(&cert));
                        let mut stream = BufReader::new(stream);
                        if let Some((mut head, body)) = read_request(&mut stream) {
                            head.insert(0, name.unwrap_or_default());
                            let _ = hears.send((head, body));
                            let _ = stream.get_mut().write_all(answer.as_bytes());
                        }
                    }
                    // Closing at once would reset the connection, and the alert be lost.
                    Err(HandshakeError::Failure(failed)) => await_end(failed.get_ref()),
                    Err(_) => {}
                }
            }
        });
        (url, heard)
    }
}

fn name_of(cert: &X509) -> String {
    let entry = cert.subject_name().entries().next().unwrap();
    String::from_utf8(entry.data().as_slice().to_vec()).unwrap()
}

fn await_end(mut stream: &TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

fn read_request(from: &mut impl BufRead) -> Option<Heard> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(Some(0), |length| length.parse().ok())?];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[test]
fn a_report_reaches_a_server_that_lets_only_the_fleet_in() {
    let house = House::new();
    let key = DeviceKey::passing().unwrap();
    let mut device = Device::new();
    device.key = Some(key.fingerprint);
    let report = device.report();
    let request = ReportRequest::new(&report, sign_report(&report, &key.identity, NOW).unwrap());
    let (url, heard) = house.serve("HTTP/1.1 204 Taken\r\n\r\n");
    let url = HttpUrl::parse(&format!("{url}/reports")).unwrap();
    let send = |tls: &ExchangeTls| {
        request.send(&ReportWay { url: &url, tls: Some(tls), proxy: None, stop: None })
    };
    let answer = send(&house.tls(Some("fleet"), "fleet"));
    assert_eq!(ReportTries::default().judge(&answer, "dev1", NOW), Delivery::Delivered);
    let (head, body) = heard.recv().unwrap();
    assert_eq!((head[0].as_str(), head[1].as_str()), ("dev1", "POST /reports HTTP/1.1"));
    assert_eq!(verify_report(&body, &key.certificate_pem, NOW).unwrap().report, report);
    for (tls, words) in [
        (house.tls(None, "fleet"), "certificate required"),
        (house.tls(Some("other"), "fleet"), "unknown ca"),
        (house.tls(Some("fleet"), "other"), "certificate"),
    ] {
        let answer = send(&tls);
        let ReportAnswer::None { why } = &answer else { panic!("{answer:?}") };
        assert!(why.contains(words), "{words}: {why}");
        let later = ReportTries::default().judge(&answer, "dev1", NOW);
        assert!(matches!(later, Delivery::Later { .. }), "{later:?}");
    }
    assert!(heard.try_recv().is_err(), "nothing was said to anybody else");
}

#[test]
fn hawkbit_is_asked_with_the_certificate_alone() {
    let house = House::new();
    let (url, heard) = house.serve("HTTP/1.1 200 Ok\r\nContent-Length: 2\r\n\r\n{}");
    let url = format!("{url}/DEFAULT/controller/v1/dev1");
    let ask = |tls: ExchangeTls| {
        let way = HttpWay { tls, ..HttpWay::default() };
        let (asked, method, url) = (Asked::Base, DdiMethod::Get, url.clone());
        HttpExchange::new(Credentials::None, way).send(&DdiRequest {
            asked,
            method,
            url,
            body: None,
        })
    };
    assert_eq!(ask(house.tls(Some("fleet"), "fleet")).unwrap().body, b"{}");
    let (head, _) = heard.recv().unwrap();
    let line = "GET /DEFAULT/controller/v1/dev1 HTTP/1.1";
    assert_eq!((head[0].as_str(), head[1].as_str()), ("dev1", line));
    assert!(!head.iter().any(|line| line.starts_with("Authorization")), "{head:?}");
    for (tls, words) in [
        (house.tls(None, "fleet"), "certificate required"),
        (house.tls(Some("other"), "fleet"), "unknown ca"),
        (house.tls(Some("fleet"), "other"), "certificate"),
    ] {
        let none = ask(tls).unwrap_err();
        assert!(none.to_string().contains(words), "{words}: {none}");
    }
    assert!(heard.try_recv().is_err(), "nothing was said to anybody else");
}
