// SPDX-License-Identifier: MIT OR Apache-2.0
//! A technician has 80 columns and 24 lines at 115200 baud. The answers that are read there fit,
//! on a board that has much to tell.

use crate::cli_board::{NOW, Ran, SmallBoard, bundles};
use bundle::{DevelopmentPki, DevelopmentPkiOptions, UnixTime};
use std::fs;

const COLUMNS: usize = 80;
const LINES: usize = 24;
const STATUS: &str = "/data/rauc/status.raucs";

fn fits(board: &SmallBoard, args: &[&str], code: u8) -> Ran {
    let ran = board.run(args);
    assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
    // The line that waits for the next command needs one line of the screen.
    let count = ran.stdout.lines().count() + ran.stderr.lines().count();
    assert!(count < LINES, "{args:?} has {count} lines:\n{}{}", ran.stdout, ran.stderr);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= COLUMNS, "{args:?} is too wide: {line}");
    }
    ran
}

#[test]
fn board_that_fell_back_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    let status = fits(&board, &["status"], 0).stdout;
    for part in ["small-board", "booted       A", "boots next", "last failure", "rootfs.1"] {
        assert!(status.contains(part), "status lacks {part:?}:\n{status}");
    }
    let why = fits(&board, &["why"], 0).stdout;
    for part in ["from slot B (2.0.0) to slot A", "3 attempts, 3 of which", "cause"] {
        assert!(why.contains(part), "why lacks {part:?}:\n{why}");
    }
    fits(&board, &["slot", "list"], 0);
    fits(&board, &["boot", "state"], 0);
    fits(&board, &["uenv", "check"], 0);
    fits(&board, &["doctor"], 0);
}

#[test]
fn board_with_a_long_history_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    for _ in 0..20 {
        board.power_on();
    }
    let why = fits(&board, &["why"], 0).stdout;
    assert!(why.contains("booted A"), "{why}");
    fits(&board, &["status"], 0);
}

/// A table of which the first row is the heads of the columns and each next begins with a slot.
fn shows_devices(table: &str, devices: &[&str]) {
    let whole: String = table.lines().map(str::trim).collect();
    for device in devices {
        assert!(whole.contains(device), "{device} is not whole:\n{table}");
    }
}

#[test]
fn board_with_long_names_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    let deep = format!("/dev/{}/rootfs-b", ["disk/by-partlabel"; 6].join("/"));
    for (old, new) in
        [("/dev/mmcblk1p2", "/dev/disk/by-partlabel/rootfs-a"), ("/dev/mmcblk1p4", deep.as_str())]
    {
        board.write(new, board.read(old));
        board.replace("/etc/rauc/system.conf", old, new);
    }
    let compatible = "a-board-of-a-product-line-of-a-house-".repeat(4);
    board.replace("/etc/rauc/system.conf", "small-board", &compatible);
    board.replace(STATUS, "2.0.0", &"20261122.release-candidate+".repeat(9));
    let status = fits(&board, &["status"], 0).stdout;
    assert!(status.contains("compatible   a-board-of-a-product-line"), "{status}");
    shows_devices(&status, &["/dev/disk/by-partlabel/rootfs-a", &deep]);
    let list = fits(&board, &["slot", "list"], 0).stdout;
    shows_devices(&list, &["/dev/disk/by-partlabel/rootfs-a", &deep]);

    let config = String::from_utf8(board.read("/etc/rauc/system.conf")).unwrap();
    let long = config.replace("rootfs.", &format!("{}.", "root-file-system-".repeat(5)));
    board.write("/etc/rauc/system.conf", long.replace("boot.", "boot-file-system."));
    for row in fits(&board, &["slot", "list"], 0).stdout.lines().filter(|row| row.contains(" A ")) {
        assert!(
            row.contains("boot-file-system.0") || row.contains("root-file-system-root-f…"),
            "{row}"
        );
    }
    fits(&board, &["status"], 0);
}

#[test]
fn broken_board_fits_the_screen() {
    let board = SmallBoard::new();
    fs::remove_file(board.path("/dev/mtd0")).unwrap();
    fs::remove_file(board.path("/etc/rauc/ca.cert.pem")).unwrap();
    board.edit("/dev/mmcblk1", |disk| disk[572] ^= 1);
    let doctor = fits(&board, &["doctor"], 10).stdout;
    for part in ["BROKEN", "/dev/mtd0 does not exist", "keyring", "primary copy is damaged"] {
        assert!(doctor.contains(part), "doctor lacks {part:?}:\n{doctor}");
    }
}

