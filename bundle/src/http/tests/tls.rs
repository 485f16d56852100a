// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may answer, and who may ask.

use super::{chain, quick};
use crate::http::test_server::{Reply, Request, TestServer};
use crate::http::{HttpError, HttpOptions, HttpSource, TlsVerify};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

type Identity = (X509, PKey<Private>);

/// When the server's certificate counts.
#[derive(Clone, Copy)]
pub(super) enum Times {
    Now,
    Past,
    Future,
}

impl Times {
    /// In seconds since 1970.
    const fn bounds(self) -> (i64, i64) {
        match self {
            Self::Now => (1_600_000_000, 4_000_000_000),
            Self::Past => (1_600_000_000, 1_700_000_000),
            Self::Future => (3_900_000_000, 4_000_000_000),
        }
    }
}

fn certify(name: &str, issuer: Option<&Identity>, times: Times) -> Identity {
    let (begin, end) = times.bounds();
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut cert = X509::builder().unwrap();
    cert.set_version(2).unwrap();
    let serial = u32::try_from(name.len()).unwrap() + 100;
    let serial = Asn1Integer::from_bn(&BigNum::from_u32(serial).unwrap()).unwrap();
    cert.set_serial_number(&serial).unwrap();
    cert.set_subject_name(&subject).unwrap();
    cert.set_issuer_name(issuer.map_or(&subject, |(cert, _)| cert.subject_name())).unwrap();
    cert.set_pubkey(&key).unwrap();
    cert.set_not_before(&Asn1Time::from_unix(begin).unwrap()).unwrap();
    cert.set_not_after(&Asn1Time::from_unix(end).unwrap()).unwrap();
    if issuer.is_none() {
        cert.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let name =
            SubjectAlternativeName::new().ip("127.0.0.1").build(&cert.x509v3_context(None, None));
        cert.append_extension(name.unwrap()).unwrap();
    }
    cert.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (cert.build(), key)
}

pub(super) struct Pki {
    dir: tempfile::TempDir,
    server: Identity,
    ca: Identity,
}

impl Pki {
    pub(super) fn new() -> Self {
        Self::with_server_of(Times::Now)
    }

