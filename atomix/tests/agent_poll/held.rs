// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a round leaves behind and costs: nothing on `/data` that nobody asked for, nothing that a redirect or
//! the owner's mirror would have saved, and no way back by the clock.

use crate::cli_board::{NOW, bundles, run_on};
use crate::house::{House, changes_nothing};
use crate::orders::{Until, install, order};
use crate::update_server::{LATEST, Page, UpdateServer};
use agents::agent::{InstallEnding, Stop};
use agents::{InstallOrder, Release, Rollout, Sequence, Urgency};
use atomix::context::{Context, Now};
use bundle::{UnixTime, sign_attached};
use serde_json::{Value, json};
use storage::{ByteLen, Digest};

const SETTINGS: &str = "/data/config/os-upgrade.json";
const BUNDLE: &str = "/os/update.raucb";
const STORED: &str = "/data/atomix/bundles";
const DOCUMENT: &str = "/small-board.release";
const DAY_SECS: i64 = 86_400;
/// More than any record, less than the bundle.
const SMALL: usize = 64 * 1024;

/// Fails when the answer that a redirect leads to is not taken, when a bundle that nobody wanted stored lies on
/// the device, or when the system's own release file names the version.
#[test]
fn a_round_behind_a_redirect_stores_nothing_and_names_no_version_of_the_image() {
    let house = House::original();
    house.board.write("/etc/os-release", "VERSION_ID=25.11\nIMAGE_VERSION=0.9.0\n");
    house.server.offer("2.0.0", bundles::good());
    let answer =
        json!({ "version": "2.0.0", "bundle_url": format!("{}{BUNDLE}", house.server.url) });
    house.server.put("/moved", Page::new(200, answer.to_string()));
    let headers = "Location: /moved\r\n".to_owned();
    house.server.put(LATEST, Page { headers, ..Page::new(302, "") });
    let before = house.everything();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    let asked = house.server.asked();
    let [first, second, ..] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!([&*first.path, &*second.path], [LATEST, "/moved"]);
    assert_eq!(first.headers["x-current-version"], "unknown");
    for (path, bytes) in house.everything() {
        let is_same = before.get(&path).is_some_and(|was| was.len() == bytes.len());
        assert!(is_same || bytes.len() < SMALL, "{}: {} bytes", path.display(), bytes.len());
    }
    assert!(!house.board.path(STORED).exists(), "nobody wanted it stored");
}

/// What the program did on a `/data` of so many KiB, and how many bundles it left there.
#[cfg(target_os = "linux")]
fn on_small_data(house: &House, kib: u32) -> (Option<i32>, String) {
    const SCENE: &str = "set -e; cp -a \"$1/data\" \"$1/kept\"; \
                         mount -t tmpfs -o \"size=$2k\" none \"$1/data\"; \
                         cp -a \"$1/kept/.\" \"$1/data\"; rm -r \"$1/kept\"; set +e; \
                         \"$3\" --root \"$1\" agent poll --once; code=$?; \
                         echo left: $(ls \"$1/data/atomix/bundles\" 2>/dev/null); exit $code";
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", SCENE, "sh"]);
    command.arg(house.board.root()).arg(kib.to_string()).arg(env!("CARGO_BIN_EXE_atomix"));
    let ran = command.output().expect("unshare is a part of every Debian");
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (ran.status.code(), said)
}

/// Fails when a bundle takes the room that everything else on `/data` needs: 16 MiB.
#[cfg(target_os = "linux")]
#[test]
fn a_bundle_without_room_is_not_stored_and_one_with_room_is() {
    for ranges in [true, false] {
        let house = House::new("original", &json!({ "reboot": "never", "keep_bundles": true }));
        house.server.offer("2.0.0", bundles::good());
        house.server.put(BUNDLE, Page { ranges, ..Page::new(200, bundles::good()) });
        let before = house.board.read("/dev/mmcblk1p4");
        let (code, said) = on_small_data(&house, 16 * 1024 + 400);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no room for a bundle of"), "{said}");
        assert!(said.contains("left:\n"), "{said}");
        assert!(house.board.read("/dev/mmcblk1p4") == before);
        let asked = house.server.asked();
        let whole =
            asked.iter().filter(|asked| asked.path == BUNDLE && asked.range_bytes().is_none());
        assert!(!ranges || whole.count() == 0, "{asked:?}");
        let (code, said) = on_small_data(&house, 24 * 1024);
        assert_eq!(code, Some(0), "{said}");
        assert!(house.holds_good(), "{said}");
    }
}