#[test]
fn bundle_and_plan_fit_the_screen() {
    let board = SmallBoard::new();
    let bundle = board.offer_good();
    let info = fits(&board, &["bundle", "info", &bundle], 0).stdout;
    assert!(info.contains("signature    verified"), "{info}");
    fits(&board, &["install", "--dry-run", &bundle], 0);
    fits(&board, &["repart", "--dry-run"], 0);
}

const SETTINGS: &str = "/data/config/os-upgrade.json";
const RECORD: &str = "/data/atomix/agent/state.json";

/// A device that polls and was never asked, whose record says nothing, or is none.
#[test]
fn status_of_an_agent_that_was_never_asked_fits_the_screen_and_claims_nothing() {
    let board = SmallBoard::new();
    let nobody = fits(&board, &["agent", "status"], 0).stdout;
    assert!(nobody.contains("nobody tells of updates"), "{nobody}");
    let server = format!(
        "https://updates.example/{}",
        "a-fleet-of-a-house/".repeat(12).trim_end_matches('/')
    );
    board.write(SETTINGS, format!(r#"{{"server_url": "{server}"}}"#));
    let fresh = fits(&board, &["agent", "status"], 0).stdout;
    assert!(fresh.contains("asked      not since this boot"), "{fresh}");
    assert!(!fresh.contains("answered") && !fresh.contains("failures"), "{fresh}");
    for junk in ["{\"version\": 1, \"memory\": ", "\u{1b}[2J", &"x".repeat(5000)] {
        board.write(RECORD, junk);
        let told = fits(&board, &["agent", "status"], 0).stdout;
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("the agent starts anew"), "{told}");
        assert!(words.contains("written anew at its next question"), "{told}");
    }
}

/// Everything at once, and the longest words of a stranger.
#[test]
fn status_of_an_agent_with_much_to_tell_fits_the_screen() {
    let board = SmallBoard::new();
    let stages = [
        ("\"Announced\"", "17: announced"),
        ("\"Confirming\"", "17: waits for a yes"),
        ("\"Waiting\"", "17: waits"),
        ("\"Offered\"", "17: is being judged"),
        ("\"Installing\"", "17: is being written"),
        ("\"Stored\"", "17: lies on /data as a file"),
        ("{\"Installed\": \"B\"}", "17: is installed, and waits for the restart (slot B)"),
        ("{\"Trial\": \"B\"}", "17: is on trial (slot B)"),
    ];
    board.write(
        SETTINGS,
        r#"{"mode": "hawkbit", "hawkbit": {"url": "https://hawkbit.example",
            "target_token_file": "/data/config/hawkbit/token"}}"#,
    );
    let long = "refused: its manifest is another than the server named ".repeat(7);
    board.write(
        "/run/atomix/agent/heard.json",
        format!(
            r#"{{"asked": 1795229000, "contact": 1795229000, "came": "{long}",
                "decision": "{long}", "way_out": "{long}", "next": 1795232000}}"#
        ),
    );
    for (number, (stage, words)) in stages.iter().enumerate() {
        let failures = number + 1;
        let digest = "7f".repeat(32);
        board.write(
            RECORD,
            format!(
                r#"{{"version": 1, "memory": {{"seen": [], "floor": null, "install": {{
                    "manifest": "{digest}", "version": "{version}", "url": null, "etag": null,
                    "slot": "B", "from": null, "urgency": "ordinary", "stage": "written"}},
                    "report": {{"pending": "{digest}", "sent": null}}, "failures": {failures},
                    "action": {{"id": "17", "digest": null, "slot": null, "stage": {{
                        "version": 1, "outbox": [], "failures": 0, "sleep": 300, "action": {{
                        "id": 17, "change": null, "stage": {stage}, "permission": "Install",
                        "artifact": {{"file": "a.raucb", "version": "1", "size": null,
                            "hashes": {{"md5": null, "sha1": null, "sha256": null}}}},
                        "manifest": null, "wish": null, "entries": 0, "told": 0, "waits": null,
                        "denied": null}}}}}},
                    "refused": null, "leaving": "B", "today": {{"day": 0, "bytes": 0}},
                    "refusal": {{"kind": "offer-manifest", "words": "{long}", "since": 1795229000,
                        "bundle": "{digest}", "version": "{version}"}}}}}}"#,
                version = "20261122.release-candidate+".repeat(9),
            ),
        );
        let told = fits(&board, &["agent", "status"], 0).stdout;
        let times = if failures == 1 {
            "1 time; the last time it answered\n".to_owned()
        } else {
            format!("{failures} times in")
        };
        for part in
            ["mode       hawkbit", words, &times, "7f7f7f7f", "slot B was given up", "next 20"]
        {
            assert!(told.contains(part), "status lacks {part:?}:\n{told}");
        }
        assert!(!told.contains("starts anew") && !told.contains("1 times"), "{told}");
    }
}

