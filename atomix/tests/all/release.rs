// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix release`: a bundle goes into a directory, the document that names it is judged there, and
//! whatever fails leaves the one that was there. The commands of `docs/how-to-release.md` are run.

use crate::cli_board::{NOW, Ran, SmallBoard, bundles};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/how-to-release.md");

/// A publisher's machine: the board's directory, its vendor's keys and an empty web server.
struct House {
    board: SmallBoard,
}

impl House {
    fn new() -> Self {
        let board = SmallBoard::new();
        board.offer_good();
        fs::create_dir_all(board.path("/srv/updates")).unwrap();
        let pki = bundles::pki();
        board.write("/signer.cert.pem", &pki.signer_cert_pem);
        board.write("/signer.key.pem", &pki.signer_key_pem);
        board.write("/ca.cert.pem", &pki.ca_cert_pem);
        Self { board }
    }

    fn path(&self, name: &str) -> String {
        self.board.path(name).to_str().unwrap().to_owned()
    }

    fn document(&self) -> PathBuf {
        self.board.path("/srv/updates/small-board.release")
    }

    /// Publishes with the vendor's key; `more` are further words.
    fn publish(&self, more: &[&str]) -> Ran {
        self.publish_bundle("/update.raucb", more)
    }

    fn publish_bundle(&self, bundle: &str, more: &[&str]) -> Ran {
        let [bundle, dir, cert, key] =
            [bundle, "/srv/updates", "/signer.cert.pem", "/signer.key.pem"].map(|at| self.path(at));
        let words = ["release", "publish", &bundle, &dir, "--cert", &cert, "--key", &key];
        self.board.run(&[&words, more].concat())
    }

    fn show(&self, more: &[&str]) -> Ran {
        let document = self.document();
        self.board.run(&[&["release", "show", document.to_str().unwrap()], more].concat())
    }

