// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stays between two starts of the sandbox: its flash and its disks; and who reads the flash
//! beside U-Boot.

use super::choice::{Case, DISK, ENDS, Ran, START_END, make_disk, make_disk_with, record};
use ::uboot::EnvStore;
use bootctl::{BootState, PerSlot, SlotId, SlotState};
use e2e::parts;
use e2e::sandbox::{Fault, Hardware, Reset, SANDBOX, Sandbox, WATCHDOG};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use storage::{Access, ByteLen, FileStorage, NorFlash};

/// The sandbox takes a tenth of a second to its choice.
pub const CHOICE_WAIT: Duration = Duration::from_secs(60);

/// Where the two copies and everything around them lie.
pub const SURROUNDINGS: std::ops::Range<usize> = 0x1f_0000..0x23_0000;

pub struct Rig {
    pub dir: tempfile::TempDir,
    firmware: PathBuf,
}

impl Rig {
    pub fn new() -> Self {
        let firmware = parts::sandbox::sandbox().unwrap().join("u-boot");
        let rig = Self { dir: tempfile::tempdir().unwrap(), firmware };
        let bytes = usize::try_from(SANDBOX.flash.size.get()).unwrap();
        std::fs::write(rig.flash(), vec![0xff; bytes]).unwrap();
        rig
    }

    pub fn flash(&self) -> PathBuf {
        self.dir.path().join("flash")
    }

    /// The disk whose slots have a script or not.
    pub fn disk(&self, loads: &PerSlot<bool>) -> PathBuf {
        let path = self.dir.path().join(format!("disk-{}-{}", loads.a, loads.b));
        if !path.exists() {
            make_disk(&SANDBOX, &path, disk_len(), loads);
        }
        path
    }

    /// The disk both of whose slots run this.
    pub fn disk_with(&self, script: &str) -> PathBuf {
        let path = self.dir.path().join("disk-with");
        let loads = PerSlot { a: true, b: true };
        make_disk_with(&SANDBOX, &path, disk_len(), &loads, script.as_bytes());
        path
    }

    /// The environment, as Linux reads and writes it on flash.
    pub fn store(&self) -> EnvStore<NorFlash<FileStorage>> {
        let copies = SANDBOX.fw_env_config().copies.into_iter().map(|place| {
            let file = FileStorage::open(&self.flash(), Access::ReadWrite).unwrap();
            (NorFlash::new(file, SANDBOX.flash.erase_bytes), place)
        });
        EnvStore::open(copies.collect()).unwrap()
    }

    /// What Linux reads.
    pub fn state(&self) -> Option<BootState> {
        let loaded = self.store().load().ok()?;
        BootState::from_env(&loaded.env).ok()
    }

    /// The flash around the environment; what lies further away is compared too.
    pub fn surroundings(&self) -> Vec<u8> {
        let bytes = std::fs::read(self.flash()).unwrap();
        let beyond = bytes[..SURROUNDINGS.start].iter().chain(&bytes[SURROUNDINGS.end..]);
        assert!(beyond.copied().all(|byte| byte == 0xff), "written beyond the environment");
        bytes[SURROUNDINGS].to_vec()
    }

    pub fn write_surroundings(&self, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.flash()).unwrap();
        file.write_all_at(bytes, SURROUNDINGS.start as u64).unwrap();
    }

    /// Erases the flash, and stores the case's environment in it.
    pub fn prepare(&self, case: &Case) {
        self.write_surroundings(&vec![0xff; SURROUNDINGS.len()]);
        if let Some(env) = case.stored(&SANDBOX) {
            self.store().store_as_firmware(&env).unwrap();
        }
    }

    /// Erases the flash, and stores the case's environment in this copy.
    pub fn prepare_in(&self, case: &Case, copy: usize) {
        self.prepare(case);
        if copy == 1 {
            self.store().store(&case.stored(&SANDBOX).unwrap()).unwrap();
        }
    }

    pub fn start(
        &self,
        disk: &Path,
        fault: Fault,
        reset: Reset,
        watchdog: Option<&str>,
    ) -> Sandbox {
        self.start_for(disk, fault, reset, watchdog, None)
    }

    /// U-Boot with commands instead of its autoboot.
    pub fn start_commands(&self, disk: &Path, commands: &str) -> Sandbox {
        self.start_for(disk, Fault::None, Reset::Halts, None, Some(commands))
    }

    fn start_for(
        &self,
        disk: &Path,
        fault: Fault,
        reset: Reset,
        watchdog: Option<&str>,
        commands: Option<&str>,
    ) -> Sandbox {
        Sandbox::start(&Hardware {
            firmware: &self.firmware,
            disk: Some(disk),
            flash: &self.flash(),
            fault,
            reset,
            watchdog,
            commands,
            logs: self.dir.path(),
        })
        .unwrap()
    }

    /// What U-Boot does with the flash as it is.
    pub fn run(&self, loads: &PerSlot<bool>, fault: Fault) -> Ran {
        let mut sandbox = self.start(&self.disk(loads), fault, Reset::Halts, Some(WATCHDOG));
        let (end, mut said) = sandbox.serial.expect_any(&ENDS, CHOICE_WAIT).unwrap();
        if end == 0 {
            said = sandbox.serial.expect(START_END, CHOICE_WAIT).unwrap();
        }
        sandbox.cut();
        Ran { end, said, left: self.state() }
    }

    /// Runs what is in the flash, which must be done with as the model does.
    pub fn check_stored(&self, loads: &PerSlot<bool>) {
        let loads = (*loads.get(SlotId::A), *loads.get(SlotId::B));
        let case = Case::of(self.state(), loads);
        case.check(&SANDBOX, &self.run(&case.loads, Fault::None));
    }

    /// All variables as libubootenv reads them.
    pub fn fw_printenv(&self) -> Vec<(String, String)> {
        let mut config = SANDBOX.fw_env_config();
        for copy in &mut config.copies {
            copy.device = self.flash();
        }
        let path = self.dir.path().join("fw_env.config");
        std::fs::write(&path, config.encode()).unwrap();
        let printed = Command::new("fw_printenv").arg("-c").arg(path).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let text = String::from_utf8(printed.stdout).unwrap();
        let pair = |line: &str| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        let mut pairs: Vec<_> = text.lines().filter_map(pair).collect();
        pairs.sort();
        pairs
    }
}

pub fn disk_len() -> ByteLen {
    ByteLen::mib(2400)
}

/// Slot A good, slot B to be tried.
pub fn updated() -> BootState {
    BootState {
        order: vec![SlotId::B, SlotId::A],
        a: record(SlotState::Good, 3),
        b: record(SlotState::Trying, 3),
        disk: Some(DISK),
        ..BootState::lost()
    }
}

pub fn both() -> PerSlot<bool> {
    PerSlot { a: true, b: true }
}
