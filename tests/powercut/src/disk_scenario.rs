// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first boot's work on the disk: heads wiped, environment bound, backup and primary table,
//! file systems; and the repair of a table whose primary is damaged.

use crate::board::{Board, EnvKind, now};
use crate::firmware::{Selector, read_env};
use crate::medium::Medium;
use crate::scenario::{Cost, End, Scenario, Seen, without_counters};
use crate::violation::Invariant::I6;
use crate::violation::{OrBreaks, Violation};
use anyhow::{Context, Result};
use bootctl::{BootControl, Command, ControlParts, LateFallback, PerSlot, SlotId};
use repart::{
    Definition, Effects, FatImage, FatTime, FirstBoot, FirstBootStep, HostFilesystems, KnownDisk,
    Marker, NewPartition, Partition, PlanOptions, TypeGuid, apply, create_table, parse_definition,
    read_table,
};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use storage::{ByteLen, Lba, MemoryStorage, PartUuid, Storage, View};
use uuid::Uuid;

/// The disk's device.
pub const DISK: &str = "/dev/disk";
const MIB: usize = 1024 * 1024;
const DISK_BYTES: usize = 8 * MIB;

/// Sectors per MiB.
const UNIT: u64 = 2048;

/// What the disk's earlier life left where new partitions begin.
const OLD_LIFE: [u8; 8] = *b"OLD LIFE";

/// Bytes of it at the head of each.
const OLD_BYTES: usize = 24 * 1024;

/// The disk in regions: primary table, bootloader's gap, slot A, all after it, backup table.
const BORDERS: [usize; 4] = [34, 2048, 3 * 2048, DISK_BYTES / 512 - 33];
const PRIMARY: usize = 0;
const GAP: usize = 1;
const SLOT_A: usize = 2;
const BACKUP: usize = 4;

/// What the disk is before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// An image with slot A was written to a disk that had an earlier life.
    Flashed,
    /// The first boot is over but for its file systems, and the primary table is torn.
    PrimaryTorn,
}

/// How new identities are drawn when the work is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identities {
    /// The same, so that the end can be compared byte by byte.
    Same,
    /// Others in each run, as on a board.
    New,
}

/// The partitions of a table.
type Partitions = Arc<[Partition]>;

/// The first boot's work.
pub struct DiskScenario {
    name: &'static str,
    before: Before,
    identities: Identities,
    disk: MemoryStorage,
    /// The gap's and slot A's sum.
    kept: [u128; 2],
    /// The partitions by the sums of both tables: most images have the same ones, and reading
    /// them costs more than all else here.
    tables: Mutex<HashMap<(u128, u128), Option<Partitions>>>,
}

fn definitions() -> Result<Vec<Definition>> {
    let sized = "SizeMinBytes=1M\nSizeMaxBytes=1M\n";
    let text = |kind: &str, label: &str, more: &str| {
        format!("[Partition]\nType={kind}\nLabel={label}\n{more}")
    };
    let formatted = format!("Format=vfat\n{sized}");
    let all = [
        ("10-boot-a.conf", text("xbootldr", "boot-a", sized)),
        ("20-rootfs-a.conf", text("root-arm64", "rootfs-a", sized)),
        ("30-boot-b.conf", text("xbootldr", "boot-b", &formatted)),
        ("40-rootfs-b.conf", text("root-arm64", "rootfs-b", sized)),
        ("50-data.conf", text("linux-generic", "data", "Format=vfat\nSizeMinBytes=1M\n")),
    ];
    all.iter().map(|(name, text)| Ok(parse_definition(name, text)?)).collect()
}

/// A disk over which an image with slot A was written.
fn flashed() -> Result<MemoryStorage> {
    let mut bytes = vec![0; DISK_BYTES];
    for mib in 1..8 {
        let head = bytes.get_mut(mib * MIB..mib * MIB + OLD_BYTES).unwrap_or_default();
        head.chunks_mut(OLD_LIFE.len()).for_each(|chunk| chunk.copy_from_slice(&OLD_LIFE));
    }
    let mut image = MemoryStorage::disk("image", vec![0; 5 * MIB]);
    let new = |type_guid, label: &str, id, start: u64| NewPartition {
        type_guid,
        part_uuid: PartUuid(Uuid::from_u128(id)),
        label: label.to_owned(),
        first_lba: Lba(start * UNIT),
        last_lba: Lba((start + 1) * UNIT - 1),
    };
    let partitions = [
        new(TypeGuid::XBOOTLDR, "boot-a", 0xa1, 1),
        new(TypeGuid::ROOT_ARM64, "rootfs-a", 0xa2, 2),
    ];
    create_table(&mut image, Uuid::from_u128(0xd15c), &partitions)?;
    for (to, from) in bytes.iter_mut().zip(image.bytes()).take(34 * 512) {
        *to = *from;
    }
    Ok(MemoryStorage::disk(DISK, bytes))
}

