// SPDX-License-Identifier: MIT OR Apache-2.0
//! What servers, and whoever answers in their place, may say: each is an offer, or a line of its own
//! and nothing else.

use super::*;
use crate::test_facts::{NOON, facts, manifest};
use crate::{Release, SeenRelease, Sequence, Urgency};
use bundle::{
    DevelopmentPki, DevelopmentPkiOptions, KeyringOptions, SigningIdentity, UnixTime, sign_attached,
};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use storage::{ByteLen, Digest, chain};

const SERVER: &str = "https://updates.example/fleet";

struct House {
    identity: SigningIdentity,
    ca: Vec<u8>,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| house("vendor"));

fn house(name: &str) -> House {
    let pki = DevelopmentPki::generate(name, &DevelopmentPkiOptions::new(NOON)).unwrap();
    let identity = SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"");
    House { identity: identity.unwrap(), ca: pki.ca_cert_pem }
}

fn release() -> Release {
    Release {
        product: "gateway".to_owned(),
        sequence: Sequence::new(7).unwrap(),
        issued: NOON,
        expires: UnixTime(NOON.0 + 30 * 86_400),
        version: "2.0".to_owned(),
        manifest: manifest(3),
        file: Digest::from_bytes([2; 32]),
        size: ByteLen::mib(100),
        urls: vec!["gateway-2.0.raucb".to_owned()],
        min_version: None,
        rollout: None,
        urgency: Urgency::Ordinary,
    }
}

fn signed_by(house: &House, change: impl FnOnce(&mut Release)) -> Vec<u8> {
    let mut release = release();
    change(&mut release);
    let text = release.encode().unwrap();
    sign_attached(text.as_bytes(), &house.identity, NOON).unwrap()
}

fn signed() -> Vec<u8> {
    signed_by(&HOUSE, |_| ())
}

/// Where, with which headers, and whether with the device's certificate.
type Asked = (String, Vec<(String, String)>, bool);

/// What was asked, and what is answered next.
#[derive(Default)]
struct Script {
    answers: Vec<Exchanged>,
    asked: Vec<Asked>,
}

impl Fetch for &mut Script {
    fn get(&mut self, question: &Question<'_>) -> Result<Exchanged, ExchangeError> {
        let url = question.url.without_user();
        self.asked.push((url, question.headers.to_vec(), question.shows_identity));
        let answer = self.answers.remove(0);
        if answer.body.len() > question.limit {
            return Err(ExchangeError::TooLarge { limit: question.limit });
        }
        Ok(answer)
    }
}

fn answer(status: u16, body: &[u8]) -> Exchanged {
    Exchanged { status, headers: Vec::new(), body: body.to_vec() }
}

fn headed(status: u16, name: &str, value: &str) -> Exchanged {
    Exchanged { headers: vec![(name.to_owned(), value.to_owned())], ..answer(status, b"") }
}

fn keyring() -> Speaks {
    let ca = Keyring::from_pem(&HOUSE.ca, KeyringOptions::default()).unwrap();
    Speaks::Signed(Box::new(ca))
}

fn ask(
    speaks: Speaks,
    answers: Vec<Exchanged>,
    memory: &Memory,
) -> (Result<Offered, AskError>, Script) {
    let mut script = Script { answers, asked: Vec::new() };
    let transport = Transport::HttpsOnly;
    let mut server = PolledServer::new(&mut script, speaks, SERVER, transport).unwrap();
    let offered = server.ask(&facts(), memory);
    (offered, script)
}

/// Both kinds of servers are asked, and refused with these words.
#[track_caller]
fn both_refuse(answers: &[Exchanged], words: &str) {
    for speaks in [Speaks::Original, keyring()] {
        let (offered, _) = ask(speaks, answers.to_vec(), &Memory::default());
        let refused = offered.unwrap_err();
        assert!(chain(&refused).contains(words), "{}", chain(&refused));
        assert!(!refused.hint().is_empty());
    }
}

