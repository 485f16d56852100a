// SPDX-License-Identifier: MIT OR Apache-2.0
//! The technician at the serial console: when a part is broken, the rest is still told, what is
//! said is true, and the way out that is named can be typed.

use crate::cli_board::rig::{Faults, RiggedDevices};
use crate::cli_board::{NOW, SmallBoard, bundles, run_on};
use atomix::context::Context;
use bootctl::SlotState;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const STATUS: &str = "/data/rauc/status.raucs";

/// What is broken, by the file that is lost; the exit code, and what `status` still tells.
const LOST: [(&str, u8, &[&str]); 5] = [
    ("/etc/rauc/system.conf", 2, &["booted       A  good", "last failure slot B"]),
    ("/etc/fw_env.config", 2, &["booted       A  not read", "last failure slot B", "2.0.0"]),
    ("/dev/mtd0", 1, &["booted       A  not read", "last failure not known", "rootfs.1"]),
    ("/etc/atomix/atomix.toml", 0, &["booted       A  good", "2.0.0"]),
    ("/dev/mmcblk1p4", 0, &["booted       A  good", "absent", "last failure slot B"]),
];

#[test]
fn status_and_why_tell_what_is_known_when_a_part_is_lost() {
    for (path, code, parts) in LOST {
        let board = SmallBoard::after_a_fallback();
        fs::remove_file(board.path(path)).unwrap();
        let ran = board.run(&["status"]);
        assert_eq!(ran.code, code, "{path}: {}", ran.stderr);
        let said = ran.stdout + &ran.stderr;
        for part in parts {
            assert!(said.contains(part), "{path}: no {part:?} in\n{said}");
        }
        assert!(said.lines().count() < 24 && said.contains(path), "{path}:\n{said}");
        let why = board.run(&["why"]);
        assert_eq!(why.code, code, "{path}: {}", why.stderr);
        let has_recorder = !["/dev/mtd0", "/etc/atomix/atomix.toml"].contains(&path);
        let said = why.stdout + &why.stderr;
        assert_eq!(said.contains("from slot B"), has_recorder, "{path}:\n{said}");
    }
}

/// Half an answer must not pass for a whole one.
#[test]
fn programs_get_the_failure_instead_of_a_partial_answer() {
    for command in ["status", "why"] {
        let board = SmallBoard::after_a_fallback();
        fs::remove_file(board.path("/etc/fw_env.config")).unwrap();
        assert_eq!(board.run(&[command]).stdout, "");
        let ran = board.run(&["--json", command]);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &answer["error"]["code"]), (2, &Value::from(2)), "{}", ran.stdout);
    }
}

#[test]
fn a_broken_status_file_is_told_of() {
    let board = SmallBoard::after_a_fallback();
    board.write(STATUS, "[slot.rootfs.1\nbroken");
    let ran = board.run(&["status"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains(STATUS), "{}", ran.stderr);
}

#[test]
fn doctor_names_each_thing_once_with_a_way_out_and_the_worst_last() {
    let board = SmallBoard::new();
    board.corrupt_env(1);
    board.corrupt_env(2);
    fs::remove_file(board.path("/etc/rauc/ca.cert.pem")).unwrap();
    let ran = board.run(&["doctor"]);
    assert_eq!(ran.code, 10);
    assert_eq!(ran.stdout.matches("no environment copy is valid").count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("-> without a keyring"), "{}", ran.stdout);
    let marks: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.get(..6))
        .filter(|mark| !mark.trim().is_empty())
        .collect();
    let first_broken = marks.iter().position(|mark| *mark == "BROKEN").unwrap();
    assert!(marks[first_broken..].iter().all(|mark| *mark == "BROKEN"), "{marks:?}");

    fs::remove_file(board.path("/etc/fw_env.config")).unwrap();
    let ran = board.run(&["doctor"]);
    assert_eq!(ran.stdout.matches("fw_env.config does not exist").count(), 1, "{}", ran.stdout);
    // Whoever reads that has just run it.
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!words.contains("atomix doctor"), "{}", ran.stdout);
    assert!(words.contains("one line per copy"), "{}", ran.stdout);
}

