// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systemd units in `units/`, read strictly: every key is one that we know, every command of
//! ours is one that this program takes, every unit named exists, and what keeps a board from a
//! dead end says so.

use crate::cli_board::{Ran, SmallBoard};
use atomix::cli::{BootCommand, Cli, Command};
use bootctl::{SlotId, SlotState};
use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use verifier::HealthConfig;

/// Every key that our units use, by section. A misspelled key is a warning for systemd and
/// nothing else; here it is a failure.
const KEYS: [(&str, &[&str]); 5] = [
    (
        "Unit",
        &[
            "Description",
            "DefaultDependencies",
            "After",
            "Before",
            "Conflicts",
            "Requires",
            "Wants",
            "OnSuccess",
            "OnFailure",
            "FailureAction",
            "RequiresMountsFor",
            "ConditionPathExists",
        ],
    ),
    (
        "Service",
        &[
            "Type",
            "RemainAfterExit",
            "ExecCondition",
            "ExecStartPre",
            "ExecStart",
            "ExecStop",
            "Restart",
            "RestartSec",
            "TimeoutStartSec",
            "TimeoutStopSec",
            "RuntimeMaxSec",
            "StandardInput",
            "StandardOutput",
            "StandardError",
            "SyslogLevelPrefix",
            "Environment",
            "TTYPath",
            "TTYReset",
            "TTYVHangup",
            "IgnoreSIGPIPE",
            "SendSIGHUP",
            "UtmpIdentifier",
            "CapabilityBoundingSet",
            "DeviceAllow",
            "DevicePolicy",
            "KeyringMode",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "NoNewPrivileges",
            "PrivateTmp",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectHome",
            "ProtectHostname",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
            "ProtectSystem",
            "ReadWritePaths",
            "RemoveIPC",
            "RestrictAddressFamilies",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "SystemCallArchitectures",
            "SystemCallErrorNumber",
            "SystemCallFilter",
        ],
    ),
    ("Timer", &["OnBootSec", "OnUnitInactiveSec", "AccuracySec"]),
    ("Install", &["WantedBy"]),
    ("Manager", &["CrashReboot", "CrashAction"]),
];

/// Units of systemd, of the distribution and of the config API that ours may name.
const FOREIGN: [&str; 14] = [
    "atomix-config-units.service",
    "network-online.target",
    "basic.target",
    "dbus.service",
    "getty-pre.target",
    "getty.target",
    "local-fs.target",
    "multi-user.target",
    "serial-getty@%i.service",
    "shutdown.target",
    "sysinit.target",
    "systemd-user-sessions.service",
    "timers.target",
    "emergency.target",
];

/// Programs of the distribution that ours may run.
const FOREIGN_PROGRAMS: [&str; 1] = ["/sbin/agetty"];

const PROGRAM: &str = "/usr/bin/atomix";

type Unit = BTreeMap<(String, String), Vec<String>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("units")
}

/// Every unit file with its text, by its path below the folder.
fn files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(folder()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(found.len() >= 12, "{:?}", found.keys());
    found
}

fn parse(name: &str, text: &str) -> Unit {
    assert!(text.starts_with("# SPDX-License-Identifier: "), "{name}");
    assert!(text.ends_with('\n'), "{name}");
    let mut section = "";
    let mut unit = Unit::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(!line.ends_with('\\') && line.trim() == line, "{name}: {line:?}");
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = title;
            assert!(KEYS.iter().any(|(known, _)| *known == section), "{name}: [{section}]");
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line:?}"));
        let known = KEYS.iter().find(|(known, _)| *known == section).unwrap().1;
        assert!(known.contains(&key), "{name}: {key}= does not belong into [{section}]");
        assert!(!value.is_empty() && value.trim() == value, "{name}: {line:?}");
        unit.entry((section.to_owned(), key.to_owned())).or_default().push(value.to_owned());
    }
    unit
}

fn units() -> BTreeMap<String, Unit> {
    files().iter().map(|(name, text)| (name.clone(), parse(name, text))).collect()
}

fn values<'a>(unit: &'a Unit, section: &str, key: &str) -> &'a [String] {
    unit.get(&(section.to_owned(), key.to_owned())).map_or(&[], Vec::as_slice)
}

