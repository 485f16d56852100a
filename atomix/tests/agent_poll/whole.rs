// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that sends whole files only, as the servers of the original contract may: the bundle is
//! stored first where its owner wants that, and looked at there.

use crate::cli_board::bundles;
use crate::house::{House, changes_nothing};
use crate::signed::Publisher;
use crate::update_server::{Asked, Page};
use serde_json::{Value, json};

const BUNDLE: &str = "/os/update.raucb";
const STORED: &str = "/data/atomix/bundles";

/// The bundle as a server has it that knows no ranges.
fn plain(bundle: Vec<u8>) -> Page {
    Page { ranges: false, ..Page::new(200, bundle) }
}

fn house(policy: &Value) -> House {
    let house = House::new("original", policy);
    house.server.offer("2.0.0", bundles::good());
    house.server.put(BUNDLE, plain(bundles::good()));
    house
}

fn keeping() -> House {
    house(&json!({ "reboot": "never", "keep_bundles": true }))
}

fn stored(house: &House) -> usize {
    std::fs::read_dir(house.board.path(STORED)).map_or(0, Iterator::count)
}

/// How often the whole bundle was asked for since the last question.
fn fetched(house: &House) -> usize {
    let whole = |asked: &&Asked| asked.path == BUNDLE && asked.range_bytes().is_none();
    house.server.asked().iter().filter(whole).count()
}

#[test]
fn a_bundle_that_comes_whole_only_is_stored_judged_and_installed() {
    let house = keeping();
    let before = house.device();
    let dry = house.poll(&["--dry-run"]);
    assert_eq!(dry.code, 0, "{}{}", dry.stdout, dry.stderr);
    assert!(dry.stderr.contains("sends whole files only"), "{}", dry.stderr);
    assert!(house.device() == before, "a dry run changes nothing");
    assert_eq!(fetched(&house), 0, "nor fetches it");
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    assert_eq!((fetched(&house), stored(&house)), (1, 0));
    assert_eq!(house.poll(&[]).code, 0);
    assert_eq!(fetched(&house), 0, "it is in the slot");
}

#[test]
fn without_keep_bundles_it_is_refused_in_words_that_name_the_way_out() {
    let house = house(&json!({ "reboot": "never" }));
    changes_nothing(&house, "whole files only", (3, "keep_bundles"));
    assert_eq!(fetched(&house), 0);
}

#[test]
fn a_bundle_that_is_not_taken_is_fetched_once() {
    let house = keeping();
    assert_eq!(house.poll(&[]).code, 0);
    let slots = [(); 4].map(|()| house.board.power_on().to_string());
    assert_eq!(slots, ["B", "B", "B", "A"]);
    house.server.asked();
    // The first round says what became of it.
    assert_eq!(house.poll(&[]).code, 3);
    assert_eq!((fetched(&house), stored(&house) > 0), (1, true));
    changes_nothing(&house, "a bad release", (3, "it was tried here before"));
    assert_eq!(fetched(&house), 0, "it is there");
    // Another file at the same place, by its entity tag.
    let other = bundles::Recipe { compatible: "other-board", ..bundles::Recipe::default() };
    let mut other = other.signed_by(bundles::stranger());
    house.server.put(BUNDLE, plain(other.clone()));
    assert_eq!(house.poll(&[]).code, 4);
    assert_eq!(house.poll(&[]).code, 4);
    assert_eq!(fetched(&house), 1, "nor is a stranger's fetched twice");
    // Without a tag one that was of no use is fetched anew: it may have been mended.
    other.truncate(other.len() - 9);
    house.server.put(BUNDLE, Page { tagged: false, ..plain(other) });
    assert_eq!(house.poll(&[]).code, 4);
    house.server.put(BUNDLE, Page { tagged: false, ..plain(bundles::good()) });
    assert_eq!(house.poll(&[]).code, 3);
    assert_eq!(house.poll(&[]).code, 3);
    assert_eq!(fetched(&house), 2);
    let ran = house.poll(&["--insist"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    assert_eq!((fetched(&house), stored(&house)), (0, 0));
}

/// It was judged, refused or installed as what it was no more, and never fetched again.
#[test]
fn a_stored_bundle_that_rots_is_fetched_again() {
    let house = keeping();
    let other = bundles::Recipe { compatible: "other-board", ..bundles::Recipe::default() };
    house.server.put(BUNDLE, plain(other.make()));
    assert_eq!(house.poll(&[]).code, 3);
    let path = format!("{STORED}/offered.raucb");
    let mut rotted = house.board.read(&path);
    let middle = rotted.len() / 2;
    rotted[middle] ^= 1;
    house.board.write(&path, rotted);
    house.server.asked();
    let ran = house.poll(&[]);
    assert!(ran.stderr.contains("the stored bundle rotted"), "{}", ran.stderr);
    assert_eq!(fetched(&house), 0);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("it is for other-board"), "{}", ran.stderr);
    assert_eq!(fetched(&house), 1);
}

#[test]
fn what_the_owner_allows_bounds_the_fetch() {
    let house = keeping();
    let large = bundles::Recipe { rootfs_bytes: 2 << 20, ..bundles::Recipe::default() };
    house.server.put(BUNDLE, plain(large.make()));
    for limit in ["max_update_mib", "max_day_mib"] {
        house.settings("original", &json!({ "reboot": "never", "keep_bundles": true, limit: 1 }));
        changes_nothing(&house, limit, (1, "is larger than 1048576 bytes"));
    }
    // What was fetched today counts: nothing is left for a second one.
    house.server.put(BUNDLE, plain(bundles::good()));
    house.settings(
        "original",
        &json!({ "reboot": "never", "keep_bundles": true, "max_day_mib": 1 }),
    );
    assert_eq!(house.poll(&[]).code, 0);
    house.server.offer("3.0.0", bundles::good());
    house.server.forget_ranges();
    changes_nothing(&house, "the bytes of a day", (1, "is larger than"));
}

#[test]
fn a_signed_document_bounds_and_names_the_file_that_comes_whole() {
    let policy = json!({ "reboot": "never", "keep_bundles": true });
    let house = House::new("signed", &policy);
    Publisher::new(bundles::pki(), bundles::good()).publish(&house.server, &[]);
    house.server.forget_ranges();
    let name = house.server.paths().into_iter().find(|path| path.ends_with(".raucb")).unwrap();
    let mut longer = bundles::good();
    longer.push(0);
    house.server.put(&name, plain(longer));
    changes_nothing(&house, "longer than named", (1, "is larger than"));
    // As long as the one that was named, and another one.
    let mut other = bundles::good();
    other[0] ^= 1;
    house.server.put(&name, plain(other));
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("another file than the one that it named"), "{}", ran.stderr);
    house.server.put(&name, Page { tagged: false, ..plain(bundles::good()) });
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}
