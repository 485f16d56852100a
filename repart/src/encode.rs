// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes are a table? Encodes one copy at a time, in memory, with the `gpt` crate; the
//! layout is described in `table.rs`. Writing them in a safe order is `write.rs`.

use crate::table::{ENTRY_BYTES, EntryArray, Shape};
use crate::window::Window;
use crate::{Partition, TypeGuid};
use gpt::header::Header;
use std::io;
use storage::{ByteLen, Lba, PartUuid};
use uuid::Uuid;

/// Which of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableCopyName {
    /// At the disk's start.
    Primary,
    /// At the disk's end.
    Backup,
}

impl std::fmt::Display for TableCopyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary copy",
            Self::Backup => "backup copy",
        })
    }
}

/// What both copies of a table say.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) disk_guid: Uuid,
    pub(crate) first_usable: u64,
    pub(crate) array: EntryArray,
}

/// The bytes of one copy and their places.
#[derive(Debug)]
pub(crate) struct EncodedCopy {
    pub(crate) array_offset: u64,
    pub(crate) array: Vec<u8>,
    pub(crate) header_offset: u64,
    pub(crate) header: Vec<u8>,
}

impl Content {
    fn entries(&self) -> u32 {
        // At most the number of entries that was read or created, which is a u32.
        u32::try_from(self.array.0.len() / ENTRY_BYTES as usize).unwrap_or(u32::MAX)
    }

    /// Encodes one copy for a disk of `shape`.
    pub(crate) fn encode(&self, shape: Shape, name: TableCopyName) -> io::Result<EncodedCopy> {
        let sector = shape.sector();
        let array_sectors = shape.array_sectors(self.entries());
        let (header_lba, other_lba, array_lba) = match name {
            TableCopyName::Primary => (1, shape.last_lba(), 2),
            TableCopyName::Backup => {
                (shape.last_lba(), 1, shape.last_lba().saturating_sub(array_sectors))
            }
        };
        let mut header = Header {
            signature: "EFI PART".to_owned(),
            revision: (1, 0),
            header_size_le: 92,
            crc32: 0,
            reserved: 0,
            current_lba: header_lba,
            backup_lba: other_lba,
            first_usable: self.first_usable,
            last_usable: shape.last_usable(self.entries()),
            disk_guid: self.disk_guid,
            part_start: array_lba,
            num_parts: self.entries(),
            part_size: ENTRY_BYTES,
            crc32_parts: 0,
        };
        let mut array = self.array.0.clone();
        array.resize(to_usize(array_sectors.saturating_mul(sector))?, 0);
        // Header and array lie side by side in both copies; one window holds them.
        let base = header_lba.min(array_lba).saturating_mul(sector);
        let mut bytes = array.clone();
        let blank_header = vec![0; shape.block.as_usize()];
        let at = if header_lba < array_lba { 0 } else { bytes.len() };
        bytes.splice(at..at, blank_header);
        let mut window = Window::new(base, bytes);
        let written = match name {
            TableCopyName::Primary => header.write_primary(&mut window, shape.block),
            TableCopyName::Backup => header.write_backup(&mut window, shape.block),
        };
        written.map_err(io::Error::other)?;
        let bytes = window.into_bytes();
        let header = bytes.get(at..at + shape.block.as_usize()).unwrap_or_default().to_vec();
        Ok(EncodedCopy {
            array_offset: array_lba.saturating_mul(sector),
            array,
            header_offset: header_lba.saturating_mul(sector),
            header,
        })
    }
}

fn to_usize(bytes: u64) -> io::Result<usize> {
    ByteLen::new(bytes).to_usize().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Puts one entry into the array, leaving the others bit for bit.
pub(crate) fn put_entry(array: &mut EntryArray, partition: &Partition) -> io::Result<()> {
    let entry = gpt::partition::Partition {
        part_type_guid: partition.type_guid.0.into(),
        part_guid: partition.part_uuid.0,
        first_lba: partition.first_lba.0,
        last_lba: partition.last_lba.0,
        flags: partition.attributes,
        name: partition.label.clone(),
    };
    let mut window = Window::new(0, std::mem::take(&mut array.0));
    let index = u64::from(partition.number.saturating_sub(1));
    let block = gpt::disk::LogicalBlockSize::Lb512;
    let written = entry.write_to_device(&mut window, index, 0, block, ENTRY_BYTES);
    array.0 = window.into_bytes();
    written
}

/// A partition for a table that is made from nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartition {
    /// Type.
    pub type_guid: TypeGuid,
    /// Unique identity.
    pub part_uuid: PartUuid,
    /// Label, at most 36 UTF-16 units.
    pub label: String,
    /// First sector.
    pub first_lba: Lba,
    /// Last sector, inclusive.
    pub last_lba: Lba,
}
