// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and files in memory, for tests and for planning without touching anything.

use crate::device::check_range;
use crate::{ByteLen, FileTree, Files, FilesError, Geometry, Storage, StorageError};
use std::path::Path;

/// A device in memory. With `erase_bytes` set it behaves as NOR flash: writes only clear bits.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    label: String,
    bytes: Vec<u8>,
    geometry: Geometry,
}

impl MemoryStorage {
    /// A disk of `bytes` with sectors of 512 bytes.
    pub fn disk(label: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            label: label.into(),
            bytes,
            geometry: Geometry { sector_bytes: 512, erase_bytes: None },
        }
    }

    /// A NOR flash of `bytes` with erase blocks of `erase_bytes`.
    pub fn nor(label: impl Into<String>, bytes: Vec<u8>, erase_bytes: u32) -> Self {
        Self {
            label: label.into(),
            bytes,
            geometry: Geometry { sector_bytes: 1, erase_bytes: Some(erase_bytes) },
        }
    }

    /// The whole content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole content, writable behind the seam's back: for tests that corrupt it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn range_mut(&mut self, offset: u64, len: u64) -> Result<&mut [u8], StorageError> {
        check_range(&self.label, ByteLen::new(self.bytes.len() as u64), offset, len)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        // The range was checked against the buffer's length just above.
        Ok(self.bytes.get_mut(start..end).unwrap_or_default())
    }
}

impl Storage for MemoryStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.bytes.len() as u64)
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        check_range(&self.label, self.len(), offset, buf.len() as u64)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(bytes) = self.bytes.get(start..start.saturating_add(buf.len())) {
            buf.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        let nor = self.geometry.erase_bytes.is_some();
        let target = self.range_mut(offset, data.len() as u64)?;
        for (old, new) in target.iter_mut().zip(data) {
            *old = if nor { *old & *new } else { *new };
        }
        Ok(())
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        if let Some(block) = self.geometry.erase_bytes.map(u64::from)
            && !(offset.is_multiple_of(block) && len.is_multiple_of(block))
        {
            return Err(StorageError::UnalignedErase { label: self.label.clone(), offset, len });
        }
        self.range_mut(offset, len)?.fill(0xff);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        check_range(&self.label, self.len(), offset, len)
    }
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: FileTree,
}

impl MemoryFiles {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them.
    #[must_use]
    pub const fn tree(&self) -> &FileTree {
        &self.files
    }
}

impl From<FileTree> for MemoryFiles {
    fn from(files: FileTree) -> Self {
        Self { files }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        match self.files.get(path) {
            None => Ok(None),
            Some(content) if content.len() as u64 > limit.get() => {
                Err(FilesError::TooLarge { path: path.to_owned(), limit })
            }
            Some(content) => Ok(Some(content.clone())),
        }
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.files.insert(path.to_owned(), content.to_owned());
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.files.remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        Ok(self
            .files
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }
}
