// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files in `dist/rauc/`, each judged by whoever will read it: the bus daemon, the parser of
//! `system.conf`, and for units a list of keys, since systemd only warns of a misspelled one.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use updater::SystemConfig;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/rauc").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The address of a bus daemon that read `policy`, or what it says against it.
fn bus_with(policy: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let config = dir.path().join("bus.conf");
    let policy_file = dir.path().join("policy.conf");
    fs::write(&policy_file, policy).unwrap();
    fs::write(
        &config,
        format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen>\
             <include>{}</include></busconfig>",
            socket.display(),
            policy_file.display()
        ),
    )
    .unwrap();
    let mut daemon = Command::new("dbus-daemon")
        .args(["--nofork", "--print-address"])
        .arg(format!("--config-file={}", config.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let mut out = BufReader::new(daemon.stdout.take().unwrap());
    out.read_line(&mut address).unwrap();
    let _ = daemon.kill();
    let mut complaint = String::new();
    daemon.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    daemon.wait().unwrap();
    if address.is_empty() { Err(complaint) } else { Ok(address) }
}

#[test]
fn the_bus_daemon_reads_both_policies() {
    for name in ["de.pengutronix.rauc.conf", "de.pengutronix.rauc-root-only.conf"] {
        let policy = text(name);
        assert!(bus_with(&policy).unwrap().starts_with("unix:path="), "{name}");
        // The judge is one: it refuses what is misspelled.
        bus_with(&policy.replace("send_destination", "send_destinatoin")).unwrap_err();
        assert!(policy.contains("<allow own=\"de.pengutronix.rauc\"/>"));
    }
}

#[test]
fn by_the_wide_policy_what_rauc_has_not_is_roots() {
    let policy = text("de.pengutronix.rauc.conf");
    let (_, default) = policy.split_once("<policy context=\"default\">").unwrap();
    let (default, root) = default.split_once("<policy user=\"root\">").unwrap();
    let (allowed, denied) = default.split_once("<deny").unwrap();
    assert!(allowed.contains("<allow send_destination=\"de.pengutronix.rauc\"/>"));
    assert!(denied.contains("send_interface=\"de.atomix.Installer\""));
    assert!(root.contains("<allow send_destination=\"de.pengutronix.rauc\"/>"));
}

#[test]
fn only_root_may_change_anything_by_the_narrow_policy() {
    let policy = text("de.pengutronix.rauc-root-only.conf");
    let (default, root) = policy.split_once("<policy user=\"root\">").unwrap();
    let allowed: Vec<&str> = default.matches("send_member=\"").collect();
    assert_eq!(allowed.len(), 5);
    for method in ["Install", "InstallBundle", "InspectBundle", "Info", "Mark", "Cancel", "Poll"] {
        assert!(!default.contains(&format!("send_member=\"{method}\"")), "{method}");
    }
    assert!(default.contains("<deny send_destination=\"de.pengutronix.rauc\"/>"));
    assert!(root.contains("<allow send_destination=\"de.pengutronix.rauc\"/>"));
}

#[test]
fn units_hold_known_keys_and_a_command_that_exists() {
    const KEYS: [&str; 32] = [
        "Description",
        "After",
        "Type",
        "BusName",
        "ExecStart",
        "SyslogLevelPrefix",
        "RuntimeDirectory",
        "MountFlags",
        "TimeoutStopSec",
        "Restart",
        "RestartSec",
        "Name",
        "Exec",
        "User",
        "SystemdService",
        "[Unit]",
        "[Service]",
        "NoNewPrivileges",
        "CapabilityBoundingSet",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelModules",
        "KeyringMode",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictAddressFamilies",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "SystemCallErrorNumber",
    ];
    for name in ["rauc.service", "de.pengutronix.rauc.service"] {
        let text = text(name);
        assert!(text.starts_with("# SPDX-License-Identifier: "), "{name}");
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let key = line.split('=').next().unwrap();
            assert!(KEYS.contains(&key) || key == "[D-BUS Service]", "{name}: {line}");
        }
        let command = text.lines().find(|line| line.starts_with("Exec")).unwrap();
        let (_, command) = command.split_once('=').unwrap();
        let words: Vec<_> = command.split(' ').map(std::ffi::OsString::from).collect();
        let words = atomix::rauc::words(words).expect("it calls rauc");
        assert!(words.contains(&"service".into()), "{name}");
    }
}

#[test]
fn the_sample_configuration_is_one() {
    let config = SystemConfig::parse(&text("system.conf"), Path::new("/etc/rauc")).unwrap();
    assert_eq!(config.slots.len(), 2);
    assert_eq!(config.keyring.unwrap().path.unwrap(), Path::new("/etc/rauc/keyring.pem"));
}
