// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a server says that is no honest answer, and whatever a network says in its place: the agent
//! says in a line what it was, has changed nothing but its count of failures, and takes the next honest
//! offer. The real program, over real TLS.

use crate::cli_board::{NOW, SmallBoard, bundles};
use crate::update_server::{LATEST, Page, UpdateServer};
use agents::{MEMORY_PATH, Release, Sequence, Urgency};
use bundle::{UnixTime, sign_attached};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest};

const DOCUMENT: &str = "/small-board.release";
const NEXT_PATH: &str = "/run/atomix/agent/next-question";
const DAY_SECS: i64 = 86_400;
const ASKS_FOR_LESS: &str = "it asks for less";

/// A device that polls a server.
struct House {
    board: SmallBoard,
    server: UpdateServer,
}

impl House {
    fn new(metadata: &str) -> Self {
        let (board, server) = (SmallBoard::new(), UpdateServer::start());
        let conf = "/etc/rauc/system.conf";
        board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
        board.replace(conf, "perform-pre-check=true\n", "");
        board.write("/data/config/os-upgrade/ca.pem", &server.ca_pem);
        let settings = json!({
            "server_url": server.url, "mode": "poll", "metadata": metadata,
            "tls": { "ca_file": "/data/config/os-upgrade/ca.pem" },
            "policy": { "reboot": "never" },
        });
        board.write("/data/config/os-upgrade.json", settings.to_string());
        Self { board, server }
    }