    pub(super) fn with_server_of(times: Times) -> Self {
        let ca = certify("ca", None, Times::Now);
        let server = certify("server", Some(&ca), times);
        let pki = Self { dir: tempfile::tempdir().unwrap(), server, ca };
        pki.store("ca.pem", &pki.ca.0.to_pem().unwrap());
        let stranger = certify("stranger", None, Times::Now);
        pki.store("stranger.pem", &stranger.0.to_pem().unwrap());
        for (name, issuer) in [("client", &pki.ca), ("other", &stranger)] {
            let (cert, key) = certify(name, Some(issuer), Times::Now);
            let (cert, key) = (cert.to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap());
            pki.store(&format!("{name}.cert.pem"), &cert);
            pki.store(&format!("{name}.pem"), &key);
            pki.store(&format!("{name}.both.pem"), &[cert, key].concat());
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(self.path(name).display().to_string())
    }

    #[expect(clippy::disallowed_methods, reason = "files of a test need not last")]
    fn store(&self, name: &str, bytes: &[u8]) {
        std::fs::File::create(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    pub(super) fn server(&self, clients: SslVerifyMode, newest: SslVersion) -> TestServer {
        self.answering(clients, newest, |request| Reply::file(request, &[7; 100]))
    }

    pub(super) fn answering(
        &self,
        clients: SslVerifyMode,
        newest: SslVersion,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> TestServer {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&self.server.0).unwrap();
        acceptor.set_private_key(&self.server.1).unwrap();
        acceptor.set_min_proto_version(None).unwrap();
        acceptor.set_max_proto_version(Some(newest)).unwrap();
        acceptor.cert_store_mut().add_cert(self.ca.0.clone()).unwrap();
        acceptor.set_verify(clients);
        TestServer::start_tls(acceptor.build(), answer)
    }
}

fn asked() -> SslVerifyMode {
    SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
}

#[test]
fn server_must_prove_itself_unless_told_otherwise() {
    let pki = Pki::new();
    let server = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_3);
    let known = HttpOptions { tls_ca: pki.text("ca.pem"), ..quick() };
    HttpSource::open(&server.url, &known).unwrap();
    let foreign = HttpOptions { tls_ca: pki.text("stranger.pem"), ..quick() };
    for options in [foreign.clone(), quick()] {
        let refused = HttpSource::open(&server.url, &options).unwrap_err();
        assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{refused}");
        assert!(chain(&refused).contains("certificate"), "{}", chain(&refused));
        assert!(refused.hint().is_some());
    }
    // Its certificate is for 127.0.0.1: whatever else leads there is not believed, and hears nothing.
    let heard = server.requests().len();
    let by_name = server.url.replace("127.0.0.1", "localhost");
    let refused = HttpSource::open(&by_name, &known).unwrap_err();
    let text = chain(&refused);
    assert!(text.contains("no alternative certificate subject name matches"), "{text}");
    assert_eq!(server.requests().len(), heard);
    let careless = HttpOptions { tls_verify: TlsVerify::NoVerify, ..foreign };
    HttpSource::open(&server.url, &careless).unwrap();
    let missing = HttpOptions { tls_ca: pki.text("missing.pem"), ..quick() };
    let refused = HttpSource::open(&server.url, &missing).unwrap_err();
    assert!(chain(&refused).contains("missing.pem"), "{}", chain(&refused));
}

#[test]
fn client_certificate_is_shown_and_its_absence_is_told_at_once() {
    let pki = Pki::new();
    let server = pki.server(asked(), SslVersion::TLS1_3);
    let with = HttpOptions {
        tls_ca: pki.text("ca.pem"),
        tls_cert: pki.text("client.cert.pem"),
        tls_key: pki.text("client.pem"),
        ..quick()
    };
    HttpSource::open(&server.url, &with).unwrap();
    let without = HttpOptions { tls_cert: None, tls_key: None, ..with.clone() };
    let refused = HttpSource::open(&server.url, &without).unwrap_err();
    assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{}", chain(&refused));
    assert!(chain(&refused).contains("certificate required"), "{}", chain(&refused));
    let wrong = HttpOptions { tls_key: pki.text("ca.pem"), ..with };
    let refused = HttpSource::open(&server.url, &wrong).unwrap_err();
    assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{}", chain(&refused));
}

/// A clock that is wrong by years makes good certificates look like these.
#[test]
fn a_certificate_outside_its_time_is_refused_with_the_clock_in_the_hint() {
    for (times, words) in
        [(Times::Past, "certificate has expired"), (Times::Future, "certificate is not yet valid")]
    {
        let pki = Pki::with_server_of(times);
        let server = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_3);
        let options = HttpOptions { tls_ca: pki.text("ca.pem"), ..quick() };
        let refused = HttpSource::open(&server.url, &options).unwrap_err();
        assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{refused}");
        assert!(chain(&refused).contains(words), "{}", chain(&refused));
        assert!(refused.hint().is_some_and(|hint| hint.contains("clock")));
        assert!(server.requests().is_empty());
    }
}

#[test]
fn old_protocols_are_not_spoken() {
    let pki = Pki::new();
    let options = HttpOptions { tls_ca: pki.text("ca.pem"), ..quick() };
    let server = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_2);
    HttpSource::open(&server.url, &options).unwrap();
    let server = pki.server(SslVerifyMode::NONE, SslVersion::TLS1_1);
    assert!(HttpSource::open(&server.url, &options).is_err());
    assert!(server.requests().is_empty());
}

#[test]
fn redirect_from_https_to_http_is_refused() {
    let pki = Pki::new();
    let plain = TestServer::serve(vec![1; 100]);
    let url = plain.url.clone();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&pki.server.0).unwrap();
    acceptor.set_private_key(&pki.server.1).unwrap();
    let server = TestServer::start_tls(acceptor.build(), move |_| Reply::redirect(302, &url));
    let options = HttpOptions { tls_ca: pki.text("ca.pem"), ..quick() };
    let refused = HttpSource::open(&server.url, &options).unwrap_err();
    assert!(matches!(refused, HttpError::Downgrade { .. }), "{refused}");
    assert!(plain.requests().is_empty());
}

#[test]
fn client_certificate_stays_behind_when_another_server_is_named() {
    let pki = Pki::new();
    let picky = pki.server(asked(), SslVersion::TLS1_3);
    let url = picky.url.clone();
    let first = TestServer::start(move |_| Reply::redirect(302, &url));
    let options = HttpOptions {
        tls_ca: pki.text("ca.pem"),
        tls_cert: pki.text("client.cert.pem"),
        tls_key: pki.text("client.pem"),
        ..quick()
    };
    let refused = HttpSource::open(&first.url, &options).unwrap_err();
    assert!(chain(&refused).contains("certificate required"), "{}", chain(&refused));
}

#[expect(clippy::disallowed_methods, reason = "tests run the programs they need")]
fn run(program: &str, args: &[&str], conf: &Path) -> String {
    let done = Command::new(program).args(args).env("SOFTHSM2_CONF", conf).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{program}: {text}");
    text
}

