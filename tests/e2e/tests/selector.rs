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

#[allow(dead_code, reason = "other rigs draw cases from numbers")]
mod choice;

use ::uboot::EnvStore;
use bootctl::{BootState, PerSlot};
use choice::{Case, ENDS, Ran, START_END, check_all, make_disk, make_disk_of, odd_cases};
use e2e::agreement::{
    self, Around, Content, RETURNING_SCRIPT, STARTING_SCRIPT, Saving, Seen, Table,
};
use e2e::board::QEMU;
use e2e::parts;
use e2e::progress::say;
use e2e::qemu::{Hardware, Qemu};
use e2e::wiring::Wiring;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::{Access, FileStorage};

/// Real U-Boot takes a quarter of a second to its choice.
const CHOICE_WAIT: Duration = Duration::from_secs(180);

/// Of so many edges one is run here.
const EACH_EDGE: usize = 80;

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

    fn blank_card(&self) -> PathBuf {
        let path = self.dir.path().join("card");
        let _ = std::fs::remove_file(&path);
        drop(FileStorage::create_sparse(&path, QEMU.flash.size).unwrap());
        path
    }

    fn card(&self, case: &Case) -> PathBuf {
        let path = self.blank_card();
        if let Some(env) = case.stored(&QEMU) {
            store(&path, Access::ReadWrite).store_as_firmware(&env).unwrap();
        }
        path
    }

    fn start(&self, disk: &Path, card: Option<&Path>) -> Qemu {
        Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk,
            card,
            wiring: &Wiring::Plain,
            stick: None,
            handed_over: Vec::new(),
            more_args: &[],
            saved: None,
            logs: self.dir.path(),
        })
        .unwrap()
    }

    /// What U-Boot does with an environment that the sandbox gets too: the power is cut where a
    /// kernel would start, and where nothing can be started.
    fn observe(&self, case: &agreement::Case) -> Seen {
        let PerSlot { a, b } = &case.around.slots;
        let disk = self.dir.path().join(format!("edge-{a:?}-{b:?}"));
        if !disk.exists() {
            let starting = format!("{STARTING_SCRIPT}while true; do sleep 60; done\n");
            let script = |content: &Content| match content {
                Content::Starts => Some(starting.as_bytes()),
                Content::Returns => Some(RETURNING_SCRIPT.as_bytes()),
                Content::Unsealed => None,
            };
            let scripts = PerSlot { a: script(a), b: script(b) };
            make_disk_of(&QEMU, &disk, e2e::board::DISK_LEN, &scripts, &QEMU.partitions);
        }
        let mut env = uboot::Env::new();
        for (name, script) in QEMU.selector().lines().filter_map(|line| line.split_once('=')) {
            env.set(name, script).unwrap();
        }
        for (name, value) in case.env.iter().flat_map(|env| env.iter()) {
            env.set(name, value).unwrap();
        }
        let card = self.blank_card();
        if case.env.is_some() {
            store(&card, Access::ReadWrite).store_as_firmware(&env).unwrap();
        }
        let mut qemu = self.start(&disk, Some(&card));
        let ends = [agreement::START_END, "nothing can be started", "resetting ..."];
        qemu.serial.expect_any(&ends, CHOICE_WAIT).unwrap();
        let text = qemu.serial.text();
        qemu.cut();
        agreement::heard(&text, store(&card, Access::ReadOnly).load().ok().map(|loaded| loaded.env))
    }

    /// What U-Boot does.
    fn run(&self, case: &Case) -> Ran {
        let (disk, card) = (self.disk(&case.loads), self.card(case));
        let mut qemu = self.start(&disk, case.save_works.then_some(card.as_path()));
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

/// The environments that the sandbox runs by the thousand, on another processor and another
/// storage: each so manieth edge, where nothing is waited for.
#[test]
fn real_uboot_does_as_the_model_says_on_a_sample_of_edges() {
    let begin = Instant::now();
    let rig = Rig::new();
    let suits = |case: &agreement::Case| {
        let Around { table, saving, .. } = case.around;
        let pause = agreement::expected(case, &QEMU).start.and_then(|start| start.pause);
        saving == Saving::Works && table == Table::Whole && pause.is_none()
    };
    let mut cases: Vec<_> =
        agreement::boundary_cases().into_iter().filter(suits).step_by(EACH_EDGE).collect();
    cases.extend((0..10).map(|number| agreement::seeded_case(1, number)).filter(suits).take(4));
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(agreement::differences(case, &QEMU, &rig.observe(case)));
    }
    say(&format!(
        "the firmware agrees, on QEMU's console: {} environments, {} differences, {:.1} s",
        cases.len(),
        wrong.len(),
        begin.elapsed().as_secs_f64()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 20, "{}", cases.len());
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