    fn shown(&self) -> Value {
        let ran = self.show(&["--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.board.path("/srv/updates")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Done, or told why not.
fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// Refused with a code, these words and a way out.
fn refused(ran: &Ran, code: u8, words: &str) {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

/// The commands of the page that this test runs, as words.
fn commands_of_the_page() -> Vec<Vec<String>> {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let lines = blocks.filter_map(|block| block.strip_prefix("sh tested\n")).flat_map(str::lines);
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let house = House::new();
    let place = |word: &String| match word.as_str() {
        name if name.ends_with(".pem") || name.ends_with(".raucb") => {
            house.path(&format!("/{name}"))
        }
        path if path.starts_with("/srv/") => house.path(path),
        other => other.to_owned(),
    };
    let mut answers = Vec::new();
    for words in commands_of_the_page() {
        let placed: Vec<String> = words.iter().skip(1).map(place).collect();
        let said = match words[0].as_str() {
            "atomix" => {
                let ran = house.board.run(&placed.iter().map(String::as_str).collect::<Vec<_>>());
                done(&ran);
                ran.stdout
            }
            "openssl" => {
                // The page's time is not that of the machine which runs this.
                let ran = Command::new("openssl").args(&placed).arg("-no_check_time").output();
                let ran = ran.unwrap();
                assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
                String::from_utf8(ran.stdout).unwrap()
            }
            other => panic!("{other} is not run by this test"),
        };
        answers.push(said);
    }
    assert_eq!(answers.len(), 4);
    let first = PAGE.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    for line in first.lines().skip(1) {
        assert!(answers[0].contains(line), "{line:?} is not in {}", answers[0]);
    }
    // OpenSSL, which knows nothing of us, shows the document of the page.
    let mut signed: Value = serde_json::from_str(&answers[3]).unwrap();
    let page = PAGE.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let page: Value = serde_json::from_str(page).unwrap();
    for digest in ["manifest", "sha256"] {
        assert_eq!(signed["bundle"][digest].as_str().unwrap().len(), 64);
        signed["bundle"][digest] = page["bundle"][digest].clone();
    }
    signed["bundle"]["size"] = page["bundle"]["size"].clone();
    assert_eq!(signed, page);
}

#[test]
fn a_copied_bundle_is_the_one_that_the_document_names() {
    let house = House::new();
    done(&house.publish(&["--copy"]));
    assert_eq!(house.names(), ["small-board.release", "update.raucb"]);
    let copy = house.board.read("/srv/updates/update.raucb");
    assert_eq!(copy, bundles::good());
    let shown = house.shown();
    assert_eq!(shown["urls"], json!(["update.raucb"]));
    assert_eq!(shown["bytes"], copy.len());
    assert_eq!(shown["sha256"], hex::encode(openssl::sha::sha256(&copy)));
    let info = house.board.run(&["bundle", "info", "--json", &house.path("/update.raucb")]);
    let info: Value = serde_json::from_str(&info.stdout).unwrap();
    assert_eq!(shown["manifest"], info["signed"]["manifest_digest"]);
    assert_eq!(shown["bundle_version"], "2.0.0");
    assert_eq!((&shown["forced"], &shown["min_version"]), (&json!(false), &json!(null)));
}

#[test]
fn a_linked_bundle_and_one_that_lies_there_need_no_copy() {
    let house = House::new();
    done(&house.publish(&["--link"]));
    assert_eq!(house.board.read("/srv/updates/update.raucb"), bundles::good());
    done(&house.publish_bundle("/srv/updates/update.raucb", &[]));
    done(&house.publish(&["--copy"]));
    assert_eq!(house.shown()["sequence"], 3);
    refused(&House::new().publish(&[]), 2, "is not in");
}

#[test]
fn places_elsewhere_are_named_as_they_are_given() {
    let house = House::new();
    let urls = ["https://a.example.org/u?x=1", "deep/u.raucb"];
    done(&house.publish(&["--url", urls[0], "--url", urls[1]]));
    assert_eq!(house.shown()["urls"], json!(urls));
    assert_eq!(house.names(), ["small-board.release"]);
    for (url, words) in [
        ("http://a.example.org/u", "only https://"),
        ("https://me:secret@a.example.org/u", "user information"),
        ("https://127.0.0.1/u", "this device itself"),
        ("https://0x7f.1/u", "several ways"),
        ("ftp://a.example.org/u", "only http:// and https://"),
    ] {
        let ran = house.publish(&["--url", url]);
        refused(&ran, 3, words);
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
    refused(&house.publish(&["--url", "a#b"]), 2, "release.bundle.urls[0]");
    assert_eq!(house.shown()["sequence"], 1, "what failed left what was there");
}

#[test]
fn each_release_has_a_greater_number_than_the_one_that_it_replaces() {
    let house = House::new();
    done(&house.publish(&["--copy", "--sequence", "41"]));
    done(&house.publish(&["--copy"]));
    assert_eq!(house.shown()["sequence"], 42);
    for number in ["41", "42"] {
        refused(&house.publish(&["--copy", "--sequence", number]), 3, "has sequence 42");
    }
    refused(&house.publish(&["--copy", "--sequence", "0"]), 2, "no number");
    done(&house.publish(&["--copy", "--sequence", "9007199254740991"]));
    refused(&house.publish(&["--copy"]), 3, "has sequence 9007199254740991");
}

/// A number is not taken over from a document that anybody could have put there.
#[test]
fn a_document_that_does_not_hold_is_not_replaced() {
    let house = House::new();
    done(&house.publish(&["--copy"]));
    let mut document = fs::read(house.document()).unwrap();
    let end = document.len() - 1;
    document[end] ^= 1;
    fs::write(house.document(), &document).unwrap();
    refused(&house.publish(&["--copy"]), 4, "signature");
    refused(&house.show(&[]), 4, "signature");
    assert_eq!(fs::read(house.document()).unwrap(), document);
    // That of another product, under a name that somebody gave.
    let other = bundles::Recipe { compatible: "large-board", ..bundles::Recipe::default() };
    house.board.write("/other.raucb", other.make());
    fs::remove_file(house.document()).unwrap();
    done(&house.publish(&["--copy"]));
    let more = ["--copy", "--name", "small-board.release"];
    refused(&house.publish_bundle("/other.raucb", &more), 3, "the release is for \"small-board\"");
}

#[test]
fn another_bundle_under_the_same_name_is_refused() {
    let house = House::new();
    done(&house.publish(&["--copy"]));
    let newer = bundles::Recipe { version: "2.1.0", ..bundles::Recipe::default() };
    house.board.write("/update.raucb", newer.make());
    for way in ["--copy", "--link"] {
        refused(&house.publish(&[way]), 3, "another bundle");
    }
    assert_eq!(house.board.read("/srv/updates/update.raucb"), bundles::good());
    assert_eq!(house.shown()["bundle_version"], "2.0.0");
    // The same manifest, signed again: another file, which a device that reads the old one cannot go on with.
    house.board.write("/update.raucb", bundles::signed_again());
    for way in ["--copy", "--link"] {
        refused(&house.publish(&[way]), 3, "update.raucb is another bundle");
    }
    assert_eq!(house.shown()["sequence"], 1);
}

#[test]
fn only_true_bundles_with_a_version_are_published() {
    let house = House::new();
    let stranger = bundles::Recipe::default().signed_by(bundles::stranger());
    house.board.write("/update.raucb", stranger);
    refused(&house.publish(&["--copy"]), 4, "cannot use");
    // Damaged where the signature does not reach: in a block of the payload.
    let mut damaged = bundles::good();
    damaged[100_000] ^= 1;
    house.board.write("/update.raucb", damaged);
    assert_eq!(house.publish(&["--copy"]).code, 4);
    assert!(house.names().is_empty(), "{:?}", house.names());
    house.board.write("/update.raucb", bundles::good());
    let pki = bundles::stranger();
    house.board.write("/signer.cert.pem", &pki.signer_cert_pem);
    house.board.write("/signer.key.pem", &pki.signer_key_pem);
    refused(&house.publish(&["--copy"]), 4, "signature");
    assert!(!house.document().exists(), "devices would not believe it");
}

#[test]
fn rollouts_and_what_no_device_would_take() {
    let house = House::new();
    done(&house.publish(&["--copy", "--ends", "2026-12-01T00:00:00Z", "--percent", "5"]));
    let rollout = json!({
        "begins": "2026-11-21T03:00:00Z", "ends": "2026-12-01T00:00:00Z", "percent": 5
    });
    assert_eq!(house.shown()["rollout"], rollout);
    for (words, told) in [
        (&["--ends", "tomorrow"][..], "is no time"),
        (&["--ends", "2026-11-01T00:00:00Z"], "release.rollout.ends is before"),
        (&["--percent", "5"], "--ends"),
        (&["--ends", "2026-12-01T00:00:00Z", "--percent", "101"], "101"),
        (&["--min-version", "newest"], "release.min_version"),
        (&["--name", "../x"], "cannot be the name"),
        (&["--expires-days", "0"], "0"),
    ] {
        let ran = house.publish(&[&["--copy"], words].concat());
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(house.shown()["sequence"], 1);
}

#[test]
fn an_expired_release_is_shown_and_the_answer_is_no() {
    let house = House::new();
    done(&house.publish(&["--copy", "--expires-days", "1"]));
    let mut later = NOW;
    later.0.0 += 86_400;
    let context = atomix::context::Context::host(house.board.root(), later);
    let document = house.document();
    let show = ["release", "show", document.to_str().unwrap()];
    let ran = crate::cli_board::run_on(&context, &show);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert!(ran.stdout.contains("expires      2026-11-22T03:00:00Z (expired)"), "{}", ran.stdout);
    assert!(ran.stderr.contains("it is at least 2026-11-22T03:00:00Z"), "{}", ran.stderr);
    // The next one can be made of it all the same.
    let [bundle, dir, cert, key] =
        ["/update.raucb", "/srv/updates", "/signer.cert.pem", "/signer.key.pem"]
            .map(|at| house.path(at));
    let publish = ["release", "publish", &bundle, &dir, "--cert", &cert, "--key", &key, "--copy"];
    done(&crate::cli_board::run_on(&context, &publish));
    let ran = crate::cli_board::run_on(&context, &show);
    assert!(ran.stdout.contains("sequence     2"), "{}", ran.stdout);
}

/// Signed, but not a release: the manifest of a bundle.
#[test]
fn a_signature_of_something_else_is_not_shown() {
    let house = House::new();
    fs::write(house.document(), bundles::cut(&bundles::good()).1).unwrap();
    refused(&house.show(&[]), 4, "cannot read the release");
    fs::write(house.document(), b"<html>log in</html>").unwrap();
    refused(&house.show(&[]), 4, "web page");
    fs::remove_file(house.document()).unwrap();
    refused(&house.show(&[]), 2, "does not exist");
}

#[test]
fn the_longest_answer_fits_the_screen() {
    let house = House::new();
    let long = format!("https://mirror.example.org/{}", "a".repeat(40));
    let mut words = vec!["--copy", "--forced", "--min-version", "1.0"];
    words.extend(["--ends", "2026-12-01T00:00:00Z"]);
    for _ in 0..16 {
        words.extend(["--url", &long]);
    }
    done(&house.publish(&words));
    let ran = house.show(&[]);
    assert!(ran.stdout.lines().count() < 24, "{}", ran.stdout);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in ["and 13 more", "1.0 or newer", "up to 100 %", "forced"] {
        assert!(ran.stdout.contains(part), "{part:?} is not in {}", ran.stdout);
    }
}
