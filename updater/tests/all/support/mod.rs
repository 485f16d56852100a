// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board in memory for the tests of this crate: four slots, an environment on NOR flash, a
//! recorder, small files, and bundles of small images.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod bundles;

use bootctl::{
    BootBackend, BootState, FirmwareFacts, PerSlot, Recorder, SlotId, Timestamp, UbootBackend,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use storage::{
    Access, ByteLen, Devices, Fault, Faulty, Files, MemoryFiles, MemoryStorage, PartUuid, Shared,
    Storage, StorageError,
};
use uboot::{CopyPlace, Env, EnvStore};
use updater::{
    BootedGroup, InstallError, InstallEvent, InstallLock, InstallOptions, InstallPolicy,
    InstallReport, Installer, SystemConfig,
};

pub const BOOT_BYTES: usize = 64 * 1024;
pub const ROOTFS_BYTES: usize = 128 * 1024;
pub const ENV_BYTES: u32 = 4096;

pub const SYSTEM_CONF: &str = "[system]\ncompatible=rock64\nbootloader=uboot\n\
    statusfile=/data/rauc/status.raucs\n\
    [slot.boot.0]\ndevice=/dev/boot-a\ntype=vfat\nbootname=A\n\
    [slot.boot.1]\ndevice=/dev/boot-b\ntype=vfat\nbootname=B\n\
    [slot.rootfs.0]\ndevice=/dev/rootfs-a\nparent=boot.0\n\
    [slot.rootfs.1]\ndevice=/dev/rootfs-b\nparent=boot.1\n";

pub fn config(text: &str) -> SystemConfig {
    SystemConfig::parse(text, Path::new("/etc/rauc")).unwrap()
}

pub fn disk() -> PartUuid {
    "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a001".parse().unwrap()
}

/// Bytes that differ in every block and from tag to tag; no sector is all zero.
pub fn image(tag: u8, len: usize) -> Vec<u8> {
    let word = |i: usize| u8::try_from(i % 251).unwrap() ^ u8::try_from((i / 509) % 256).unwrap();
    (0..len).map(|i| word(i).wrapping_mul(3).wrapping_add(tag) | 1).collect()
}

/// The images of one update; the boot image is shorter than its slot.
#[derive(Clone, PartialEq, Eq)]
pub struct System {
    pub boot: Vec<u8>,
    pub rootfs: Vec<u8>,
}

static SYSTEMS: LazyLock<Mutex<BTreeMap<u8, System>>> = LazyLock::new(Mutex::default);

/// The system of this tag; made once, because the power is cut some thousand times.
pub fn system(tag: u8) -> System {
    SYSTEMS.lock().unwrap().entry(tag).or_insert_with(|| make_system(tag)).clone()
}

fn make_system(tag: u8) -> System {
    System { boot: image(tag, BOOT_BYTES - 1000), rootfs: image(tag.wrapping_add(7), ROOTFS_BYTES) }
}

#[derive(Clone, Default)]
pub struct TestDevices {
    pub disks: BTreeMap<PathBuf, Shared<MemoryStorage>>,
    pub mounted: BTreeMap<PathBuf, PathBuf>,
    pub faults: BTreeMap<PathBuf, Fault>,
}

impl Devices for TestDevices {
    fn open(&self, device: &Path, _: Access) -> Result<Box<dyn Storage>, StorageError> {
        let label = device.display().to_string();
        let disk = self.disks.get(device).ok_or(StorageError::Absent { label })?.clone();
        Ok(match self.faults.get(device) {
            Some(fault) => Box::new(Faulty::new(disk, *fault)),
            None => Box::new(disk),
        })
    }

    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok(self.mounted.get(device).cloned())
    }
}

/// A board booted from A, with a good A and a good older B.
pub struct Board {
    pub devices: TestDevices,
    pub env: Shared<MemoryStorage>,
    pub history: Shared<MemoryStorage>,
    pub files: MemoryFiles,
    lock_dir: tempfile::TempDir,
}

pub fn slot_device(part: &str, slot: SlotId) -> PathBuf {
    PathBuf::from(format!("/dev/{part}-{}", slot.boot_name().to_lowercase()))
}

impl Board {
    pub fn new(a: &System, b: &System) -> Self {
        Self::with_room(a, b, (BOOT_BYTES, ROOTFS_BYTES))
    }

