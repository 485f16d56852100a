// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first boot's work on the disk: heads wiped, environment bound, backup and primary table,
//! file systems; and the repair of a table whose primary is damaged.

use crate::board::{Board, ENV, ENV_BYTES, EnvKind, RECORDER, default_env, now};
use crate::firmware::{Selector, read_env};
use crate::linux::control;
use crate::medium::Medium;
use crate::scenario::{Cost, End, Scenario, Seen, without_counters};
use crate::violation::Invariant::I6;
use crate::violation::{OrBreaks, Violation};
use anyhow::{Context, Result};
use atomix_repart::{
    Act, Answer, DataHome, Failure, OpenBoot, PROVISIONED_PATH, Request, SETTINGS_PATH, perform,
};
use bootctl::{BootControl, Command, ControlParts, LateFallback, PerSlot, SlotId};
use repart::{FatImage, FatTime, NewPartition, Partition, TypeGuid, create_table, read_table};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use storage::{Access, ByteLen, HostFiles, Lba, MemoryStorage, PartUuid, Storage, View, chain};
use uuid::Uuid;

/// The disk's device.
pub const DISK: &str = "/dev/disk";
const MIB: usize = 1024 * 1024;

/// Sectors per MiB.
const UNIT: u64 = 2048;

/// What the disk's earlier life left where new partitions begin.
const OLD_LIFE: [u8; 8] = *b"OLD LIFE";

/// Bytes of it at the head of each.
const OLD_BYTES: usize = 24 * 1024;

/// The disk in regions: primary table, bootloader's gap, slot A, all after it, backup table.
const PRIMARY: usize = 0;
const GAP: usize = 1;
const SLOT_A: usize = 2;
const BACKUP: usize = 4;

/// The partitions that get a file system, counted from 0.
const BOOT_B: usize = 2;
const DATA: usize = 4;

/// Where the superblocks of an F2FS are, and how they begin.
const F2FS_HEAD_SECTORS: [usize; 2] = [2, 10];
const F2FS_MAGIC: [u8; 4] = [0x10, 0x20, 0xf5, 0xf2];

/// What the marker that ends the first boot holds.
const MARKER: &str = "1\n";

/// What the clock says while file systems are made.
const UNIX_TIME: i64 = 1_700_000_000;

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

/// What the data partition gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// A FAT, made here.
    Fat,
    /// An F2FS, as on boards: a program makes it in a file, which is then copied.
    F2fs,
}

impl Data {
    /// The smallest disk that has room for it: five MiB are before data, one is behind it.
    const fn disk_mib(self) -> usize {
        match self {
            Self::Fat => 8,
            Self::F2fs => 5 + 56 + 1,
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::Fat => "vfat",
            Self::F2fs => "f2fs",
        }
    }
}

/// The partitions of a table.
type Partitions = Arc<[Partition]>;

/// The first boot's work.
pub struct DiskScenario {
    name: &'static str,
    before: Before,
    identities: Identities,
    data: Data,
    /// The board's configuration: paths and contents.
    files: Vec<(String, String)>,
    disk: MemoryStorage,
    /// The gap's and slot A's sum.
    kept: [u128; 2],
    /// The partitions by the sums of both tables: most images have the same ones, and reading
    /// them costs more than all else here.
    tables: Mutex<HashMap<(u128, u128), Option<Partitions>>>,
}

/// The board's files, as an image carries them.
fn configuration(data: Data) -> Vec<(String, String)> {
    let env: Vec<String> = (0..2)
        .map(|copy| format!("{ENV} {:#x} {ENV_BYTES:#x} {ENV_BYTES:#x} 1", copy * ENV_BYTES))
        .collect();
    let defaults = default_env();
    let defaults: Vec<String> =
        defaults.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut files = vec![
        ("/etc/fw_env.config".to_owned(), env.join("\n")),
        ("/etc/u-boot-initial-env".to_owned(), defaults.join("\n")),
    ];
    let sized = "SizeMinBytes=1M\nSizeMaxBytes=1M\n";
    for (name, kind, more) in [
        ("boot-a", "xbootldr", sized.to_owned()),
        ("rootfs-a", "root-arm64", sized.to_owned()),
        ("boot-b", "xbootldr", format!("Format=vfat\n{sized}")),
        ("rootfs-b", "root-arm64", sized.to_owned()),
        ("data", "linux-generic", format!("Format={}\nSizeMinBytes=1M\n", data.format())),
    ] {
        let path = format!("/etc/repart.d/{}-{name}.conf", files.len());
        files.push((path, format!("[Partition]\nType={kind}\nLabel={name}\n{more}")));
    }
    files
}

