// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an entry of a table made to name another place, so that every cut leaves a table that
//! names the old place or the new one?
//!
//! | step | cut after it |
//! |---|---|
//! | 1 a damaged copy is made whole again | old place |
//! | 2 backup written, flushed, read back | old place; a firmware that reads the backup alone: new |
//! | 3 primary written, flushed, read back | new place (torn: from the backup) |
//!
//! What lies in the places is not looked at: the caller makes the new one whole before. Type,
//! identity, attributes and label of the entry stay bit for bit, and so do all other entries.

use crate::encode::{Content, TableCopyName};
use crate::table::{ENTRY_BYTES, Shape};
use crate::write::{WriteTableError, write_both, write_copy};
use crate::{Table, TableError, TableHealth, read_table};
use storage::{Lba, Storage};

/// Where the last sector of an entry's place is named, behind the first.
const ENTRY_PLACE: std::ops::Range<usize> = 32..48;

/// A partition that was not moved, or not provably.
#[derive(Debug, thiserror::Error)]
pub enum MovePartitionError {
    /// The table cannot be read.
    #[error("cannot read the partition table to change it")]
    Table(#[from] TableError),
    /// There is no such entry.
    #[error("there is no partition {number} on {label}")]
    Absent {
        /// Device.
        label: String,
        /// Number.
        number: u32,
    },
    /// The new place is outside the usable area, or of another partition.
    #[error("partition {number} cannot lie at sectors {first} to {last}: {taken}")]
    Taken {
        /// Number.
        number: u32,
        /// First sector of the new place.
        first: Lba,
        /// Last sector of the new place.
        last: Lba,
        /// By what.
        taken: String,
    },
    /// A copy of the table could not be written.
    #[error("cannot write the partition table")]
    Write(#[from] WriteTableError),
    /// After all writes the table is not as it should be.
    #[error("the partition table of {label} does not read back as written: {found}")]
    NotAsWanted {
        /// Device.
        label: String,
        /// State of the copies.
        found: TableHealth,
    },
}

/// Makes entry `number` (from 1) name the sectors `first ..= last`, in both copies, durably.
///
/// # Errors
/// [`MovePartitionError`]; whatever it is, one copy of the table is whole.
pub fn move_partition(
    disk: &mut dyn Storage,
    number: u32,
    first: Lba,
    last: Lba,
) -> Result<(), MovePartitionError> {
    let label = disk.label().to_owned();
    let shape = Shape::of(disk)?;
    let table = read_table(disk)?;
    check_place(&table, &label, number, first, last)?;
    let mut content = Content {
        disk_guid: table.disk_guid,
        first_usable: table.first_usable.0,
        array: table.array.clone(),
    };
    match table.health {
        TableHealth::Good => {}
        // The only whole copy must not be the first one written.
        TableHealth::PrimaryDamaged(_) => {
            write_copy(disk, shape, &content, TableCopyName::Primary)?;
        }
        TableHealth::BackupDamaged(_)
        | TableHealth::BackupMisplaced { .. }
        | TableHealth::BackupDiffers => write_both(disk, shape, &content)?,
    }
    put_place(&mut content.array.0, number, first, last);
    write_both(disk, shape, &content)?;
    let after = read_table(disk)?;
    if after.health == TableHealth::Good && after.array == content.array {
        Ok(())
    } else {
        Err(MovePartitionError::NotAsWanted { label, found: after.health })
    }
}

fn check_place(
    table: &Table,
    label: &str,
    number: u32,
    first: Lba,
    last: Lba,
) -> Result<(), MovePartitionError> {
    if !table.partitions.iter().any(|partition| partition.number == number) {
        return Err(MovePartitionError::Absent { label: label.to_owned(), number });
    }
    let taken = |taken| Err(MovePartitionError::Taken { number, first, last, taken });
    if first < table.first_usable || last > table.last_usable || last < first {
        return taken("it is not in the usable area".to_owned());
    }
    let others = table.partitions.iter().filter(|other| other.number != number);
    match others.into_iter().find(|other| other.first_lba <= last && first <= other.last_lba) {
        Some(other) => taken(format!("partition {} is there", other.number)),
        None => Ok(()),
    }
}

fn put_place(array: &mut [u8], number: u32, first: Lba, last: Lba) {
    let entry = number.saturating_sub(1) as usize * ENTRY_BYTES as usize;
    let place = entry + ENTRY_PLACE.start..entry + ENTRY_PLACE.end;
    // The entry was found in this array just before.
    if let Some(place) = array.get_mut(place) {
        place.copy_from_slice(&[first.0.to_le_bytes(), last.0.to_le_bytes()].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewPartition, TypeGuid, create_table};
    use storage::{MemoryStorage, PartUuid};
    use uuid::Uuid;

    fn disk() -> MemoryStorage {
        let mut disk = MemoryStorage::disk("disk", vec![0; 4 << 20]);
        let part = |id, first, last| NewPartition {
            type_guid: TypeGuid(Uuid::from_u128(7)),
            part_uuid: PartUuid(Uuid::from_u128(id)),
            label: format!("part {id}"),
            first_lba: Lba(first),
            last_lba: Lba(last),
        };
        let parts = [part(1, 2048, 3071), part(2, 6144, 7167)];
        create_table(&mut disk, Uuid::from_u128(9), &parts).unwrap();
        disk
    }

    #[test]
    fn the_place_alone_changes_and_broken_copies_are_healed() {
        let good = disk();
        let last_sector = good.bytes().len() - 512;
        for damage in [None, Some(512), Some(last_sector), Some(1024)] {
            let mut disk = good.clone();
            if let Some(at) = damage {
                disk.bytes_mut()[at..at + 16].fill(0xa5);
            }
            move_partition(&mut disk, 1, Lba(3072), Lba(4095)).unwrap();
            let (before, after) = (read_table(&good).unwrap(), read_table(&disk).unwrap());
            assert_eq!(after.health, TableHealth::Good);
            let mut wanted = before.partitions;
            (wanted[0].first_lba, wanted[0].last_lba) = (Lba(3072), Lba(4095));
            assert_eq!(after.partitions, wanted, "{damage:?}");
            assert_eq!(after.disk_guid, before.disk_guid);
        }
    }

    #[test]
    fn places_of_others_and_outside_are_refused_and_nothing_is_written() {
        let mut disk = disk();
        let before = disk.bytes().to_vec();
        for (number, first, last) in [
            (3, 2048, 3000),
            (1, 6000, 6144),
            (1, 7167, 7200),
            (1, 5, 40),
            (1, 4096, 99999),
            (1, 50, 40),
        ] {
            assert!(move_partition(&mut disk, number, Lba(first), Lba(last)).is_err());
        }
        assert!(disk.bytes() == before);
    }
}
