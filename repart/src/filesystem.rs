// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who makes file systems in new partitions?

use crate::Format;
use crate::fat::{FatError, FatLabel, FatOptions, format_vfat};
use crate::fat_time::FatTime;
use crate::mkfs::{MkfsError, make_f2fs, missing_mkfs};
use std::path::PathBuf;
use storage::{PartUuid, Storage};

/// A file system that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemRequest {
    /// Which one.
    pub format: Format,
    /// The partition's label.
    pub label: String,
    /// The partition's identity, from which the file system's is derived.
    pub identity: PartUuid,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// Made, durable and read back.
    Done,
    /// Not made: this program is not installed. The partition stays blank and is due again.
    ToolMissing(&'static str),
}

/// A file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// FAT.
    #[error("cannot make a FAT")]
    Fat(#[from] FatError),
    /// By a program.
    #[error("cannot make a file system by an external program")]
    Mkfs(#[from] MkfsError),
}

/// Makes a file system such that a cut leaves the partition's head blank or the file system whole.
pub trait MakeFilesystem {
    /// The program that a file system needs and that is not installed. Asked before a partition is
    /// wiped for a new one.
    fn missing_program(&self, format: Format) -> Option<&'static str>;

    /// Makes the file system that `request` names on `partition`.
    ///
    /// # Errors
    /// [`FormatError`]; a missing program is not an error.
    fn make(
        &mut self,
        request: &FilesystemRequest,
        partition: &mut dyn Storage,
    ) -> Result<Formatted, FormatError>;
}

/// FAT in process, F2FS by `mkfs.f2fs` into a sparse file that is then copied.
#[derive(Clone, Debug)]
pub struct HostFilesystems {
    /// A directory for the sparse file, on a file system with holes; a tmpfs will do.
    pub scratch_dir: PathBuf,
    /// The time that everything made carries.
    pub unix_time: i64,
}

impl MakeFilesystem for HostFilesystems {
    fn missing_program(&self, format: Format) -> Option<&'static str> {
        match format {
            Format::Vfat => None,
            Format::F2fs => missing_mkfs(),
        }
    }

    fn make(
        &mut self,
        request: &FilesystemRequest,
        partition: &mut dyn Storage,
    ) -> Result<Formatted, FormatError> {
        match request.format {
            Format::Vfat => {
                let (serial, _, _, _) = request.identity.0.as_fields();
                let label = FatLabel::from_text(&request.label);
                let time = FatTime::from_unix(self.unix_time);
                format_vfat(partition, &FatOptions { label, serial, time })?;
                Ok(Formatted::Done)
            }
            Format::F2fs => Ok(make_f2fs(request, partition, &self.scratch_dir, self.unix_time)?),
        }
    }
}