#[test]
fn doctor_finds_a_slot_that_would_not_load_or_would_not_be_taken() {
    let board = SmallBoard::new();
    let before = board.run(&["doctor"]);
    assert!(!before.stdout.contains("fallback") && !before.stdout.contains("seal"));
    board.edit("/dev/mmcblk1p3", |boot| boot[..4096].fill(0));
    let ran = board.run(&["doctor"]);
    assert!(ran.code == 10 && ran.stdout.contains("seal is broken"), "{}", ran.stdout);

    let board = SmallBoard::new();
    assert_eq!(board.run(&["boot", "mark-bad", "B"]).code, 0);
    let ran = board.run(&["doctor"]);
    assert!(ran.stdout.contains("there is no fallback"), "{}", ran.stdout);

    let board = SmallBoard::new();
    let ran = board.run(&["uenv", "set", "BOOT_ORDER=X"]);
    assert!(ran.stderr.contains("\"X\""), "{}", ran.stderr);
    let ran = board.run(&["doctor"]);
    assert!(ran.stdout.contains("BOOT_ORDER does not name it"), "{}", ran.stdout);
}

/// A Rock64 without flash on its board keeps the environment in raw MMC, before the partitions.
#[test]
fn environment_on_a_disk_in_use_is_written_all_the_same() {
    let board = SmallBoard::new();
    let mut state = SmallBoard::both_good();
    state.a.state = SlotState::Trying;
    board.set_state(&state);
    let faults = Faults { in_use: [PathBuf::from("/dev/mtd0")].into(), ..Faults::default() };
    let devices = RiggedDevices::new(board.root(), faults);
    let context = Context::with_devices(board.root(), Box::new(devices), NOW);
    let ran = run_on(&context, &["boot", "mark-good"]);
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{}", ran.stderr);
    assert_eq!(board.state().a.state, SlotState::Good);
    // Slots are nobody else's.
    let faults = Faults { in_use: [PathBuf::from("/dev/mmcblk1p4")].into(), ..Faults::default() };
    let devices = RiggedDevices::new(board.root(), faults);
    let context = Context::with_devices(board.root(), Box::new(devices), NOW);
    let ran = run_on(&context, &["install", &board.offer_good()]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
}

#[test]
fn doctor_tells_of_settings_from_which_nothing_follows() {
    let board = SmallBoard::new();
    let before = board.run(&["doctor"]);
    let groups = "[log.mine]\nfilename=/data/events.log\n[polling]\nurl=https://x/y\n[keyring]";
    board.replace("/etc/rauc/system.conf", "[keyring]", groups);
    board.replace("/etc/rauc/system.conf", "type=vfat\n", "type=vfat\nallow-mounted=true\n");
    let ran = board.run(&["doctor"]);
    for name in ["[log.mine]", "[polling]", "allow-mounted in [slot.boot.0]"] {
        assert!(ran.stdout.contains(&format!("{name} has no effect")), "{}", ran.stdout);
    }
    // It works without them.
    assert_eq!(ran.code, before.code);
}

/// An install refuses a setting that it would have to pass over; that must be known before.
#[test]
fn doctor_tells_of_settings_that_make_every_install_fail() {
    let board = SmallBoard::new();
    let slot = "[slot.rootfs.1]\nresize=true\n";
    board.replace("/etc/rauc/system.conf", "[slot.rootfs.1]\n", slot);
    let ran = board.run(&["doctor"]);
    assert_eq!(ran.code, 10);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("resize in [slot.rootfs.1] is not supported"), "{}", ran.stdout);
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 2);
}

