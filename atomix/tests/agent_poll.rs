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

mod cli_board;
mod update_server;

use bootctl::SlotState;
use cli_board::{ROOTFS_BYTES, Ran, SmallBoard, bundles, image};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use update_server::{LATEST, UpdateServer};

const SETTINGS: &str = "/data/config/os-upgrade.json";

/// A device that polls a server.
struct House {
    board: SmallBoard,
    server: UpdateServer,
}

impl House {
    fn new(metadata: &str, policy: &Value) -> Self {
        let (board, server) = (SmallBoard::new(), UpdateServer::start());
        let conf = "/etc/rauc/system.conf";
        board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
        board.replace(conf, "perform-pre-check=true\n", "");
        board.write("/data/config/os-upgrade/ca.pem", &server.ca_pem);
        board.write("/sys/class/net/eth0/address", "02:00:5e:10:20:30\n");
        let settings = json!({
            "server_url": server.url,
            "mode": "poll",
            "metadata": metadata,
            "tls": { "ca_file": "/data/config/os-upgrade/ca.pem" },
            "policy": policy,
        });
        board.write(SETTINGS, settings.to_string());
        Self { board, server }
    }

    fn original() -> Self {
        Self::new("original", &json!({ "reboot": "never" }))
    }

    fn poll(&self, more: &[&str]) -> Ran {
        self.board.run(&[&["agent", "poll", "--once"], more].concat())
    }

    /// A dry run as JSON.
    fn judged(&self) -> Value {
        let ran = self.board.run(&["--json", "agent", "poll", "--dry-run"]);
        let last = ran.stdout.lines().rfind(|line| line.contains("\"round\"")).unwrap().to_owned();
        serde_json::from_str(&last).unwrap()
    }

    /// Everything but what a start of the program leaves in `/run`.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = self.board.everything();
        all.retain(|path, _| !path.starts_with("run"));
        all
    }

    fn holds_good(&self) -> bool {
        self.board.read("/dev/mmcblk1p4") == image(70, ROOTFS_BYTES)
            && self.board.state().b.state == SlotState::Trying
    }
}

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
    assert!(status.contains("mode      poll, https://127.0.0.1"), "{status}");
    assert!(status.contains("install   written into slot B, 2.0.0"), "{status}");

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
