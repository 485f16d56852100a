// SPDX-License-Identifier: MIT OR Apache-2.0
//! A true bundle for a board that cannot take it now: slots in use, media that fail, a boot state
//! that forbids it, and configuration that is wrong.

use crate::cli_board::bundles::good;
use crate::cli_board::{NOW, SmallBoard};
use crate::table::{After, BUNDLE, Case, Row};
use bootctl::{BundleId, SlotId, SlotState};
use bundle::{CheckTime, FileSource, Keyring, KeyringOptions, Limits, UntrustedBundle};
use std::fs;
use std::sync::Arc;
use storage::Fault;
use updater::InstallLock;

const CORRECT: &str = "correct the file";
const NO_SEAL: &[&str] = &["slot B", "boot.1 (/dev/mmcblk1p3)", "first 4096 bytes are zero"];
const REINSTALL: &str = "install a bundle into it";

pub fn rows() -> Vec<Row> {
    let mut rows = slot_rows();
    rows.extend(medium_rows());
    rows.extend(boot_state_rows());
    rows.extend(configuration_rows());
    rows
}

fn slot_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install(
            "slot mounted",
            |case| mounted(case, "/dev/mmcblk1p4", "/mnt/b"),
            5,
            &["slot rootfs.1 (/dev/mmcblk1p4) is mounted at /mnt/b"],
            "unmount it",
        ),
        install(
            "slot read-only",
            |case| case.faults.read_only = ["/dev/mmcblk1p4".into()].into(),
            3,
            &["cannot open slot rootfs.1 (/dev/mmcblk1p4)", "read-only"],
            "make the device writable",
        ),
        install(
            "slot configured read-only",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "[slot.rootfs.1]\n", "[slot.rootfs.1]\nreadonly=true\n");
            },
            3,
            &["slot rootfs.1 (/dev/mmcblk1p4) is configured read-only"],
            "remove its readonly=true",
        ),
        install(
            "slot device missing",
            |case| fs::remove_file(case.board.path("/dev/mmcblk1p4")).unwrap(),
            1,
            &["cannot open slot rootfs.1 (/dev/mmcblk1p4)", "does not exist"],
            "first boot creates slot B",
        ),
        install(
            "slot is a directory",
            |case| {
                fs::remove_file(case.board.path("/dev/mmcblk1p4")).unwrap();
                fs::create_dir(case.board.path("/dev/mmcblk1p4")).unwrap();
            },
            1,
            &["cannot open slot rootfs.1", "not a device or image file"],
            "the slot's device in system.conf",
        ),
        install(
            "a second install at once",
            |case| case.held.push(Box::new(lock(&case.board))),
            5,
            &["another install is running (process 4711)"],
            "wait until it ends",
        ),
        install(
            "lock directory is a file",
            |case| {
                fs::remove_dir(case.board.path("/run/atomix")).unwrap();
                case.board.write("/run/atomix", "");
            },
            1,
            &["lock", "run/atomix"],
            "run as root",
        ),
    ]
}

fn medium_rows() -> Vec<Row> {
    let install = Row::install;
    let torn = After::Torn;
    let says = &["slot rootfs.1", "offset", "/dev/mmcblk1p4", "No space left on device"];
    vec![
        install("no space for the root file system", no_space, 1, says, "install again")
            .after(torn)
            .because("no space"),
        install(
            "no space for the boot image",
            |case| fault(case, "/dev/mmcblk1p3", Fault::NoSpace { at: 20_000 }),
            1,
            &["slot boot.1", "offset", "/dev/mmcblk1p3", "No space left on device"],
            "install again",
        )
        .after(torn)
        .because("no space"),
        install(
            "write fails",
            |case| fault(case, "/dev/mmcblk1p4", Fault::Write { at: 70_000 }),
            1,
            &["slot rootfs.1", "offset", "/dev/mmcblk1p4", "Input/output error"],
            "install again",
        )
        .after(torn)
        .because("medium fails"),
        install(
            "flush fails",
            |case| fault(case, "/dev/mmcblk1p4", Fault::Flush),
            1,
            &["cannot flush slot rootfs.1", "/dev/mmcblk1p4"],
            "install again",
        )
        .after(torn),
        install(
            "medium does not keep what was written",
            |case| fault(case, "/dev/mmcblk1p4", Fault::ReadsBackWrong { at: 300_000 }),
            1,
            &["slot rootfs.1 does not hold what was written", "offset", "/dev/mmcblk1p4"],
            "install again",
        )
        .after(torn),
        install(
            "no room for the status file",
            |case| {
                fs::remove_dir_all(case.board.path("/data/atomix")).unwrap();
                case.board.write("/data/rauc", "");
            },
            0,
            &["/data/rauc/status.raucs", "Not a directory"],
            "",
        )
        .after(After::Works(installed)),
    ]
}