impl DiskScenario {
    /// The first boot's work on such a disk.
    ///
    /// # Errors
    /// When the disk cannot be made.
    pub fn new(name: &'static str, before: Before, identities: Identities) -> Result<Self> {
        let (disk, kept, tables) = (flashed()?, [0; 2], Mutex::default());
        let mut scenario = Self { name, before, identities, disk, kept, tables };
        if before == Before::PrimaryTorn {
            let mut board = scenario.board()?;
            scenario.operate(&mut board, SlotId::A)?;
            let mut bytes = vec![0; DISK_BYTES];
            board.open_device(DISK)?.read_at(0, &mut bytes)?;
            // boot-b is blank again, and one bit of the primary's entries is wrong.
            bytes.get_mut(3 * MIB..4 * MIB).unwrap_or_default().fill(0);
            if let Some(byte) = bytes.get_mut(1024 + 130) {
                *byte ^= 1;
            }
            scenario.disk = MemoryStorage::disk(DISK, bytes);
        }
        let medium = scenario.medium();
        scenario.kept = [medium.region(GAP), medium.region(SLOT_A)];
        Ok(scenario)
    }

    fn medium(&self) -> Medium {
        Medium::in_regions(&self.disk, &BORDERS)
    }

    /// What new identities are derived from.
    fn seed(&self, board: &Board) -> [u8; 16] {
        match self.identities {
            Identities::Same => [7; 16],
            Identities::New => board.sum().to_le_bytes(),
        }
    }

    fn control(board: &Board) -> Result<BootControl> {
        Ok(BootControl::load(ControlParts {
            backend: board.backend()?,
            recorder: board.recorder().map_err(|cause| format!("{cause:#}")),
            booted: Some(SlotId::A),
            late_fallback: LateFallback::Allowed,
            at: now(),
        })?)
    }

    fn bind(board: &Board, disk: PartUuid) -> Result<()> {
        Ok(Self::control(board)?.apply(&Command::FirstBoot { disk })?)
    }

    /// The partitions, as firmware and Linux find them.
    fn partitions(&self, board: &Board) -> Result<Partitions> {
        let region = |number| board.medium(DISK).map_or(0, |disk| disk.region(number));
        let key = (region(PRIMARY), region(BACKUP));
        // What was read stays true when somebody else panics, so the guard is taken over.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tables.entry(key).or_insert_with(|| {
            let disk = board.open_device(DISK).ok()?;
            Some(read_table(&disk).ok()?.partitions.into())
        });
        found.clone().context("the partition table cannot be read")
    }

    /// The partition of this label, and its first bytes.
    fn head(&self, board: &Board, label: &str) -> Result<Option<(PartUuid, Vec<u8>)>> {
        let partitions = self.partitions(board)?;
        let found = partitions.iter().find(|partition| partition.label == label);
        let Some(partition) = found else { return Ok(None) };
        let mut head = vec![0; OLD_BYTES];
        board.open_device(DISK)?.read_at(partition.first_lba.0 * 512, &mut head)?;
        Ok(Some((partition.part_uuid, head)))
    }

    /// The label inside a partition's file system.
    fn file_system(&self, board: &Board, number: usize) -> Result<String> {
        let partitions = self.partitions(board)?;
        let partition = partitions.get(number).context("the partition is missing")?;
        let len = ByteLen::new(partition.sectors() * 512);
        let disk = board.open_device(DISK)?;
        let view = View::new(disk, "partition", partition.first_lba.0 * 512, len)?;
        let mut fat = FatImage::open(view, FatTime::EPOCH)?;
        let files = fat.list("")?.len();
        Ok(format!("{:?} with {files} files", fat.label()?))
    }
}

/// The first boot's environment: the firmware found none and no second boot partition.
fn first_start(board: &Board) -> Result<()> {
    Selector::Ours.start(board, PerSlot { a: true, b: false }, None)?;
    board.keep();
    Ok(())
}

impl Scenario for DiskScenario {
    fn name(&self) -> &str {
        self.name
    }

    fn cost(&self) -> Cost {
        Cost::High
    }