/// Fails when the owner's mirror is not asked before the server's place, or when one that has nothing keeps the
/// device from its update.
#[test]
fn the_owners_mirror_is_asked_first_and_left_where_it_has_nothing() {
    for has_it in [true, false] {
        let (house, near) = (House::original(), UpdateServer::start());
        house.server.offer("2.0.0", bundles::good());
        if has_it {
            near.put("/near/update.raucb", Page::new(200, bundles::good()));
        }
        let mut settings: Value = serde_json::from_slice(&house.board.read(SETTINGS)).unwrap();
        settings["mirrors"] = json!([format!("{}/near", near.url)]);
        house.board.write(SETTINGS, settings.to_string());
        let believed = [house.server.ca_pem.clone(), near.ca_pem.clone()].concat();
        house.board.write("/data/config/os-upgrade/ca.pem", believed);
        let ran = house.poll(&[]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(house.holds_good());
        let asked = near.asked();
        assert!(!asked.is_empty(), "the mirror was passed by");
        assert!(asked.iter().all(|asked| asked.path == "/near/update.raucb"), "{asked:?}");
        let far = house.server.asked().into_iter().filter(|asked| asked.path == BUNDLE).count();
        assert_eq!(far == 0, has_it, "{far}");
    }
}

/// The good bundle, in a document of this number that was made at one time and expires at another.
fn document(sequence: u64, (issued, expires): (i64, i64), rollout: Option<Rollout>) -> Page {
    let good = bundles::good();
    let manifest = openssl::sha::sha256(bundles::manifest_of(&good).as_bytes());
    let release = Release {
        product: "small-board".to_owned(),
        sequence: Sequence::new(sequence).unwrap(),
        issued: UnixTime(issued),
        expires: UnixTime(expires),
        version: "2.0.0".to_owned(),
        manifest: Digest::from_bytes(manifest),
        file: Digest::from_bytes(openssl::sha::sha256(&good)),
        size: ByteLen::new(good.len() as u64),
        urls: vec!["os/update.raucb".to_owned()],
        min_version: None,
        rollout,
        urgency: Urgency::Ordinary,
    };
    let identity = bundles::identity(bundles::pki());
    let text = release.encode().unwrap();
    Page::new(200, sign_attached(text.as_bytes(), &identity, UnixTime(issued)).unwrap())
}

/// Fails when who turns a device's clock back can have a document followed that had expired before.
#[test]
fn a_clock_that_is_turned_back_makes_no_expired_document_good() {
    let house = House::new("signed", &json!({ "reboot": "never" }));
    house.server.offer("2.0.0", bundles::good());
    let (now, days) = (NOW.0.0, |days: i64| NOW.0.0 + days * DAY_SECS);
    let begins = UnixTime(days(50));
    let later = Rollout { begins, ends: UnixTime(begins.0 + 1), percent: 100 };
    house.server.put(DOCUMENT, document(7, (days(40), days(70)), Some(later)));
    let forty_one = Context::host(house.board.root(), Now(UnixTime(days(41))));
    let ran = run_on(&forty_one, &["agent", "poll", "--once"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    house.server.put(DOCUMENT, document(8, (now - DAY_SECS, days(30)), None));
    changes_nothing(&house, "a clock turned back", (3, "the release expired at"));
    house.server.put(DOCUMENT, document(9, (now - DAY_SECS, days(60)), None));
    assert_eq!(house.poll(&[]).code, 0, "one that has not expired is followed");
    assert!(house.holds_good());
}

/// Fails when an install that goes on fetches anew what is in the slot already.
#[test]
fn an_install_that_goes_on_costs_no_more_than_the_rest() {
    let house = House::original();
    let rootfs_bytes = 48 << 20;
    let bundle = bundles::Recipe { rootfs_bytes, ..bundles::Recipe::default() };
    house.board.write("/dev/mmcblk1p4", vec![0; rootfs_bytes]);
    house.server.offer("2.0.0", bundle.make());
    // Writing ends below a half; the rest of the progress is reading back. What came ahead of the
    // writer is lost with the stop, so how much had come says nothing.
    let first = order(&house);
    // As slow as the stop needs to come before the end, however fast the machine is.
    let slow = InstallOrder { rate: Some(ByteLen::mib(12)), ..first.clone() };
    let done = install(&house, &slow, &mut Until(30, Some(Stop::Program)));
    assert!(matches!(done.ending, InstallEnding::Stopped(Stop::Program)), "{done:?}");
    let order = InstallOrder { resumes: true, ..first };
    let rest = install(&house, &order, &mut Until(0, None));
    assert!(matches!(rest.ending, InstallEnding::Written), "{rest:?}");
    assert!(rest.fetched < ByteLen::mib(36), "{rest:?} behind {done:?}");
}
