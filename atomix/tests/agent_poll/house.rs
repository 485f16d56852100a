// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that polls, and its server.

use crate::cli_board::{ROOTFS_BYTES, Ran, SmallBoard, image};
use crate::update_server::UpdateServer;
use bootctl::SlotState;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

const SETTINGS: &str = "/data/config/os-upgrade.json";

/// A device that polls a server.
pub struct House {
    pub board: SmallBoard,
    pub server: UpdateServer,
}

impl House {
    pub fn new(metadata: &str, policy: &Value) -> Self {
        Self::asking(UpdateServer::start(), metadata, policy)
    }

    /// The same with this server.
    pub fn asking(server: UpdateServer, metadata: &str, policy: &Value) -> Self {
        let board = SmallBoard::new();
        let conf = "/etc/rauc/system.conf";
        board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
        board.replace(conf, "perform-pre-check=true\n", "");
        board.write("/data/config/os-upgrade/ca.pem", &server.ca_pem);
        board.write("/sys/class/net/eth0/address", "02:00:5e:10:20:30\n");
        let house = Self { board, server };
        house.settings(metadata, policy);
        house
    }

    pub fn settings(&self, metadata: &str, policy: &Value) {
        let settings = json!({
            "server_url": self.server.url,
            "mode": "poll",
            "metadata": metadata,
            "tls": { "ca_file": "/data/config/os-upgrade/ca.pem" },
            "policy": policy,
        });
        self.board.write(SETTINGS, settings.to_string());
    }

    pub fn original() -> Self {
        Self::new("original", &json!({ "reboot": "never" }))
    }

    pub fn poll(&self, more: &[&str]) -> Ran {
        self.board.run(&[&["agent", "poll", "--once"], more].concat())
    }

    /// A dry run as JSON.
    pub fn judged(&self) -> Value {
        let ran = self.board.run(&["--json", "agent", "poll", "--dry-run"]);
        let last = ran.stdout.lines().rfind(|line| line.contains("\"round\"")).unwrap().to_owned();
        serde_json::from_str(&last).unwrap()
    }

    /// Everything but what a start of the program leaves in `/run`.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = self.board.everything();
        all.retain(|path, _| !path.starts_with("run"));
        all
    }

    /// The same without what the agent remembers: how often it asked in vain.
    pub fn device(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = self.everything();
        all.retain(|path, _| !path.starts_with("data/atomix/agent"));
        all
    }

    pub fn holds_good(&self) -> bool {
        self.board.read("/dev/mmcblk1p4") == image(70, ROOTFS_BYTES)
            && self.board.state().b.state == SlotState::Trying
    }
}

/// The round is over with this code, says these words and a way out, and left everything as it was.
pub fn changes_nothing(house: &House, what: &str, (code, words): (u8, &str)) {
    let before = house.device();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, code, "{what}: {}{}", ran.stdout, ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(words), "{what}: {words:?} is not in {said}");
    assert!(code == 1 || said.contains("hint: "), "{what}: {said}");
    assert!(house.device() == before, "{what} changed something");
}