fn words(unit: &Unit, section: &str, key: &str) -> BTreeSet<String> {
    let lines = values(unit, section, key);
    lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

fn only(unit: &Unit, section: &str, key: &str) -> String {
    match values(unit, section, key) {
        [value] => value.clone(),
        other => panic!("{key}={other:?}"),
    }
}

/// Every command line of a unit that runs our program, parsed by it.
fn own_commands(name: &str, unit: &Unit) -> Vec<Command> {
    let mut found = Vec::new();
    for key in ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStop"] {
        for line in values(unit, "Service", key) {
            let line = line.strip_prefix('-').unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[0] == PROGRAM {
                let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{name}: {e}"));
                found.push(cli.command);
            } else {
                assert!(FOREIGN_PROGRAMS.contains(&words[0]), "{name}: {line}");
            }
        }
    }
    found
}

#[test]
fn every_command_in_a_unit_is_one_that_the_program_takes() {
    let commands: usize = units().iter().map(|(name, unit)| own_commands(name, unit).len()).sum();
    assert!(commands >= 10, "only {commands} commands");
}

#[test]
fn every_unit_that_a_unit_names_exists() {
    let units = units();
    for (name, unit) in &units {
        for key in ["After", "Before", "Conflicts", "Requires", "Wants", "OnSuccess", "OnFailure"] {
            for named in words(unit, "Unit", key) {
                let known = units.contains_key(&named) || FOREIGN.contains(&named.as_str());
                assert!(known, "{name}: {key}={named}");
            }
        }
        for target in words(unit, "Install", "WantedBy") {
            assert!(FOREIGN.contains(&target.as_str()), "{name}: WantedBy={target}");
        }
    }
}

#[test]
fn every_timer_has_the_service_it_starts_and_that_service_is_not_enabled_itself() {
    let units = units();
    let timers: Vec<_> = units.keys().filter(|name| name.ends_with(".timer")).collect();
    assert_eq!(timers.len(), 3);
    for timer in timers {
        let service = &units[&timer.replace(".timer", ".service")];
        assert!(values(service, "Install", "WantedBy").is_empty(), "{timer}");
        assert!(!values(&units[timer], "Install", "WantedBy").is_empty(), "{timer}");
    }
}

/// What has no default dependencies must name the shutdown itself, else it is killed in its midst.
#[test]
fn every_unit_without_default_dependencies_is_stopped_by_a_shutdown() {
    for (name, unit) in units() {
        if words(&unit, "Unit", "DefaultDependencies").contains("no") {
            for key in ["Before", "Conflicts"] {
                assert!(words(&unit, "Unit", key).contains("shutdown.target"), "{name}: {key}");
            }
        }
    }
}

#[test]
fn every_start_of_a_oneshot_has_an_end() {
    for (name, unit) in units() {
        if words(&unit, "Service", "Type").contains("oneshot") {
            let end = if values(&unit, "Service", "ExecStart").is_empty() {
                "TimeoutStopSec"
            } else {
                "TimeoutStartSec"
            };
            assert!(!values(&unit, "Service", end).is_empty(), "{name}: no {end}=");
        }
    }
}

/// A dead end reboots when the program says so, and also when the program is what is broken.
#[test]
fn emergency_rescue_and_a_missing_verdict_reboot_when_their_command_fails() {
    let units = units();
    for (name, key) in [
        ("emergency.service.d/atomix.conf", "ExecStartPre"),
        ("rescue.service.d/atomix.conf", "ExecStartPre"),
        ("os-verification-deadline.service", "ExecStart"),
    ] {
        let unit = &units[name];
        assert_eq!(only(unit, "Unit", "FailureAction"), "reboot-force", "{name}");
        // A minus before the command would hide the failure.
        assert!(only(unit, "Service", key).starts_with(PROGRAM), "{name}");
        let limit = only(unit, "Service", "TimeoutStartSec").parse::<u64>().unwrap();
        let pause = match own_commands(name, unit).as_slice() {
            [Command::Boot { command: BootCommand::GiveUp { pause, .. } }] => *pause,
            _ => 0,
        };
        assert!(limit <= pause + 60, "{name}");
    }
    for mode in ["emergency", "rescue"] {
        let unit = &units[&format!("{mode}.service.d/atomix.conf")];
        let commands = own_commands(mode, unit);
        let [Command::Boot { command: BootCommand::GiveUp { cause, .. } }] = commands.as_slice()
        else {
            panic!("{commands:?}");
        };
        assert_eq!(cause, &format!("{mode}.target"));
    }
}

/// The verifier's own limit leaves a minute for what comes before it.
#[test]
fn the_longest_verification_ends_before_the_deadline() {
    let minutes = only(&units()["os-verification-deadline.timer"], "Timer", "OnBootSec");
    let deadline: u64 = minutes.strip_suffix("min").unwrap().parse::<u64>().unwrap() * 60;
    let config = |settle: u64| {
        HealthConfig::parse(&format!(
            "settle_secs = {settle}\nwindow_secs = 60\n[[probe]]\nname = \"x\"\nkind = \"file\"\n\
             path = \"/x\"\n"
        ))
    };
    assert!(config(deadline - 120).is_ok());
    assert!(config(deadline - 119).is_err());
}

