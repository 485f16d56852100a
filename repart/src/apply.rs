// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a plan, in an order that a power cut cannot turn against the device.
//!
//! | step | cut after it | who repairs |
//! |---|---|---|
//! | 1 heads of new partitions zeroed, flushed | old table, nothing lost: it was free space | next run |
//! | 2 caller's `before_table` (environment) | old table; first boot not over | next run |
//! | 3 a damaged primary rewritten from the backup | old table | next run |
//! | 4 backup written, flushed, read back | old table; backup newer or torn | next run |
//! | 5 primary written, flushed, read back | new table (torn: from the backup) | next run |
//! | 6 head of a partition to reset zeroed, flushed | partition blank or as before, request waits | next run |
//! | 7 file systems, superblocks of each last | partition blank, formatted again | next run |

use crate::encode::{self, TableCopyName, put_entry};
use crate::table::Shape;
use crate::write::{WriteTableError, write_both, write_copy};
use crate::{
    Change, Content, FilesystemRequest, Format, FormatError, Formatted, MakeFilesystem, Partition,
    Plan, Planned, TableError, TableHealth, read_table,
};
use std::error::Error;
use std::io;
use storage::{ByteLen, Storage, StorageError, View};

/// How much of a new partition is zeroed: every superblock and every backup of one that a mount
/// or a probe looks for at a partition's start. Our own check needs the first 8 KiB, in which F2FS
/// has both of its superblocks.
const WIPE_BYTES: ByteLen = ByteLen::mib(1);

/// What `apply` tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyEvent {
    /// The head of a new partition is zero and durable.
    HeadWiped {
        /// Partition number.
        number: u32,
        /// Its label.
        label: String,
    },
    /// A copy of the table is durable and was read back.
    TableWritten {
        /// Which copy.
        copy: TableCopyName,
    },
    /// A partition was formatted, or could not be for want of a program.
    Formatted(FormatOutcome),
}

/// What became of one partition's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatOutcome {
    /// Partition number.
    pub number: u32,
    /// Its label.
    pub label: String,
    /// File system wanted.
    pub format: Format,
    /// What happened.
    pub result: Formatted,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Numbers of the partitions that are new.
    pub created: Vec<u32>,
    /// Whether the table was written.
    pub table_written: bool,
    /// Every file system that was due.
    pub formatted: Vec<FormatOutcome>,
}

/// Any failure of the caller's own step.
pub type BoxedError = Box<dyn Error + Send + Sync>;

/// What `apply` asks its caller for.
pub struct Effects<'a> {
    /// Makes file systems.
    pub filesystems: &'a mut dyn MakeFilesystem,
    /// Runs after the heads are wiped and before the table changes: on a first boot it commits
    /// the environment. Not called when the table stays as it is.
    pub before_table: &'a mut dyn FnMut(&Plan) -> Result<(), BoxedError>,
    /// Is told what happens.
    pub progress: &'a mut dyn FnMut(ApplyEvent),
}