/// Our own settings: the recorder's ring is a device of its own.
fn settings(board: &Board) -> String {
    let block = board.recorder_block();
    format!(
        "[disk]\ndevice = \"{DISK}\"\nidentity-label = \"boot-b\"\nprotected-bytes = {MIB}\n\
         [recorder]\ndevice = \"{RECORDER}\"\noffset = 0\nblock-bytes = {block}\nblocks = 2\n"
    )
}

/// A disk over which an image with slot A was written.
fn flashed(data: Data) -> Result<MemoryStorage> {
    let mut bytes = vec![0; data.disk_mib() * MIB];
    for mib in 1..data.disk_mib() {
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
    pub fn new(
        name: &'static str,
        before: Before,
        identities: Identities,
        data: Data,
    ) -> Result<Self> {
        let (disk, kept, tables) = (flashed(data)?, [0; 2], Mutex::default());
        let files = configuration(data);
        let mut scenario =
            Self { name, before: Before::Flashed, identities, data, files, disk, kept, tables };
        if before == Before::PrimaryTorn {
            let mut board = scenario.board()?;
            scenario.operate(&mut board, SlotId::A)?;
            let mut bytes = vec![0; data.disk_mib() * MIB];
            board.open_device(DISK)?.read_at(0, &mut bytes)?;
            // boot-b is blank again, and one bit of the primary's entries is wrong.
            bytes.get_mut(3 * MIB..4 * MIB).unwrap_or_default().fill(0);
            if let Some(byte) = bytes.get_mut(1024 + 130) {
                *byte ^= 1;
            }
            scenario.disk = MemoryStorage::disk(DISK, bytes);
            scenario.before = before;
        }
        let medium = scenario.medium();
        scenario.kept = [medium.region(GAP), medium.region(SLOT_A)];
        Ok(scenario)
    }

    fn medium(&self) -> Medium {
        let sectors = self.data.disk_mib() * MIB / 512;
        Medium::in_regions(&self.disk, &[34, 2048, 3 * 2048, sectors - 33])
    }

    /// What new identities are derived from.
    fn seed(&self, board: &Board) -> [u8; 16] {
        match self.identities {
            Identities::Same => [7; 16],
            Identities::New => board.sum().to_le_bytes(),
        }
    }

    /// A run of the program in the initrd: before data is mounted, or with it in place.
    fn run(&self, board: &Board, data: DataHome) -> Result<bool> {
        let files = HostFiles::new(board.root());
        let own =
            atomix_repart::Board { files: &files, devices: board, data, unix_time: UNIX_TIME };
        let request = Request { act: Act::CarryOut, ..Request::default() };
        let boot = NotedBoot { own, board };
        match perform(&own, &boot, &request, self.seed(board), &mut |_| {})? {
            Answer::Done { report, .. } => Ok(report.ended_first_boot),
            Answer::Plan { .. } | Answer::Asked(_) => anyhow::bail!("it was asked to carry out"),
        }
    }

    /// The end of the first boot, once data holds a file system. The program writes its marker
    /// through the host's file system, in the steps in which every small file is replaced; those
    /// steps are logged here.
    fn end_first_boot(&self, board: &mut Board) -> Result<()> {
        let marker = Path::new(PROVISIONED_PATH);
        let on_host = board.root().join(PROVISIONED_PATH.trim_start_matches('/'));
        if board.tree().contains_key(marker) {
            board.configure(PROVISIONED_PATH, MARKER)?;
        } else if on_host.exists() {
            remove(&on_host)?;
        }
        if self.run(board, DataHome::Directory)? {
            board.with_files(|files, _| Ok(files.replace(marker, MARKER.as_bytes())?))?;
        }
        Ok(())
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

    /// The sum of the disk as it is once data was mounted: of an F2FS whose second superblock alone
    /// is there the kernel writes the first one anew.
    fn sum(&self, board: &Board) -> Result<u128> {
        let disk = board.medium(DISK).context("there is no disk")?;
        if self.data == Data::Fat {
            return Ok(disk.sum());
        }
        let partitions = self.partitions(board)?;
        let data = partitions.get(DATA).context("data is missing")?;
        let start = usize::try_from(data.first_lba.0)?;
        let len = ByteLen::new(data.sectors() * 512);
        let view = View::new(disk.clone(), "data", data.first_lba.0 * 512, len)?;
        let [first, second] = f2fs_heads(&view)?;
        if first.starts_with(&F2FS_MAGIC) || !second.starts_with(&F2FS_MAGIC) {
            return Ok(disk.sum());
        }
        Ok(disk.sum_with(start + F2FS_HEAD_SECTORS[0], &second))
    }

    /// The label inside a partition's file system.
    fn file_system(&self, board: &Board, number: usize) -> Result<String> {
        let partitions = self.partitions(board)?;
        let partition = partitions.get(number).context("the partition is missing")?;
        let len = ByteLen::new(partition.sectors() * 512);
        let disk = board.open_device(DISK)?;
        let view = View::new(disk, "partition", partition.first_lba.0 * 512, len)?;
        if number == DATA && self.data == Data::F2fs {
            // What is in it is compared byte by byte.
            let heads = f2fs_heads(&view)?;
            anyhow::ensure!(heads.iter().any(|head| head.starts_with(&F2FS_MAGIC)), "no F2FS");
            return Ok("F2FS".to_owned());
        }
        let mut fat = FatImage::open(view, FatTime::EPOCH)?;
        let files = fat.list("")?.len();
        Ok(format!("{:?} with {files} files", fat.label()?))
    }
}

/// The sectors that hold the two superblocks of an F2FS.
fn f2fs_heads(partition: &dyn Storage) -> Result<[Vec<u8>; 2]> {
    let mut heads = [vec![0; 512], vec![0; 512]];
    for (head, sector) in heads.iter_mut().zip(F2FS_HEAD_SECTORS) {
        partition.read_at(sector as u64 * 512, head)?;
    }
    Ok(heads)
}

#[expect(clippy::disallowed_methods, reason = "the copy of a file that is kept elsewhere")]
fn remove(path: &Path) -> Result<()> {
    Ok(std::fs::remove_file(path)?)
}

/// The boot state as the initrd's program opens it, with each commit that returns noted.
struct NotedBoot<'a> {
    own: atomix_repart::Board<'a>,
    board: &'a Board,
}

impl OpenBoot for NotedBoot<'_> {
    type Error = Failure;

    fn open(&self, access: Access) -> Result<BootControl, Failure> {
        let settings = self.own.settings()?;
        Ok(BootControl::load(ControlParts {
            backend: self.board.noting(self.own.uboot_backend(access)?),
            recorder: self.own.recorder(&settings, access).map_err(|failure| chain(&failure)),
            booted: Some(SlotId::A),
            late_fallback: LateFallback::Allowed,
            at: now(),
        })?)
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
        match self.data {
            Data::Fat => Cost::High,
            Data::F2fs => Cost::Program,
        }
    }

    fn board(&self) -> Result<Board> {
        let mut board = Board::new(EnvKind::FlashPair, &[])?.with_device(self.medium());
        for (path, content) in &self.files {
            board.configure(path, content)?;
        }
        board.configure(SETTINGS_PATH, &settings(&board))?;
        first_start(&board)?;
        if self.before == Before::PrimaryTorn {
            // The first boot is over.
            let (disk, _) = self.head(&board, "boot-b")?.context("there is no boot-b")?;
            control(&board, SlotId::A)?.apply(&Command::FirstBoot { disk })?;
            let marker = BTreeMap::from([(PROVISIONED_PATH.into(), MARKER.into())]);
            board.set_tree(marker);
        }
        board.keep();
        Ok(board)
    }

    fn booted(&self) -> SlotId {
        SlotId::A
    }

    /// As in the initrd, where the program runs twice.
    fn operate(&self, board: &mut Board, _: SlotId) -> Result<()> {
        self.run(board, DataHome::Partition)?;
        self.end_first_boot(board)
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
        if self.before == Before::Flashed && board.tree().contains_key(Path::new(PROVISIONED_PATH))
        {
            for number in [BOOT_B, DATA] {
                self.file_system(board, number).or_breaks(I6, "the first boot is over")?;
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
            contents.insert(DISK.to_owned(), self.sum(board)?);
        }
        let more =
            format!("{}, {}", self.file_system(board, BOOT_B)?, self.file_system(board, DATA)?);
        let files = board.tree().iter();
        let files = files.filter(|(path, _)| path.extension() != Some("new".as_ref()));
        let files = files.map(|(path, content)| (path.clone(), content.clone())).collect();
        Ok(End { state, contents, files, known, more })
    }
}