/// Emergency mode conflicts with sysinit.target. What stops with that must not give attempts back,
/// and what watches over the boot must not stop with it.
#[test]
fn emergency_mode_gives_no_attempts_back_and_keeps_the_deadline() {
    let units = units();
    let shutdown = &units["atomix-orderly-shutdown.service"];
    let deadline = &units["os-verification-deadline.timer"];
    for unit in [shutdown, deadline, &units["os-verification-deadline.service"]] {
        assert_eq!(only(unit, "Unit", "DefaultDependencies"), "no");
        assert!(values(unit, "Unit", "Requires").is_empty());
    }
    assert_eq!(words(shutdown, "Unit", "Conflicts").len(), 1);
    assert!(words(&units["atomix-attempts.timer"], "Unit", "DefaultDependencies").is_empty());
    assert_eq!(only(&units["atomix-attempts.timer"], "Timer", "OnBootSec"), "120");
}

#[test]
fn the_root_login_replaces_the_getty_of_its_line_and_is_started_by_nobody_else() {
    let units = units();
    let login = &units["atomix-serial-root@.service"];
    assert!(words(login, "Unit", "Conflicts").contains("serial-getty@%i.service"));
    assert!(words(login, "Unit", "After").contains("serial-getty@%i.service"));
    assert!(values(login, "Install", "WantedBy").is_empty());
    assert!(values(login, "Service", "Restart").is_empty());
    // Nobody may come: it ends by itself, which is a failure for systemd, and the getty is back.
    assert_eq!(only(login, "Service", "RuntimeMaxSec"), "1h");
    for end in ["OnSuccess", "OnFailure"] {
        assert_eq!(only(login, "Unit", end), "serial-getty@%i.service");
    }
    let gate = &units["atomix-serial-root.service"];
    assert!(words(gate, "Unit", "Before").contains("getty-pre.target"));
    let commands = own_commands("gate", gate);
    assert!(matches!(commands.as_slice(), [Command::Boot { command: BootCommand::SerialRoot }]));
}

/// A board whose slot B is on trial, and that runs it.
fn trying_b() -> SmallBoard {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    assert_eq!(board.power_on().to_string(), "B");
    board
}

fn why(board: &SmallBoard) -> String {
    board.run(&["why"]).stdout
}

#[test]
fn a_trying_slot_without_a_verdict_is_left_with_its_reason_on_record() {
    let board = trying_b();
    let Ran { code, stderr, .. } = board.run(&["boot", "deadline"]);
    assert!(code == 3 && stderr.contains("slot B gives up: no verdict"), "{stderr}");
    assert!(why(&board).contains("B gave up: no verdict within 15 minutes"), "{}", why(&board));
    for _ in 0..2 {
        assert_eq!(board.power_on().to_string(), "B");
        assert_eq!(board.run(&["boot", "deadline"]).code, 3);
    }
    assert_eq!(board.power_on().to_string(), "A");
    assert!(why(&board).contains("cause       no verdict within 15 minutes"), "{}", why(&board));
}

/// B runs and is bad, and A is good: the environment was lost, B was tried, and the recorder knew.
fn bad_b_beside_good_a() -> SmallBoard {
    let board = trying_b();
    let mut state = board.state();
    state.b.state = SlotState::Bad;
    state.order = vec![SlotId::A];
    board.set_state(&state);
    board.write("/proc/cmdline", "rauc.slot=B atomix.reason=env-unwritable\n");
    board
}

#[test]
fn a_bad_slot_that_says_nothing_is_left_for_the_good_one_and_only_once() {
    let board = bad_b_beside_good_a();
    assert_eq!(board.run(&["boot", "deadline"]).code, 3);
    assert_eq!(board.state().returned, Some(SlotId::A), "the selector is told to take A");
    // It took B again, because it cannot save and A does not load: B stays.
    assert_eq!(board.run(&["boot", "deadline"]).code, 0);
    board.write("/proc/cmdline", "rauc.slot=B atomix.reason=last-resort\n");
    assert_eq!(board.run(&["boot", "deadline"]).code, 0);
}

