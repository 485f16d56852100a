// SPDX-License-Identifier: MIT OR Apache-2.0
//! Environments that are damaged, missing, or hold what no slot of this board is.

use crate::cli_board::SmallBoard;
use crate::state_rows::installed;
use crate::table::{After, Case, Row};
use bootctl::{SlotId, SlotState};
use std::fs;
use storage::Fault;

pub fn rows() -> Vec<Row> {
    let mut rows = damaged_rows();
    rows.extend(content_rows());
    rows.extend(place_rows());
    rows
}

fn damaged_rows() -> Vec<Row> {
    let one = "one copy is corrupt";
    vec![
        Row::command(
            "copy 1 corrupt, status",
            |case| case.board.corrupt_env(1),
            &["status"],
            0,
            &["copy 1", "/dev/mtd0", "writes it anew"],
            "",
        )
        .because(one),
        Row::command(
            "copy 2 corrupt, status",
            |case| case.board.corrupt_env(2),
            &["status"],
            0,
            &["copy 2", "/dev/mtd0", "writes it anew"],
            "",
        )
        .because(one),
        Row::install(
            "copy 2 corrupt, install",
            |case| case.board.corrupt_env(2),
            0,
            &["copy 2", "/dev/mtd0", "writes it anew"],
            "",
        )
        .because(one)
        .after(After::Works(installed)),
        Row::install(
            "both copies corrupt, no defaults",
            both,
            1,
            &["the environment is lost"],
            "reboot once",
        )
        .because("both copies are corrupt and there are no defaults"),
        Row::command(
            "both copies corrupt, no defaults, mark-good",
            both,
            &["boot", "mark-good"],
            1,
            &["the environment is lost"],
            "reboot once",
        )
        .because("both copies are corrupt and there are no defaults, boot verb"),
        Row::install(
            "both copies corrupt, with defaults",
            |case| {
                both(case);
                case.board.write("/etc/u-boot-initial-env", "bootcmd=run atomix_select\n");
            },
            0,
            &["no environment copy is valid", "/dev/mtd0"],
            "",
        )
        .after(After::Works(begun_anew)),
        Row::command(
            "both copies corrupt, status",
            both,
            &["status"],
            0,
            &["no environment copy is valid", "/dev/mtd0"],
            "",
        )
        .because("both copies corrupt, with defaults"),
        Row::command(
            "both copies corrupt, uenv check",
            both,
            &["uenv", "check"],
            1,
            &["no environment copy is valid", "/dev/mtd0"],
            "fw_env.config",
        ),
        Row::command(
            "both copies erased, uenv print",
            |case| case.board.edit("/dev/mtd0", |flash| flash[..32 * 1024].fill(0xff)),
            &["uenv", "print"],
            1,
            &["no environment is stored", "/dev/mtd0"],
            "fw_env.config",
        ),
    ]
}

fn content_rows() -> Vec<Row> {
    vec![
        Row::command(
            "unknown slot in BOOT_ORDER",
            order_c,
            &["status"],
            0,
            &["BOOT_ORDER names \"C\"", "writes the order anew"],
            "",
        )
        .because("unknown slot"),
        Row::install(
            "unknown slot in BOOT_ORDER, install",
            order_c,
            0,
            &["BOOT_ORDER names \"C\"", "writes the order anew"],
            "",
        )
        .because("unknown slot")
        .after(After::Works(installed)),
        Row::command(
            "attempts that are no digit",
            |case| case.board.set_env(|env| env.set("BOOT_A_LEFT", "many").unwrap()),
            &["boot", "state"],
            0,
            &["BOOT_A_LEFT", "\"many\"", "until the next change"],
            "",
        ),
        Row::command(
            "variable without a name",
            |_| {},
            &["uenv", "set", "=x"],
            2,
            &["variable name \"\""],
            "a name holds",
        ),
        Row::command(
            "assignment without =",
            |_| {},
            &["uenv", "set", "bootdelay"],
            2,
            &["\"bootdelay\" is not NAME=VALUE"],
            "NAME=",
        ),
    ]
}