    fn board(&self) -> Result<Board> {
        let board = Board::new(EnvKind::FlashPair, &[])?.with_device(self.medium());
        first_start(&board)?;
        if self.before == Before::PrimaryTorn
            && let Some((disk, _)) = self.head(&board, "boot-b")?
        {
            Self::bind(&board, disk)?;
        }
        board.keep();
        Ok(board)
    }

    fn booted(&self) -> SlotId {
        SlotId::A
    }

    /// As `atomix-repart` does before data is mounted.
    fn operate(&self, board: &mut Board, _: SlotId) -> Result<()> {
        let board = &*board;
        let mut disk = board.open_device(DISK)?;
        let options = PlanOptions { seed: self.seed(board), protected_end: ByteLen::mib(1) };
        let plan = repart::plan(&read_table(&disk)?, &definitions()?, &options)?;
        let control = Self::control(board)?;
        let known = KnownDisk {
            environment: control.state().disk,
            recorder: control.recorder_facts().snapshot().and_then(|known| known.disk),
        };
        let decided = FirstBoot::decide(Marker::OutOfReach, &plan, "boot-b", known);
        let binds = decided.steps.iter().find_map(|step| match step {
            FirstBootStep::CommitEnvironment { disk } => Some(*disk),
            FirstBootStep::WipeHeads
            | FirstBootStep::WriteTable
            | FirstBootStep::Format
            | FirstBootStep::Provision
            | FirstBootStep::WriteMarker => None,
        });
        if plan.is_empty() {
            return Ok(());
        }
        let mut effects = Effects {
            filesystems: &mut HostFilesystems {
                scratch_dir: PathBuf::new(),
                unix_time: 1_700_000_000,
            },
            before_table: &mut |_| match binds {
                Some(identity) => Ok(Self::bind(board, identity)?),
                None => Ok(()),
            },
            progress: &mut |_| {},
        };
        apply(&plan, &mut disk, &mut effects)?;
        Ok(())
    }

    fn loads(&self, board: &Board) -> PerSlot<bool> {
        let holds = |label| self.head(board, label).ok().flatten().map(|(_, head)| head);
        // An empty FAT has no script to load; the old life would have had one.
        let b = holds("boot-b").is_some_and(|head| head.starts_with(&OLD_LIFE));
        PerSlot { a: holds("boot-a").is_some(), b }
    }

    fn disk(&self, board: &Board) -> Option<PartUuid> {
        self.head(board, "boot-b").ok().flatten().map(|(identity, _)| identity)
    }

    fn is_whole(&self, board: &Board, slot: SlotId) -> bool {
        slot == SlotId::A && self.group(board, slot) == self.kept[0] ^ self.kept[1].rotate_left(1)
    }

    fn group(&self, board: &Board, _: SlotId) -> u128 {
        let region = |number| board.medium(DISK).map_or(0, |disk| disk.region(number));
        region(GAP) ^ region(SLOT_A).rotate_left(1)
    }

    /// The table is readable and whole, and nothing of the earlier life has a name.
    fn inspect(&self, board: &Board, _: Option<&Seen<'_>>) -> Result<(), Violation> {
        let count = self.partitions(board).or_breaks(I6, "partition table")?.len();
        if count != 5 && (count != 2 || self.before == Before::PrimaryTorn) {
            return Err(Violation::new(I6, format!("{count} partitions")));
        }
        for label in ["boot-b", "rootfs-b", "data"] {
            let head = self.head(board, label).or_breaks(I6, "read a head")?;
            let head = head.map(|(_, head)| head).unwrap_or_default();
            if head.chunks(OLD_LIFE.len()).any(|chunk| chunk == OLD_LIFE) {
                return Err(Violation::new(I6, format!("{label} holds what the disk held before")));
            }
        }
        Ok(())
    }

    fn end(&self, board: &Board) -> Result<End> {
        let mut state = read_env(board)?.as_ref().map(without_counters);
        let mut known = board.recorder()?.facts().snapshot().cloned();
        let mut contents = BTreeMap::new();
        let bound = self.disk(board);
        if self.identities == Identities::New {
            anyhow::ensure!(
                state.as_ref().and_then(|state| state.disk) == bound,
                "bound to {bound:?}"
            );
            state.iter_mut().for_each(|state| state.disk = None);
            known.iter_mut().for_each(|known| known.disk = None);
        } else {
            contents.insert(DISK.to_owned(), board.medium(DISK).map_or(0, Medium::sum));
        }
        let more = format!("{}, {}", self.file_system(board, 2)?, self.file_system(board, 4)?);
        Ok(End { state, contents, files: BTreeMap::new(), known, more })
    }
}