fn boot_state_rows() -> Vec<Row> {
    vec![
        Row::install(
            "bundle known to have failed",
            |case| {
                let mut state = SmallBoard::both_good();
                state.remember_failed(identity_of(case));
                case.board.set_state(&state);
            },
            3,
            &["installed before and did not become healthy"],
            "--force",
        ),
        Row::install(
            "installing from an unconfirmed slot",
            |case| {
                let mut state = SmallBoard::both_good();
                state.a.state = SlotState::Trying;
                case.board.set_state(&state);
            },
            3,
            &["slot A is booted and not confirmed", "slot B holds the last good system"],
            "mark the booted slot bad",
        ),
        Row::install(
            "booted from no slot",
            |case| case.board.write("/proc/cmdline", "console=ttyS2\n"),
            3,
            &["was not booted from a slot"],
            "boot from a slot",
        ),
        Row::command(
            "mark-bad of the last good slot",
            |case| {
                let mut state = SmallBoard::both_good();
                state.b.state = SlotState::Bad;
                case.board.set_state(&state);
            },
            &["boot", "mark-bad", "A"],
            3,
            &["slot A is the last good slot"],
            "force it",
        ),
        Row::command(
            "rollback to a slot that is not good",
            |case| {
                let mut state = SmallBoard::both_good();
                state.b.state = SlotState::Writing;
                case.board.set_state(&state);
            },
            &["rollback"],
            3,
            &["slot B holds no complete system (it is writing)"],
            "install",
        ),
        Row::command(
            "rollback to a slot without its seal",
            unsealed,
            &["rollback"],
            3,
            NO_SEAL,
            REINSTALL,
        )
        .because("no seal"),
        Row::command(
            "mark-active of a slot without its seal",
            unsealed,
            &["boot", "mark-active", "B"],
            3,
            NO_SEAL,
            REINSTALL,
        )
        .because("no seal"),
        Row::command(
            "mark-active of a slot whose seal cannot be read",
            |case| fs::remove_file(case.board.path("/dev/mmcblk1p3")).unwrap(),
            &["boot", "mark-active", "B"],
            1,
            &["the seal of slot boot.1", "/dev/mmcblk1p3 does not exist"],
            "the device's path",
        )
        .because("no such device"),
        Row::command(
            "forced rollback to a slot without its seal",
            unsealed,
            &["rollback", "--force"],
            0,
            NO_SEAL,
            "",
        )
        .because("no seal, forced")
        .after(After::Works(|board| assert_eq!(board.state().primary(), Some(SlotId::B)))),
    ]
}

