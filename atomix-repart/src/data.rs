// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is `/data` the data partition now, and does it say that the first boot is over? Reads what the
//! kernel says; the judging is `repart`'s.

use crate::{Board, DataHome, Failure, Settings};
use repart::{KnownPartition, Marker, NotOnData, Table, find_mount, judge_data_place};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files};

/// The first boot is over when this exists.
pub const PROVISIONED_PATH: &str = "/data/atomix/provisioned";

/// The marker holds one line.
const MAX_MARKER: ByteLen = ByteLen::kib(4);

/// Far above any real mount table.
const MAX_MOUNTINFO: ByteLen = ByteLen::mib(4);

/// What is known of `/data`.
pub(crate) struct DataPlace {
    /// Whether the marker's path lies on the data partition, or why not.
    pub(crate) judged: Result<(), NotOnData>,
    /// Where the partition is mounted, if it is.
    pub(crate) mounted: Option<PathBuf>,
}

impl DataPlace {
    /// Looks for the partition that `settings` calls data, as `table` numbers it.
    pub(crate) fn look(
        board: &Board<'_>,
        settings: &Settings,
        table: &Table,
    ) -> Result<Self, Failure> {
        if board.data == DataHome::Directory {
            return Ok(Self { judged: Ok(()), mounted: None });
        }
        let label = &settings.disk.data_label;
        let wanted = table.partitions.iter().find(|partition| partition.label == *label);
        let known = known_partitions(board, &settings.disk.device)?.unwrap_or_default();
        let data = known
            .into_iter()
            .find(|known| wanted.is_some_and(|wanted| wanted.number == known.number));
        let path = Path::new("/proc/self/mountinfo");
        let mountinfo = board.files.read(path, MAX_MOUNTINFO)?.unwrap_or_default();
        Ok(Self {
            judged: judge_data_place(&mountinfo, Path::new(PROVISIONED_PATH), label, data.as_ref()),
            mounted: data.and_then(|data| find_mount(&mountinfo, &data)),
        })
    }

    /// What the marker says.
    pub(crate) fn marker(&self, board: &Board<'_>) -> Result<Marker, Failure> {
        if self.judged.is_err() {
            return Ok(Marker::OutOfReach);
        }
        Ok(match board.files.read(Path::new(PROVISIONED_PATH), MAX_MARKER)? {
            Some(_) => Marker::Present,
            None => Marker::Absent,
        })
    }
}

/// The partitions that the kernel knows of `disk`; `None` where it is none of its devices.
#[cfg(target_os = "linux")]
fn known_partitions(
    board: &Board<'_>,
    disk: &Path,
) -> Result<Option<Vec<KnownPartition>>, Failure> {
    use repart::{KernelDisk, KernelError, SysfsDisk};
    SysfsDisk::new(board.files, disk)?.known().map_err(|source| Failure::Kernel {
        disk: disk.to_owned(),
        source: KernelError::Unreadable(source),
    })
}

/// Elsewhere boards are image files.
#[cfg(not(target_os = "linux"))]
fn known_partitions(
    _board: &Board<'_>,
    _disk: &Path,
) -> Result<Option<Vec<KnownPartition>>, Failure> {
    Ok(None)
}

/// Makes the kernel know every partition of `disk`, as its table says now; returns the news.
#[cfg(target_os = "linux")]
pub(crate) fn tell_kernel(board: &Board<'_>, disk: &Path) -> Result<Vec<u32>, Failure> {
    let table = board.table(disk)?;
    let mut kernel = repart::SysfsDisk::new(board.files, disk)?;
    repart::tell_kernel(&table, &mut kernel)
        .map_err(|source| Failure::Kernel { disk: disk.to_owned(), source })
}

/// Elsewhere boards are image files.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tell_kernel(_board: &Board<'_>, _disk: &Path) -> Result<Vec<u32>, Failure> {
    Ok(Vec::new())
}
