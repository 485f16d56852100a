// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent poll` on a board, against a server of the original contract and against signed
//! documents: what is due is done, and bad input changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod certificate;
#[path = "../cli_board/mod.rs"]
mod cli_board;
mod hawkbit;
mod hawkbit_says;
mod held;
mod house;
mod joined;
mod killed;
mod orders;
mod reachable;
mod signed;
mod started;
mod stored;
#[path = "../update_server/mod.rs"]
mod update_server;
mod whole;

use atomix::context::{Context, Now};
use bootctl::SlotState;
use cli_board::bundles;
use house::{House, changes_nothing};
use serde_json::json;
use update_server::{Asked, LATEST, Page};

#[test]
fn an_unchanged_server_updates_the_device_once() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let before = house.everything();
    let dry = house.poll(&["--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("look at the beginning of the bundle"), "{}", dry.stdout);
    assert!(dry.stdout.contains("into slot B"), "{}", dry.stdout);
    assert!(dry.stdout.lines().all(|line| line.chars().count() <= 80), "{}", dry.stdout);
    assert!(dry.stderr.contains("link: taken for flat"), "{}", dry.stderr);
    let judged = house.judged();
    assert_eq!((&judged["dry_run"], &judged["server"]), (&json!(true), &json!("offer")));
    let last = judged["judgements"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["decision"]["do"], &last["decision"]["slot"]),
        (&json!("install"), &json!("B"))
    );
    assert!(house.everything() == before, "a dry run changes nothing");
    let asked = house.server.asked();
    assert_eq!(asked[0].path, LATEST);
    assert_eq!(asked[0].headers["x-device-id"], "02005e102030");
    assert_eq!(asked[0].headers["x-current-version"], "unknown");

    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("installed: slot B boots next"), "{}", ran.stdout);
    assert!(house.holds_good());
    // It is there: nothing is fetched again.
    house.server.asked();
    let again = house.poll(&[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(house.server.asked().iter().all(|asked| asked.path == LATEST));
    let status = house.board.run(&["agent", "status"]).stdout;
    assert!(status.contains("server     https://127.0.0.1"), "{status}");
    assert!(status.contains("install    written into slot B, 2.0.0"), "{status}");
    assert!(status.contains("came       version 2.0.0 is offered"), "{status}");
    assert!(status.contains("answered   20") && status.contains(", next 20"), "{status}");

    // The update proves itself, and the device says so at the next question.
    assert_eq!(house.board.power_on().to_string(), "B");
    assert_eq!(house.board.run(&["boot", "mark-good", "booted"]).code, 0);
    house.server.asked();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("up to date"), "{}", ran.stdout);
    assert_eq!(house.server.asked()[0].headers["x-current-version"], "2.0.0");
    assert!(!house.board.run(&["agent", "status"]).stdout.contains("install"));
}

