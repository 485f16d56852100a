// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small board below a directory, for tests of the command line: partitions, disk and flash are
//! files under `dev/`, so `--root DIR` finds them as a device finds its own. Booted from a good A,
//! with a good older B; the bundles of the tests fit its slots of 64 and 512 KiB.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod bundles;
pub mod rig;

use atomix::cli::Cli;
use atomix::context::{Context, Now};
use bootctl::{BootState, FirmwareFacts, PerSlot, SlotId, select};
use bundle::UnixTime;
use clap::Parser;
use repart::{NewPartition, TypeGuid, create_table};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use storage::{Access, ByteLen, FileStorage, Lba, PartUuid};
use uboot::{Env, EnvStore, FwEnvConfig};

pub const NOW: Now = Now(UnixTime(1_795_230_000));
pub const BOOT_BYTES: usize = 64 * 1024;
pub const ROOTFS_BYTES: usize = 512 * 1024;
pub const ENV_BYTES: u64 = 16 * 1024;
const FLASH_BYTES: usize = 128 * 1024;
const DISK_BYTES: usize = 8 * 1024 * 1024;
const PARTITION_BYTES: u64 = 1024 * 1024;
const SECTOR: u64 = 512;

pub const SYSTEM_CONF: &str = "[system]\ncompatible=small-board\nbootloader=uboot\n\
    bundle-formats=+plain\nperform-pre-check=true\nstatusfile=/data/rauc/status.raucs\n\
    [keyring]\npath=/etc/rauc/ca.cert.pem\n\
    [slot.boot.0]\ndevice=/dev/mmcblk1p1\ntype=vfat\nbootname=A\n\
    [slot.rootfs.0]\ndevice=/dev/mmcblk1p2\nparent=boot.0\n\
    [slot.boot.1]\ndevice=/dev/mmcblk1p3\ntype=vfat\nbootname=B\n\
    [slot.rootfs.1]\ndevice=/dev/mmcblk1p4\nparent=boot.1\n";

const ATOMIX_TOML: &str = "[disk]\ndevice = \"/dev/mmcblk1\"\nidentity-label = \"boot-b\"\n\
    protected-bytes = 1048576\n[recorder]\ndevice = \"/dev/mtd0\"\noffset = 32768\n\
    block-bytes = 4096\nblocks = 4\n";

const FW_ENV_CONFIG: &str = "/dev/mtd0 0x0 0x4000\n/dev/mtd0 0x4000 0x4000\n";

const HEALTH_TOML: &str = "settle_secs = 0\nwindow_secs = 1\ninterval_secs = 1\n\
    [[probe]]\nname = \"marker\"\nkind = \"file\"\npath = \"/etc/healthy\"\n";

/// Number, label and room of the partitions, in order.
pub const PARTITIONS: [(&str, usize); 4] = [
    ("boot-a", BOOT_BYTES),
    ("rootfs-a", ROOTFS_BYTES),
    ("boot-b", BOOT_BYTES),
    ("rootfs-b", ROOTFS_BYTES),
];

/// What one command line did.
pub struct Ran {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

/// The board.
pub struct SmallBoard {
    dir: tempfile::TempDir,
}

pub fn disk_identity() -> PartUuid {
    "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a001".parse().unwrap()
}

/// Bytes that differ from tag to tag; no sector of them is all zero.
pub fn image(tag: u8, len: usize) -> Vec<u8> {
    let word = |at: usize| u8::try_from(at % 251).unwrap() ^ u8::try_from(at / 509 % 256).unwrap();
    (0..len).map(|at| word(at).wrapping_mul(3).wrapping_add(tag) | 1).collect()
}

impl SmallBoard {
    /// A board with a system in both slots. Made once, because each flush costs time, and then
    /// copied.
    pub fn new() -> Self {
        static FILES: LazyLock<BTreeMap<PathBuf, Vec<u8>>> =
            LazyLock::new(|| SmallBoard::make().everything());
        let board = Self { dir: tempfile::tempdir().unwrap() };
        for (path, content) in FILES.iter() {
            board.write(path.to_str().unwrap(), content);
        }
        // On a board the service manager makes it; a lock's directory is no change of the board.
        fs::create_dir_all(board.path("/run/atomix")).unwrap();
        board
    }