    /// As [`Board::new`], with room for so many bytes in each boot and root file system slot.
    pub fn with_room(a: &System, b: &System, (boot_bytes, rootfs_bytes): (usize, usize)) -> Self {
        let mut devices = TestDevices::default();
        for (slot, system) in [(SlotId::A, a), (SlotId::B, b)] {
            for (part, content, len) in
                [("boot", &system.boot, boot_bytes), ("rootfs", &system.rootfs, rootfs_bytes)]
            {
                let device = slot_device(part, slot);
                let mut bytes = content.clone();
                bytes.resize(len, 0);
                let disk = MemoryStorage::disk(device.display().to_string(), bytes);
                devices.disks.insert(device, Shared::new(disk));
            }
        }
        let flash = |name, len| Shared::new(MemoryStorage::nor(name, vec![0xff; len], ENV_BYTES));
        let board = Self {
            devices,
            env: flash("/dev/mtd0", 2 * 4096),
            history: flash("/dev/mtd1", 4 * 4096),
            files: MemoryFiles::new(),
            lock_dir: tempfile::tempdir().unwrap(),
        };
        let mut state = BootState::factory(disk());
        state.b = state.a;
        state.order = SlotId::ALL.to_vec();
        board.set_state(&state);
        board
    }

    pub fn backend<S: Storage>(env: Shared<S>) -> UbootBackend<Shared<S>> {
        let place = |offset| CopyPlace {
            device: PathBuf::from("/dev/mtd0"),
            offset,
            env_bytes: ENV_BYTES,
            erase_bytes: ENV_BYTES,
            sectors: 1,
        };
        let copies = vec![(env.clone(), place(0)), (env, place(u64::from(ENV_BYTES)))];
        UbootBackend::with_defaults(EnvStore::open(copies).unwrap(), Env::new())
    }

    pub fn state(&self) -> BootState {
        Self::backend(self.env.clone()).load().unwrap()
    }

    pub fn set_state(&self, state: &BootState) {
        let mut backend = Self::backend(self.env.clone());
        let old = backend.load().unwrap();
        backend.store(&old, state).unwrap();
    }

    pub fn lock(&self) -> InstallLock {
        InstallLock::acquire(self.lock_dir.path(), 1).unwrap()
    }

    pub fn bytes(&self, part: &str, slot: SlotId) -> Vec<u8> {
        self.devices.disks[&slot_device(part, slot)].with(|disk| disk.bytes().to_vec())
    }

    /// What U-Boot finds: without its first sector a file system is not recognised.
    pub fn loads(&self, slot: SlotId) -> bool {
        self.bytes("boot", slot)[..512].iter().any(|byte| *byte != 0)
    }

    pub fn firmware_facts(&self) -> FirmwareFacts {
        let loads = PerSlot { a: self.loads(SlotId::A), b: self.loads(SlotId::B) };
        FirmwareFacts { disk: Some(disk()), save_works: true, loads }
    }

    /// Whether the group holds exactly this system.
    pub fn holds(&self, slot: SlotId, system: &System) -> bool {
        self.bytes("boot", slot).starts_with(&system.boot)
            && self.bytes("rootfs", slot).starts_with(&system.rootfs)
    }

    pub fn install(
        &mut self,
        bundle: &bundle::VerifiedBundle,
        policy: InstallPolicy,
    ) -> (Result<InstallReport, InstallError>, Vec<InstallEvent>) {
        self.install_with(SYSTEM_CONF, bundle, policy, BootedGroup::Slot(SlotId::A))
    }

    pub fn install_with(
        &mut self,
        conf: &str,
        bundle: &bundle::VerifiedBundle,
        policy: InstallPolicy,
        booted: BootedGroup,
    ) -> (Result<InstallReport, InstallError>, Vec<InstallEvent>) {
        let mut events = Vec::new();
        let mut backend = Self::backend(self.env.clone());
        let outcome = self.install_told(conf, bundle, policy, booted, &mut backend, &mut |event| {
            events.push(event);
        });
        (outcome, events)
    }

    /// An install with a keeper of the boot state and a listener of the caller's.
    pub fn install_told(
        &mut self,
        conf: &str,
        bundle: &bundle::VerifiedBundle,
        policy: InstallPolicy,
        booted: BootedGroup,
        backend: &mut dyn BootBackend,
        progress: &mut dyn FnMut(InstallEvent),
    ) -> Result<InstallReport, InstallError> {
        let history: Box<dyn Storage> = Box::new(self.history.clone());
        let mut recorder = Recorder::open(history, ENV_BYTES).unwrap();
        let lock = self.lock();
        let options = options(booted, policy);
        Installer {
            config: &config(conf),
            devices: &self.devices,
            files: &mut self.files,
            backend,
            recorder: Some(&mut recorder),
            at: Timestamp::from_unix(1_795_230_000),
            progress,
        }
        .install(&lock, bundle, &options)
    }

    pub fn history(&self) -> Vec<bootctl::Entry> {
        let recorder = Recorder::open(self.history.clone(), ENV_BYTES).unwrap();
        recorder.entries().unwrap().into_iter().map(|record| record.entry).collect()
    }

    pub fn status_text(&self) -> String {
        let path = Path::new("/data/rauc/status.raucs");
        let bytes = self.files.read(path, ByteLen::kib(64)).unwrap().unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }
}

pub fn options(booted: BootedGroup, policy: InstallPolicy) -> InstallOptions {
    InstallOptions { booted, reason: None, variant: None, version_floor: None, policy }
}