#[test]
fn what_is_no_answer_of_the_contract_changes_nothing_and_says_what_it_is() {
    let house = House::original();
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let huge = vec![b' '; 70_000];
    let bundle = |url: &str| json!({ "version": "9.0.0", "bundle_url": url }).to_string();
    for (what, page, expected) in [
        ("captive portal", Page::new(200, "<!DOCTYPE html><html>login</html>"), (4, "web page")),
        ("deep", Page::new(200, deep), (4, "answer")),
        ("huge", Page::new(200, huge), (1, "more than 65536 bytes")),
        ("wrong type", Page::new(200, r#"{"version": 7, "bundle_url": []}"#), (4, "version")),
        ("plain http", Page::new(200, bundle("http://u.example/b")), (4, "https")),
        ("file", Page::new(200, bundle("file:///etc/shadow")), (4, "not gone to")),
        ("user", Page::new(200, bundle("https://a:b@u.example/b")), (4, "not gone to")),
        ("missing", Page::new(404, "no"), (1, "status 404")),
        ("down", Page::new(503, "later"), (1, "status 503")),
        ("leads away", redirect("http://u.example/"), (1, "place that is not gone to")),
        ("circle", redirect(LATEST), (1, "leads on more than")),
    ] {
        house.server.put(LATEST, page);
        changes_nothing(&house, what, expected);
    }
    let status = house.board.run(&["agent", "status"]).stdout;
    assert!(status.contains("poll, as 02005e102030"), "{status}");
    assert!(status.contains("nothing came of asking 11 times in a row"), "{status}");
    assert!(status.contains("the last time it answered"), "{status}");
    let (settings, away) = ("/data/config/os-upgrade.json", "https://127.0.0.1:1");
    house.board.replace(settings, &house.server.url, away);
    let hour_later = bundle::UnixTime(cli_board::NOW.0.0 + 3600);
    let later = Context::host(house.board.root(), Now(hour_later));
    assert_eq!(cli_board::run_on(&later, &["agent", "poll", "--once"]).code, 1);
    let status = house.board.run(&["agent", "status"]).stdout;
    assert!(status.contains("could not be asked 12 times in a row"), "{status}");
    house.board.replace(settings, away, &house.server.url);
    // Nothing of it keeps the device from its next update.
    house.server.offer("2.0.0", bundles::good());
    assert_eq!(house.poll(&[]).code, 0);
    assert!(house.holds_good());
}

fn redirect(location: &str) -> Page {
    Page { headers: format!("Location: {location}\r\n"), ..Page::new(302, "") }
}

#[test]
fn a_bundle_that_is_not_the_vendors_or_not_the_boards_is_not_installed() {
    let house = House::original();
    let recipe = bundles::Recipe::default();
    let other = bundles::Recipe { compatible: "other-board", ..recipe.clone() };
    let mut torn = bundles::good();
    torn.truncate(torn.len() - 9);
    for (what, bundle, expected) in [
        (
            "a stranger's",
            recipe.signed_by(bundles::stranger()),
            (4, "cannot use https://127.0.0.1"),
        ),
        ("another board's", other.make(), (3, "refused")),
        ("a page", b"<html>login</html>".to_vec(), (4, "cannot use https://127.0.0.1")),
        ("a part", torn, (4, "cannot use https://127.0.0.1")),
    ] {
        house.server.offer("2.0.0", bundle);
        changes_nothing(&house, what, expected);
    }
    house.server.offer("2.0.0", bundles::good());
    house.server.put("/os/update.raucb", Page::new(404, "gone"));
    changes_nothing(&house, "gone", (1, "404"));
}

#[test]
fn a_bad_release_is_tried_once_and_again_only_when_a_person_insists() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    assert_eq!(house.poll(&[]).code, 0);
    let slots = [(); 4].map(|()| house.board.power_on().to_string());
    assert_eq!(slots, ["B", "B", "B", "A"]);
    let first = house.poll(&[]);
    assert_eq!(first.code, 3, "{}{}", first.stdout, first.stderr);
    changes_nothing(&house, "a bad release", (3, "it was tried here before"));
    house.server.asked();
    changes_nothing(&house, "a bad release", (3, "it was tried here before"));
    // Looking at it again costs its signed beginning and its tables, and nothing of its content.
    let asked = house.server.asked();
    let bytes: u64 = asked.iter().filter_map(Asked::range_bytes).sum();
    assert!(bytes < 128 * 1024, "{bytes} bytes: {asked:?}");
    let ran = house.poll(&["--insist"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}

#[test]
fn an_older_version_needs_the_owners_word() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    assert_eq!(house.poll(&[]).code, 0);
    house.board.power_on();
    assert_eq!(house.board.run(&["boot", "mark-good", "booted"]).code, 0);
    assert_eq!(house.poll(&[]).code, 0);
    let older = bundles::Recipe { version: "1.0.0", ..bundles::Recipe::default() }.make();
    house.server.offer("1.0.0", older.clone());
    changes_nothing(&house, "an older version", (3, "older"));
    // Also when the server claims that it is a newer one.
    house.server.offer("3.0.0", older.clone());
    changes_nothing(&house, "an older version by another name", (3, "refused"));
    house.settings("original", &json!({ "reboot": "never", "allow_downgrade": true }));
    house.server.offer("1.0.0", older);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(house.board.state().a.state, SlotState::Trying);
}

/// Fails when a flashed device, of which nothing is recorded yet, takes an older bundle than its image is,
/// or one of which nobody knows how old it is.
#[test]
fn a_flashed_device_takes_nothing_older_than_its_image() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    std::fs::remove_file(house.board.path("/etc/os-release")).unwrap();
    changes_nothing(&house, "no version is known", (3, "min-bundle-version"));
    let warns = || house.board.run(&["doctor"]).stdout.contains("nothing says which version runs");
    assert!(warns(), "the doctor finds it before an update is refused");
    let says = |text: &str| house.board.write("/etc/os-release", text);
    says("VERSION_ID=1.0.0\nIMAGE_VERSION=nightly\n");
    changes_nothing(&house, "a version without an order", (3, "min-bundle-version"));
    says("IMAGE_VERSION='2.1.0'\n");
    assert!(!warns());
    changes_nothing(&house, "an older one than the image", (3, "2.0.0 is older than 2.1.0"));
    let ran = house.board.run(&["install", &house.board.offer_good()]);
    assert_eq!(ran.code, 3, "by hand too: {}{}", ran.stdout, ran.stderr);
    says("IMAGE_VERSION=2.0.0\n");
    let conf = "/etc/rauc/system.conf";
    house.board.replace(conf, "[system]\n", "[system]\nmin-bundle-version=2.0.1\n");
    changes_nothing(&house, "older than the owner takes", (3, "2.0.0 is older than 2.0.1"));
    house.board.replace(conf, "min-bundle-version=2.0.1\n", "");
    assert_eq!(house.poll(&[]).code, 0);
    assert!(house.holds_good());
}

#[test]
fn a_stored_bundle_is_gone_once_it_is_in_the_slot() {
    let house = House::new("original", &json!({ "reboot": "never", "keep_bundles": true }));
    house.server.offer("2.0.0", bundles::good());
    house.board.write("/data/atomix/bundles/old.raucb", "of another one");
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    let left = std::fs::read_dir(house.board.path("/data/atomix/bundles")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn the_owners_program_keeps_the_device_from_restarting() {
    use std::os::unix::fs::PermissionsExt;
    let policy = json!({ "before_reboot": ["pump"] });
    let house = House::new("original", &policy);
    let hook = "/etc/atomix/before-reboot/pump";
    let write = |text: &str| {
        house.board.write(hook, text);
        let rights = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(house.board.path(hook), rights).unwrap();
    };
    write("#!/bin/sh\necho the pump runs >&2\nexit 1\n");
    house.server.offer("2.0.0", bundles::good());
    let ran = house.poll(&[]);
    assert!(house.holds_good());
    assert_eq!(ran.code, 0, "it is waited for: {}{}", ran.stdout, ran.stderr);
    let way =
        "the restart waits for /etc/atomix/before-reboot/pump: it is asked again in 5 minutes";
    assert!(ran.stderr.contains(way), "{}", ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("the pump runs") && said.contains("does not allow the restart"),
        "{said}"
    );
    assert!(!said.contains("restarting"), "{said}");
    // One that is not there will never say yes.
    std::fs::remove_file(house.board.path(hook)).unwrap();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("put a program there, or take its name out"), "{}", ran.stderr);
    write("#!/bin/sh\nexit 0\n");
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("restarting: into slot B"), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("left to whoever plays"), "{}", ran.stderr);
}
