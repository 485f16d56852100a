// SPDX-License-Identifier: MIT OR Apache-2.0
//! The units are what systemd understands, and as closed as the documentation says.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where it stands, and asks systemd's own judge"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

/// What `systemd-analyze security` says, without a manager: 0 is closed, 10 is open.
fn exposure(name: &str) -> String {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit(name))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze is installed by .ci/setup");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().rfind(|line| line.contains("Overall exposure level"));
    let words = line.unwrap_or_else(|| panic!("{text}")).split(": ").nth(1).unwrap();
    words.split(' ').next().unwrap().to_owned()
}

#[test]
fn the_documented_exposure_is_the_real_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config-api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let http = exposure("atomix-config-api.service");
    let helper = exposure("atomix-config-helper.service");
    let row = format!("| `systemd-analyze security` | {http} | {helper} |");
    assert!(page.contains(&row), "docs/config-api.md should say: {row}");
    // Another release of systemd may weigh a little differently; far from it is a mistake here.
    assert!(http.parse::<f64>().unwrap() < 2.0, "{http}");
    assert!(helper.parse::<f64>().unwrap() < 4.5, "{helper}");
}

#[test]
fn the_http_half_has_no_right_and_the_helper_no_network() {
    let text = |name| std::fs::read_to_string(unit(name)).unwrap();
    let http = text("atomix-config-api.service");
    for line in ["CapabilityBoundingSet=\n", "User=atomix-config\n", "NoNewPrivileges=yes\n"] {
        assert!(http.contains(line), "{line}");
    }
    let helper = text("atomix-config-helper.service");
    assert!(helper.contains("RestrictAddressFamilies=AF_UNIX AF_NETLINK\n"));
    assert!(!helper.contains("AF_INET"));
}
