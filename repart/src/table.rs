// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which partitions does the disk have, and is its table whole? Reads; never writes.
//!
//! Layout (source: UEFI specification, "GPT Disk Layout"), in sectors of 512 or 4096 bytes:
//!
//! ```text
//! 0        protective MBR: byte 446 four records of 16 bytes (type at +4, 0xEE), 510 0x55 0xAA
//! 1        primary header: 0 "EFI PART", 8 revision, 12 size, 16 CRC-32, 24 own place,
//!          32 other's place, 40 first usable, 48 last usable, 56 disk GUID, 72 array's place,
//!          80 entries, 84 entry size, 88 CRC-32 of the array
//! 2 ..     primary array: entries of 128 bytes: 0 type, 16 GUID, 32 first, 40 last,
//!          48 attributes, 56 label (36 UTF-16LE units)
//! last-n.. backup array
//! last     backup header
//! ```
//!
//! The `gpt` crate decodes; places and limits are checked here first, because it asserts some of
//! them and trusts the others.

use crate::TypeGuid;
use crate::window::Window;
use gpt::disk::LogicalBlockSize;
use gpt::header::{Header, HeaderError, read_header_from_arbitrary_device};
use std::fmt;
use storage::{Lba, PartUuid, Storage, StorageError};
use uuid::Uuid;

/// Size of an entry; larger ones are allowed by the specification and used by nobody.
pub(crate) const ENTRY_BYTES: u32 = 128;
/// Most entries accepted: a header can claim 2^32, which would make a reader allocate 512 GiB.
const MAX_ENTRIES: u32 = 1024;
/// Size of the header this crate reads and writes.
const HEADER_BYTES: u32 = 92;
/// The sectors that decide whether a partition was ever formatted: every file system this chain
/// meets has its first magic number in one of them. Ours are written last, one sector on its own
/// (the unit that a cut cannot tear), so a cut inside formatting leaves both zero.
const SEALS: [(u64, usize); 2] = [(0, 512), (1024, 512)];
/// Where F2FS has its two superblocks (source: kernel documentation of F2FS: at byte 1024 of the
/// first two blocks of 4 KiB). Either of them is enough to mount it.
pub(crate) const F2FS_SUPERBLOCKS: [u64; 2] = [1024, 4096 + 1024];
/// The magic number that each of them begins with.
pub(crate) const F2FS_MAGIC: [u8; 4] = 0xf2f5_2010_u32.to_le_bytes();

/// Whether a partition holds a file system's magic number, or any other first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionHead {
    /// Zeros in the first sector and at byte 1024, and no second superblock of F2FS: wiped and not
    /// wholly formatted, or never written.
    Blank,
    /// Something.
    Filled,
}

/// One partition of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1: the place of its entry.
    pub number: u32,
    /// Type.
    pub type_guid: TypeGuid,
    /// Unique identity.
    pub part_uuid: PartUuid,
    /// Label.
    pub label: String,
    /// First sector.
    pub first_lba: Lba,
    /// Last sector, inclusive.
    pub last_lba: Lba,
    /// GPT attribute bits.
    pub attributes: u64,
    /// Whether something was ever written at its start.
    pub head: PartitionHead,
}

impl Partition {
    /// The number of sectors.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.last_lba.0.saturating_sub(self.first_lba.0).saturating_add(1)
    }
}

/// What is wrong with one copy of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The medium does not give its bytes; writing it anew may heal it.
    #[error("it cannot be read")]
    Unreadable,
    /// No GPT signature.
    #[error("no GPT signature")]
    NoSignature,
    /// The header's checksum does not match.
    #[error("wrong header checksum")]
    HeaderChecksum,
    /// The entries' checksum does not match.
    #[error("wrong checksum of the partition entries")]
    ArrayChecksum,
    /// The header says that it lies elsewhere.
    #[error("header says that it lies at sector {says}")]
    Place {
        /// The sector it names.
        says: Lba,
    },
    /// A field of the header is outside what a table on this disk can have.
    #[error("{field} out of bounds")]
    Bounds {
        /// Which field.
        field: &'static str,
    },
    /// An entry lies outside the usable area or ends before it starts.
    #[error("partition {number} lies outside the usable area")]
    Entry {
        /// Its number.
        number: u32,
    },
}

/// The state of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableHealth {
    /// Both whole, equal and in place.
    Good,
    /// The backup was used: the primary is damaged.
    PrimaryDamaged(Damage),
    /// The primary was used: the backup is damaged.
    BackupDamaged(Damage),
    /// The backup is not at the disk's end: an image was written to a larger disk.
    BackupMisplaced {
        /// Where the primary says it is.
        at: Lba,
    },
    /// Both are whole and differ; the primary counts. A cut between the two leaves this.
    BackupDiffers,
}

