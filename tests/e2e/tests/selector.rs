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

use ::bundle::MemorySource;
use ::uboot::{Env, EnvStore};
use board_rock64::{BootTree, Role, build_boot_vfat};
use bootctl::{
    AttemptsLeft, BootState, BundleId, FirmwareFacts, PauseStep, PerSlot, Reason, SelectStep,
    Selection, SlotId, SlotRecord, SlotState, select,
};
use e2e::board::QEMU;
use e2e::parts;
use e2e::qemu::{Hardware, Qemu};
use e2e::wiring::Wiring;
use repart::NewPartition;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::{Access, FileStorage, Lba, PartUuid, Storage, View};
use uuid::Uuid;

const DISK: PartUuid = PartUuid(Uuid::from_u128(0x1111_1111_2222_3333_4444_5555_5555_5555));
const OTHER_DISK: PartUuid = PartUuid(Uuid::from_u128(0x9999_9999_2222_3333_4444_5555_5555_5555));

/// Real U-Boot takes a quarter of a second to its choice.
const CHOICE_WAIT: Duration = Duration::from_secs(30);

/// Signs of an end: a slot's script runs, a last resort waits, a slot failed, nothing is left.
const ENDS: [&str; 4] =
    ["E2E-START ", ", last-resort\n", "resetting ...", "nothing can be started"];

struct Rig {
    dir: tempfile::TempDir,
    firmware: PathBuf,
}

/// What stands before the power comes.
#[derive(Clone, Debug)]
struct Case {
    /// `None`: the card is erased.
    env: Option<BootState>,
    /// What someone has set over it, by name and value.
    odd: Vec<(&'static str, &'static str)>,
    loads: PerSlot<bool>,
    save_works: bool,
}

impl Case {
    /// A board with these slots and nothing odd.
    fn of(env: Option<BootState>, loads: (bool, bool)) -> Self {
        let loads = PerSlot { a: loads.0, b: loads.1 };
        Self { env, odd: Vec::new(), loads, save_works: true }
    }

    /// The environment on the card.
    fn stored(&self) -> Option<Env> {
        let mut env = Env::new();
        for line in QEMU.selector().lines() {
            let (name, value) = line.split_once('=').unwrap();
            env.set(name, value).unwrap();
        }
        self.env.as_ref()?.write_to(&mut env).unwrap();
        for (name, value) in &self.odd {
            env.set(name, value).unwrap();
        }
        Some(env)
    }

    /// What everything but the firmware reads in it.
    fn read(&self) -> Option<BootState> {
        self.stored().and_then(|env| BootState::from_env(&env).ok())
    }
}

impl Rig {
    fn new() -> Self {
        let firmware = parts::uboot::qemu().unwrap().join("u-boot.bin");
        Self { dir: tempfile::tempdir().unwrap(), firmware }
    }

    /// The disk whose slots have a script or not.
    fn disk(&self, loads: &PerSlot<bool>) -> PathBuf {
        let path = self.dir.path().join(format!("disk-{}-{}", loads.a, loads.b));
        if path.exists() {
            return path;
        }
        let mut disk = FileStorage::create_sparse(&path, e2e::board::DISK_LEN).unwrap();
        let mut partitions = Vec::new();
        for partition in QEMU.partitions.iter().filter(|one| one.size.is_some()) {
            let end = partition.end().unwrap().get();
            partitions.push(NewPartition {
                type_guid: partition.type_guid,
                part_uuid: match partition.role {
                    Role::Boot(SlotId::B) => DISK,
                    Role::Boot(_) | Role::Rootfs(_) | Role::Data => {
                        PartUuid(Uuid::from_u128(u128::from(partition.number)))
                    }
                },
                label: partition.label.to_owned(),
                first_lba: Lba(partition.start.get() / 512),
                last_lba: Lba(end / 512 - 1),
            });
            let sealed = match partition.role {
                Role::Boot(slot) => *loads.get(slot),
                Role::Rootfs(_) | Role::Data => false,
            };
            if sealed {
                let script = b"echo E2E-START ${atomix_slot} ${atomix_args} E2E-END\nsleep 60\n";
                let script = uboot::encode_script("e2e", script, 0).unwrap();
                let mut tree = BootTree::default();
                tree.add("boot.scr", Arc::new(MemorySource::new("boot.scr", script))).unwrap();
                let (start, len) = (partition.start.get(), partition.size.unwrap());
                let mut place = View::new(&mut disk, partition.label, start, len).unwrap();
                build_boot_vfat(&QEMU, &tree, "1", 1_700_000_000, &mut place).unwrap();
            }
        }
        repart::create_table(&mut disk, DISK.0, &partitions).unwrap();
        disk.flush().unwrap();
        path
    }