#[test]
fn a_server_of_the_original_contract_is_asked_as_it_always_was() {
    let body = br#"{"version":"2.0","bundle_url":"https://cdn.example/u.raucb","size":5}"#;
    let (offered, script) = ask(Speaks::Original, vec![answer(200, body)], &Memory::default());
    let Ok(Offered::Claimed(offer)) = offered else { panic!("{offered:?}") };
    assert_eq!((&*offer.version, offer.manifest), ("2.0", None));
    assert_eq!(offer.urls, ["https://cdn.example/u.raucb"]);
    let (url, headers, shows_identity) = &script.asked[0];
    assert_eq!(url, "https://updates.example/fleet/api/v1/updates/latest");
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [named("X-Device-ID", "0123456789ab"), named("X-Current-Version", "1.0")];
    assert_eq!((headers.as_slice(), *shows_identity), (wanted.as_slice(), true));
    for nothing in [answer(204, b""), answer(200, b"{}"), answer(200, br#"{"version":"2.0"}"#)] {
        let (offered, _) = ask(Speaks::Original, vec![nothing], &Memory::default());
        assert!(matches!(offered, Ok(Offered::Nothing)), "{offered:?}");
    }
}

#[test]
fn a_signed_document_is_asked_for_by_its_own_name_or_by_the_products() {
    let (offered, script) = ask(keyring(), vec![answer(200, &signed())], &Memory::default());
    let Ok(Offered::Signed(accepted)) = offered else { panic!("{offered:?}") };
    assert_eq!(accepted.offer.manifest, Some(manifest(3)));
    assert_eq!(accepted.offer.urls, ["https://updates.example/fleet/gateway-2.0.raucb"]);
    assert_eq!((accepted.seen.sequence, accepted.floor), (7, NOON));
    assert_eq!(script.asked[0].0, "https://updates.example/fleet/gateway.release");
    assert_eq!(script.asked[0].1, [], "a static server is told nothing");
    let mut script = Script { answers: vec![answer(200, &signed())], asked: Vec::new() };
    let url = "https://updates.example/fleet/beta.release";
    let mut server = PolledServer::new(&mut script, keyring(), url, Transport::HttpsOnly).unwrap();
    server.ask(&facts(), &Memory::default()).unwrap();
    assert_eq!(script.asked[0].0, url);
}

#[test]
fn redirects_are_followed_as_far_as_an_origin_goes() {
    let body = br#"{"version":"2.0","bundle_url":"https://cdn.example/u.raucb"}"#;
    let hops = vec![
        headed(302, "location", "/moved"),
        headed(307, "location", "https://other.example/latest"),
        answer(200, body),
    ];
    let (offered, script) = ask(Speaks::Original, hops, &Memory::default());
    assert!(matches!(offered, Ok(Offered::Claimed(_))), "{offered:?}");
    let asked: Vec<(&str, bool)> =
        script.asked.iter().map(|(url, _, shows)| (url.as_str(), *shows)).collect();
    assert_eq!(asked[1], ("https://updates.example/moved", true));
    assert_eq!(asked[2], ("https://other.example/latest", false), "no stranger sees who it is");
    assert_eq!((script.asked[0].1.len(), script.asked[1].1.len()), (2, 2));
    assert_eq!(script.asked[2].1, [], "nor its name and its version");
    // A place at home that a stranger leads back to is home.
    let hops = vec![
        headed(302, "location", "https://other.example/latest"),
        headed(302, "location", "https://updates.example/back"),
        answer(204, b""),
    ];
    let (_, script) = ask(Speaks::Original, hops, &Memory::default());
    let told: Vec<usize> = script.asked.iter().map(|asked| asked.1.len()).collect();
    assert_eq!(told, [2, 0, 2]);
    let hops = vec![headed(301, "location", "https://cdn.example/d/x"), answer(200, &signed())];
    let (offered, _) = ask(keyring(), hops, &Memory::default());
    let Ok(Offered::Signed(accepted)) = offered else { panic!("{offered:?}") };
    assert_eq!(accepted.offer.urls, ["https://cdn.example/d/gateway-2.0.raucb"]);
    for (place, words) in [
        ("http://updates.example/x", "only https:// is allowed"),
        ("https://127.0.0.1/x", "leads to a place that is not gone to"),
        ("https://169.254.169.254/latest", "leads to a place that is not gone to"),
        ("https://user:pass@updates.example/x", "leads to a place that is not gone to"),
        ("ftp://updates.example/x", "leads to a place that is not gone to"),
    ] {
        both_refuse(&[headed(302, "location", place)], words);
    }
    both_refuse(&vec![headed(302, "location", "/again"); 6], "leads on more than 5 times");
    both_refuse(&[answer(302, b"")], "status 302: a redirect that leads nowhere");
}

#[test]
fn what_is_no_answer_is_told_as_what_it_is() {
    let page = b"<!DOCTYPE html><html><body>Welcome to the hotel";
    both_refuse(&[answer(200, page)], "a web page came instead");
    both_refuse(&[answer(500, b"oops")], "status 500: it has a fault");
    both_refuse(&[answer(401, b"")], "status 401: it does not know this device");
    both_refuse(&[answer(404, page)], "status 404: nothing is there");
    both_refuse(&[answer(206, b"{}")], "status 206: that is no answer");
    both_refuse(&[answer(200, &vec![b'['; 65_537])], "the answer has more than 65536 bytes");
    both_refuse(&[answer(200, &vec![b'['; 65_536])], "the update server's");
    for (said, wanted) in [("120", Some(120)), ("Sun, 06 Nov 1994 08:49:37 GMT", None)] {
        let busy = headed(429, "retry-after", said);
        let (offered, _) = ask(keyring(), vec![busy], &Memory::default());
        let refused = offered.unwrap_err();
        assert_eq!(refused.retry_after(), wanted.map(Duration::from_secs));
        assert!(chain(&refused).ends_with("status 429: it asks for less"));
    }
    let near = br#"{"version":"2.0","bundle_url":"https://127.0.0.1/u.raucb"}"#;
    let (offered, _) = ask(Speaks::Original, vec![answer(200, near)], &Memory::default());
    assert!(chain(&offered.unwrap_err()).contains("bundle_url"));
}

#[test]
fn a_release_that_does_not_count_here_is_refused_by_name() {
    #[track_caller]
    fn refuses(document: &[u8], memory: &Memory, words: &str) {
        let (offered, _) = ask(keyring(), vec![answer(200, document)], memory);
        let refused = chain(&offered.unwrap_err());
        assert!(refused.contains(words), "{refused}");
        assert!(refused.starts_with("the update server's release is not followed: "));
    }
    let nobody = Memory::default();
    refuses(&signed_by(&house("stranger"), |_| ()), &nobody, "the signature");
    let other = signed_by(&HOUSE, |release| release.product = "kiosk".to_owned());
    refuses(&other, &nobody, "is for \"kiosk\", this device is \"gateway\"");
    let old = signed_by(&HOUSE, |release| {
        release.issued = UnixTime(NOON.0 - 86_400);
        release.expires = UnixTime(NOON.0 - 60);
    });
    refuses(&old, &nobody, "expired");
    let mut memory = Memory::default();
    let seen = |sequence| SeenRelease {
        product: "gateway".to_owned(),
        sequence,
        document: Digest::from_bytes([9; 32]),
    };
    memory.saw(seen(7));
    refuses(&signed(), &memory, "differs from the one with the same sequence 7");
    memory.saw(seen(8));
    refuses(&signed(), &memory, "has sequence 7, and 8 was seen already");
    refuses(br#"{"version":"2.0","bundle_url":"https://x.example/u"}"#, &nobody, "the signature");
}

/// The real client, against a server on this machine that is one for development.
#[test]
fn the_question_reaches_a_server_over_real_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fleet", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        let document = signed();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", document.len()).unwrap();
        stream.write_all(&document).unwrap();
        String::from_utf8(head).unwrap()
    });
    let transport = Transport::PlainForDevelopment;
    let mut polled = PolledServer::new(HttpFetch::default(), keyring(), &url, transport).unwrap();
    let Offered::Signed(accepted) = polled.ask(&facts(), &Memory::default()).unwrap() else {
        panic!("no release");
    };
    assert_eq!(accepted.offer.urls, [format!("{url}/gateway-2.0.raucb")]);
    assert!(server.join().unwrap().starts_with("GET /fleet/gateway.release HTTP/1.1\r\n"));
    // Nobody is there any more.
    let gone = polled.ask(&facts(), &Memory::default()).unwrap_err();
    assert!(chain(&gone).starts_with("the update server does not answer: cannot connect"));
}

/// Fails when a technician is sent to the cables for a clock that nobody has set. The words are
/// those of `a_certificate_outside_its_time_is_refused_in_words_and_nothing_is_said` of `bundle`.
#[test]
fn a_certificate_outside_its_time_sends_to_the_clock_and_other_faults_do_not() {
    let hint = |words: &str| {
        let fault = bundle::http::TransferFault(words.to_owned());
        AskError::NoAnswer(ExchangeError::Connect(fault)).hint()
    };
    for words in ["certificate is not yet valid", "certificate has expired"] {
        let told = hint(&format!("SSL certificate problem: {words}"));
        assert!(told.contains("clock"), "{told}");
    }
    for words in ["Connection refused", "SSL certificate problem: self-signed certificate"] {
        assert!(!hint(words).contains("clock"), "{words}");
    }
}
