// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one seam between slot handlers, hooks and the machine: programs, devices, and the few acts
//! on devices that are no reading and writing. Tests put a machine of their own here.

use programs::{ProgramCall, ProgramEnd, ProgramError, StopQuestion};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Devices, StorageError};

/// An act of a machine that is no program failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {path}", path = path.display())]
pub struct MachineError {
    /// What was tried.
    pub act: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Cause.
    #[source]
    pub source: io::Error,
}

/// One of the two boot partitions of an eMMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootHalf {
    /// `boot0`.
    Boot0,
    /// `boot1`.
    Boot1,
}

impl BootHalf {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Boot0 => Self::Boot1,
            Self::Boot1 => Self::Boot0,
        }
    }

    /// Its number, as in the device's name.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Boot0 => 0,
            Self::Boot1 => 1,
        }
    }
}

/// A copy of an image that a program can open by a path; gone when dropped.
pub trait Spooled {
    /// Where it can be read.
    fn path(&self) -> &Path;
}

/// What slot handlers, hooks and handlers may do to a machine.
pub trait Machine: Send {
    /// Runs a program to its end: in a process group of its own, with the default signal mask,
    /// asking `stop` while it runs. Background children that hold its pipes are not waited for.
    ///
    /// # Errors
    /// [`ProgramError`], every kind but `Failed`: an exit code is an answer, see
    /// [`ProgramEnd::check`].
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError>;

    /// The devices.
    fn devices(&self) -> &dyn Devices;

    /// Makes a directory and those above it, for root alone; being there already is success.
    ///
    /// # Errors
    /// [`MachineError`].
    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError>;

    /// Removes an empty directory; a failure costs nothing and is not told.
    fn remove_dir(&mut self, dir: &Path);

    /// Makes everything on the file system that is mounted at `dir` durable.
    ///
    /// # Errors
    /// [`MachineError`]; since Linux 5.8 also when an earlier write failed.
    fn sync_filesystem(&mut self, dir: &Path) -> Result<(), MachineError> {
        let synced = storage::sync_all_below(dir);
        synced.map_err(|source| MachineError { act: "sync", path: dir.to_owned(), source })
    }

    /// The device's path without links.
    ///
    /// # Errors
    /// [`MachineError`].
    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError>;

    /// Makes a plain file that stands for a device at least as long as `len`; devices keep their
    /// size.
    ///
    /// # Errors
    /// [`MachineError`].
    fn grow_file(&mut self, device: &Path, len: ByteLen) -> Result<(), MachineError>;

    /// Keeps exactly what `image` gives where a program can open it by a path.
    ///
    /// # Errors
    /// [`MachineError`].
    fn spool(&mut self, image: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError>;

    /// Begins to replace the content of a UBI volume by `len` bytes (`UBI_IOCVOLUP`). The volume
    /// is unusable until all of them are written.
    ///
    /// # Errors
    /// [`StorageError`].
    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn Write>, StorageError>;

    /// Reads a UBI volume from its start.
    ///
    /// # Errors
    /// [`StorageError`].
    fn read_volume(&self, device: &Path) -> Result<Box<dyn Read>, StorageError>;

    /// Which boot partition an eMMC boots from; `None` when it is not set up to boot from one.
    ///
    /// # Errors
    /// [`StorageError`].
    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, StorageError>;

    /// Makes an eMMC boot from this boot partition.
    ///
    /// # Errors
    /// [`StorageError`].
    fn set_boot_partition(&mut self, device: &Path, half: BootHalf) -> Result<(), StorageError>;

    /// Sets the kernel's write protection (`force_ro`) of a block device.
    ///
    /// # Errors
    /// [`MachineError`].
    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError>;
}

/// The kernel's write protection of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It can be written.
    Off,
    /// It cannot be written.
    On,
}