    fn card(&self, case: &Case) -> PathBuf {
        let path = self.dir.path().join("card");
        let _ = std::fs::remove_file(&path);
        drop(FileStorage::create_sparse(&path, QEMU.flash.size).unwrap());
        if let Some(env) = case.stored() {
            store(&path, Access::ReadWrite).store_as_firmware(&env).unwrap();
        }
        path
    }

    /// What U-Boot does: the end it comes to, what it said up to there, and the state it leaves.
    fn run(&self, case: &Case) -> (usize, String, Option<BootState>) {
        let (disk, card) = (self.disk(&case.loads), self.card(case));
        let mut qemu = Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk: &disk,
            card: case.save_works.then_some(card.as_path()),
            wiring: &Wiring::Plain,
            stick: None,
            handed_over: Vec::new(),
            more_args: &[],
            logs: self.dir.path(),
        })
        .unwrap();
        let (end, mut said) = qemu.serial.expect_any(&ENDS, CHOICE_WAIT).unwrap();
        if end == 0 {
            said = qemu.serial.expect(" E2E-END", CHOICE_WAIT).unwrap();
        }
        qemu.cut();
        let stored = store(&card, Access::ReadOnly).load().ok();
        (end, said, stored.and_then(|loaded| BootState::from_env(&loaded.env).ok()))
    }

    fn check(&self, case: &Case) {
        let facts =
            FirmwareFacts { disk: Some(DISK), save_works: case.save_works, loads: case.loads };
        let model = select(case.read().as_ref(), &facts);
        let (end, said, stored) = self.run(case);
        let (wanted_end, wanted) = outcome(&model);
        assert_eq!(end, wanted_end, "{case:?}\nmodel: {model:?}\nsaid: {said}");
        if end == 0 {
            assert_eq!(said, wanted, "{case:?}");
        }
        let expected = if model.save { Some(model.state) } else { case.read() };
        assert_eq!(stored, expected, "{case:?}\nsaid: {said}");
    }
}

fn outcome(model: &Selection) -> (usize, String) {
    let Selection { boots, reason, .. } = model;
    let paused = model.steps.iter().any(|step| matches!(step, SelectStep::Paused { .. }));
    match boots {
        Some(_) if paused && *reason == Reason::LastResort => (1, String::new()),
        Some(slot) => {
            (0, format!("{slot} rauc.slot={slot} atomix.reason={reason} atomix.selector=1"))
        }
        None if *reason == Reason::LoadFailed => (2, String::new()),
        None => (3, String::new()),
    }
}