#[test]
fn a_refused_rollback_can_be_forced_as_its_hint_says() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["boot", "mark-bad", "B"]).code, 0);
    let ran = board.run(&["rollback"]);
    assert!(ran.code == 3 && ran.stderr.contains("use force"), "{}", ran.stderr);
    let ran = board.run(&["rollback", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(board.state().b.state, SlotState::Trying);
    let ran = board.run(&["status"]);
    assert!(ran.stdout.contains("boots next   B"), "{}", ran.stdout);
}

#[test]
fn a_staged_install_does_not_claim_to_boot_next() {
    let board = SmallBoard::new();
    let bundle = board.offer_good();
    let ran = board.run(&["install", "--stage", &bundle]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("does not boot next"), "{}", ran.stdout);
    let ran = board.run(&["install", &bundle]);
    assert!(ran.stdout.contains("it boots next"), "{}", ran.stdout);
}

#[test]
fn a_cut_install_is_not_said_to_be_what_was_installed() {
    let board = SmallBoard::new();
    let mut state = board.state();
    state.b.state = SlotState::Writing;
    board.set_state(&state);
    let ran = board.run(&["slot", "check", "B"]);
    assert!(ran.code == 3 && ran.stderr.contains("writing"), "{}", ran.stderr);
    let ran = board.run(&["slot", "check", "A"]);
    assert!(ran.code == 0 && ran.stdout.contains("nothing to be compared"), "{}", ran.stdout);
}

#[test]
fn flash_refuses_the_running_systems_own_devices() {
    let board = SmallBoard::new();
    board.write("/image", board.read("/dev/mmcblk1"));
    let image = board.path("/image");
    for device in ["/dev/mmcblk1", "/dev/mmcblk1p1", "/dev/mtd0"] {
        let before = board.read(device);
        let ran = board.run(&["flash", "--without-boot-loader", image.to_str().unwrap(), device]);
        assert!(ran.code == 3 && ran.stderr.contains(device), "{device}: {}", ran.stderr);
        assert_eq!(board.read(device), before);
    }
    // From a rescue system the same device is what is to be flashed.
    board.write("/proc/cmdline", "console=ttyS2\n");
    let flash = ["flash", "--without-boot-loader", image.to_str().unwrap(), "/dev/mmcblk1"];
    assert_eq!(board.run(&flash).code, 0);
}

#[test]
fn a_damaged_table_is_told_to_programs_too() {
    let board = SmallBoard::new();
    board.edit("/dev/mmcblk1", |disk| disk[512 + 60] ^= 1);
    let ran = board.run(&["--json", "repart", "--dry-run"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let damage = "primary copy is damaged: wrong header checksum";
    assert_eq!((&plan["table"]["health"], &plan["writes_table"]), (&damage.into(), &true.into()));
    let ran = board.run(&["--json", "repart"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["table_health"], damage);
    let ran = board.run(&["repart"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "whole again, nothing is said");
}

/// RAUC takes a bootname, a slot's name or its device there, and so do boards that come from it.
#[test]
fn the_booted_slot_is_found_by_its_name_and_by_its_device_too() {
    for said in ["boot.0", "rootfs.0", "/dev/mmcblk1p2"] {
        let board = SmallBoard::new();
        board.write("/proc/cmdline", format!("rauc.slot={said} atomix.reason=normal\n"));
        let ran = board.run(&["status"]);
        assert!(ran.stdout.contains("booted       A  good"), "{said}: {}", ran.stdout);
        assert_eq!(board.run(&["boot", "is-confirmed"]).code, 0, "{said}");
        let ran = board.run(&["install", &board.offer_good()]);
        assert_eq!(ran.code, 0, "{said}: {}", ran.stderr);
        assert_eq!(board.state().b.state, SlotState::Trying, "{said}");
    }
    let board = SmallBoard::new();
    board.write("/proc/cmdline", "rauc.slot=boot.7\n");
    let ran = board.run(&["boot", "is-confirmed"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn the_copies_are_shown_although_none_is_valid() {
    let board = SmallBoard::new();
    board.corrupt_env(1);
    board.edit("/dev/mtd0", |flash| flash[16 * 1024..32 * 1024].fill(0xff));
    let ran = board.run(&["uenv", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    for said in ["  copy 1  /dev/mtd0 at 0x0", ": corrupt, ", "  copy 2  /dev/mtd0 at 0x4000"] {
        assert!(ran.stderr.contains(said), "no {said:?} in\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("blank") && !ran.stderr.contains("used"), "{}", ran.stderr);
    let ran = board.run(&["--json", "uenv", "check"]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["error"]["code"], 1);
}

#[test]
fn what_a_change_of_the_environment_did_is_said_as_it_was() {
    let board = SmallBoard::new();
    for (assignments, told) in [
        (&["x=1", "y=2"][..], "2 set in one commit\n"),
        (&["x=", "y=3"], "1 set and 1 removed in one commit\n"),
        (&["y="], "1 removed in one commit\n"),
        (&["foo="], "nothing to remove; foo was not set\n"),
        (&["_RUT_OH_=1"], "1 set in one commit; _RUT_OH_ is read at the next boot\n"),
    ] {
        let ran = board.run(&[&["uenv", "set"], assignments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (0, told), "{}", ran.stderr);
    }
}

/// With a wrong offset in `fw_env.config` every verb would begin an environment over whatever lies
/// there, and U-Boot would never see it.
#[test]
fn no_environment_is_begun_over_bytes_that_are_none() {
    let verbs: [&[&str]; 4] = [
        &["boot", "mark-active", "B"],
        &["boot", "mark-bad", "B"],
        &["uenv", "set", "x=y"],
        &["boot", "restore-attempts"],
    ];
    let board = SmallBoard::new();
    board.write("/etc/u-boot-initial-env", "bootcmd=run atomix_select\n");
    let foreign: Vec<u8> = (0..32 * 1024).map(|at: u32| (at * 7 % 251) as u8 | 0x80).collect();
    board.edit("/dev/mtd0", |flash| flash[..foreign.len()].copy_from_slice(&foreign));
    for verb in verbs.iter().chain([&["install", &board.offer_good()][..]].iter()) {
        let ran = board.run(verb);
        assert_eq!(ran.code, 3, "{verb:?}: {}", ran.stderr);
        assert_eq!(board.read("/dev/mtd0")[..foreign.len()], foreign, "{verb:?} wrote");
    }
    let ran = board.run(&["uenv", "set", "x=y"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("0x0 of /dev/mtd0") && ran.stderr.contains("fw_env.config"));
    let ran = board.run(&["doctor"]);
    assert!(ran.stdout.contains("holds no environment"), "{}", ran.stdout);

    // The way out that is named: an erased place is begun anew.
    board.edit("/dev/mtd0", |flash| flash[..32 * 1024].fill(0xff));
    assert_eq!(board.run(&["uenv", "set", "x=y"]).code, 0);
}

#[test]
fn a_warning_is_said_once_per_install() {
    let board = SmallBoard::new();
    fs::create_dir_all(board.path("/data/rauc")).unwrap();
    fs::remove_dir_all(board.path("/data/rauc")).unwrap();
    board.write("/data/rauc", "a file where a directory should be");
    board.write("/update.raucb", bundles::good());
    let bundle = board.path("/update.raucb");
    let ran = board.run(&["install", bundle.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("the status is kept in").count(), 1, "{}", ran.stderr);
}

fn program(board: &SmallBoard, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
    command.arg("--root").arg(board.root()).args(args);
    command
}

#[test]
fn a_reader_that_goes_away_is_not_a_failure_to_talk_about() {
    let board = SmallBoard::new();
    let mut running = program(&board, &["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    let mut said = String::new();
    running.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    running.wait().unwrap();
    assert_eq!(said, "");
}

#[test]
fn a_wrong_command_line_is_one_json_object_too() {
    let board = SmallBoard::new();
    for args in [&["--json", "statsu"][..], &["--json"], &["install", "--json"]] {
        let ended = program(&board, args).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(answer["error"]["code"], 2, "{args:?}");
        if args[0] == "install" {
            assert!(answer["error"]["message"].as_str().unwrap().ends_with("<BUNDLE>"));
        }
        assert!(!ended.stderr.is_empty());
    }
    let help = program(&board, &["--json", "--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
}
