// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signed documents: what was published is installed, and what is old, of somebody else or for another
//! product is not followed.

use crate::cli_board::{NOW, SmallBoard, bundles, run_on};
use crate::house::{House, changes_nothing};
use crate::update_server::{Page, UpdateServer};
use atomix::context::{Context, Now};
use bundle::{DevelopmentPki, UnixTime};
use serde_json::json;

const DAY_SECS: i64 = 24 * 60 * 60;
const DOCUMENT: &str = "/small-board.release";

/// A publisher's machine.
pub struct Publisher {
    board: SmallBoard,
}

impl Publisher {
    pub fn new(pki: &DevelopmentPki, bundle: Vec<u8>) -> Self {
        let board = SmallBoard::new();
        board.write("/update.raucb", bundle);
        board.write("/signer.cert.pem", &pki.signer_cert_pem);
        board.write("/signer.key.pem", &pki.signer_key_pem);
        board.write("/ca.cert.pem", &pki.ca_cert_pem);
        std::fs::create_dir_all(board.path("/srv")).unwrap();
        Self { board }
    }

    /// Publishes, and puts what is there on the server. Comes back with the document.
    pub fn publish(&self, server: &UpdateServer, more: &[&str]) -> Vec<u8> {
        let [bundle, dir, cert, key, ca] =
            ["/update.raucb", "/srv", "/signer.cert.pem", "/signer.key.pem", "/ca.cert.pem"]
                .map(|at| self.board.path(at).to_str().unwrap().to_owned());
        let words = [
            "release",
            "publish",
            &bundle,
            &dir,
            "--copy",
            "--cert",
            &cert,
            "--key",
            &key,
            "--keyring",
            &ca,
        ];
        let ran = self.board.run(&[&words, more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut document = Vec::new();
        for entry in std::fs::read_dir(self.board.path("/srv")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("/{}", entry.file_name().into_string().unwrap());
            let content = std::fs::read(entry.path()).unwrap();
            if name.ends_with(".release") {
                document.clone_from(&content);
            }
            server.put(&name, Page::new(200, content));
        }
        document
    }
}

fn house() -> House {
    House::new("signed", &json!({ "reboot": "never" }))
}

#[test]
fn what_was_published_is_installed() {
    let house = house();
    Publisher::new(bundles::pki(), bundles::good()).publish(&house.server, &[]);
    let judged = house.judged();
    let last = judged["judgements"].as_array().unwrap().last().unwrap();
    assert_eq!(last["decision"]["do"], "install", "{judged}");
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    assert!(house.server.asked().iter().any(|asked| asked.path == DOCUMENT));
}

/// Fails when the first place of a document decides for all of them, or when one is believed for its name.
#[test]
fn a_place_of_a_document_with_another_true_bundle_is_left_for_the_next() {
    let house = house();
    let former = bundles::Recipe { version: "1.0.0", ..bundles::Recipe::default() }.make();
    let publisher = Publisher::new(bundles::pki(), bundles::good());
    let places = ["--url", "former.raucb", "--url", "update.raucb"];
    publisher.publish(&house.server, &places[..2]);
    house.server.put("/former.raucb", Page::new(200, former));
    changes_nothing(&house, "another bundle alone", (3, "the server named"));
    publisher.publish(&house.server, &places);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}

#[test]
fn a_document_that_is_older_than_one_that_was_seen_is_not_followed() {
    let house = house();
    let publisher = Publisher::new(bundles::pki(), bundles::good());
    let older =
        publisher.publish(&house.server, &["--percent", "0", "--ends", "2030-01-01T00:00:00Z"]);
    publisher.publish(&house.server, &["--percent", "0", "--ends", "2030-01-01T00:00:00Z"]);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("not before"), "waits for its rollout: {}", ran.stdout);
    house.server.put(DOCUMENT, Page::new(200, older));
    changes_nothing(&house, "a replayed document", (3, "sequence"));
}

#[test]
fn who_is_nobody_s_signer_or_sells_another_product_is_not_followed() {
    let house = house();
    let stranger = bundles::stranger();
    let bundle = bundles::Recipe::default().signed_by(stranger);
    Publisher::new(stranger, bundle).publish(&house.server, &[]);
    changes_nothing(&house, "a stranger's document", (4, "release is not followed"));
    let other = bundles::Recipe { compatible: "other-board", ..bundles::Recipe::default() };
    let document = Publisher::new(bundles::pki(), other.make()).publish(&house.server, &[]);
    house.server.put(DOCUMENT, Page::new(200, document));
    changes_nothing(&house, "another product's document", (3, "other-board"));
    house.server.put(DOCUMENT, Page::new(200, "<!DOCTYPE html><html>login</html>"));
    changes_nothing(&house, "captive portal", (4, "web page"));
    house.server.put(DOCUMENT, Page::new(200, vec![0x30; 70_000]));
    changes_nothing(&house, "huge", (1, "more than 65536 bytes"));
}

/// Who holds updates back shows an old document for ever: the device says so when it has expired.
#[test]
fn a_document_that_has_expired_is_not_followed() {
    let house = house();
    Publisher::new(bundles::pki(), bundles::good()).publish(&house.server, &[]);
    let later = Now(UnixTime(NOW.0.0 + 31 * DAY_SECS));
    let before = house.device();
    let context = Context::host(house.board.root(), later);
    let ran = run_on(&context, &["agent", "poll", "--once"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("expired"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: publish it again"), "{}", ran.stderr);
    assert!(house.device() == before);
}