fn store(card: &Path, access: Access) -> EnvStore<FileStorage> {
    let copies = QEMU.fw_env_config().copies.into_iter();
    EnvStore::open(copies.map(|place| (FileStorage::open(card, access).unwrap(), place)).collect())
        .unwrap()
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn slot(&mut self) -> SlotRecord {
        let states = [
            SlotState::Empty,
            SlotState::Writing,
            SlotState::Trying,
            SlotState::Trying,
            SlotState::Good,
            SlotState::Good,
            SlotState::Bad,
            SlotState::Unknown,
        ];
        SlotRecord {
            state: self.one_of(&states),
            attempts: AttemptsLeft::new(self.one_of(&[0, 0, 1, 3, 9])).unwrap(),
            bundle: self.one_of(&[None, Some(BundleId::from_bytes([0xa5; 16]))]),
        }
    }

    fn case(&mut self) -> Case {
        use SlotId::{A, B};
        let orders = [vec![A, B], vec![B, A], vec![A], vec![B], vec![]];
        let env = BootState {
            order: self.one_of(&orders),
            a: self.slot(),
            b: self.slot(),
            failed: self.one_of(&[vec![], vec![BundleId::from_bytes([0x5a; 16])]]),
            last: self.one_of(&[None, Some(A), Some(B)]),
            pause: PauseStep::NONE,
            disk: self.one_of(&[Some(DISK), Some(DISK), Some(DISK), Some(OTHER_DISK), None]),
            reason: self.one_of(&[None, Some(Reason::Normal), Some(Reason::LoadFailed)]),
            returned: self.one_of(&[None, Some(A), Some(B)]),
        };
        let loads = [(true, true), (true, true), (true, false), (false, true), (false, false)];
        Case::of(Some(env), self.one_of(&loads))
    }
}

/// Checks many cases and tells of all that differ.
fn check_all(cases: impl IntoIterator<Item = Case>) {
    let rig = Rig::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases {
        count += 1;
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rig.check(&case)));
        if let Err(cause) = checked {
            wrong.push(cause.downcast_ref::<String>().cloned().unwrap_or_default());
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn real_uboot_chooses_as_the_model_does() {
    let mut numbers = Numbers(1);
    check_all((0..60).map(|_| numbers.case()));
}

/// Values that `fw_setenv` can leave: other tools' habits, and text that a shell could obey.
#[test]
fn real_uboot_reads_odd_values_as_the_model_does() {
    let odd = [
        ("BOOT_ORDER", "A A B"),
        ("BOOT_ORDER", "C B A"),
        ("BOOT_ORDER", "system0"),
        ("BOOT_ORDER", "A; setenv atomix_state_B good"),
        ("BOOT_ORDER", "\"A"),
        ("BOOT_ORDER", "'A B"),
        ("BOOT_ORDER", "${atomix_state_B}"),
        ("BOOT_ORDER", "A \\"),
        ("BOOT_ORDER", "end A"),
        ("BOOT_ORDER", "# A"),
        ("BOOT_A_LEFT", "10"),
        ("BOOT_A_LEFT", "0x3"),
        ("BOOT_A_LEFT", "03"),
        ("BOOT_A_LEFT", "a"),
        ("BOOT_A_LEFT", "3 -o x"),
        ("atomix_state_A", "excellent"),
        ("atomix_state_A", "good -o x"),
        ("atomix_state_A", "good\" -o \"x"),
        ("atomix_state_A", "; reset"),
        ("atomix_last", "B; reset"),
        ("atomix_reason", "load-failed; reset"),
        ("atomix_s", "B"),
        ("atomix_slot", "B"),
        ("atomix_choose", "setenv atomix_slot B"),
        ("bootcmd", "env default -f atomix_select; run atomix_select"),
    ];
    let record = |state, left| SlotRecord {
        state,
        attempts: AttemptsLeft::new(left).unwrap(),
        bundle: None,
    };
    check_all(odd.map(|(name, value)| {
        let env = BootState {
            order: vec![SlotId::A, SlotId::B],
            a: record(SlotState::Good, 3),
            b: record(SlotState::Trying, 2),
            disk: Some(DISK),
            ..BootState::lost()
        };
        Case { odd: vec![(name, value)], ..Case::of(Some(env), (true, true)) }
    }));
}

#[test]
fn real_uboot_chooses_as_the_model_does_on_an_erased_card() {
    check_all([
        Case::of(None, (true, true)),
        Case::of(None, (false, true)),
        // No card at all: nothing to read, and nothing can be saved.
        Case { save_works: false, ..Case::of(None, (true, true)) },
        Case { save_works: false, ..Case::of(None, (false, true)) },
        Case { save_works: false, ..Case::of(None, (false, false)) },
    ]);
}
