// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real U-Boot with our selector against the model of it: the same environments, the same choice,
//! the same command line, the same environment afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod choice;

use ::uboot::EnvStore;
use bootctl::{BootState, PerSlot};
use choice::{Case, ENDS, Numbers, Ran, START_END, check_all, make_disk, odd_cases};
use e2e::board::QEMU;
use e2e::parts;
use e2e::qemu::{Hardware, Qemu};
use e2e::wiring::Wiring;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{Access, FileStorage};

/// Real U-Boot takes a quarter of a second to its choice.
const CHOICE_WAIT: Duration = Duration::from_secs(30);

struct Rig {
    dir: tempfile::TempDir,
    firmware: PathBuf,
}

impl Rig {
    fn new() -> Self {
        let firmware = parts::uboot::qemu().unwrap().join("u-boot.bin");
        Self { dir: tempfile::tempdir().unwrap(), firmware }
    }

    /// The disk whose slots have a script or not.
    fn disk(&self, loads: &PerSlot<bool>) -> PathBuf {
        let path = self.dir.path().join(format!("disk-{}-{}", loads.a, loads.b));
        if !path.exists() {
            make_disk(&QEMU, &path, e2e::board::DISK_LEN, loads);
        }
        path
    }

    fn card(&self, case: &Case) -> PathBuf {
        let path = self.dir.path().join("card");
        let _ = std::fs::remove_file(&path);
        drop(FileStorage::create_sparse(&path, QEMU.flash.size).unwrap());
        if let Some(env) = case.stored(&QEMU) {
            store(&path, Access::ReadWrite).store_as_firmware(&env).unwrap();
        }
        path
    }

    /// What U-Boot does.
    fn run(&self, case: &Case) -> Ran {
        let (disk, card) = (self.disk(&case.loads), self.card(case));
        let mut qemu = Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk: &disk,
            card: case.save_works.then_some(card.as_path()),
            wiring: &Wiring::Plain,
            stick: None,
            handed_over: Vec::new(),
            more_args: &[],
            saved: None,
            logs: self.dir.path(),
        })
        .unwrap();
        let (end, mut said) = qemu.serial.expect_any(&ENDS, CHOICE_WAIT).unwrap();
        if end == 0 {
            said = qemu.serial.expect(START_END, CHOICE_WAIT).unwrap();
        }
        qemu.cut();
        let stored = store(&card, Access::ReadOnly).load().ok();
        let left = stored.and_then(|loaded| BootState::from_env(&loaded.env).ok());
        Ran { end, said, left }
    }
}

fn check(cases: impl IntoIterator<Item = Case>) {
    let rig = Rig::new();
    check_all(cases, |case| case.check(&QEMU, &rig.run(case)));
}

fn store(card: &Path, access: Access) -> EnvStore<FileStorage> {
    let copies = QEMU.fw_env_config().copies.into_iter();
    EnvStore::open(copies.map(|place| (FileStorage::open(card, access).unwrap(), place)).collect())
        .unwrap()
}

#[test]
fn real_uboot_chooses_as_the_model_does() {
    let mut numbers = Numbers(1);
    check((0..60).map(|_| numbers.case()));
}

#[test]
fn real_uboot_reads_odd_values_as_the_model_does() {
    check(odd_cases());
}

#[test]
fn real_uboot_chooses_as_the_model_does_on_an_erased_card() {
    check([
        Case::of(None, (true, true)),
        Case::of(None, (false, true)),
        // No card at all: nothing to read, and nothing can be saved.
        Case { save_works: false, ..Case::of(None, (true, true)) },
        Case { save_works: false, ..Case::of(None, (false, true)) },
        Case { save_works: false, ..Case::of(None, (false, false)) },
    ]);
}
