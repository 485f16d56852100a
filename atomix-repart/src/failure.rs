// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way in which partitioning a board's disk can fail, and the way out of each.

use crate::file_hint::{file_hint, files_hint};
use crate::{Class, SettingsError};
use bootctl::{BackendError, ControlError, RecorderError};
use std::io;
use std::path::PathBuf;
use storage::{FilesError, StorageError};
use uboot::EnvError;

/// A failed run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings cannot be used.
    #[error("cannot use the settings")]
    Settings(#[from] SettingsError),
    /// A small file could not be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A device failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file that must be there is not.
    #[error("{path} does not exist", path = path.display())]
    FileAbsent {
        /// Which file.
        path: PathBuf,
        /// The way out.
        hint: &'static str,
    },
    /// A file that must be text is not.
    #[error("{path} is not UTF-8 text", path = path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// `fw_env.config` is wrong.
    #[error("cannot use {path}", path = path.display())]
    FwEnvConfig {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: uboot::FwEnvConfigError,
    },
    /// An argument or a file of defaults does not fit.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// The environment cannot be opened.
    #[error("cannot use the U-Boot environment")]
    Environment(#[from] EnvError),
    /// The boot state cannot be read or written.
    #[error("cannot use the boot state")]
    Backend(#[from] BackendError),
    /// The boot state does not allow the change.
    #[error("refused")]
    BootState(#[from] bootctl::Refused),
    /// The request does not apply here.
    #[error("{what}")]
    Refused {
        /// Why not.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// The flight recorder failed.
    #[error("cannot use the flight recorder")]
    Recorder(#[from] RecorderError),
    /// The flight recorder's place is not on its device.
    #[error("the flight recorder is not where [recorder] of atomix.toml says")]
    RecorderPlace {
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// The partition table cannot be used.
    #[error("cannot use the partition table of {disk}", disk = disk.display())]
    Table {
        /// Which disk.
        disk: PathBuf,
        /// Cause.
        #[source]
        source: repart::TableError,
    },
    /// A partition definition is wrong.
    #[error("cannot use the partition definitions")]
    Definitions(#[from] repart::ReadDefinitionsError),
    /// There is no plan for the disk.
    #[error("cannot plan partitions on {disk}", disk = disk.display())]
    Plan {
        /// Which disk.
        disk: PathBuf,
        /// Cause.
        #[source]
        source: repart::PlanError,
    },
    /// The plan could not be done.
    #[error("cannot partition {disk}", disk = disk.display())]
    Apply {
        /// Which disk.
        disk: PathBuf,
        /// Cause.
        #[source]
        source: repart::ApplyError,
    },
    /// The kernel does not know the partitions.
    #[error("cannot make the partitions of {disk} known", disk = disk.display())]
    Kernel {
        /// Which disk.
        disk: PathBuf,
        /// Cause.
        #[source]
        source: repart::KernelError,
    },
    /// A file of this machine could not be used.
    #[error("cannot {act} {path}", path = path.display())]
    Io {
        /// The verb.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Standard output is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
    /// A value could not be written as JSON.
    #[error("cannot print as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(refused) => Self::BootState(refused),
            ControlError::Backend(cause) => Self::Backend(cause),
        }
    }
}

impl Failure {
    /// What the exit code of this failure means.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Settings(_)
            | Self::FileAbsent { .. }
            | Self::NotText { .. }
            | Self::FwEnvConfig { .. }
            | Self::Definitions(_)
            | Self::Usage { .. } => Class::Usage,
            Self::Storage(StorageError::Busy { .. }) => Class::Busy,
            Self::BootState(_) | Self::Refused { .. } | Self::Plan { .. } => Class::Refused,
            Self::Environment(source) => source.into(),
            Self::Backend(source) => source.into(),
            Self::Files(_)
            | Self::Storage(_)
            | Self::Recorder(_)
            | Self::RecorderPlace { .. }
            | Self::Table { .. }
            | Self::Apply { .. }
            | Self::Kernel { .. }
            | Self::Io { .. }
            | Self::Print(_)
            | Self::Json(_) => Class::Failed,
        }
    }

    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::FileAbsent { hint, .. }
            | Self::Usage { hint, .. }
            | Self::Refused { hint, .. } => Some(hint),
            Self::Settings(source) => Some(source.hint()),
            Self::Definitions(_) | Self::NotText { .. } => {
                Some("correct the file; nothing was tried")
            }
            Self::FwEnvConfig { .. } => {
                Some("one line per copy: device, offset, size, erase block size, erase blocks")
            }
            Self::Environment(source) => source.hint(),
            Self::Backend(source) => source.hint(),
            Self::BootState(source) => source.hint(),
            Self::Recorder(source) => source.hint(),
            Self::RecorderPlace { .. } => Some("correct [recorder] in /etc/atomix/atomix.toml"),
            Self::Table { source, .. } => source.hint(),
            Self::Plan { source, .. } => source.hint(),
            Self::Apply { source, .. } => source.hint(),
            Self::Kernel { source, .. } => source.hint(),
            Self::Storage(source) => source.hint(),
            Self::Files(source) => Some(files_hint(source)),
            Self::Io { source, .. } => Some(file_hint(source)),
            Self::Print(_) | Self::Json(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The initrd's program said 1, failed, where `atomix` and `--help` say 5.
    #[test]
    fn an_environment_that_another_command_holds_is_busy() {
        let held = BackendError::LockHeld { path: PathBuf::new(), secs: 10 };
        assert_eq!(Failure::from(held).class().exit_code(), 5);
    }
}