impl fmt::Display for TableHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("both copies are whole"),
            Self::PrimaryDamaged(damage) => write!(f, "primary copy is damaged: {damage}"),
            Self::BackupDamaged(damage) => write!(f, "backup copy is damaged: {damage}"),
            Self::BackupMisplaced { at } => {
                write!(f, "backup copy is at sector {at}, not at the disk's end")
            }
            Self::BackupDiffers => f.write_str("backup copy differs from the primary"),
        }
    }
}

/// What sector 0 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MbrKind {
    /// A record of type 0xEE: the disk belongs to a GPT.
    Protective,
    /// Records of other types only.
    Legacy,
    /// No boot record.
    Missing,
}

/// The array of entries as read, so that what nobody changes is written back bit for bit.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EntryArray(pub(crate) Vec<u8>);

impl fmt::Debug for EntryArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryArray({} bytes)", self.0.len())
    }
}

/// A partition table that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Identity of the disk.
    pub disk_guid: Uuid,
    /// Bytes in a sector: 512 or 4096.
    pub sector_bytes: u32,
    /// Sectors of the disk.
    pub sectors: u64,
    /// First sector a partition may use.
    pub first_usable: Lba,
    /// Last sector a partition may use once the backup is at the disk's end.
    pub last_usable: Lba,
    /// Used entries, by number.
    pub partitions: Vec<Partition>,
    /// State of the two copies.
    pub health: TableHealth,
    /// What sector 0 holds.
    pub mbr: MbrKind,
    pub(crate) array: EntryArray,
}

/// No usable partition table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk cannot be read.
    #[error("cannot read the partition table")]
    Unreadable(#[from] StorageError),
    /// The primary copy cannot be read, and the backup copy alone is not to be believed.
    #[error("the primary copy does not read, and the backup may be of the disk's earlier life")]
    PrimaryUnread(#[source] StorageError),
    /// The device's sectors are neither 512 nor 4096 bytes, or it is too small.
    #[error("{label} with {sectors} sectors of {sector_bytes} bytes cannot hold a GPT")]
    Unsuitable {
        /// Device.
        label: String,
        /// Sector size.
        sector_bytes: u32,
        /// Sectors.
        sectors: u64,
    },
    /// Neither copy and no boot record: a blank disk or something else altogether.
    #[error("{label} has no partition table")]
    Absent {
        /// Device.
        label: String,
    },
    /// An MBR table without a GPT.
    #[error("{label} has an MBR partition table, not a GPT")]
    MbrOnly {
        /// Device.
        label: String,
    },
    /// There was a GPT and neither copy is whole.
    #[error("both copies of the GPT on {label} are damaged (primary: {primary}; backup: {backup})")]
    BothDamaged {
        /// Device.
        label: String,
        /// State of the primary.
        primary: Damage,
        /// State of the backup.
        backup: Damage,
    },
}

impl TableError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(_) => None,
            Self::PrimaryUnread(_) => {
                Some("try again; if it stays so, the disk is failing: flash another one")
            }
            Self::Unsuitable { .. } => Some("name the whole disk; check [disk] in atomix.toml"),
            Self::Absent { .. } | Self::MbrOnly { .. } => Some(
                "check that this is the right disk; a disk gets its table by flashing the image",
            ),
            Self::BothDamaged { .. } => Some(
                "flash the image again, or rebuild the table with sgdisk from the board's layout",
            ),
        }
    }
}

/// One whole copy.
struct TableCopy {
    header: Header,
    array: Vec<u8>,
    partitions: Vec<Partition>,
}

/// The shape of a disk as a table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) block: LogicalBlockSize,
    pub(crate) sectors: u64,
}

impl Shape {
    pub(crate) fn of(disk: &dyn Storage) -> Result<Self, TableError> {
        let sector_bytes = disk.geometry().sector_bytes;
        let sectors = disk.len().get() / u64::from(sector_bytes.max(1));
        let unsuitable =
            || TableError::Unsuitable { label: disk.label().to_owned(), sector_bytes, sectors };
        let block =
            LogicalBlockSize::try_from(u64::from(sector_bytes)).map_err(|_| unsuitable())?;
        let shape = Self { block, sectors };
        // MBR, two headers, two smallest arrays and one sector to use.
        if sectors < 4 + 2 * shape.array_sectors(128) {
            return Err(unsuitable());
        }
        Ok(shape)
    }

    pub(crate) fn sector(self) -> u64 {
        self.block.as_u64()
    }

    pub(crate) fn array_sectors(self, entries: u32) -> u64 {
        (u64::from(entries) * u64::from(ENTRY_BYTES)).div_ceil(self.sector())
    }

