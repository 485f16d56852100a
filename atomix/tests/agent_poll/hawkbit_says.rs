// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a hawkBit says that is no honest answer, at the poll and at an action: a line that says what it
//! was, a pause, nothing changed, and the next honest action is taken.

use crate::cli_board::bundles;
use crate::hawkbit::{PLACE, house, offer, talk};
use crate::house::House;
use crate::update_server::Page;
use serde_json::json;

/// The shortest pause after a failure, less its spread.
const SHORTEST_SECS: u64 = 15;

fn refuses(house: &House, what: &str, words: &str) {
    let before = house.device();
    let ran = talk(house, &["--once"]);
    assert_ne!(ran.code, 0, "{what}: {}{}", ran.stdout, ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(words), "{what}: {words:?} is not in {said}");
    assert!(!said.contains("topsecret"), "{what}: {said}");
    let (_, pause) =
        said.rsplit_once("asked again in ").unwrap_or_else(|| panic!("{what}: {said}"));
    let pause: u64 = pause.split(' ').next().unwrap().parse().unwrap();
    assert!(pause >= SHORTEST_SECS, "{what}: {said}");
    assert!(house.device() == before, "{what} changed something");
    assert_eq!(house.board.run(&["status"]).code, 0, "{what}: nobody can look at it");
}

/// An action whose bundle is at `url`.
fn action_at(url: &str) -> Page {
    let artifact = json!({
        "filename": "os.raucb", "size": 7, "hashes": {}, "_links": { "download": { "href": url } },
    });
    let chunk = json!({ "part": "os", "version": "2.0.0", "name": "os", "artifacts": [artifact] });
    let deployment = json!({ "download": "attempt", "update": "attempt", "chunks": [chunk] });
    Page::new(200, json!({ "id": "7", "deployment": deployment }).to_string())
}

/// Fails when an answer of hawkBit's, or of a network in its place, changes more than the agent's own record.
#[test]
fn a_hawkbit_may_say_anything() {
    let house = house(0o600);
    let wide = format!("[{}0]", "0,".repeat(30_000));
    let pages = [
        (
            "a portal",
            Page::new(200, "<!doctype html><title>topsecret</title>"),
            "a page for browsers",
        ),
        ("huge", Page::new(200, vec![b' '; 3 << 20]), "more than 524288 bytes"),
        ("deep", Page::new(200, "[".repeat(60_000)), "cannot be read"),
        ("wide", Page::new(200, wide), "cannot be read"),
        ("cut", Page::new(200, "{\"id\":\"7"), "cannot be read"),
        ("no text", Page::new(200, b"\xff\xfe\x00".to_vec()), "cannot be read"),
        ("a list", Page::new(200, "[7]"), "cannot be read"),
    ];
    for (what, page, words) in &pages {
        house.server.put(PLACE, page.clone());
        refuses(&house, what, words);
    }
    offer(&house, ("os.raucb", "2.0.0"), bundles::good());
    let put = |page: &Page| {
        for query in ["?c=1", "?c=1&actionHistory=20", "?actionHistory=20&c=1"] {
            house.server.put(&format!("{PLACE}/deploymentBase/7{query}"), page.clone());
        }
    };
    for (what, page, words) in &pages {
        put(page);
        refuses(&house, &format!("{what}, as an action"), words);
    }
    for (url, words) in [
        ("http://a.example/topsecret", "only https:// is allowed"),
        ("file:///data/topsecret", "only http:// and https:// URLs can be fetched"),
        ("https://me:topsecret@a.example/u", "user information"),
        ("https://0x7f.1/topsecret", "several ways"),
        ("https://0.0.0.0/topsecret", "no server has"),
    ] {
        put(&action_at(url));
        refuses(&house, url, words);
    }
    offer(&house, ("os.raucb", "2.0.0"), bundles::good());
    let ran = talk(&house, &["--once"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}
