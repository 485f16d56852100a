// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that lets only those in who show a certificate: `[os_upgrade] tls` from the settings to the question,
//! the bundle and the report.

use crate::cli_board::{Ran, bundles};
use crate::house::House;
use crate::update_server::{Certificate, LATEST, OUTSIDE, Page, UpdateServer, certify};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

const SETTINGS: &str = "/data/config/os-upgrade.json";
const DIR: &str = "/data/config/os-upgrade";

/// A device whose files have a certificate and its key, and a server for who shows `known`.
fn house(known: &Certificate) -> House {
    let server = UpdateServer::start_for(known);
    let house = House::asking(server, "original", &json!({ "reboot": "never" }));
    house.server.offer("2.0.0", bundles::good());
    house.server.put("/report", Page::new(200, ""));
    let mut settings: Value = serde_json::from_slice(&house.board.read(SETTINGS)).unwrap();
    settings["report_url"] = json!(format!("{}/report", house.server.url));
    settings["tls"]["client_cert_file"] = json!(format!("{DIR}/device.pem"));
    settings["tls"]["client_key_file"] = json!(format!("{DIR}/device.key"));
    house.board.write(SETTINGS, settings.to_string());
    house
}

fn holds(house: &House, held: &Certificate, key_mode: u32) {
    let key = format!("{DIR}/device.key");
    house.board.write(&format!("{DIR}/device.pem"), held.certificate.to_pem().unwrap());
    house.board.write(&key, held.key.private_key_to_pem_pkcs8().unwrap());
    std::fs::set_permissions(house.board.path(&key), Permissions::from_mode(key_mode)).unwrap();
}

fn hears_nothing(house: &House, what: &str, code: u8) -> Ran {
    let before = house.device();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, code, "{what}: {}{}", ran.stdout, ran.stderr);
    assert!(house.server.asked().is_empty(), "{what}");
    assert!(house.device() == before, "{what} changed something");
    ran
}

#[test]
fn a_device_shows_its_certificate_with_the_question_the_bundle_and_the_report() {
    let device = certify("dev-7");
    let house = house(&device);
    holds(&house, &device, 0o600);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    let asked = house.server.asked();
    assert!(asked.iter().all(|asked| asked.client.as_deref() == Some("dev-7")), "{asked:?}");
    for path in ["/api/v1/updates/latest", "/os/update.raucb", "/report"] {
        assert!(asked.iter().any(|asked| asked.path == path), "{path}: {asked:?}");
    }
}

#[test]
fn a_key_that_others_may_read_and_a_certificate_that_is_not_known_open_nothing() {
    let device = certify("dev-7");
    let house = house(&device);
    let missing = hears_nothing(&house, "no key", 2);
    assert!(missing.stderr.contains("device.key"), "{}", missing.stderr);
    holds(&house, &device, 0o640);
    let exposed = hears_nothing(&house, "a key for all", 2);
    assert!(exposed.stderr.contains("mode 0640"), "{}", exposed.stderr);
    holds(&house, &certify("dev-7"), 0o600);
    let stranger = hears_nothing(&house, "another certificate", 1);
    assert!(stranger.stderr.contains("hint: "), "{}", stranger.stderr);
    house.settings("original", &json!({ "reboot": "never" }));
    hears_nothing(&house, "no certificate", 1);
}

/// Fails when a lost or junk file sends a technician to a server that he need not look at.
#[test]
fn certificates_that_are_lost_or_junk_are_named_and_nobody_is_asked() {
    let device = certify("dev-7");
    let house = house(&device);
    holds(&house, &device, 0o600);
    for name in ["ca.pem", "device.pem"] {
        let path = format!("{DIR}/{name}");
        let held = house.board.read(&path);
        house.board.write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let junk = hears_nothing(&house, "junk", 2);
        assert!(junk.stderr.contains(&format!("{path} holds no certificates")), "{}", junk.stderr);
        assert!(junk.stderr.contains("hint: write them into it in PEM"), "{}", junk.stderr);
        std::fs::remove_file(house.board.path(&path)).unwrap();
        let lost = hears_nothing(&house, "a lost file", 2);
        assert!(lost.stderr.contains(&format!("there is no file {path}")), "{}", lost.stderr);
        assert!(lost.stderr.contains("hint: put the file there"), "{}", lost.stderr);
        house.board.write(&path, held);
    }
    assert_eq!(house.poll(&[]).code, 0);
}

/// Fails when a technician is sent to the cables, or to options that an agent does not have, for a clock
/// that nobody has set: the server's, and that of the bundle's own place.
#[test]
fn a_certificate_outside_its_time_sends_to_the_clock() {
    for (times, words) in OUTSIDE {
        let policy = json!({ "reboot": "never" });
        let house = House::asking(UpdateServer::start_between(times), "original", &policy);
        house.server.offer("2.0.0", bundles::good());
        sends_to_the_clock(&hears_nothing(&house, words, 1), words);

        let house = House::original();
        let other = UpdateServer::start_between(times);
        let both = [house.server.ca_pem.as_slice(), &other.ca_pem].concat();
        house.board.write(&format!("{DIR}/ca.pem"), both);
        other.offer("2.0.0", bundles::good());
        let place = format!("{}/os/update.raucb", other.url);
        let answer = json!({ "version": "2.0.0", "bundle_url": place });
        house.server.put(LATEST, Page::new(200, answer.to_string()));
        let ran = house.poll(&[]);
        assert_eq!(ran.code, 1, "{words}: {}{}", ran.stdout, ran.stderr);
        sends_to_the_clock(&ran, words);
        let status = house.board.run(&["agent", "status"]).stdout;
        assert!(status.contains("way out    check the clock of this device"), "{status}");
        assert!(other.asked().is_empty() && !house.holds_good(), "{words}");
    }
}

/// In the last failure, which is the one that a person reads.
pub fn sends_to_the_clock(ran: &Ran, words: &str) {
    let (_, said) = ran.stderr.rsplit_once("atomix: ").unwrap();
    assert!(said.contains(words), "{words}: {}", ran.stderr);
    let (_, way) = said.split_once("hint: ").unwrap();
    assert!(way.starts_with("check the clock of this device"), "{words}: {way}");
}

/// What a server of the owner's says of a bundle's place is no reason to tell that place who asks.
#[test]
fn another_server_is_shown_no_certificate() {
    let device = certify("dev-7");
    let house = house(&device);
    holds(&house, &device, 0o600);
    let other = UpdateServer::start_for(&device);
    let both = [house.server.ca_pem.as_slice(), &other.ca_pem].concat();
    house.board.write(&format!("{DIR}/ca.pem"), both);
    other.offer("2.0.0", bundles::good());
    let place = format!("{}/os/update.raucb", other.url);
    let answer = json!({ "version": "2.0.0", "bundle_url": place });
    house.server.put(LATEST, Page::new(200, answer.to_string()));
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    // Its word may be overtaken by the end of the connection.
    let ends = ["certificate required", "Connection reset by peer"];
    assert!(ends.iter().any(|end| ran.stderr.contains(end)), "{}", ran.stderr);
    assert!(other.asked().is_empty(), "the other one asks for a certificate, and gets none");
    assert!(!house.holds_good());
}