/// Needs `softhsm2`, and OpenSSL's engine or provider for PKCS#11. The token's place is told by
/// an environment variable, so the test proper runs as a child of this one.
#[test]
fn key_in_a_token_is_used_with_the_pin_of_the_options() {
    let pki = Pki::new();
    let conf = pki.path("softhsm2.conf");
    let tokens = pki.dir.path().display();
    pki.store("softhsm2.conf", format!("directories.tokendir = {tokens}\n").as_bytes());
    let init = ["--init-token", "--free", "--label", "t", "--so-pin", "0000", "--pin", "1111"];
    run("softhsm2-util", &init, &conf);
    let key = pki.text("client.pem").unwrap();
    let import =
        ["--import", &key, "--token", "t", "--label", "client-1", "--id", "01", "--pin", "1111"];
    run("softhsm2-util", &import, &conf);
    let dir = pki.dir.path().display().to_string();
    let itself = std::env::current_exe().unwrap();
    pki.store("server.pem", &pki.server.0.to_pem().unwrap());
    pki.store("server.key.pem", &pki.server.1.private_key_to_pem_pkcs8().unwrap());
    for (child, module) in [
        ("http::tests::tls::child_with_token", softhsm_module()),
        ("http::tests::tls::child_before_its_token", pki.path("late.so")),
    ] {
        #[expect(clippy::disallowed_methods, reason = "tests run the programs they need")]
        let done = Command::new(&itself)
            .args(["--ignored", "--exact", child, "--nocapture"])
            .env("SOFTHSM2_CONF", &conf)
            .env("PKCS11_MODULE_PATH", module)
            .env("ATOMIX_TEST_TOKEN_DIR", &dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && text.contains("1 passed"), "{text}");
    }
}

fn softhsm_module() -> PathBuf {
    let places =
        ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    places.iter().map(PathBuf::from).find(|place| place.exists()).unwrap()
}

fn token_dir() -> PathBuf {
    PathBuf::from(std::env::var_os("ATOMIX_TEST_TOKEN_DIR").unwrap())
}

/// One that asks for a client certificate.
fn picky_server() -> TestServer {
    let dir = token_dir();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate_chain_file(dir.join("server.pem")).unwrap();
    acceptor
        .set_private_key_file(dir.join("server.key.pem"), openssl::ssl::SslFiletype::PEM)
        .unwrap();
    acceptor.set_ca_file(dir.join("ca.pem")).unwrap();
    acceptor.set_verify(asked());
    TestServer::start_tls(acceptor.build(), |request| Reply::file(request, &[7; 100]))
}

fn options(key: &str, pin: Option<&str>) -> HttpOptions {
    let text = |name: &str| Some(token_dir().join(name).display().to_string());
    HttpOptions {
        tls_ca: text("ca.pem"),
        tls_cert: text("client.cert.pem"),
        tls_key: Some(key.to_owned()),
        tls_pin: pin.map(str::to_owned),
        ..quick()
    }
}

/// A poll right after the start may come before the module or the token.
#[test]
#[ignore = "the child of key_in_a_token_is_used_with_the_pin_of_the_options"]
fn child_before_its_token() {
    let server = picky_server();
    let open =
        || HttpSource::open(&server.url, &options("pkcs11:token=t;object=client-1", Some("1111")));
    let early = open().unwrap_err();
    assert!(matches!(early, HttpError::Transfer { tries: 1, .. }), "{}", chain(&early));
    let still = open().unwrap_err();
    assert!(chain(&still).contains("before it has come"), "{}", chain(&still));
    std::os::unix::fs::symlink(softhsm_module(), token_dir().join("late.so")).unwrap();
    open().unwrap();
}

#[test]
#[ignore = "the child of key_in_a_token_is_used_with_the_pin_of_the_options"]
fn child_with_token() {
    let server = picky_server();
    // The third wrong PIN would lock a token of hardware: each is tried once in a process.
    for key in ["pkcs11:token=t;object=client-1", "pkcs11:token=t;id=%01"] {
        let wrong = HttpSource::open(&server.url, &options(key, Some("2222"))).unwrap_err();
        match key.contains("object") {
            true => assert!(matches!(wrong, HttpError::Transfer { tries: 1, .. }), "{wrong}"),
            false => assert!(chain(&wrong).contains("not tried again"), "{}", chain(&wrong)),
        }
    }
    let in_uri = options("pkcs11:token=t;object=client-1?pin-value=1111", None);
    HttpSource::open(&server.url, &in_uri).unwrap();
    let by_option = options("pkcs11:token=t;object=client-1", Some("1111"));
    HttpSource::open(&server.url, &by_option).unwrap();
    let missing = options("pkcs11:token=t;object=client-2?pin-value=1111", None);
    let refused = HttpSource::open(&server.url, &missing).unwrap_err();
    assert!(matches!(refused, HttpError::Transfer { tries: 1, .. }), "{}", chain(&refused));
    assert!(!chain(&refused).contains("1111"), "{}", chain(&refused));
}