    pub(crate) fn last_lba(self) -> u64 {
        self.sectors.saturating_sub(1)
    }

    /// The last usable sector when the backup is at the disk's end.
    pub(crate) fn last_usable(self, entries: u32) -> u64 {
        self.last_lba().saturating_sub(self.array_sectors(entries)).saturating_sub(1)
    }
}

/// Reads the table of `disk`, primary first, and says how whole it is.
///
/// # Errors
/// [`TableError`]: absent, damaged and unreadable are told apart.
pub fn read_table(disk: &dyn Storage) -> Result<Table, TableError> {
    let shape = Shape::of(disk)?;
    let mbr = read_mbr(disk)?;
    // One failed transfer is no lost sector.
    let twice = |lba| read_copy(disk, shape, lba).or_else(|_| read_copy(disk, shape, lba));
    let copies = (twice(1), twice(shape.last_lba()));
    // A sector that one copy lost is what the other copy is for, as the kernel sees it too.
    let (primary, backup) = match copies {
        (Ok(primary), Ok(backup)) => (primary, backup),
        (Err(_), Ok(Ok(backup))) => (Err(Damage::Unreadable), Ok(backup)),
        (Ok(Ok(primary)), Err(_)) => (Ok(primary), Err(Damage::Unreadable)),
        (Err(source), _) | (_, Err(source)) => return Err(source.into()),
    };
    let (copy, health) = match (primary, backup) {
        (Ok(primary), Ok(backup)) => {
            let same = primary.array == backup.array
                && primary.header.disk_guid == backup.header.disk_guid
                && primary.header.backup_lba == shape.last_lba();
            (primary, if same { TableHealth::Good } else { TableHealth::BackupDiffers })
        }
        (Ok(primary), Err(damage)) => {
            let at = Lba(primary.header.backup_lba);
            let health = if at.0 == shape.last_lba() {
                TableHealth::BackupDamaged(damage)
            } else {
                TableHealth::BackupMisplaced { at }
            };
            (primary, health)
        }
        (Err(damage), Ok(backup)) => (backup, TableHealth::PrimaryDamaged(damage)),
        (Err(primary), Err(backup)) => return Err(no_table(disk, mbr, primary, backup)),
    };
    let mut partitions = copy.partitions;
    for partition in &mut partitions {
        // What cannot be read may hold something; the table itself is whole.
        partition.head = read_head(disk, shape, partition).unwrap_or(PartitionHead::Filled);
    }
    Ok(Table {
        disk_guid: copy.header.disk_guid,
        sector_bytes: disk.geometry().sector_bytes,
        sectors: shape.sectors,
        first_usable: Lba(copy.header.first_usable),
        last_usable: Lba(shape.last_usable(copy.header.num_parts)),
        partitions,
        health,
        mbr,
        array: EntryArray(copy.array),
    })
}

/// Why the primary copy of `disk` cannot be read; `Ok` when it can, whatever it holds.
///
/// # Errors
/// [`TableError::PrimaryUnread`], or [`TableError::Unsuitable`] of a disk without a place for one.
pub fn check_primary_reads(disk: &dyn Storage) -> Result<(), TableError> {
    let copy = read_copy(disk, Shape::of(disk)?, 1);
    copy.map(|_| ()).map_err(TableError::PrimaryUnread)
}

fn no_table(disk: &dyn Storage, mbr: MbrKind, primary: Damage, backup: Damage) -> TableError {
    let label = disk.label().to_owned();
    let unsigned = primary == Damage::NoSignature && backup == Damage::NoSignature;
    match mbr {
        MbrKind::Legacy if unsigned => TableError::MbrOnly { label },
        MbrKind::Missing if unsigned => TableError::Absent { label },
        MbrKind::Legacy | MbrKind::Missing | MbrKind::Protective => {
            TableError::BothDamaged { label, primary, backup }
        }
    }
}

/// Looks at the boot record's four partition types.
fn read_mbr(disk: &dyn Storage) -> Result<MbrKind, StorageError> {
    let mut record = [0; 512];
    disk.read_at(0, &mut record)?;
    let types = [record[450], record[466], record[482], record[498]];
    Ok(if record[510..] != [0x55, 0xaa] {
        MbrKind::Missing
    } else if types.contains(&0xee) {
        MbrKind::Protective
    } else if types == [0; 4] {
        MbrKind::Missing
    } else {
        MbrKind::Legacy
    })
}

