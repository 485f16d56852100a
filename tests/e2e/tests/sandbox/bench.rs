// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many environments on one flash after the other: real U-Boot, and the model of its shell beside
//! it as a third judge.

use super::choice::make_disk_of;
use super::hush::{End, Firmware};
use super::rig::{SURROUNDINGS, disk_len};
use ::uboot::{Env, EnvStore, encode_image};
use board_rock64::Role;
use bootctl::{PerSlot, SlotId};
use e2e::agreement::{
    Case, Content, DISK, RETURNING_SCRIPT, STARTING_SCRIPT, Saving, Seen, Start, Table,
    differences, heard, read_by_uboot, saved_by_uboot,
};
use e2e::parts;
use e2e::sandbox::{Fault, Hardware, Repeated, Reset, SANDBOX};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use storage::{Access, FileStorage, NorFlash};

/// Disks with all contents, each made when it is first needed, for all benches.
pub struct Disks {
    dir: tempfile::TempDir,
    made: Mutex<BTreeSet<PathBuf>>,
}

impl Disks {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), made: Mutex::default() }
    }

    /// The disk of a case.
    fn of(&self, case: &Case) -> PathBuf {
        let PerSlot { a, b } = &case.around.slots;
        let name = match case.around.table {
            Table::Whole => format!("whole-{a:?}-{b:?}"),
            Table::NoBootB => format!("without-b-{a:?}"),
            Table::Unreadable => "unreadable".to_owned(),
        };
        let path = self.dir.path().join(name);
        let mut made = self.made.lock().unwrap();
        if made.insert(path.clone()) {
            make(case, &path);
        }
        path
    }
}

fn make(case: &Case, path: &Path) {
    let starting = format!("{STARTING_SCRIPT}reset\n");
    let script = |slot| match case.around.slots.get(slot) {
        Content::Starts => Some(starting.as_bytes()),
        Content::Returns => Some(RETURNING_SCRIPT.as_bytes()),
        Content::Unsealed => None,
    };
    let scripts = PerSlot { a: script(SlotId::A), b: script(SlotId::B) };
    let mut there = SANDBOX.partitions.to_vec();
    match case.around.table {
        Table::Whole => {}
        Table::NoBootB => there.retain(|one| one.role != Role::Boot(SlotId::B)),
        Table::Unreadable => {
            return File::create(path).unwrap().set_len(disk_len().get()).unwrap();
        }
    }
    make_disk_of(&SANDBOX, path, disk_len(), &scripts, &there);
}

/// One flash, and the sandbox with each of its faults.
pub struct Bench<'a> {
    disks: &'a Disks,
    dir: tempfile::TempDir,
    working: Repeated,
    refusing: Repeated,
    protected: Repeated,
    flash: File,
    started: usize,
}

impl<'a> Bench<'a> {
    pub fn new(disks: &'a Disks) -> Self {
        let firmware = parts::sandbox::sandbox().unwrap().join("u-boot");
        let dir = tempfile::tempdir().unwrap();
        let flash = dir.path().join("flash");
        let bytes = usize::try_from(SANDBOX.flash.size.get()).unwrap();
        std::fs::write(&flash, vec![0xff; bytes]).unwrap();
        let with = |name: &str, fault| {
            let logs = dir.path().join(name);
            std::fs::create_dir(&logs).unwrap();
            Repeated::new(&Hardware {
                firmware: &firmware,
                disk: None,
                flash: &flash,
                fault,
                reset: Reset::Halts,
                watchdog: None,
                commands: None,
                logs: &logs,
            })
            .unwrap()
        };
        Self {
            disks,
            working: with("working", Fault::None),
            refusing: with("refusing", Fault::ErrorFrom(0)),
            protected: with("protected", Fault::Protected),
            flash: File::options().read(true).write(true).open(&flash).unwrap(),
            dir,
            started: 0,
        }
    }

    /// Erases the flash and stores the case's environment behind `selector`, in either copy.
    pub fn prepare(&mut self, case: &Case, selector: &Env) {
        let mut bytes = vec![0xff; SURROUNDINGS.len()];
        if let Some(env) = &case.env {
            let env = together(selector, env);
            let place = SANDBOX.fw_env_config().copies.swap_remove(self.started % 2);
            let size = usize::try_from(place.env_bytes).unwrap();
            let image = encode_image(&env, size, Some(1)).unwrap();
            let at = usize::try_from(place.offset).unwrap() - SURROUNDINGS.start;
            bytes[at..at + size].copy_from_slice(&image);
        }
        self.flash.write_all_at(&bytes, SURROUNDINGS.start as u64).unwrap();
    }

    /// What U-Boot does with the flash as it is.
    pub fn run(&mut self, case: &Case, commands: Option<&str>) -> Seen {
        self.started += 1;
        let board = match case.around.saving {
            Saving::Works => &self.working,
            Saving::Refused => &self.refusing,
            Saving::Ignored => &self.protected,
        };
        let before = self.surroundings();
        let text = board.run(Some(&self.disks.of(case)), commands).unwrap();
        if case.around.saving != Saving::Works {
            assert!(self.surroundings() == before, "written all the same: {case}");
        }
        heard(&text, self.stored())
    }