    fn make() -> Self {
        let board = Self { dir: tempfile::tempdir().unwrap() };
        for (number, (label, len)) in (1..).zip(PARTITIONS) {
            let tag = if label.starts_with("boot") { 10 } else { 20 };
            board.write(&format!("/dev/mmcblk1p{number}"), image(tag, len));
        }
        board.write("/dev/mmcblk1", disk_with_table());
        board.write("/dev/mtd0", vec![0xff; FLASH_BYTES]);
        board.write("/etc/rauc/system.conf", SYSTEM_CONF.as_bytes());
        board.write("/etc/rauc/ca.cert.pem", &bundles::pki().ca_cert_pem);
        board.write("/etc/atomix/atomix.toml", ATOMIX_TOML.as_bytes());
        board.write("/etc/atomix/health.toml", HEALTH_TOML.as_bytes());
        board.write("/etc/fw_env.config", FW_ENV_CONFIG.as_bytes());
        board.write("/etc/healthy", b"yes\n");
        board.write("/etc/os-release", b"ID=atomixos\nIMAGE_VERSION=\"0.9.0\"\n");
        board.write("/data/atomix/provisioned", b"1\n");
        board.write("/proc/cmdline", b"console=ttyS2 rauc.slot=A atomix.reason=normal\n");
        board.write("/proc/self/mountinfo", b"");
        for (number, (label, _)) in (1..).zip(PARTITIONS) {
            board.write(&format!("/etc/repart.d/{number}0-{label}.conf"), definition(label));
        }
        board.set_state(&Self::both_good());
        board
    }

    pub fn both_good() -> BootState {
        let mut state = BootState::factory(disk_identity());
        state.b = state.a;
        state.order = SlotId::ALL.to_vec();
        state
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Where a path of the board lies on this machine.
    pub fn path(&self, on_board: &str) -> PathBuf {
        self.root().join(on_board.trim_start_matches('/'))
    }

    pub fn write(&self, on_board: &str, content: impl AsRef<[u8]>) {
        let path = self.path(on_board);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, on_board: &str) -> Vec<u8> {
        fs::read(self.path(on_board)).unwrap()
    }

    /// Changes the bytes of a file in place.
    pub fn edit(&self, on_board: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(on_board);
        change(&mut bytes);
        self.write(on_board, bytes);
    }

    /// Changes the text of a file in place; a change that finds nothing to change is a mistake.
    pub fn replace(&self, on_board: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(on_board)).unwrap();
        assert!(text.contains(from), "{on_board} has no {from:?}");
        self.write(on_board, text.replacen(from, to, 1));
    }

    fn env_store(&self) -> EnvStore<FileStorage> {
        let copies = FwEnvConfig::parse(FW_ENV_CONFIG).unwrap().copies;
        let open = |place: uboot::CopyPlace| {
            let flash = self.path(place.device.to_str().unwrap());
            (FileStorage::open(&flash, Access::ReadWrite).unwrap(), place)
        };
        EnvStore::open(copies.into_iter().map(open).collect()).unwrap()
    }

    /// Changes the environment as another program would: both copies are written.
    pub fn set_env(&self, change: impl Fn(&mut Env)) {
        let mut store = self.env_store();
        let mut env = store.load().map(|loaded| loaded.env).unwrap_or_default();
        env.set("bootcmd", "run atomix_select").unwrap();
        change(&mut env);
        store.store(&env).unwrap();
        store.store(&env).unwrap();
    }

    pub fn set_state(&self, state: &BootState) {
        self.set_env(|env| state.write_to(env).unwrap());
    }

    pub fn state(&self) -> BootState {
        BootState::from_env(&self.env_store().load().unwrap().env).unwrap()
    }

    /// Breaks one copy of the environment, numbered from 1.
    pub fn corrupt_env(&self, copy: u64) {
        let at = usize::try_from((copy - 1) * ENV_BYTES + 100).unwrap();
        self.edit("/dev/mtd0", |flash| flash[at] ^= 0x40);
    }

