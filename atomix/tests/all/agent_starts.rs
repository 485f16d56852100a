// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does systemd start an agent? Whatever the system's health is, and often enough for every interval that
//! the page of the agents names.

use std::path::Path;

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("units").join(name)).unwrap()
}

/// Fails when an agent is kept from starting by a system that is not healthy: its update is the way out.
#[test]
fn no_agent_waits_for_health() {
    for name in ["os-upgrade.service", "atomix-agent.service", "os-upgrade.timer"] {
        let text = text(name);
        for line in text.lines() {
            let key = line.split('=').next().unwrap();
            let binds = ["Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts"];
            assert!(!binds.contains(&key), "{name}: {line}");
            let asks = key.starts_with("Condition") || key.starts_with("Assert");
            let settings = "ConditionPathExists=/data/config/os-upgrade.json";
            assert!(!asks || line == settings, "{name}: {line}");
            assert!(key != "Wants" || line == "Wants=network-online.target", "{name}: {line}");
        }
    }
}

/// Fails when the timer comes later than the page says, or is spread by more than the agent's own lot.
#[test]
fn the_timer_comes_often_enough_for_the_shortest_interval() {
    let text = text("os-upgrade.timer");
    let (_, timer) = text.split_once("[Timer]\n").unwrap();
    let lines: Vec<&str> = timer.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["OnBootSec=2min", "OnUnitInactiveSec=5min", "AccuracySec=30s"]);
    let page = include_str!("../../../docs/agents-on-the-device.md");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("comes two minutes after the boot and then every five minutes"));
    assert!(words.contains("than five minutes are for `atomix agent poll` without `--once`"));
}