    fn surroundings(&self) -> Vec<u8> {
        let mut bytes = vec![0; SURROUNDINGS.len()];
        self.flash.read_exact_at(&mut bytes, SURROUNDINGS.start as u64).unwrap();
        bytes
    }

    fn stored(&self) -> Option<Env> {
        let copies = SANDBOX.fw_env_config().copies.into_iter().map(|place| {
            let flash = FileStorage::open(&self.dir.path().join("flash"), Access::ReadWrite);
            (NorFlash::new(flash.unwrap(), SANDBOX.flash.erase_bytes), place)
        });
        match EnvStore::open(copies.collect()).unwrap().load() {
            Ok(loaded) => Some(loaded.env),
            Err(cause) => {
                assert!(self.surroundings().iter().all(|byte| *byte == 0xff), "{cause}");
                None
            }
        }
    }

    /// Panics when anything was ever written beyond the environment.
    pub fn check_beyond(&self) {
        let bytes = std::fs::read(self.dir.path().join("flash")).unwrap();
        let beyond = bytes[..SURROUNDINGS.start].iter().chain(&bytes[SURROUNDINGS.end..]);
        assert!(beyond.copied().all(|byte| byte == 0xff), "written beyond the environment");
    }
}

/// The selector's scripts as variables.
pub fn selector() -> Env {
    let mut env = Env::new();
    for (name, script) in SANDBOX.selector().lines().filter_map(|line| line.split_once('=')) {
        env.set(name, script).unwrap();
    }
    env
}

/// Both; what stands in `over` counts.
fn together(under: &Env, over: &Env) -> Env {
    let mut env = under.clone();
    over.iter().for_each(|(name, value)| env.set(name, value).unwrap());
    env
}

/// What the model of U-Boot's shell does with a case and a selector that is built in.
pub fn hush(case: &Case, selector: &Env) -> Seen {
    let map = |env: &Env| -> BTreeMap<String, String> {
        env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let label = |slot: SlotId| format!("boot-{}", slot.boot_name().to_lowercase());
    let with = |wanted: &[Content]| -> BTreeSet<String> {
        let holds = |slot: &SlotId| wanted.contains(case.around.slots.get(*slot));
        SlotId::ALL.into_iter().filter(holds).map(label).collect()
    };
    let other = "00000000-0000-0000-0000-000000000001";
    let all = SANDBOX.partitions.iter().map(|one| {
        let uuid = if one.role == Role::Boot(SlotId::B) { DISK } else { other };
        (one.label.to_owned(), uuid.to_owned())
    });
    let partitions = match case.around.table {
        Table::Whole => all.collect(),
        Table::NoBootB => all.filter(|(_, uuid)| uuid != DISK).collect(),
        Table::Unreadable => Vec::new(),
    };
    let read = case.env.as_ref().map(|env| map(&together(selector, &read_by_uboot(env))));
    let mut firmware = Firmware {
        saved: read,
        defaults: map(selector),
        partitions,
        sealed: with(&[Content::Starts, Content::Returns]),
        starts: with(&[Content::Starts]),
        save_works: case.around.saving != Saving::Refused,
        failing: BTreeSet::from(["wdt".to_owned()]),
        ..Firmware::default()
    };
    let end = firmware.power_on();
    let kept = firmware.saves == 0 || case.around.saving == Saving::Ignored;
    let stored = if kept {
        case.env.as_ref().map(|env| together(selector, env))
    } else {
        firmware.saved.map(|saved| {
            let mut env = Env::new();
            saved.iter().for_each(|(name, value)| env.set(name, value).unwrap());
            saved_by_uboot(&env)
        })
    };
    let pause = firmware.trace.iter().find_map(|act| act.strip_prefix("sleep ")?.parse().ok());
    let start = match end {
        End::Started { slot, args } => Some(Start { slot, args, pause }),
        End::Reset => None,
        End::Prompt => panic!("stands at the prompt: {case}"),
    };
    let said = firmware.said.into_iter().filter(|line| line.starts_with("atomix: ")).collect();
    Seen { start, said, stored }
}

/// Where the model of the shell differs from the model; a case that it cannot read is one.
pub fn hush_differences(case: &Case, selector: &Env) -> Vec<String> {
    match catch_unwind(AssertUnwindSafe(|| hush(case, selector))) {
        Ok(seen) => {
            let mut found = differences(case, &SANDBOX, &seen);
            found.iter_mut().take(1).for_each(|line| line.insert_str(0, "in the model of hush: "));
            found
        }
        Err(cause) => {
            let cause = cause.downcast_ref::<String>().cloned().unwrap_or_default();
            vec![format!("the model of hush cannot run {case}{cause}")]
        }
    }
}
