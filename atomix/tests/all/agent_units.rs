// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a unit do? systemd takes every one, each is as closed as its page says, and never two update
//! agents write one slot. Names, commands and orders are held by `units.rs`.

use crate::cli_board::SmallBoard;
use atomix::cli::{AgentCommand, Cli, Command, HawkbitArgs, PollArgs};
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("units")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The one command of a service, as the program takes it.
fn command(name: &str) -> Command {
    let text = text(name);
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    let [line] = lines.as_slice() else { panic!("{name}: {lines:?}") };
    Cli::try_parse_from(line.split_whitespace()).unwrap().command
}

/// What `systemd-analyze security` says, without a manager: 0 is closed, 10 is open.
#[cfg(target_os = "linux")]
fn exposure(unit: &Path) -> f64 {
    let output = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze is installed by .ci/setup");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().rfind(|line| line.contains("Overall exposure level"));
    let words = line.unwrap_or_else(|| panic!("{text}")).split(": ").nth(1).unwrap();
    words.split(' ').next().unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_takes_the_agents_units_and_they_are_as_closed_as_the_page_says() {
    let place = tempfile::tempdir().unwrap();
    let names = ["os-upgrade.timer", "os-upgrade.service", "atomix-agent.service"];
    let mut copies = Vec::new();
    for name in names {
        // The program is not installed where this runs.
        let text = text(name).replace("ExecStart=/usr/bin/atomix", "ExecStart=/bin/true");
        copies.push(place.path().join(name));
        fs::write(place.path().join(name), text).unwrap();
    }
    let output = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&copies)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze is installed by .ci/setup");
    let said = String::from_utf8_lossy(&output.stderr);
    let ours = |line: &&str| line.contains("os-upgrade") || line.contains("atomix-agent");
    let ours: Vec<&str> = said.lines().filter(ours).collect();
    assert_eq!(ours, [""; 0], "{said}");
    let score = |name: &str| exposure(&folder().join(name));
    let (poll, hawkbit) = (score(names[1]), score(names[2]));
    let row = format!("| `systemd-analyze security` | {poll} | {hawkbit} |");
    let page = include_str!("../../../docs/agents-on-the-device.md");
    assert!(page.contains(&row), "docs/agents-on-the-device.md should say: {row}");
    assert!(poll < 4.0 && hawkbit < 4.0, "{poll} {hawkbit}");
}

/// A login is no service that could be limited.
#[cfg(target_os = "linux")]
const UNLIMITED: &str = "atomix-serial-root@.service";

/// Where a unit that little has to be there for may stand; one without any limit has more than 9.
#[cfg(target_os = "linux")]
const MOST: f64 = 6.0;

#[cfg(target_os = "linux")]
#[test]
fn every_service_is_as_closed_as_the_page_of_units_says() {
    let mut units: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "service"))
        .collect();
    units.push(folder().join("../dist/rauc/rauc.service"));
    units.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let page = include_str!("../../../docs/units.md");
    assert!(units.len() >= 11, "{units:?}");
    for unit in units {
        let name = unit.file_name().unwrap().to_str().unwrap();
        let score = exposure(&unit);
        assert!(score <= MOST || name == UNLIMITED, "{name}: {score}");
        let row = format!("| `{name}` | {score} |");
        assert!(page.contains(&row), "docs/units.md should say: {row}");
    }
}

/// The write protection of an eMMC's boot partition is a file of `/sys`, and an image that is an archive
/// may hold setuid programs: what installs for every board must not be kept from either.
#[test]
fn the_update_service_is_not_kept_from_what_other_boards_need() {
    let text = include_str!("../../dist/rauc/rauc.service");
    for limit in ["ProtectKernelTunables=", "RestrictSUIDSGID=", "ProtectClock=", "DevicePolicy="] {
        assert!(!text.lines().any(|line| line.starts_with(limit)), "{limit}");
    }
    for name in ["os-upgrade.service", "atomix-agent.service"] {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        assert!(!text.contains("\nProtectKernelTunables="), "{name}");
    }
}

/// Logs have words of servers, bundles, sticks and probes in them, and `<0>` at the start of a line would
/// reach every terminal.
#[test]
fn no_line_of_a_log_of_ours_chooses_its_level() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut services = 0;
    for dir in ["units", "dist/rauc", "../config-api/dist", "../nix/dist"] {
        for entry in fs::read_dir(here.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "service") || path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // D-Bus has files of the same ending.
            if text.contains("\nExecStart=") {
                services += 1;
                let says = text.lines().any(|line| line == "SyslogLevelPrefix=no");
                assert!(says, "{}", path.display());
            }
        }
    }
    assert!(services >= 18, "{services}");
    // Services that only NixOS modules write: what is neither ours nor of the base system.
    let mut others = 0;
    for entry in fs::read_dir(here.join("../nix/modules")).unwrap() {
        let path = entry.unwrap().path();
        let text = if path.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
        let runs =
            text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart = \"${pkgs."));
        let runs = runs.filter(|program| !program.starts_with("coreutils}")).count();
        let says = text.lines().filter(|line| line.trim() == "SyslogLevelPrefix = false;").count();
        assert!(says >= runs, "{}", path.display());
        others += runs;
    }
    assert!(others >= 1, "the tunnel's other end is heard in the log");
}

/// What the timer starts has to look at the pace itself, and a person's start must not be kept by it;
/// two agents at once must not be.
#[test]
fn each_agent_has_one_unit_and_ends_where_the_settings_name_the_other() {
    assert!(matches!(
        command("os-upgrade.service"),
        Command::Agent { command: AgentCommand::Poll(PollArgs { once: true, .. }) }
    ));
    assert!(matches!(
        command("atomix-agent.service"),
        Command::Agent { command: AgentCommand::Hawkbit(HawkbitArgs { once: false, .. }) }
    ));
    let board = SmallBoard::new();
    let hawkbit = r#"{"mode": "hawkbit", "hawkbit": {"url": "https://h.example",
        "target_token_file": "/data/config/hawkbit/token"}}"#;
    for (settings, other, says) in [
        (r#"{"server_url": "https://u.example"}"#, "hawkbit", "a server is polled"),
        (hawkbit, "poll", "hawkBit tells of updates here"),
        ("", "poll", "nobody tells of updates here"),
        ("", "run", "nobody tells of updates here"),
    ] {
        let file = board.path("/data/config/os-upgrade.json");
        let _before = fs::remove_file(&file);
        if !settings.is_empty() {
            board.write("/data/config/os-upgrade.json", settings);
        }
        let ran = board.run(&["agent", other]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains(says) && ran.stdout.lines().count() == 1, "{}", ran.stdout);
    }
    board.write("/data/config/os-upgrade.json", hawkbit);
    let ran = board.run(&["agent", "hawkbit", "--once"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("there is no file /data/config/hawkbit/token"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: put the file there"), "{}", ran.stderr);
}
