// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain in one program: the demo's story, in words and as events, on bundles of its own
//! and on those of real rauc; and a kept board on which every command works.

use bundle::{
    BundleContent, BundleFormat, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    SigningIdentity, SquashfsCompression, UnixTime, create_bundle,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

fn atomix<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atomix")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", stdout(output), stderr(output));
    stdout(output)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/rauc-1.8").join(name)
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// Slot, reason and outcome of every boot of the story.
fn boots(events: &[Value]) -> Vec<(String, String, String)> {
    let all = of_kind(events, "boots").into_iter().last().unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = all["data"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "slot"), text(row, "reason"), text(row, "outcome"))).collect()
}

/// What both an own and someone else's bundle must lead to.
fn assert_whole_story(events: &[Value]) {
    for event in events {
        assert_eq!(event["version"], 1, "{event}");
        assert!(event["event"].is_string() && event["chapter"].is_u64(), "{event}");
    }
    assert_eq!(of_kind(events, "chapter").len(), 7);
    assert!(of_kind(events, "claim").iter().all(|claim| claim["holds"] == true));
    let expected = [
        ("A", "env-lost", "good"),
        ("B", "trying", "good"),
        ("A", "trying", "reboot"),
        ("A", "trying", "reboot"),
        ("A", "trying", "reboot"),
        ("B", "fallback", "good"),
        ("B", "normal", "good"),
        ("A", "trying", "good"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(boots(events), expected);
    let refused = of_kind(events, "refused");
    let codes: Vec<u64> =
        refused.iter().map(|event| event["data"]["exit_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [4, 4, 3]);
    let why = of_kind(events, "command").into_iter().find(|event| event["command"] == "why");
    let fallback = &why.unwrap()["answer"]["fallback"];
    assert_eq!((&fallback["from"], &fallback["to"]), (&"A".into(), &"B".into()));
    assert_eq!((&fallback["attempts"], &fallback["reached_userspace"]), (&3.into(), &3.into()));
    assert!(fallback["cause"].as_str().unwrap().contains("dnsmasq.service"));
}

#[test]
fn events_tell_seven_chapters_and_eight_boots() {
    // Another seed than the default's tears the cut install in another way.
    let output = atomix(["demo", "--json", "--seed", "7"]);
    assert_whole_story(&events(&succeeds(&output)));
}

#[test]
fn a_verity_bundle_of_real_rauc_plays_the_update_that_works() {
    let args = ["demo", "--json", "--bundle"].map(PathBuf::from).into_iter();
    let output =
        atomix(args.chain([fixture("verity.raucb"), "--keyring".into(), fixture("ca.cert.pem")]));
    let events = events(&succeeds(&output));
    assert_whole_story(&events);
    let info = of_kind(&events, "command").into_iter().next().unwrap();
    assert_eq!(info["answer"]["bundle_version"], "2026.11-rauc");
    assert_eq!(info["answer"]["format"], "verity");
}

#[test]
fn a_plain_bundle_of_real_rauc_is_allowed_and_said_so() {
    let output = atomix([
        "demo".into(),
        "--bundle".into(),
        fixture("plain.raucb"),
        "--keyring".into(),
        fixture("ca.cert.pem"),
    ]);
    let text = succeeds(&output);
    assert!(text.contains("It is a plain bundle."), "{text}");
    assert!(text.contains("format       plain"), "{text}");
    assert!(text.contains("7. Bundles that must not get in"), "{text}");
}

#[test]
fn a_kept_board_answers_every_command() {
    let home = tempfile::tempdir().unwrap();
    let board = home.path().join("board");
    let board_text = board.to_str().unwrap();
    let text = succeeds(&atomix(["demo", "--keep", board_text]));
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    // The last line names the board's directory, which may be long.
    assert!(wide.iter().all(|line| line.contains(board_text)), "{wide:#?}");

    let on_board = |words: &str| {
        let words = ["--board", board_text].into_iter().chain(words.split(' '));
        atomix(words)
    };
    let status = succeeds(&on_board("status"));
    assert!(status.contains("booted       A  good"), "{status}");
    assert!(succeeds(&on_board("why")).contains("from slot A (1.2.0) to slot B"));
    assert!(succeeds(&on_board("slot list")).contains("/dev/mmcblk1p4"));
    assert!(succeeds(&on_board("boot state")).contains("order   A B"));
    assert!(succeeds(&on_board("uenv print")).contains("BOOT_ORDER=A B"));
    assert!(succeeds(&on_board("repart --dry-run")).ends_with("nothing to do\n"));
    assert!(succeeds(&on_board("health probe")).contains("ok      dns"));
    succeeds(&on_board("slot check"));
    succeeds(&on_board("doctor"));
    assert!(succeeds(&on_board("agent status")).contains("nobody tells of updates"));
    assert_eq!(on_board("agent poll --once").status.code(), Some(2));
    let json: Value = serde_json::from_str(&succeeds(&on_board("boot state --json"))).unwrap();
    assert_eq!(json["booted"], "A");

    let bundle = |name: &str| format!("install {}", board.join("bundles").join(name).display());
    let refused = on_board(&bundle("other-board.raucb"));
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    let tampered = on_board(&bundle("tampered.raucb"));
    assert_eq!(tampered.status.code(), Some(4), "{}", stderr(&tampered));
    succeeds(&on_board(&bundle("update-3.raucb")));
    assert!(succeeds(&on_board("boot state")).contains("order   B A"));

    let judge = Command::new("sgdisk").arg("--verify").arg(board.join("emmc.img")).output();
    let judge = judge.expect("sgdisk (package gdisk) is needed");
    assert!(stdout(&judge).contains("No problems found"), "{}", stdout(&judge));

    let again = atomix(["demo", "--keep", board_text]);
    assert_eq!(again.status.code(), Some(2), "a board in use must not be overwritten");
}

/// Bundles by someone whose CA is `ca.pem`.
struct Stranger {
    dir: tempfile::TempDir,
    pki: DevelopmentPki,
    now: UnixTime,
}

impl Stranger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = UnixTime(i64::try_from(secs).unwrap());
        let pki = DevelopmentPki::generate("stranger", &DevelopmentPkiOptions::new(now)).unwrap();
        std::fs::write(dir.path().join("ca.pem"), &pki.ca_cert_pem).unwrap();
        Self { dir, pki, now }
    }

    fn bundle(&self, name: &str, images: &[(&str, usize)]) -> PathBuf {
        let mut manifest = "[update]\ncompatible=rock64\n[bundle]\nformat=verity\n".to_owned();
        let mut files = BTreeMap::new();
        for (class, len) in images {
            manifest.push_str(&format!("[image.{class}]\nfilename={class}.img\n"));
            files.insert(format!("{class}.img"), vec![0x5a; *len]);
        }
        let identity =
            SigningIdentity::from_pem(&self.pki.signer_cert_pem, &self.pki.signer_key_pem, &[])
                .unwrap();
        let path = self.dir.path().join(name);
        let request = CreateRequest {
            content: BundleContent::Memory { manifest: &manifest, files: &files },
            format: Some(BundleFormat::Verity),
            compression: SquashfsCompression::Stored,
            identity: &identity,
            salt: [3; 32],
            timestamp: self.now,
        };
        create_bundle(&request, &path, &mut |_| {}).unwrap();
        path
    }

    fn offer(&self, bundle: &Path) -> (Option<i32>, String) {
        let ca = self.dir.path().join("ca.pem");
        let output =
            atomix(["demo".into(), "--bundle".into(), bundle.to_owned(), "--keyring".into(), ca]);
        assert!(output.stdout.is_empty(), "the story must not begin: {}", stdout(&output));
        (output.status.code(), stderr(&output))
    }
}

#[test]
fn bundles_that_this_board_cannot_boot_are_refused_before_the_story_begins() {
    let stranger = Stranger::new();
    let small = 64 * 1024;
    let cases = [
        (vec![("rootfs", small)], "has no image for slot class boot"),
        (vec![("boot", small)], "has no image for slot class rootfs"),
        (vec![("boot", 129 << 20), ("rootfs", small)], "the boot image of"),
        (vec![("boot", small), ("rootfs", small)], "firmware cannot load the boot image"),
    ];
    for (number, (images, said)) in (0..).zip(cases) {
        let bundle = stranger.bundle(&format!("{number}.raucb"), &images);
        let (code, message) = stranger.offer(&bundle);
        assert_eq!(code, Some(3), "{message}");
        assert!(message.contains(said), "{message}");
    }
    let (code, message) = stranger.offer(&fixture("verity.raucb"));
    assert_eq!(code, Some(4), "another CA must not verify: {message}");
}
