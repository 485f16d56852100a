// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the table of an image that has none yet. For image assembly only: it writes sector 0,
//! which on a live disk is never written again.

use crate::encode::{Content, NewPartition, put_entry};
use crate::table::{ENTRY_BYTES, EntryArray, Shape};
use crate::write::{WriteTableError, write_both};
use crate::{Partition, PartitionHead, TableError};
use std::io;
use storage::{Storage, StorageError};
use uuid::Uuid;

/// Entries of a new table: the usual number, and the smallest the specification allows.
const ENTRIES: u32 = 128;

/// A table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTableError {
    /// The device cannot hold a GPT.
    #[error("cannot make a partition table")]
    Unsuitable(#[source] TableError),
    /// A partition lies outside the usable sectors, ends before it starts or overlaps another.
    #[error("partition {number} ({label}) overlaps another or lies outside the usable sectors")]
    Place {
        /// Its number.
        number: u32,
        /// Its label.
        label: String,
    },
    /// A label does not fit an entry, or there are more partitions than entries.
    #[error("partition {number} ({label}) cannot be encoded")]
    Encode {
        /// Its number.
        number: u32,
        /// Its label.
        label: String,
    },
    /// Sector 0 could not be written.
    #[error("cannot write the protective MBR")]
    Mbr(#[source] StorageError),
    /// A copy could not be written.
    #[error("cannot write a new partition table")]
    Write(#[from] WriteTableError),
}

/// Writes protective MBR, backup and primary; partitions are numbered from 1 in order.
/// The same arguments give the same bytes.
///
/// # Errors
/// [`CreateTableError`]; the partitions are checked before anything is written.
pub fn create_table(
    disk: &mut dyn Storage,
    disk_guid: Uuid,
    partitions: &[NewPartition],
) -> Result<(), CreateTableError> {
    let shape = Shape::of(disk).map_err(CreateTableError::Unsuitable)?;
    let mut content = Content {
        disk_guid,
        first_usable: 2 + shape.array_sectors(ENTRIES),
        array: EntryArray(vec![0; ENTRIES as usize * ENTRY_BYTES as usize]),
    };
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for (number, new) in (1..).zip(partitions) {
        let (first, last) = (new.first_lba.0, new.last_lba.0);
        let inside = content.first_usable <= first
            && first <= last
            && last <= shape.last_usable(ENTRIES)
            && taken.iter().all(|(start, end)| last < *start || *end < first);
        let label = new.label.clone();
        if !inside {
            return Err(CreateTableError::Place { number, label });
        }
        taken.push((first, last));
        if number > ENTRIES || label.encode_utf16().count() > 36 {
            return Err(CreateTableError::Encode { number, label });
        }
        let partition = Partition {
            number,
            type_guid: new.type_guid,
            part_uuid: new.part_uuid,
            label: label.clone(),
            first_lba: new.first_lba,
            last_lba: new.last_lba,
            attributes: 0,
            head: PartitionHead::Filled,
        };
        put_entry(&mut content.array, &partition)
            .map_err(|_: io::Error| CreateTableError::Encode { number, label })?;
    }
    // The size 0xFFFFFFFF stays right when the image is written to a disk of any size.
    let mut sector = gpt::mbr::ProtectiveMBR::new().to_bytes().to_vec();
    sector.resize(shape.block.as_usize(), 0);
    disk.write_at(0, &sector).map_err(CreateTableError::Mbr)?;
    Ok(write_both(disk, shape, &content)?)
}
