// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the kernel know the partitions that the table names? Compares, and tells it of those it
//! does not know; when this returns, their device nodes are there or the caller is told.
//!
//! Linux reads a table when the disk appears and never again by itself. Reading it again whole is
//! refused while one partition is in use (and brings names and identities along, which a small
//! initrd without udev needs); telling it of one partition always works. So the first is tried,
//! and what is still missing is told one by one. Nothing is ever taken away from the kernel: a
//! partition that it knows and the table does not is somebody's business who uses it.

use crate::Table;
use std::io;
use storage::ByteLen;

/// A partition as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPartition {
    /// Number.
    pub number: u32,
    /// Its start on the disk.
    pub start: ByteLen,
    /// Its length.
    pub len: ByteLen,
    /// Major and minor device number.
    pub device: (u64, u64),
    /// Name of its node below `/dev`.
    pub node: String,
}

/// What the kernel has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelChange {
    /// It does not know the partition.
    Add {
        /// Number.
        number: u32,
        /// Start on the disk.
        start: ByteLen,
        /// Length.
        len: ByteLen,
    },
    /// It knows another length.
    Resize {
        /// Number.
        number: u32,
        /// Start on the disk.
        start: ByteLen,
        /// Length.
        len: ByteLen,
    },
}

/// The kernel's view of one disk.
pub trait KernelDisk {
    /// The partitions it knows; `None` where the disk is none of its devices (an image file).
    ///
    /// # Errors
    /// Those of reading.
    fn known(&self) -> io::Result<Option<Vec<KnownPartition>>>;

    /// Makes it read the whole table again.
    ///
    /// # Errors
    /// The kernel's; it is busy while a partition is in use.
    fn read_again(&mut self) -> io::Result<()>;

    /// Tells it of one partition.
    ///
    /// # Errors
    /// The kernel's.
    fn tell(&mut self, change: KernelChange) -> io::Result<()>;

    /// Waits a moment for what the kernel does by itself. `false` when that was long enough.
    fn wait(&mut self) -> bool;
}

/// The kernel does not know what the table says.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Its view cannot be read.
    #[error("cannot read which partitions the kernel knows")]
    Unreadable(#[source] io::Error),
    /// It has another partition under that number.
    #[error("the kernel has partition {number} at {known}, the table has it at {wanted}")]
    Moved {
        /// Number.
        number: u32,
        /// Where the kernel has it.
        known: ByteLen,
        /// Where the table has it.
        wanted: ByteLen,
    },
    /// It refused.
    #[error("the kernel does not take partition {number}")]
    Refused {
        /// Number.
        number: u32,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It accepted and does not show the partition.
    #[error("partition {number} does not appear in the system")]
    Missing {
        /// Number.
        number: u32,
    },
}

impl KernelError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(_) => Some("mount sysfs on /sys and devtmpfs on /dev"),
            Self::Moved { .. } | Self::Refused { .. } | Self::Missing { .. } => {
                Some("the table on the disk is right: reboot, and the kernel reads it")
            }
        }
    }
}

/// What the kernel has to be told so that it knows every partition of `table`.
///
/// # Errors
/// [`KernelError::Moved`]: a start cannot be changed under a running kernel.
fn compare_kernel(
    table: &Table,
    known: &[KnownPartition],
) -> Result<Vec<KernelChange>, KernelError> {
    let sector = u64::from(table.sector_bytes);
    let mut changes = Vec::new();
    for partition in &table.partitions {
        let number = partition.number;
        let start = ByteLen::new(partition.first_lba.0.saturating_mul(sector));
        let len = ByteLen::new(partition.sectors().saturating_mul(sector));
        match known.iter().find(|known| known.number == number) {
            None => changes.push(KernelChange::Add { number, start, len }),
            Some(found) if found.start != start => {
                return Err(KernelError::Moved { number, known: found.start, wanted: start });
            }
            Some(found) if found.len != len => {
                changes.push(KernelChange::Resize { number, start, len });
            }
            Some(_) => {}
        }
    }
    Ok(changes)
}

/// Makes the kernel know every partition of `table`; returns the numbers of those it did not.
///
/// # Errors
/// [`KernelError`]; the table on the disk is not touched.
pub fn tell_kernel(table: &Table, disk: &mut dyn KernelDisk) -> Result<Vec<u32>, KernelError> {
    let Some(before) = disk.known().map_err(KernelError::Unreadable)? else {
        return Ok(Vec::new());
    };
    // A partition that moved may still be known rightly after a whole new reading.
    if compare_kernel(table, &before).is_ok_and(|changes| changes.is_empty()) {
        return Ok(Vec::new());
    }
    // Busy is no failure: the rest is told one by one.
    let _ = disk.read_again();
    for change in unknown(table, disk)? {
        let told = disk.tell(change);
        // Somebody else (udev) may have made it read the table meanwhile.
        if let Err(source) = told
            && unknown(table, disk)?.contains(&change)
        {
            return Err(KernelError::Refused { number: number_of(change), source });
        }
    }
    while let Some(late) = unknown(table, disk)?.first() {
        if !disk.wait() {
            return Err(KernelError::Missing { number: number_of(*late) });
        }
    }
    let after = disk.known().map_err(KernelError::Unreadable)?.unwrap_or_default();
    let news = after.iter().filter(|partition| !before.contains(partition));
    Ok(news.map(|partition| partition.number).collect())
}

const fn number_of(change: KernelChange) -> u32 {
    match change {
        KernelChange::Add { number, .. } | KernelChange::Resize { number, .. } => number,
    }
}

fn unknown(table: &Table, disk: &dyn KernelDisk) -> Result<Vec<KernelChange>, KernelError> {
    let known = disk.known().map_err(KernelError::Unreadable)?.unwrap_or_default();
    compare_kernel(table, &known)
}
