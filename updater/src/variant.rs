// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which variant of the board is this system?

use crate::{ErrorClass, SystemConfig, VariantSource};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError};

/// The device tree's list of strings, each ended by NUL.
const DEVICE_TREE_COMPATIBLE: &str = "/sys/firmware/devicetree/base/compatible";

/// A variant is one word; a file that goes on is not one.
const MAX_VARIANT: ByteLen = ByteLen::kib(4);

/// The variant could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    /// The file cannot be read.
    #[error("cannot read the system's variant")]
    Read {
        /// Cause.
        #[source]
        source: FilesError,
    },
    /// The file is not there.
    #[error("the system's variant is to be read from {path}, which does not exist", path = path.display())]
    Absent {
        /// Its path.
        path: PathBuf,
    },
    /// The file holds no word.
    #[error("{path} holds no variant", path = path.display())]
    Empty {
        /// Its path.
        path: PathBuf,
    },
}

impl VariantError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Read { source: FilesError::Read { .. } | FilesError::Write { .. } } => {
                ErrorClass::Failed
            }
            Self::Read { source: FilesError::TooLarge { .. } | FilesError::Escapes { .. } }
            | Self::Absent { .. }
            | Self::Empty { .. } => ErrorClass::Usage,
        }
    }

    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read { source: FilesError::Read { .. } | FilesError::Write { .. } } => {
                "look at the file's permissions and at its medium"
            }
            Self::Read { source: FilesError::TooLarge { .. } | FilesError::Escapes { .. } }
            | Self::Absent { .. } => {
                "correct variant-file, variant-dtb or variant-name in system.conf"
            }
            Self::Empty { .. } => {
                "write the variant into the file, or name it by variant-name in system.conf"
            }
        }
    }
}

/// The variant of this system by its configuration; `None` when it has none.
///
/// # Errors
/// [`VariantError`]; a missing source is never taken for *no variant*.
pub fn read_variant(
    config: &SystemConfig,
    files: &dyn Files,
) -> Result<Option<String>, VariantError> {
    match &config.system.variant {
        None => Ok(None),
        Some(VariantSource::Name(name)) => Ok(Some(name.clone())),
        Some(VariantSource::File(path)) => first_word(files, path).map(Some),
        Some(VariantSource::DeviceTree) => {
            first_word(files, Path::new(DEVICE_TREE_COMPATIBLE)).map(Some)
        }
    }
}

fn first_word(files: &dyn Files, path: &Path) -> Result<String, VariantError> {
    let bytes = files
        .read(path, MAX_VARIANT)
        .map_err(|source| VariantError::Read { source })?
        .ok_or_else(|| VariantError::Absent { path: path.to_owned() })?;
    let word = bytes.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
    match String::from_utf8_lossy(word).trim() {
        "" => Err(VariantError::Empty { path: path.to_owned() }),
        word => Ok(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryFiles;

    #[test]
    fn variant_is_the_first_line_or_the_first_device_tree_string() {
        let mut files = MemoryFiles::new();
        files.replace(Path::new("/v"), b"rev2\nmore\n").unwrap();
        let tree = Path::new(DEVICE_TREE_COMPATIBLE);
        files.replace(tree, b"pine64,rock64\0rockchip,rk3328\0").unwrap();
        let read = |line: &str| {
            let text = format!("[system]\ncompatible=x\nbootloader=noop\n{line}\n");
            read_variant(&SystemConfig::parse(&text, Path::new("/")).unwrap(), &files)
        };
        assert_eq!(read("variant-file=/v").unwrap().as_deref(), Some("rev2"));
        assert_eq!(read("variant-dtb=true").unwrap().as_deref(), Some("pine64,rock64"));
        assert_eq!(read("").unwrap(), None);
        assert!(matches!(read("variant-file=/none"), Err(VariantError::Absent { .. })));
    }

    /// A file that is not there or empty is the configuration's matter, one that cannot be read
    /// is the medium's; each has a way out.
    #[test]
    fn what_is_wrong_with_a_variant_decides_its_class_and_its_way_out() {
        let mut files = MemoryFiles::new();
        files.replace(Path::new("/blank"), b"\n").unwrap();
        files.replace(Path::new("/large"), &[b'x'; 4097]).unwrap();
        let refused = |line: &str| {
            let text = format!("[system]\ncompatible=x\nbootloader=noop\n{line}\n");
            let config = SystemConfig::parse(&text, Path::new("/")).unwrap();
            read_variant(&config, &files).unwrap_err()
        };
        for (line, class) in [
            ("variant-file=/none", ErrorClass::Usage),
            ("variant-dtb=true", ErrorClass::Usage),
            ("variant-file=/blank", ErrorClass::Usage),
            ("variant-file=/large", ErrorClass::Usage),
        ] {
            let refused = refused(line);
            assert_eq!(refused.class(), class, "{refused}");
            assert!(refused.hint().contains("system.conf"), "{refused}");
        }
        let source = std::io::ErrorKind::PermissionDenied.into();
        let source = FilesError::Read { path: "/v".into(), source };
        let unreadable = VariantError::Read { source };
        assert_eq!(unreadable.class(), ErrorClass::Failed);
        assert!(unreadable.hint().contains("permissions"), "{}", unreadable.hint());
    }
}