#[test]
fn a_bad_slot_that_is_unhealthy_is_left_for_the_good_one() {
    let board = bad_b_beside_good_a();
    board.write(
        "/etc/atomix/health.toml",
        "settle_secs = 0\nwindow_secs = 0\ninterval_secs = 1\n\
         [[probe]]\nname = \"never\"\nkind = \"file\"\npath = \"/etc/never\"\n",
    );
    assert_eq!(board.run(&["health", "run"]).code, 1);
    assert_eq!(board.state().returned, Some(SlotId::A));
    assert_eq!(board.power_on().to_string(), "A");
}

/// Any failure of the deadline's unit reboots; what cannot be told to the selector would come back.
#[test]
fn a_bad_slot_whose_environment_cannot_be_written_is_not_left() {
    let board = bad_b_beside_good_a();
    fs::write(board.path("/etc/atomix/atomix.toml"), "nonsense").unwrap();
    let ran = board.run(&["boot", "deadline"]);
    assert!(
        ran.code == 0 && ran.stdout.contains("the board stays"),
        "{} {}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn a_good_slot_has_no_deadline() {
    let board = SmallBoard::new();
    let before = board.everything();
    let ran = board.run(&["boot", "deadline"]);
    assert_eq!((ran.code, board.everything() == before), (0, true), "{}", ran.stderr);
    // Nor where the environment cannot be read.
    fs::remove_file(board.path("/etc/fw_env.config")).unwrap();
    assert_eq!(board.run(&["boot", "deadline"]).code, 0);
}

#[test]
fn a_slot_that_was_judged_and_may_run_on_is_not_left() {
    let board = trying_b();
    board.write(
        "/etc/atomix/health.toml",
        "settle_secs = 0\nwindow_secs = 0\ninterval_secs = 1\non_failure = \"stay\"\n\
         [[probe]]\nname = \"never\"\nkind = \"file\"\npath = \"/etc/never\"\n",
    );
    assert_eq!(board.run(&["health", "run"]).code, 1);
    assert_eq!(board.state().b.state, SlotState::Trying);
    assert_eq!(board.run(&["boot", "deadline"]).code, 0);
    // The memory of it goes with the boot.
    fs::remove_file(board.path("/run/atomix/verdict")).unwrap();
    assert_eq!(board.run(&["boot", "deadline"]).code, 3);
}

#[test]
fn emergency_mode_is_recorded_unless_somebody_asked_for_it() {
    let board = trying_b();
    assert_eq!(board.run(&["boot", "give-up", "emergency.target"]).code, 3);
    assert!(why(&board).contains("B gave up: emergency.target"), "{}", why(&board));
    // Also where nothing can be recorded, and on a good slot: nobody sits there.
    for lost in ["/dev/mtd0", "/etc/atomix/atomix.toml", "/proc/cmdline"] {
        fs::remove_file(board.path(lost)).unwrap();
        assert_eq!(board.run(&["boot", "give-up", "emergency.target"]).code, 3, "{lost}");
    }
    let board = SmallBoard::new();
    let ran = board.run(&["boot", "give-up", "--pause", "1", "rescue.target"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("the board reboots in 1 s"), "{}", ran.stdout);
    let ran = trying_b().run(&["boot", "give-up", "--pause", "1", "rescue.target"]);
    assert_eq!((ran.code, ran.stdout.contains("reboots in")), (3, false), "{}", ran.stdout);
    board.write("/proc/cmdline", "rauc.slot=A systemd.unit=rescue.target\n");
    let before = board.everything();
    assert_eq!(board.run(&["boot", "give-up", "rescue.target"]).code, 0);
    assert!(board.everything() == before);
}

#[test]
fn a_root_login_is_granted_once_and_the_request_is_gone_from_the_environment() {
    let board = SmallBoard::new();
    assert!(board.run(&["boot", "serial-root"]).stdout.contains("no root login was asked for"));
    assert_eq!(board.run(&["uenv", "set", "_RUT_OH_=1"]).code, 0);
    let ran = board.run(&["boot", "serial-root"]);
    assert!(ran.code == 0 && ran.stdout.contains("root login on ttyS2"), "{}", ran.stdout);
    assert_eq!(board.run(&["uenv", "print", "_RUT_OH_"]).code, 10);
    assert!(board.run(&["boot", "serial-root"]).stdout.contains("no root login was asked for"));
    // One that names no line is spent all the same.
    board.write("/sys/class/tty/console/active", "tty0\n");
    assert_eq!(board.run(&["uenv", "set", "_RUT_OH_=1"]).code, 0);
    let ran = board.run(&["boot", "serial-root"]);
    assert!(ran.code == 3 && ran.stderr.contains("no serial console"), "{}", ran.stderr);
    assert_eq!(board.run(&["uenv", "print", "_RUT_OH_"]).code, 10);
}
