// SPDX-License-Identifier: MIT OR Apache-2.0
//! The units are what systemd understands, and as closed as the documentation says.

#![cfg(target_os = "linux")]

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

/// What runs at each boot, in its order, and the search.
const AT_BOOT: [&str; 6] = [
    "atomix-config-recover.service",
    "atomix-config-accounts.service",
    "atomix-config-network.service",
    "atomix-config-firewall.service",
    "atomix-config-units.service",
    "atomix-config-first-boot.service",
];

#[test]
fn systemd_takes_every_unit_and_what_runs_at_boot_is_closed() {
    let place = tempfile::tempdir().unwrap();
    let both = ["atomix-config-api.service", "atomix-config-helper.service"];
    let mut copies = Vec::new();
    for name in AT_BOOT.into_iter().chain(both) {
        let text = std::fs::read_to_string(unit(name)).unwrap();
        // The program is not installed where this runs.
        let text = text.replace("ExecStart=/usr/bin/atomix-config-api", "ExecStart=/bin/true");
        copies.push(place.path().join(name));
        std::fs::write(place.path().join(name), text).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&copies)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze is installed by .ci/setup");
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("atomix-config")).collect();
    assert_eq!(ours, [""; 0], "{said}");
    for name in AT_BOOT {
        let limit = if name.contains("first-boot") { 1.5 } else { 4.5 };
        assert!(exposure(name).parse::<f64>().unwrap() < limit, "{name}: {}", exposure(name));
    }
}

#[test]
fn nothing_reads_the_configuration_before_it_is_in_order() {
    let text = |name| std::fs::read_to_string(unit(name)).unwrap();
    let recover = text("atomix-config-recover.service");
    for name in &AT_BOOT[1..5] {
        assert!(recover.contains(name), "recovery comes before {name}");
        assert!(text(name).contains("After=atomix-config-recover.service"), "{name}");
    }
    for name in &AT_BOOT[1..4] {
        assert!(text(name).contains("Before=atomix-config-helper.service"), "{name}");
    }
    // It waits for the network, of which nobody knows when it comes: the device answers meanwhile.
    assert!(!text("atomix-config-units.service").contains("Before="));
    let search = text("atomix-config-first-boot.service");
    assert!(search.contains("After=atomix-config-helper.service"));
    // Nothing is held up by a device that waits for its configuration.
    assert!(search.contains("Type=exec\n") && !search.contains("\nBefore="));
}

/// A program that hangs must not hold the boot for ever; a unit of this kind has no limit unless it
/// says one. One that wants none says why.
#[test]
fn what_the_boot_waits_for_has_a_limit() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    let mut seen = 0;
    for entry in std::fs::read_dir(dist).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("\nType=oneshot\n") {
            continue;
        }
        seen += 1;
        let mut before = "";
        let limit = text.lines().find_map(|line| {
            let limit = line.strip_prefix("TimeoutStartSec=").map(|limit| (limit, before));
            before = line;
            limit
        });
        let (limit, before) = limit.unwrap_or_else(|| panic!("{path:?} has no limit"));
        assert!(limit != "infinity" || before.starts_with("# "), "{path:?} does not say why");
    }
    assert_eq!(seen, 5, "every oneshot unit is looked at");
}

/// A session's finding: the helper said `there is no account appsvc` and nothing more.
#[test]
fn a_missing_account_is_named_with_the_way_out() {
    let accounts = std::fs::read_to_string(unit("atomix-config-user.conf")).unwrap();
    assert!(accounts.contains("\nu atomix-config "), "the hint names this file");
    let own = tempfile::tempdir().unwrap();
    let own = own.path().to_str().unwrap();
    for (words, hint) in [
        (&["recover", "--app-user", "nobody-of-that-name"][..], "--app-user"),
        (&["apply", "accounts", "--app-user", "nobody-of-that-name"], "/etc/subuid"),
        (
            &["helper", "--device", "a", "--own", own, "--service-user", "nobody-of-that-name"],
            "systemd-sysusers",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomix-config-api"));
        let output = command.args(words).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("there is no account nobody-of-that-name"), "{told}");
        let way = told.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(way.contains(hint), "{words:?}: {told}");
    }
}