fn read_head(
    disk: &dyn Storage,
    shape: Shape,
    partition: &Partition,
) -> Result<PartitionHead, StorageError> {
    // In range: read_copy checked the entry against the disk's size.
    let start = partition.first_lba.0.saturating_mul(shape.sector());
    let len = partition.sectors().saturating_mul(shape.sector());
    // What lies behind the partition's end is nothing of its own: zeros.
    let read = |offset: u64, size: usize| -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; size];
        if offset.saturating_add(size as u64) <= len {
            disk.read_at(start.saturating_add(offset), &mut bytes)?;
        }
        Ok(bytes)
    };
    let mut blank = true;
    for (offset, size) in SEALS {
        blank &= read(offset, size)?.iter().all(|byte| *byte == 0);
    }
    // One sector that a medium lost must not cost a file system that its second superblock still
    // mounts. The magic alone counts: of a FAT whose writing was cut, anything may be here.
    let [_, second] = F2FS_SUPERBLOCKS;
    blank &= read(second, F2FS_MAGIC.len())? != F2FS_MAGIC;
    Ok(if blank { PartitionHead::Blank } else { PartitionHead::Filled })
}

/// Reads the copy whose header is at `lba`. The outer error is the disk's, the inner the copy's.
fn read_copy(
    disk: &dyn Storage,
    shape: Shape,
    lba: u64,
) -> Result<Result<TableCopy, Damage>, StorageError> {
    // The crate reads a header at sector 1 only; the window lets any sector be sector 1.
    let mut sectors = vec![0; shape.block.as_usize() * 2];
    let (_, header) = sectors.split_at_mut(shape.block.as_usize());
    disk.read_at(lba.saturating_mul(shape.sector()), header)?;
    let header = match read_header_from_arbitrary_device(&mut Window::new(0, sectors), shape.block)
    {
        Ok(header) => header,
        Err(HeaderError::InvalidGptSignature) => return Ok(Err(Damage::NoSignature)),
        Err(_) => return Ok(Err(Damage::HeaderChecksum)),
    };
    if let Err(damage) = check_header(&header, shape, lba) {
        return Ok(Err(damage));
    }
    let len = usize::try_from(shape.array_sectors(header.num_parts) * shape.sector()).unwrap_or(0);
    let start = header.part_start.saturating_mul(shape.sector());
    let mut array = vec![0; len];
    disk.read_at(start, &mut array)?;
    let mut window = Window::new(start, array.clone());
    let Ok(entries) = gpt::partition::file_read_partitions(&mut window, &header, shape.block)
    else {
        return Ok(Err(Damage::ArrayChecksum));
    };
    let mut partitions = Vec::new();
    for (number, entry) in entries.into_iter().filter(|(_, entry)| entry.is_used()) {
        let inside = header.first_usable <= entry.first_lba
            && entry.first_lba <= entry.last_lba
            && entry.last_lba <= header.last_usable;
        if !inside {
            return Ok(Err(Damage::Entry { number }));
        }
        partitions.push(Partition {
            number,
            type_guid: TypeGuid(entry.part_type_guid.guid),
            part_uuid: PartUuid(entry.part_guid),
            label: entry.name,
            first_lba: Lba(entry.first_lba),
            last_lba: Lba(entry.last_lba),
            attributes: entry.flags,
            head: PartitionHead::Filled,
        });
    }
    array.truncate(header.num_parts as usize * ENTRY_BYTES as usize);
    Ok(Ok(TableCopy { header, array, partitions }))
}

/// Everything the decoder would take on trust or assert.
fn check_header(header: &Header, shape: Shape, lba: u64) -> Result<(), Damage> {
    let bounds = |field, holds: bool| if holds { Ok(()) } else { Err(Damage::Bounds { field }) };
    bounds("header size", header.header_size_le == HEADER_BYTES)?;
    bounds("entry size", header.part_size == ENTRY_BYTES)?;
    bounds("number of entries", (1..=MAX_ENTRIES).contains(&header.num_parts))?;
    if header.current_lba != lba {
        return Err(Damage::Place { says: Lba(header.current_lba) });
    }
    bounds("usable area", header.first_usable <= header.last_usable)?;
    bounds("last usable sector", header.last_usable < shape.sectors)?;
    // Cannot overflow: the start is below the number of sectors, the array at most 256 sectors.
    bounds("place of the entries", header.part_start < shape.sectors)?;
    let array_end = header.part_start + shape.array_sectors(header.num_parts);
    let placed = if lba == 1 {
        header.part_start >= 2 && array_end <= header.first_usable
    } else {
        header.part_start > header.last_usable && array_end <= lba && header.backup_lba == 1
    };
    bounds("place of the entries", placed)?;
    // Where the backup would be after the repair, the last partition must not be.
    bounds("last usable sector", header.last_usable <= shape.last_usable(header.num_parts))
}
