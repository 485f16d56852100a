// SPDX-License-Identifier: MIT OR Apache-2.0
//! UBI volumes: flash that is replaced as a whole.
//!
//! The kernel is told the length first; from then on the volume is marked as being updated and
//! cannot be read until the last of these bytes was written. A cut in between leaves it so: it is
//! recognisably incomplete, never half old and half new.

use crate::file::open_node;
use crate::{Access, ByteLen, StorageError, ioctl};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The bytes of a volume's new content. They are on the flash when all are written: UBI writes
/// through.
#[derive(Debug)]
struct VolumeUpdate {
    file: File,
    left: u64,
}

impl Write for VolumeUpdate {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() as u64 > self.left {
            // The kernel would write the rest into the finished volume, or refuse it.
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let written = self.file.write(buf)?;
        self.left = self.left.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.sync_all()
    }
}

/// Begins to replace a UBI volume (`/dev/ubi0_1`) by `len` bytes. Flushing the writer before all
/// of them were written is an error.
///
/// # Errors
/// [`StorageError::Absent`], [`StorageError::Busy`], [`StorageError::ReadOnly`] or
/// [`StorageError::Open`].
pub fn replace_ubi_volume(
    path: &Path,
    label: impl Into<String>,
    len: ByteLen,
) -> Result<Box<dyn Write>, StorageError> {
    let label = label.into();
    let file = open_node(path, &label, Access::ReadWrite, nix::libc::O_EXCL)?;
    ioctl::update_volume(&file, len.get())
        .map_err(|source| StorageError::Open { label, source })?;
    Ok(Box::new(VolumeUpdate { file, left: len.get() }))
}

/// Reads a UBI volume from its start; nothing of UBI is cached.
///
/// # Errors
/// [`StorageError::Absent`], [`StorageError::Busy`] or [`StorageError::Open`].
pub fn read_ubi_volume(path: &Path, label: impl Into<String>) -> Result<File, StorageError> {
    open_node(path, &label.into(), Access::ReadOnly, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_more_is_written_and_none_less_is_flushed() {
        let mut update = VolumeUpdate { file: tempfile::tempfile().unwrap(), left: 5 };
        assert_eq!(update.write(b"abc").unwrap(), 3);
        assert_eq!(update.flush().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(update.write(b"defg").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(update.write(b"de").unwrap(), 2);
        update.flush().unwrap();
    }

    #[test]
    fn a_file_is_no_volume() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = replace_ubi_volume(file.path(), "slot", ByteLen::new(1)).err();
        assert!(matches!(error, Some(StorageError::Open { .. })), "{error:?}");
    }
}