    /// Every file of the board with its bytes.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.root(), self.root(), &mut files);
        files
    }

    /// Puts the good bundle somewhere and returns its path.
    pub fn offer_good(&self) -> String {
        self.write("/update.raucb", bundles::good());
        self.path("/update.raucb").to_str().unwrap().to_owned()
    }

    /// The selector starts a slot, and Linux records that it is up.
    pub fn power_on(&self) -> SlotId {
        let slot = self.firmware_starts();
        assert_eq!(self.run(&["boot", "started"]).code, 0);
        slot
    }

    /// The selector starts a slot, of which nothing is heard.
    pub fn firmware_starts(&self) -> SlotId {
        let facts = FirmwareFacts {
            disk: Some(disk_identity()),
            save_works: true,
            loads: PerSlot { a: true, b: true },
        };
        let selection = select(Some(&self.state()), &facts);
        let slot = selection.boots.unwrap();
        self.set_env(|env| selection.write_to(env).unwrap());
        let reason = selection.reason;
        self.write("/proc/cmdline", format!("rauc.slot={slot} atomix.reason={reason}\n"));
        slot
    }

    /// A board that installed 2.0.0, tried it three times in vain and is back on its old slot.
    pub fn after_a_fallback() -> Self {
        let board = Self::new();
        assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
        let slots = [(); 4].map(|()| board.power_on());
        assert_eq!(slots, [SlotId::B, SlotId::B, SlotId::B, SlotId::A]);
        board
    }

    /// Runs a command line on the board's own devices, in this process.
    pub fn run(&self, args: &[&str]) -> Ran {
        let context = Context::host(self.root(), NOW);
        run_on(&context, args)
    }
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.is_file() {
            // A socket has no content.
            let name = path.strip_prefix(root).unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Parses as the program does and runs the command on `context`.
pub fn run_on(context: &Context, args: &[&str]) -> Ran {
    let argv = std::iter::once("atomix").chain(args.iter().copied());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let code = match Cli::try_parse_from(argv) {
        Ok(cli) => number(atomix::run::run_on(context, &cli, &mut stdout, &mut stderr)),
        Err(usage) => {
            stderr = usage.to_string().into_bytes();
            u8::try_from(usage.exit_code()).unwrap()
        }
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code, stdout: text(stdout), stderr: text(stderr) }
}

/// An exit code cannot be read, but it can be compared.
fn number(code: ExitCode) -> u8 {
    (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap()
}

fn definition(label: &str) -> String {
    let kind = if label.starts_with("boot") { "xbootldr" } else { "root-arm64" };
    format!("[Partition]\nType={kind}\nLabel={label}\nSizeMinBytes=1M\nSizeMaxBytes=1M\n")
}

/// The whole disk. Its partitions are not the files that the slots are: what writes the table
/// must not touch a slot, and the other way round.
fn disk_with_table() -> Vec<u8> {
    disk_with_labels(&PARTITIONS.map(|(label, _)| label))
}

/// A disk of the board's size with partitions of these labels.
pub fn disk_with_labels(labels: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let mut disk = FileStorage::create_sparse(&path, ByteLen::new(DISK_BYTES as u64)).unwrap();
    let sectors = PARTITION_BYTES / SECTOR;
    let partition = |(number, label): (u64, &&str)| NewPartition {
        type_guid: if label.starts_with("boot") {
            TypeGuid::XBOOTLDR
        } else {
            TypeGuid::ROOT_ARM64
        },
        part_uuid: match *label {
            "boot-b" => disk_identity(),
            _ => format!("6f1c7d62-93a9-4ad2-8d9d-3c31b2f7b00{number}").parse().unwrap(),
        },
        label: (*label).to_owned(),
        first_lba: Lba(number * sectors),
        last_lba: Lba((number + 1) * sectors - 1),
    };
    let partitions: Vec<_> = (1..).zip(labels).map(partition).collect();
    create_table(&mut disk, disk_identity().0, &partitions).unwrap();
    drop(disk);
    fs::read(path).unwrap()
}