/// What the agent's settings name is looked at before an update needs it: each file that is missing,
/// exposed, junk or too old is a finding with its way out, and one that serves is none.
#[test]
fn doctor_looks_at_the_files_of_the_agent() {
    use std::os::unix::fs::PermissionsExt;
    const DIR: &str = "/data/config/os-upgrade";
    let board = SmallBoard::after_a_fallback();
    board.write("/etc/rauc/ca.cert.pem", &bundles::pki().ca_cert_pem);
    let says = |parts: &[&str]| {
        let is_broken = parts.iter().any(|part| part.starts_with("BROKEN"));
        let code = if is_broken { 10 } else { 0 };
        // Its lines scroll away from the top, where all is well.
        let Ran { code: ended, stdout: doctor, .. } = board.run(&["doctor"]);
        assert_eq!(ended, code, "{doctor}");
        assert!(doctor.lines().all(|line| line.chars().count() <= COLUMNS), "{doctor}");
        let words = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(words.contains(part), "doctor lacks {part:?}:\n{doctor}");
        }
        words
    };
    assert!(!says(&[]).contains(" agent "), "nobody tells of updates here");
    board.write(SETTINGS, "{\"server\": 1}");
    says(&["BROKEN agent", "apply the configuration again"]);

    let hawkbit = r#"{"mode": "hawkbit", "hawkbit": {"url": "https://hawkbit.example",
        "target_token_file": "/data/config/hawkbit/token"}}"#;
    board.write(SETTINGS, hawkbit);
    says(&["BROKEN agent", "there is no file /data/config/hawkbit/token", "install -m 0600"]);
    let token = "/data/config/hawkbit/token";
    let mode = |path: &str, mode| {
        fs::set_permissions(board.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (bits, content, part) in
        [(0o644, "t0ken", "chmod it to 0600"), (0o600, "a b", "write the token alone")]
    {
        board.write(token, content);
        mode(token, bits);
        says(&["BROKEN agent", part]);
    }
    board.write(token, "t0ken");
    says(&["ok agent follows hawkBit at https://hawkbit.example", "its TargetToken can be used"]);

    let (cert, key, ca) = (format!("{DIR}/cert"), format!("{DIR}/key"), format!("{DIR}/ca"));
    board.write(
        SETTINGS,
        format!(
            r#"{{"server_url": "https://u.example", "mode": "poll", "metadata": "original",
                "tls": {{"client_cert_file": "{cert}", "client_key_file": "{key}",
                    "ca_file": "{ca}"}}}}"#
        ),
    );
    says(&["BROKEN agent", "there is no file /data/config/os-upgrade/key"]);
    let files = |cert_days: i64, ca_days: i64| {
        let mut options = DevelopmentPkiOptions::new(NOW.0);
        let until = |days: i64| UnixTime(NOW.0.0 + days * 86_400 - 60);
        (options.signer_not_after, options.ca_not_after) = (until(cert_days), until(ca_days));
        let pki = DevelopmentPki::generate("fleet", &options).unwrap();
        board.write(&cert, &pki.signer_cert_pem);
        board.write(&key, &pki.signer_key_pem);
        board.write(&ca, &pki.ca_cert_pem);
        mode(&key, 0o600);
    };
    files(0, 0);
    says(&["BROKEN agent the client certificate", "has expired", "the server's CA", "renewed"]);
    files(20, 400);
    says(&["weak agent the client certificate", "less than 30 days", "ok agent the server's CA"]);
    files(400, 400);
    let well = says(&["ok agent polls https://u.example", "ok agent the client certificate"]);
    assert!(!well.contains("weak agent"), "{well}");
    board.write(&ca, "<html>");
    says(&["BROKEN agent", "/data/config/os-upgrade/ca"]);
    fs::remove_file(board.path(&ca)).unwrap();
    says(&["BROKEN agent", "/data/config/os-upgrade/ca"]);
    files(400, 400);
    board.write(&cert, &bundles::pki().signer_cert_pem);
    says(&["BROKEN agent", "key"]);
    mode(&key, 0o640);
    says(&["BROKEN agent", "chmod it to 0600"]);
}
