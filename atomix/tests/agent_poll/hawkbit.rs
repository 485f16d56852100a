// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent hawkbit` reaches its server with its token, which is said nowhere, and ends as its page says.
//! What it talks about is held by `tests/ddi` and by gooseBit.

use crate::certificate::sends_to_the_clock;
use crate::cli_board::{Ran, bundles};
use crate::house::House;
use crate::update_server::{OUTSIDE, Page, UpdateServer};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

pub const PLACE: &str = "/DEFAULT/controller/v1/dev-7";
pub const TOKEN: &str = "/data/config/hawkbit/token";

/// A device whose server rests, with a token that its file's rights betray or do not.
pub fn house(mode: u32) -> House {
    let house = House::original();
    let settings = json!({
        "mode": "hawkbit",
        "hawkbit": {
            "url": house.server.url, "target_id": "dev-7", "target_token_file": TOKEN,
            "ca_file": "/data/config/hawkbit/ca.pem",
        },
        "policy": { "reboot": "never" },
    });
    house.board.write("/data/config/os-upgrade.json", settings.to_string());
    house.board.write("/data/config/hawkbit/ca.pem", &house.server.ca_pem);
    house.board.write(TOKEN, "geheim\n");
    let rights = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(house.board.path(TOKEN), rights).unwrap();
    let rest = json!({ "config": { "polling": { "sleep": "00:05:00" } } });
    house.server.put(PLACE, Page::new(200, rest.to_string()));
    house.server.put(&format!("{PLACE}/configData"), Page::new(200, ""));
    house
}

pub fn talk(house: &House, more: &[&str]) -> Ran {
    house.board.run(&[&["agent", "hawkbit"], more].concat())
}

/// The settings without a name for the device, and the device without eth0.
fn unnamed() -> House {
    let house = house(0o600);
    let path = "/data/config/os-upgrade.json";
    let text = String::from_utf8(house.board.read(path)).unwrap();
    house.board.write(path, text.replace("\"target_id\":\"dev-7\",", ""));
    std::fs::remove_dir_all(house.board.path("/sys/class/net/eth0")).unwrap();
    house
}

/// Action 7 has this file with this name and version.
pub fn offer(house: &House, (name, version): (&str, &str), file: Vec<u8>) {
    let at = |kind: &str| format!("{}{PLACE}/{kind}", house.server.url);
    let link = json!({ "href": at("deploymentBase/7?c=1") });
    let base = json!({
        "config": { "polling": { "sleep": "00:05:00" } }, "_links": { "deploymentBase": link },
    });
    house.server.put(PLACE, Page::new(200, base.to_string()));
    let place = format!("{PLACE}/softwaremodules/1/artifacts/{name}");
    let href = json!({ "href": format!("{}{place}", house.server.url) });
    let artifact = json!({
        "filename": name, "size": file.len(), "hashes": {}, "_links": { "download": href },
    });
    let deployment = json!({ "id": "7", "deployment": {
        "download": "attempt", "update": "attempt",
        "chunks": [{ "part": "os", "version": version, "name": "os", "artifacts": [artifact] }],
    }});
    house.server.put(&place, Page::new(200, file));
    for query in ["", "?c=1", "?c=1&actionHistory=20", "?actionHistory=20&c=1"] {
        let page = Page::new(200, deployment.to_string());
        house.server.put(&format!("{PLACE}/deploymentBase/7{query}"), page);
    }
    house.server.put(&format!("{PLACE}/deploymentBase/7/feedback"), Page::new(200, ""));
}

/// The one failure in what a command printed as JSON.
fn failure(ran: &Ran) -> Value {
    let failures: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|mut line| line.get_mut("error").map(Value::take))
        .collect();
    assert_eq!(failures.len(), 1, "{}", ran.stdout);
    failures[0].clone()
}

