// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands before the power comes, and what must a firmware do with it? Cases, and the
//! model's answer to each; whoever runs one on a real U-Boot asks here whether it did right.

use ::bundle::MemorySource;
use ::uboot::Env;
use board_rock64::{Board, PartitionFacts};
use board_rock64::{BootTree, Role, build_boot_vfat};
use bootctl::{
    AttemptsLeft, BootState, BundleId, FirmwareFacts, PauseStep, PerSlot, Reason, SelectStep,
    Selection, SlotId, SlotRecord, SlotState, select,
};
use repart::NewPartition;
use std::path::Path;
use std::sync::Arc;
use storage::{ByteLen, FileStorage, Lba, PartUuid, Storage, View};
use uuid::Uuid;

pub const DISK: PartUuid = PartUuid(Uuid::from_u128(0x1111_1111_2222_3333_4444_5555_55ab_cdef));
const OTHER_DISK: PartUuid = PartUuid(Uuid::from_u128(0x9999_9999_2222_3333_4444_5555_55ab_cdef));

/// What a slot's script says, and then waits for the power to be cut.
const SCRIPT: &[u8] =
    b"echo E2E-START ${atomix_slot} ${atomix_args} E2E-END\nwhile true; do sleep 60; done\n";

/// Signs of an end: a slot's script runs, a last resort waits, a slot failed, nothing is left.
pub const ENDS: [&str; 4] =
    ["E2E-START ", ", last-resort\n", "resetting ...", "nothing can be started"];

/// The end of what a slot's script says.
pub const START_END: &str = " E2E-END";

/// What stands before the power comes.
#[derive(Clone, Debug)]
pub struct Case {
    /// `None`: what holds the environment is erased.
    pub env: Option<BootState>,
    /// What someone has set over it, by name and value.
    pub odd: Vec<(&'static str, &'static str)>,
    pub loads: PerSlot<bool>,
    pub save_works: bool,
}

/// What a U-Boot did with it.
#[derive(Debug)]
pub struct Ran {
    /// Which of [`ENDS`] came.
    pub end: usize,
    /// What was said, up to the end; of a started slot, what its script said.
    pub said: String,
    /// The state it left.
    pub left: Option<BootState>,
}

impl Case {
    /// A board with these slots and nothing odd.
    pub fn of(env: Option<BootState>, loads: (bool, bool)) -> Self {
        let loads = PerSlot { a: loads.0, b: loads.1 };
        Self { env, odd: Vec::new(), loads, save_works: true }
    }

    /// The stored environment.
    pub fn stored(&self, board: &Board) -> Option<Env> {
        let mut env = Env::new();
        for line in board.selector().lines() {
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
    pub fn read(&self, board: &Board) -> Option<BootState> {
        self.stored(board).and_then(|env| BootState::from_env(&env).ok())
    }

    /// What the model does with it.
    pub fn choice(&self, board: &Board) -> Selection {
        let facts =
            FirmwareFacts { disk: Some(DISK), save_works: self.save_works, loads: self.loads };
        select(self.read(board).as_ref(), &facts)
    }

    /// Panics unless the firmware did what the model does.
    pub fn check(&self, board: &Board, ran: &Ran) {
        let model = self.choice(board);
        let (end, said) = outcome(&model);
        assert_eq!(ran.end, end, "{self:?}\nmodel: {model:?}\n{ran:?}");
        if end == 0 {
            assert_eq!(ran.said, said, "{self:?}");
        }
        let left = if model.save { Some(model.state) } else { self.read(board) };
        assert_eq!(ran.left, left, "{self:?}\n{ran:?}");
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

/// Makes a disk whose slots have a script or not.
pub fn make_disk(board: &Board, path: &Path, len: ByteLen, loads: &PerSlot<bool>) {
    make_disk_with(board, path, len, loads, SCRIPT);
}

/// Makes a disk whose slots have this script or not.
pub fn make_disk_with(
    board: &Board,
    path: &Path,
    len: ByteLen,
    loads: &PerSlot<bool>,
    script: &[u8],
) {
    let of = |loads: bool| loads.then_some(script);
    let scripts = PerSlot { a: of(loads.a), b: of(loads.b) };
    make_disk_of(board, path, len, &scripts, &board.partitions);
}

/// Makes a disk of these partitions of the board, whose slots have these scripts.
pub fn make_disk_of(
    board: &Board,
    path: &Path,
    len: ByteLen,
    scripts: &PerSlot<Option<&[u8]>>,
    there: &[PartitionFacts],
) {
    let mut disk = FileStorage::create_sparse(path, len).unwrap();
    let mut partitions = Vec::new();
    for partition in there.iter().filter(|one| one.size.is_some()) {
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
        let script = match partition.role {
            Role::Boot(slot) => *scripts.get(slot),
            Role::Rootfs(_) | Role::Data => None,
        };
        if let Some(script) = script {
            let script = uboot::encode_script("e2e", script, 0).unwrap();
            let mut tree = BootTree::default();
            tree.add("boot.scr", Arc::new(MemorySource::new("boot.scr", script))).unwrap();
            let (start, len) = (partition.start.get(), partition.size.unwrap());
            let mut place = View::new(&mut disk, partition.label, start, len).unwrap();
            build_boot_vfat(board, &tree, "1", 1_700_000_000, &mut place).unwrap();
        }
    }
    repart::create_table(&mut disk, DISK.0, &partitions).unwrap();
    disk.flush().unwrap();
}

/// Numbers that look random and are the same in every run (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: usize) -> usize {
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

    pub fn case(&mut self) -> Case {
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

/// A slot in this state with so many attempts, of no known bundle.
pub fn record(state: SlotState, left: u8) -> SlotRecord {
    SlotRecord { state, attempts: AttemptsLeft::new(left).unwrap(), bundle: None }
}

/// Values that `fw_setenv` can leave: other tools' habits, and text that a shell could obey.
pub fn odd_cases() -> impl Iterator<Item = Case> {
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
    odd.into_iter().map(|(name, value)| {
        let env = BootState {
            order: vec![SlotId::A, SlotId::B],
            a: record(SlotState::Good, 3),
            b: record(SlotState::Trying, 2),
            disk: Some(DISK),
            ..BootState::lost()
        };
        Case { odd: vec![(name, value)], ..Case::of(Some(env), (true, true)) }
    })
}

/// Checks many cases and tells of all that differ.
pub fn check_all(cases: impl IntoIterator<Item = Case>, mut check: impl FnMut(&Case)) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases {
        count += 1;
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&case)));
        if let Err(cause) = checked {
            wrong.push(cause.downcast_ref::<String>().cloned().unwrap_or_default());
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n\n"));
}