    /// Everything but what a start of the program leaves in `/run`, and the agent's record.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let memory = Path::new(MEMORY_PATH).strip_prefix("/").unwrap();
        let mut all = self.board.everything();
        all.retain(|path, _| !path.starts_with("run") && path != memory);
        all
    }

    /// The agent's record; nothing before it has one.
    fn memory(&self) -> Value {
        let path = self.board.path(MEMORY_PATH);
        let record = std::fs::read(path).map(|bytes| serde_json::from_slice(&bytes).unwrap());
        record.map_or(json!({}), |mut record: Value| record["memory"].take())
    }

    /// One question, which is answered by what is not used.
    fn refuses(&self, words: &str) {
        let (before, mut known) = (self.everything(), self.memory());
        let begun = atomix::agent::due::since_boot().as_secs();
        let ran = self.board.run(&["agent", "poll", "--once"]);
        assert_ne!(ran.code, 0, "{words}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
        assert!(!ran.stderr.contains("topsecret"), "{}", ran.stderr);
        assert!(self.everything() == before, "{words}: the device has changed");
        // Each failure makes the next question later, until the pauses do not grow any more.
        let count = |memory: &Value| memory["failures"].as_u64().unwrap_or(0);
        let mut now = self.memory();
        assert_eq!(count(&now), (count(&known) + 1).min(16), "{words}");
        let next = String::from_utf8(self.board.read(NEXT_PATH)).unwrap();
        let next: u64 = next.trim().parse().unwrap();
        // A quarter of an hour, doubled up to an hour, give or take half; or what the server asks for.
        let doubled = (900_u64 << (count(&now) - 1)).min(3600) / 2;
        let pause = if words == ASKS_FOR_LESS { 900 } else { doubled };
        assert!(next >= begun + pause, "{words}: {next}, {pause} s behind {begun}");
        if known.get("failures").is_some() {
            now["failures"] = known["failures"].clone();
            // What the fleet is told of it.
            (now["refusal"], known["refusal"]) = (Value::Null, Value::Null);
            assert_eq!(now, known, "{words}");
        }
        assert_eq!(self.board.run(&["status"]).code, 0, "{words}: nobody can look at it");
    }

    /// The next honest offer is taken.
    fn takes(&self) {
        let ran = self.board.run(&["agent", "poll", "--once"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("installed: slot B boots next"), "{}", ran.stdout);
        assert_eq!(self.memory()["failures"], 0);
    }

    fn offers(&self, page: Page) {
        self.server.put(LATEST, page);
    }
}

fn status(status: u16, headers: &str) -> Page {
    Page { headers: headers.to_owned(), ..Page::new(status, "<html>topsecret</html>") }
}

fn answer(value: &Value) -> Page {
    Page::new(200, value.to_string())
}

#[test]
fn a_server_of_the_original_contract_may_say_anything() {
    let house = House::new("original");
    let page = Page { headers: "Content-Type: text/html\r\n".to_owned(), ..Page::new(200, "") };
    let login = Page { body: b"<!doctype html><title>Log in</title>".to_vec().into(), ..page };
    let wide = format!("[{}0]", "0,".repeat(30_000));
    let portal = "Location: http://portal.example/login?topsecret\r\n";
    for (page, words) in [
        (login, "a web page came instead of an answer"),
        (status(302, portal), "only https:// is allowed"),
        (status(302, "Location: https://me:topsecret@a.example/\r\n"), "user information"),
        (status(302, ""), "status 302: a redirect that leads nowhere"),
        (status(302, &format!("Location: {LATEST}\r\n")), "leads on more than 5 times"),
        (status(511, ""), "status 511"),
        (status(401, ""), "it does not know this device"),
        (status(404, ""), "nothing is there"),
        (status(429, "Retry-After: 900\r\n"), ASKS_FOR_LESS),
        (status(503, "Retry-After: 99999999999999999999\r\n"), "it has a fault"),
        (Page::new(200, vec![b' '; 3 << 20]), "more than 65536 bytes"),
        (Page::new(200, "[".repeat(60_000)), "more than 16 levels"),
        (Page::new(200, wide), "more than 4096 values"),
        (Page::new(200, "{\"version\":\"2"), "EOF"),
        (Page::new(200, b"\xff\xfe\x00".to_vec()), "cannot read the answer"),
        (answer(&json!(["2.0.0", "https://a.example/u"])), "answer is a list"),
        (answer(&json!({ "version": 2, "bundle_url": "https://a.example/u" })), "a whole number"),
        (
            answer(&json!({ "version": "../2", "bundle_url": "https://a.example/u" })),
            "answer.version",
        ),
    ] {
        house.offers(page);
        house.refuses(words);
    }
    for (url, words) in [
        ("http://a.example/topsecret", "only https:// is allowed"),
        ("ftp://a.example/topsecret", "only http:// and https:// URLs can be fetched"),
        ("file:///data/topsecret", "only http:// and https:// URLs can be fetched"),
        ("https://me:topsecret@a.example/u", "user information"),
        ("https://0x7f.1/topsecret", "several ways"),
        ("https://0.0.0.0/topsecret", "no server has"),
        ("u.raucb", "not absolute"),
    ] {
        house.offers(answer(&json!({ "version": "2.0.0", "bundle_url": url })));
        house.refuses(words);
    }
    house.server.offer("2.0.0", bundles::good());
    house.takes();
}

/// The good bundle as a release; `change` makes it another one.
fn release(change: impl FnOnce(Release) -> Release) -> Vec<u8> {
    let good = bundles::good();
    let manifest = openssl::sha::sha256(bundles::manifest_of(&good).as_bytes());
    change(Release {
        product: "small-board".to_owned(),
        sequence: Sequence::new(7).unwrap(),
        issued: UnixTime(NOW.0.0 - DAY_SECS),
        expires: UnixTime(NOW.0.0 + 30 * DAY_SECS),
        version: "2.0.0".to_owned(),
        manifest: Digest::from_bytes(manifest),
        file: Digest::from_bytes(openssl::sha::sha256(&good)),
        size: ByteLen::new(good.len() as u64),
        urls: vec!["os/update.raucb".to_owned()],
        min_version: None,
        rollout: None,
        urgency: Urgency::Ordinary,
    })
    .encode()
    .unwrap()
    .into_bytes()
}

fn signed(text: &[u8]) -> Vec<u8> {
    sign_attached(text, &bundles::identity(bundles::pki()), NOW.0).unwrap()
}

#[test]
fn a_server_of_signed_documents_may_say_anything() {
    let house = House::new("signed");
    house.server.offer("2.0.0", bundles::good());
    let offers = |document: Vec<u8>| house.server.put(DOCUMENT, Page::new(200, document));
    let stranger = bundles::identity(bundles::stranger());
    let changed = |change: fn(Release) -> Release| signed(&release(change));
    let mut torn = signed(&release(|release| release));
    let middle = torn.len() / 3;
    torn[middle] ^= 1;
    for (document, words) in [
        (b"<html>topsecret</html>".to_vec(), "a web page came instead of a release"),
        (Vec::new(), "the signature of the release does not hold"),
        (release(|release| release), "the signature of the release does not hold"),
        (
            sign_attached(&release(|release| release), &stranger, NOW.0).unwrap(),
            "the signature of the release does not hold",
        ),
        (torn, "the signature of the release does not hold"),
        (vec![0x30; 3 << 20], "more than 65536 bytes"),
        (bundles::cut(&bundles::good()).1, "cannot read the release"),
        (signed("[".repeat(30_000).as_bytes()), "more than 8 levels"),
        (signed(br#"{"kind":"atomix-release","version":"1"}"#), "release.version is text"),
        (
            changed(|release| Release { product: "large-board".to_owned(), ..release }),
            "the release is for \"large-board\", this device is \"small-board\"",
        ),
        (
            changed(|release| Release { expires: UnixTime(NOW.0.0 - 1), ..release }),
            "the release expired at",
        ),
        (
            changed(|release| Release {
                urls: vec!["https://me:topsecret@a.example/u".to_owned()],
                ..release
            }),
            "user information",
        ),
    ] {
        offers(document);
        house.refuses(words);
    }
    // A true one is remembered, also where it is not installed; what is older is refused from then on.
    let begins = UnixTime(NOW.0.0 + DAY_SECS);
    let later = agents::Rollout { begins, ends: UnixTime(begins.0 + 1), percent: 100 };
    offers(signed(&release(|release| Release { rollout: Some(later), ..release })));
    let ran = house.board.run(&["agent", "poll", "--once"]);
    assert_eq!(house.memory()["failures"], 0, "{}{}", ran.stdout, ran.stderr);
    offers(changed(|release| Release { sequence: Sequence::new(6).unwrap(), ..release }));
    house.refuses("the release has sequence 6, and 7 was seen already");
    offers(signed(&release(|release| release)));
    house.refuses("the release differs from the one with the same sequence 7");
    offers(changed(|release| Release { sequence: Sequence::new(8).unwrap(), ..release }));
    house.takes();
}