#[test]
fn a_device_asks_its_hawkbit_with_its_token_and_says_it_nowhere() {
    let exposing = house(0o640);
    let exposed = talk(&exposing, &["--once"]);
    assert_eq!(exposed.code, 2, "{}", exposed.stderr);
    assert!(exposed.stderr.contains("mode 0640"), "{}", exposed.stderr);
    assert!(exposed.stderr.contains("hint: chown it to root"), "{}", exposed.stderr);
    assert!(exposing.server.asked().is_empty());

    let house = house(0o600);
    let before = house.everything();
    let dry = talk(&house, &["--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("nothing for this device"), "{}", dry.stdout);
    assert!(house.everything() == before, "a dry run changes nothing");
    let asked = talk(&house, &["--once"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(asked.stdout.contains("asked again in"), "{}", asked.stdout);
    let requests = house.server.asked();
    assert!(requests.iter().all(|asked| asked.path.starts_with(PLACE)), "{requests:?}");
    assert!(requests.iter().all(|asked| asked.headers["authorization"] == "TargetToken geheim"));

    house.server.put(PLACE, Page::new(401, "who?"));
    let refused = talk(&house, &["--once"]);
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    let said = [dry, asked, refused].map(|ran| ran.stdout + &ran.stderr).concat();
    assert!(!said.contains("geheim"), "{said}");
}

/// Fails when a round or a dry run that came to nothing seems to have come to something, or hides why.
#[test]
fn a_server_that_is_no_help_is_a_failure_with_its_cause_and_a_way_out() {
    let house = house(0o600);
    let portal = "<!DOCTYPE html><html>log in</html>";
    for (page, code, words, hint) in [
        (Page::new(401, "who?"), 1, "status 401", "token"),
        (Page::new(404, "where?"), 1, "status 404", "target_id"),
        (Page::new(503, "later"), 1, "status 503", "server"),
        (Page::new(200, portal), 4, "a page for browsers", "log in"),
        (Page::new(200, "{\"config\":7}"), 4, "cannot be read", "server"),
    ] {
        house.server.put(PLACE, page);
        for how in ["--dry-run", "--once"] {
            let ran = talk(&house, &[how]);
            assert_eq!(ran.code, code, "{how} {words}: {}{}", ran.stdout, ran.stderr);
            let (_, said) = ran.stderr.rsplit_once("atomix: ").unwrap();
            assert!(said.contains(words) && !said.contains("in a row"), "{how}: {said}");
            let (_, way) = said.split_once("hint: ").unwrap();
            assert!(way.contains(hint), "{how} {words}: {way}");
            let json = house.board.run(&["--json", "agent", "hawkbit", how]);
            let error = failure(&json);
            assert_eq!(error["code"], code, "{how}: {error}");
            assert!(error["message"].as_str().unwrap().contains(words), "{how}: {error}");
        }
    }
    let settings = house.board.path("/data/config/os-upgrade.json");
    let text = std::fs::read_to_string(&settings).unwrap();
    let nobody = text.replace(&house.server.url, "https://127.0.0.1:1");
    house.board.write("/data/config/os-upgrade.json", nobody);
    for how in ["--dry-run", "--once"] {
        let ran = talk(&house, &[how]);
        assert_eq!(ran.code, 1, "{how}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("hint: check the network"), "{how}: {}", ran.stderr);
        assert_eq!(failure(&house.board.run(&["--json", "agent", "hawkbit", how]))["code"], 1);
    }
}

/// As for a device that polls: the clock, and the file, and not the server.
#[test]
fn a_certificate_outside_its_time_sends_to_the_clock_and_a_junk_file_to_itself() {
    let settings = "/data/config/os-upgrade.json";
    let ca = "/data/config/hawkbit/ca.pem";
    for (times, words) in OUTSIDE {
        let (house, server) = (house(0o600), UpdateServer::start_between(times));
        let text = String::from_utf8(house.board.read(settings)).unwrap();
        house.board.write(settings, text.replace(&house.server.url, &server.url));
        house.board.write(ca, &server.ca_pem);
        for how in ["--dry-run", "--once"] {
            let ran = talk(&house, &[how]);
            assert_eq!(ran.code, 1, "{how} {words}: {}{}", ran.stdout, ran.stderr);
            sends_to_the_clock(&ran, words);
        }
        assert!(server.asked().is_empty(), "{words}");
    }
    let house = house(0o600);
    house.board.write(ca, "junk");
    let junk = talk(&house, &["--once"]);
    assert_eq!(junk.code, 2, "{}", junk.stderr);
    assert!(junk.stderr.contains(&format!("{ca} holds no certificates")), "{}", junk.stderr);
    std::fs::remove_file(house.board.path(ca)).unwrap();
    let lost = talk(&house, &["--dry-run"]);
    assert_eq!(lost.code, 2, "{}", lost.stderr);
    assert!(lost.stderr.contains(&format!("there is no file {ca}")), "{}", lost.stderr);
    assert!(house.server.asked().is_empty());
}

/// The codes are those of polling: what is offered and not taken is 3, what is not believed 4.
#[test]
fn an_action_that_is_not_taken_ends_with_the_code_of_its_reason() {
    let recipe = bundles::Recipe::default();
    let other = bundles::Recipe { compatible: "other-board", ..recipe.clone() }.make();
    let strangers = recipe.signed_by(bundles::stranger());
    for (what, named, file, code) in [
        ("another board's", ("os.raucb", "2.0.0"), other, 3),
        ("no bundle", ("os.img", "2.0.0"), b"abc".to_vec(), 3),
        ("a stranger's", ("os.raucb", "2.0.0"), strangers, 4),
    ] {
        let house = house(0o600);
        offer(&house, named, file);
        for how in ["--dry-run", "--once"] {
            let ran = talk(&house, &[how]);
            assert_eq!(ran.code, code, "{what} {how}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stderr.contains("hint: "), "{what} {how}: {}", ran.stderr);
        }
    }
    let house = house(0o600);
    offer(&house, ("os.raucb", "2.0.0"), bundles::good());
    let ran = talk(&house, &["--once"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}

/// Fails when who sits on the line, or a network's page, can have an action closed: only what the vendor has
/// signed says that its bundle is not to be installed.
#[test]
fn junk_in_the_place_of_the_bundle_leaves_the_action_open_and_the_true_one_is_taken() {
    let good = bundles::good();
    let mut head = good.clone();
    let signature = head.len() - 400;
    head[signature] ^= 1;
    let mut length = good.clone();
    *length.last_mut().unwrap() ^= 0x10;
    let strangers = bundles::Recipe::default().signed_by(bundles::stranger());
    for (what, junk) in [
        ("a page", b"<!DOCTYPE html><html>log in</html>".to_vec()),
        ("a damaged head", head),
        ("a damaged length", length),
        ("a part", good[..good.len() - 9].to_vec()),
        ("a stranger's", strangers),
    ] {
        let house = house(0o600);
        offer(&house, ("os.raucb", "2.0.0"), good.clone());
        let place = format!("{PLACE}/softwaremodules/1/artifacts/os.raucb");
        house.server.put(&place, Page::new(200, junk));
        let ran = talk(&house, &["--once"]);
        assert_eq!(ran.code, 4, "{what}: {}{}", ran.stdout, ran.stderr);
        let said: Vec<u8> = house.server.asked().into_iter().flat_map(|asked| asked.body).collect();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("scheduled") && !said.contains("closed"), "{what}: {said}");
        house.server.put(&place, Page::new(200, good.clone()));
        let ran = talk(&house, &["--once"]);
        assert_eq!(ran.code, 0, "{what}: {}{}", ran.stdout, ran.stderr);
        assert!(house.holds_good(), "{what}");
    }
}

/// Fails when all devices without an `eth0` are one to their server.
#[test]
fn a_device_without_eth0_has_a_name_of_its_own_or_asks_its_owner_for_one() {
    let nameless = unnamed();
    for how in ["--dry-run", "--once"] {
        let ran = talk(&nameless, &[how]);
        assert_eq!(ran.code, 2, "{how}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("hint: set target_id in [os_upgrade.hawkbit]"),
            "{}",
            ran.stderr
        );
    }
    assert!(nameless.server.asked().is_empty());

    nameless.board.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    let told = |house: &House, name: &str, from: &str| {
        let place = format!("/DEFAULT/controller/v1/{name}");
        let rest = json!({ "config": { "polling": { "sleep": "00:05:00" } } });
        house.server.put(&place, Page::new(200, rest.to_string()));
        let ran = talk(house, &["--dry-run"]);
        assert_eq!(ran.code, 0, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(&format!("name: {name}, {from}")), "{}", ran.stderr);
        assert!(house.server.asked().iter().all(|asked| asked.path == place));
    };
    told(&nameless, "9b359035ade140a18fdc5c090faf4d89", "made of the machine's id");
    let card = |name: &str, address: &str| {
        let at = |file: &str| format!("/sys/class/net/{name}/{file}");
        nameless.board.write(&at("address"), format!("{address}\n"));
        nameless.board.write(&at("device/uevent"), "");
    };
    card("wlan0", "02:00:00:00:00:77");
    told(&nameless, "020000000077", "the address of wlan0");
    card("end0", "02:00:00:00:00:11");
    told(&nameless, "020000000011", "the address of end0");
    // As for tools that know the original's contract, whose name nothing else can be.
    nameless.board.write("/sys/class/net/eth0/address", "02:00:00:00:00:22\n");
    told(&nameless, "020000000022", "the address of eth0");
}

/// An unchanged server knows its devices by `eth0` alone.
#[test]
fn the_original_contract_has_its_own_name() {
    let house = House::original();
    std::fs::remove_dir_all(house.board.path("/sys/class/net/eth0")).unwrap();
    house.board.write("/sys/class/net/end0/address", "02:00:00:00:00:11\n");
    house.board.write("/sys/class/net/end0/device/uevent", "");
    house.server.offer("2.0.0", bundles::good());
    let ran = house.poll(&["--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("name: 020000000011, the address of end0"), "{}", ran.stderr);
    assert_eq!(house.server.asked()[0].headers["x-device-id"], "unknown");
}

/// From the setting to the wire: the word is kept over starts of the agent, told once, and counts for the
/// action that waits.
#[test]
fn an_action_that_wants_a_yes_waits_for_the_operators() {
    let house = house(0o600);
    let refused = house.board.run(&["agent", "confirm", "7"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("confirm = \"operator\""), "{}", refused.stderr);
    let path = "/data/config/os-upgrade.json";
    let text = String::from_utf8(house.board.read(path)).unwrap();
    let asks = text.replace("\"hawkbit\":{", "\"hawkbit\":{\"confirm\":\"operator\",");
    house.board.write(path, asks);

    offer(&house, ("os.raucb", "2.0.0"), bundles::good());
    let place = format!("{PLACE}/confirmationBase/7");
    let link = json!({ "href": format!("{}{place}?c=1", house.server.url) });
    let base = json!({
        "config": { "polling": { "sleep": "00:05:00" } }, "_links": { "confirmationBase": link },
    });
    house.server.put(PLACE, Page::new(200, base.to_string()));
    let href = format!("{}{PLACE}/softwaremodules/1/artifacts/os.raucb", house.server.url);
    let artifact = json!({
        "filename": "os.raucb", "size": bundles::good().len(), "hashes": {},
        "_links": { "download": { "href": href } },
    });
    let wanted = json!({ "id": "7", "confirmation": {
        "download": "attempt", "update": "attempt",
        "chunks": [{ "part": "os", "version": "2.0.0", "name": "os", "artifacts": [artifact] }],
    }});
    for query in ["", "?c=1", "?c=1&actionHistory=20", "?actionHistory=20&c=1"] {
        house.server.put(&format!("{place}{query}"), Page::new(200, wanted.to_string()));
    }
    house.server.put(&format!("{place}/feedback"), Page::new(200, ""));
    let told = |house: &House| {
        let asked = house.server.asked();
        let words = asked.iter().filter(|asked| asked.path == format!("{place}/feedback"));
        words.map(|asked| String::from_utf8(asked.body.clone()).unwrap()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let ran = talk(&house, &["--once"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("`atomix agent confirm 7`"), "{}", ran.stderr);
        assert_eq!(told(&house), [""; 0]);
    }
    let status = house.board.run(&["agent", "status"]).stdout;
    assert!(
        status.contains("7: waits for a yes (`atomix agent confirm 7`, or `deny`)"),
        "{status}"
    );
    let other = house.board.run(&["agent", "confirm", "8"]);
    assert_eq!(other.code, 3, "{}", other.stderr);
    assert!(other.stderr.contains("hint: `atomix agent status`"), "{}", other.stderr);
    for (word, says) in [(&["confirm", "7"][..], ""), (&["deny", "7", "--why", "it sells"], "")] {
        let ran = house.board.run(&[&["agent"], word].concat());
        assert_eq!(ran.code, 0, "{says}{}", ran.stderr);
    }
    // The last word counts.
    assert_eq!(talk(&house, &["--once"]).code, 0);
    let words = told(&house).concat();
    assert!(words.contains("\"denied\"") && words.contains("it sells"), "{words}");
    assert_eq!(talk(&house, &["--once"]).code, 0);
    assert_eq!(told(&house), [""; 0], "a word is told once");
}