fn place_rows() -> Vec<Row> {
    vec![
        Row::install(
            "environment device missing",
            |case| fs::remove_file(case.board.path("/dev/mtd0")).unwrap(),
            1,
            &["/dev/mtd0 does not exist"],
            "the device's path in the configuration",
        )
        .because("no such device"),
        Row::install(
            "fw_env.config missing",
            |case| fs::remove_file(case.board.path("/etc/fw_env.config")).unwrap(),
            2,
            &["/etc/fw_env.config does not exist"],
            "atomix doctor",
        )
        .because("no such file"),
        Row::command(
            "fw_env.config is no list of places",
            |case| case.board.write("/etc/fw_env.config", "/dev/mtd0 here 0x4000\n"),
            &["status"],
            2,
            &["/etc/fw_env.config", "line 1"],
            "one line per copy",
        ),
        Row::command(
            "environment copies overlap",
            |case| {
                let text = "/dev/mtd0 0x0 0x4000\n/dev/mtd0 0x2000 0x4000\n";
                case.board.write("/etc/fw_env.config", text);
            },
            &["status"],
            1,
            &["copies at offsets 0x0 and 0x2000 of /dev/mtd0 overlap"],
            "erase blocks of its own",
        ),
        Row::command(
            "environment beyond its device",
            |case| case.board.replace("/etc/fw_env.config", "0x4000 0x4000", "0x9000000 0x4000"),
            &["status"],
            0,
            &["copy 2", "/dev/mtd0", "0x9000000", "check fw_env.config"],
            "",
        ),
        Row::install(
            "environment cannot be written",
            |case| case.faults.media = [("/dev/mtd0".into(), Fault::Write { at: 0x10 })].into(),
            1,
            &["cannot write the boot state", "environment copy 1", "Input/output error"],
            "atomix doctor",
        )
        .because("environment write fails")
        .after(After::Works(state_is_kept)),
        Row::install(
            "environment cannot be written at the end",
            |case| case.faults.media = [("/dev/mtd0".into(), Fault::Write { at: 0x4010 })].into(),
            1,
            &["cannot write the boot state", "environment copy 2", "Input/output error"],
            "atomix doctor",
        )
        .because("environment write fails")
        .after(After::Works(target_is_not_started)),
        Row::install(
            "flight recorder beyond its device",
            |case| {
                let toml = "/etc/atomix/atomix.toml";
                case.board.replace(toml, "offset = 32768", "offset = 99999999");
            },
            0,
            &["outside /dev/mtd0", "flight recorder", "[recorder] of atomix.toml"],
            "",
        )
        .after(After::Works(installed)),
    ]
}

/// The copy in force is untouched, so the state is the one before.
fn state_is_kept(board: &SmallBoard) {
    assert_eq!(board.state(), SmallBoard::both_good());
    let whole = SmallBoard::new();
    for device in ["/dev/mmcblk1p3", "/dev/mmcblk1p4"] {
        assert!(board.read(device) == whole.read(device), "{device} was written");
    }
}

/// The slots are whole and the last commit did not happen: the old system stays in charge.
fn target_is_not_started(board: &SmallBoard) {
    let state = board.state();
    assert_eq!((state.b.state, state.primary()), (SlotState::Writing, Some(SlotId::A)));
}

fn both(case: &mut Case) {
    case.board.corrupt_env(1);
    case.board.corrupt_env(2);
}

fn order_c(case: &mut Case) {
    case.board.set_env(|env| env.set("BOOT_ORDER", "A C B").unwrap());
}

/// The boot loader's command is there, the target boots next, and the running slot is not lost.
fn begun_anew(board: &SmallBoard) {
    let state = board.state();
    assert_eq!(state.b.state, SlotState::Trying);
    assert_eq!(state.primary(), Some(SlotId::B));
    assert!(state.order.contains(&SlotId::A), "{state:?}");
    let ran = board.run(&["uenv", "print", "bootcmd"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "bootcmd=run atomix_select\n"));
}