fn configuration_rows() -> Vec<Row> {
    let conf =
        |name, make, says, hint| Row::command(name, make, &["install", BUNDLE], 2, says, hint);
    vec![
        conf(
            "section twice in system.conf",
            |case| append(case, "/etc/rauc/system.conf", "[slot.boot.0]\ndevice=/dev/x\n"),
            &[
                "/etc/rauc/system.conf",
                "duplicate key device in [slot.boot.0] in line",
                "first in line 10",
            ],
            CORRECT,
        ),
        conf(
            "key twice in system.conf",
            |case| append(case, "/etc/rauc/system.conf", "parent=boot.0\n"),
            &["/etc/rauc/system.conf", "duplicate key parent in [slot.rootfs.1]"],
            CORRECT,
        ),
        conf(
            "unknown key in system.conf",
            |case| append(case, "/etc/rauc/system.conf", "colour=red\n"),
            &["/etc/rauc/system.conf", "line", "unknown key colour in [slot.rootfs.1]"],
            "/etc/atomix/atomix.toml",
        ),
        conf(
            "slot named with a path",
            |case| append(case, "/etc/rauc/system.conf", "[slot.../x.0]\ndevice=/dev/x\n"),
            &["/etc/rauc/system.conf", "../x"],
            "own settings",
        ),
        conf(
            "no system.conf",
            |case| fs::remove_file(case.board.path("/etc/rauc/system.conf")).unwrap(),
            &["/etc/rauc/system.conf does not exist"],
            "--board DIR",
        )
        .because("no such file"),
        conf(
            "section twice in atomix.toml",
            |case| append(case, "/etc/atomix/atomix.toml", "[disk]\n"),
            &["/etc/atomix/atomix.toml", "line 10", "duplicate"],
            CORRECT,
        ),
        conf(
            "NUL in system.conf",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "device=/dev/mmcblk1p4", "device=/dev/mm\0blk1p4");
            },
            &["/etc/rauc/system.conf", "line 21", "bytes that are not text"],
            CORRECT,
        ),
        Row::install(
            "variant file missing",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "[system]\n", "[system]\nvariant-file=/etc/variant\n");
            },
            2,
            &["cannot tell the variant of this system", "/etc/variant, which does not exist"],
            "variant-file",
        ),
        Row::install(
            "device path that leaves the root",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "/dev/mmcblk1p4", "/dev/../../mmcblk1p4");
            },
            1,
            &["cannot open slot rootfs.1 (/dev/../../mmcblk1p4)", "leaves its root directory"],
            "the slot's device in system.conf",
        ),
        Row::install(
            "keyring path that leaves the root",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "/etc/rauc/ca.cert.pem", "/etc/../../ca.cert.pem");
            },
            1,
            &["/etc/../../ca.cert.pem leaves its root directory"],
            "correct the configured path",
        ),
        Row::install(
            "status path that leaves the root",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "/data/rauc/status", "/data/../../status");
            },
            0,
            &["/data/../../status.raucs leaves its root directory"],
            "",
        )
        .because("a path that leaves the root")
        .after(After::Works(installed)),
        Row::command(
            "image build without a kernel",
            |_| {},
            &[
                "image",
                "build",
                "--boot",
                "/no/such/boot",
                "--rootfs",
                "/no/such/rootfs.img",
                "--image-version",
                "1",
                "/no/such/out.img",
            ],
            1,
            &["cannot open /no/such/boot/Image", "No such file"],
            "give the path of a file that can be read",
        ),
        Row::command(
            "wrong key in health.toml",
            |case| append(case, "/etc/atomix/health.toml", "interval_secs = 9\n"),
            &["health", "probe"],
            2,
            &["/etc/atomix/health.toml", "line"],
            "health configuration",
        ),
    ]
}

fn append(case: &Case, path: &str, text: &str) {
    case.board.edit(path, |bytes| bytes.extend_from_slice(text.as_bytes()));
}

/// What an install leaves that was cut.
fn unsealed(case: &mut Case) {
    case.board.edit("/dev/mmcblk1p3", |boot| boot[..updater::SEAL_BYTES].fill(0));
}

fn mounted(case: &mut Case, device: &str, at: &str) {
    let line = format!("36 35 179:4 / {at} rw,noatime - ext4 {device} rw\n");
    case.board.write("/proc/self/mountinfo", line);
}

fn fault(case: &mut Case, device: &str, fault: Fault) {
    case.faults.media.insert(device.into(), fault);
}

fn no_space(case: &mut Case) {
    fault(case, "/dev/mmcblk1p4", Fault::NoSpace { at: 200_000 });
}

pub fn lock(board: &SmallBoard) -> InstallLock {
    InstallLock::acquire(board.root(), 4711).unwrap()
}

fn identity_of(case: &mut Case) -> BundleId {
    case.offer(good());
    let pem = case.board.read("/etc/rauc/ca.cert.pem");
    let keyring = Keyring::from_pem(&pem, KeyringOptions::default()).unwrap();
    let source = Arc::new(FileSource::open(&case.bundle).unwrap());
    let bundle = UntrustedBundle::open(source, &Limits::default()).unwrap();
    let verified = bundle.verify(&keyring, CheckTime::At(NOW.0)).unwrap();
    BundleId::from(verified.manifest_digest())
}

/// The install went on to its end.
pub fn installed(board: &SmallBoard) {
    let state = board.state();
    assert_eq!(state.b.state, SlotState::Trying);
    assert_eq!(state.primary(), Some(SlotId::B));
}
