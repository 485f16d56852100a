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

/// A mirror before a server that sends whole files only had to fail, or to have anything else, and no
/// device ever asked that server.
#[test]
fn no_mirror_shuts_out_a_server_that_sends_whole_files_only() {
    let former = bundles::Recipe { version: "1.0.0", ..bundles::Recipe::default() }.make();
    let mut wrong = bundles::good();
    wrong[bundles::verity_layout().0 / 2] ^= 1;
    let mut junk = bundles::good();
    junk.reverse();
    let near = [
        ("nothing", Page::new(404, "")),
        ("later", Page { headers: "Retry-After: 9999\r\n".to_owned(), ..Page::new(503, "") }),
        ("the former one, in parts", Page::new(200, former.clone())),
        ("the former one, whole", plain(former)),
        ("one wrong byte, whole", plain(wrong)),
        ("junk, in parts", Page::new(200, junk.clone())),
        ("junk, whole", plain(junk)),
    ];
    for (case, page) in near {
        let house = keeping();
        house.server.put("/near/update.raucb", page);
        let mut settings: Value =
            serde_json::from_slice(&house.board.read("/data/config/os-upgrade.json")).unwrap();
        settings["mirrors"] = json!([format!("{}/near", house.server.url)]);
        house.board.write("/data/config/os-upgrade.json", settings.to_string());
        let ran = house.poll(&[]);
        assert_eq!(ran.code, 0, "{case}: {}{}", ran.stdout, ran.stderr);
        assert!(house.holds_good(), "{case}");
        assert_eq!((fetched(&house), stored(&house)), (1, 0), "{case}");
        // Where nothing is stored it waits for the mirror, and refuses nothing for good.
        if case == "nothing" {
            let house = self::house(&json!({ "reboot": "never" }));
            house.board.write("/data/config/os-upgrade.json", settings.to_string());
            settings["server_url"] = json!(house.server.url);
            settings["mirrors"] = json!([format!("{}/near", house.server.url)]);
            settings["policy"] = json!({ "reboot": "never" });
            house.board.write("/data/config/os-upgrade.json", settings.to_string());
            changes_nothing(&house, case, (1, "404"));
            house.server.put("/near/update.raucb", Page::new(200, bundles::good()));
            assert_eq!(house.poll(&[]).code, 0);
            assert!(house.holds_good());
        }
    }
}

/// What the stored bundle was offered as held for ever without it: nothing was fetched any more.
#[test]
fn a_stored_bundle_that_is_gone_is_fetched_again() {
    let house = keeping();
    let other = bundles::Recipe { compatible: "other-board", ..bundles::Recipe::default() };
    house.server.put(BUNDLE, plain(other.make()));
    assert_eq!(house.poll(&[]).code, 3);
    std::fs::remove_file(house.board.path(&format!("{STORED}/offered.raucb"))).unwrap();
    house.server.asked();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("it is for other-board"), "{}", ran.stderr);
    assert_eq!(fetched(&house), 1);
}

/// What was fetched before it was judged, and is not what was signed at a place that the look does not
/// read, stayed stored: each install failed at the same byte.
#[test]
fn a_whole_bundle_with_a_wrong_byte_is_fetched_again() {
    let house = keeping();
    let mut wrong = bundles::good();
    wrong[bundles::verity_layout().0 / 2] ^= 1;
    house.server.put(BUNDLE, Page { tagged: false, ..plain(wrong) });
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    house.server.put(BUNDLE, Page { tagged: false, ..plain(bundles::good()) });
    house.server.asked();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    assert_eq!(fetched(&house), 1);
}
