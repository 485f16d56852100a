// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the configuration accepts, and where it says that something is wrong.

use std::time::Duration;
use verifier::{HealthConfig, Level, ProbeKind, Reaction, UnitCondition};

const WHOLE: &str = r#"
settle_secs = 30
window_secs = 90
interval_secs = 3
on_failure = "stay"

[[probe]]
name = "dns"
kind = "unit"
unit = "dnsmasq.service"

[[probe]]
name = "lan applied"
kind = "unit"
unit = "lan-gateway-apply.service"
condition = "ran"

[[probe]]
name = "wan"
kind = "interface"
interface = "eth0"
level = "warning"

[[probe]]
name = "lan"
kind = "gateway"
interface = "eth1"
path = "/data/config/lan-settings.json"
key = "gateway_ip"
fallback = "172.20.30.1"

[[probe]]
name = "apps"
kind = "required-units"
path = "/data/config/health-required.json"

[[probe]]
name = "self test"
kind = "command"
argv = ["/run/current-system/sw/bin/true", "-x"]
timeout_secs = 5

[[probe]]
name = "mark"
kind = "file"
path = "/etc/os-release"
contains = "ID="

[[probe]]
name = "ssh"
kind = "tcp"
address = "127.0.0.1:22"
"#;

fn problems(text: &str) -> Vec<(usize, String)> {
    let error = HealthConfig::parse(text).unwrap_err();
    error.problems.into_iter().map(|problem| (problem.line, problem.message)).collect()
}

#[test]
fn every_kind_and_setting_is_read() {
    let config = HealthConfig::parse(WHOLE).unwrap();
    assert_eq!(config.timing.settle, Duration::from_secs(30));
    assert_eq!(config.timing.window, Duration::from_secs(90));
    assert_eq!(config.timing.interval, Duration::from_secs(3));
    assert_eq!(config.reaction, Reaction::Stay);
    assert_eq!(config.probes.len(), 8);
    assert_eq!(config.probes[2].level, Level::Warning);
    assert!(matches!(config.probes[1].kind, ProbeKind::Unit { condition: UnitCondition::Ran, .. }));
}

#[test]
fn defaults_are_twenty_sixty_five_and_reboot() {
    let config = HealthConfig::parse("[[probe]]\nname='a'\nkind='file'\npath='/a'\n").unwrap();
    assert_eq!(config.timing, verifier::Timing::default());
    assert_eq!(config.timing.window, Duration::from_secs(60));
    assert_eq!(config.reaction, Reaction::Reboot);
    assert_eq!(config.probes[0].level, Level::Required);
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    let found = problems("settle_secs = 1\nsettle = 2\n");
    assert_eq!(found[0].0, 2);
    assert!(found[0].1.contains("settle"), "{found:?}");
    let found = problems("[[probe]]\nname = 'a'\nkind = 'file'\npath = '/a'\nport = 1\n");
    assert_eq!(found[0].0, 5);
    let found = problems("[[probe]]\nname = 'a'\nkind = 'ping'\n");
    assert_eq!(found[0].0, 3);
}

#[test]
fn all_problems_are_listed_by_line() {
    let found = problems(
        "interval_secs = 0\n\
         [[probe]]\nname = 'a'\nkind = 'unit'\nunit = 'dnsmasq'\naddress = '1.2.3.4:5'\n\
         [[probe]]\nname = 'a'\nkind = 'command'\nargv = ['true']\ntimeout_secs = 0\n\
         [[probe]]\nname = 'b'\nkind = 'gateway'\npath = '/x.yaml'\n",
    );
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 5, 6, 7, 10, 11, 12, 12, 12], "{found:#?}");
}

#[test]
fn a_configuration_that_would_confirm_anything_is_refused() {
    assert!(problems("")[0].1.contains("no required probe"));
    let only_warning = "[[probe]]\nname='a'\nkind='file'\npath='/a'\nlevel='warning'\n";
    assert!(problems(only_warning)[0].1.contains("no required probe"));
}

/// The watchdog unit reboots a trying slot after 15 minutes without a verdict.
#[test]
fn a_verdict_that_would_come_too_late_is_refused() {
    let text =
        "settle_secs = 600\nwindow_secs = 600\n[[probe]]\nname='a'\nkind='file'\npath='/a'\n";
    assert!(problems(text)[0].1.contains("together"));
    let text = text.replace("600", "18446744073709551615");
    assert!(HealthConfig::parse(&text).is_err());
}