/// A plan was not done, or not to its end; running again is safe.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The table cannot be read (any more).
    #[error("cannot read the partition table to change it")]
    Table(#[from] TableError),
    /// The table is not the one the plan was made from.
    #[error(
        "the partition table of {label} or the start of a partition does not read as it did when \
         the plan was made (then: {then}; now: {now})"
    )]
    Stale {
        /// Device.
        label: String,
        /// State of the copies by the plan.
        then: TableHealth,
        /// Their state now.
        now: TableHealth,
    },
    /// The head of a new partition could not be zeroed.
    #[error("cannot wipe the head of partition {number}")]
    Wipe {
        /// Its number.
        number: u32,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// The caller's step failed; the table was not touched.
    #[error("the step before writing the partition table failed")]
    BeforeTable(#[source] BoxedError),
    /// An entry could not be encoded.
    #[error("cannot encode partition {number}")]
    Encode {
        /// Its number.
        number: u32,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A copy of the table could not be written.
    #[error("cannot write the partition table")]
    Write(#[from] WriteTableError),
    /// After all writes the table is not as planned.
    #[error("the partition table of {label} does not read back as planned after writing: {found}")]
    NotAsPlanned {
        /// Device.
        label: String,
        /// State of the copies.
        found: TableHealth,
    },
    /// A partition could not be opened for formatting.
    #[error("cannot open partition {number}")]
    Partition {
        /// Its number.
        number: u32,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// A file system could not be made.
    #[error("cannot make the file system of partition {number}")]
    Format {
        /// Its number.
        number: u32,
        /// Cause.
        #[source]
        source: FormatError,
    },
}

impl ApplyError {
    /// The way out.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Table(source) => source.hint(),
            Self::Stale { .. } => {
                Some("run again; if it stays so, the disk is failing or something else changes it")
            }
            Self::Wipe { .. }
            | Self::BeforeTable(_)
            | Self::Write(_)
            | Self::Partition { .. }
            | Self::Format { .. } => Some("run again: what was done is found and not repeated"),
            Self::Encode { .. } | Self::NotAsPlanned { .. } => None,
        }
    }
}

/// Does `plan` on `disk`. An empty plan writes nothing.
///
/// # Errors
/// [`ApplyError`]; after any of them the table on the disk is readable, and planning and applying
/// again goes on where this stopped.
pub fn apply(
    plan: &Plan,
    disk: &mut dyn Storage,
    effects: &mut Effects<'_>,
) -> Result<Applied, ApplyError> {
    let found = read_table(disk)?;
    if found != *plan.table() {
        let (then, now) = (plan.table().health, found.health);
        return Err(ApplyError::Stale { label: disk.label().to_owned(), then, now });
    }
    let mut applied = Applied::default();
    if plan.writes_table() {
        for planned in plan.created() {
            wipe_head(disk, plan, &planned.partition)?;
            let number = planned.partition.number;
            applied.created.push(number);
            let label = planned.partition.label.clone();
            (effects.progress)(ApplyEvent::HeadWiped { number, label });
        }
        (effects.before_table)(plan).map_err(ApplyError::BeforeTable)?;
        write_table(plan, disk, effects)?;
        applied.table_written = true;
    }
    for planned in plan.partitions() {
        if let Some(format) = planned.format {
            if planned.content == Content::Reset
                && !reset_head(disk, plan, planned, format, effects, &mut applied)?
            {
                continue;
            }
            let outcome = make_filesystem(disk, plan, planned, format, effects)?;
            (effects.progress)(ApplyEvent::Formatted(outcome.clone()));
            applied.formatted.push(outcome);
        }
    }
    Ok(applied)
}

fn sector_bytes(plan: &Plan) -> u64 {
    u64::from(plan.table().sector_bytes)
}

/// Old content must not pass for a file system that we made: a re-flashed disk still holds it.
fn wipe_head(disk: &mut dyn Storage, plan: &Plan, partition: &Partition) -> Result<(), ApplyError> {
    let number = partition.number;
    let start = partition.first_lba.0.saturating_mul(sector_bytes(plan));
    let len = partition.sectors().saturating_mul(sector_bytes(plan)).min(WIPE_BYTES.get());
    zero(disk, start, len).map_err(|source| ApplyError::Wipe { number, source })
}

/// Makes a partition blank that is to get a new file system. `false` where that cannot be made:
/// what is there is better than nothing.
fn reset_head(
    disk: &mut dyn Storage,
    plan: &Plan,
    planned: &Planned,
    format: Format,
    effects: &mut Effects<'_>,
    applied: &mut Applied,
) -> Result<bool, ApplyError> {
    let Partition { number, label, .. } = &planned.partition;
    let (number, label) = (*number, label.clone());
    if let Some(program) = effects.filesystems.missing_program(format) {
        let result = Formatted::ToolMissing(program);
        let outcome = FormatOutcome { number, label, format, result };
        (effects.progress)(ApplyEvent::Formatted(outcome.clone()));
        applied.formatted.push(outcome);
        return Ok(false);
    }
    wipe_head(disk, plan, &planned.partition)?;
    (effects.progress)(ApplyEvent::HeadWiped { number, label });
    Ok(true)
}

/// Zeroes a range of at most [`WIPE_BYTES`]; what is zero already is not written again.
fn zero(disk: &mut dyn Storage, start: u64, len: u64) -> Result<(), StorageError> {
    let mut found = vec![0; usize::try_from(len).unwrap_or(0)];
    disk.read_at(start, &mut found)?;
    if found.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    found.fill(0);
    disk.write_at(start, &found)?;
    disk.flush()
}

fn write_table(
    plan: &Plan,
    disk: &mut dyn Storage,
    effects: &mut Effects<'_>,
) -> Result<(), ApplyError> {
    let shape = Shape::of(disk)?;
    let table = plan.table();
    let mut content = encode::Content {
        disk_guid: table.disk_guid,
        first_usable: table.first_usable.0,
        array: table.array.clone(),
    };
    if let TableHealth::PrimaryDamaged(_) = table.health {
        // The backup is the only whole copy, so it must not be the first one written.
        write_copy(disk, shape, &content, TableCopyName::Primary)?;
    }
    for planned in plan.partitions().iter().filter(|planned| planned.change != Change::Keep) {
        let number = planned.partition.number;
        put_entry(&mut content.array, &planned.partition)
            .map_err(|source| ApplyError::Encode { number, source })?;
    }
    write_both(disk, shape, &content)?;
    for copy in [TableCopyName::Backup, TableCopyName::Primary] {
        (effects.progress)(ApplyEvent::TableWritten { copy });
    }
    let after = read_table(disk)?;
    let strip = |partition: &Partition| Partition {
        head: crate::PartitionHead::Filled,
        ..partition.clone()
    };
    let found = after.partitions.iter().map(strip);
    let wanted = plan.partitions().iter().map(|planned| strip(&planned.partition));
    if after.health == TableHealth::Good && found.eq(wanted) {
        Ok(())
    } else {
        Err(ApplyError::NotAsPlanned { label: disk.label().to_owned(), found: after.health })
    }
}

fn make_filesystem(
    disk: &mut dyn Storage,
    plan: &Plan,
    planned: &Planned,
    format: Format,
    effects: &mut Effects<'_>,
) -> Result<FormatOutcome, ApplyError> {
    let partition = &planned.partition;
    let number = partition.number;
    let start = partition.first_lba.0.saturating_mul(sector_bytes(plan));
    let len = ByteLen::new(partition.sectors().saturating_mul(sector_bytes(plan)));
    let label = format!("{} partition {number}", disk.label());
    let mut view = View::new(&mut *disk, label, start, len)
        .map_err(|source| ApplyError::Partition { number, source })?;
    let request =
        FilesystemRequest { format, label: partition.label.clone(), identity: partition.part_uuid };
    let result = effects
        .filesystems
        .make(&request, &mut view)
        .map_err(|source| ApplyError::Format { number, source })?;
    Ok(FormatOutcome { number, label: partition.label.clone(), format, result })
}
