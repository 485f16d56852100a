// SPDX-License-Identifier: MIT OR Apache-2.0
//! What blocks does a slot hold? Its index, from the data directory or by reading the slot.
//!
//! The places are RAUC's: `<data-directory>/slot.CLASS.IDX/hash-<sha256>/block-hash-index`, and
//! `hash-unknown` for a target that is about to be written. An index may be out of date: whoever
//! uses it hashes every block again.

use crate::StopQuestion;
use bundle::adaptive::{AdaptiveError, BlockHashIndex, INDEX_FILE, OldBlocks, build_index};
use bundle::{Source, SourceError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use storage::{Access, ByteLen, Devices, Files, Storage, StorageError};

/// A device, read by several threads.
pub(super) struct DeviceSource {
    storage: Mutex<Box<dyn Storage>>,
    name: String,
    len: ByteLen,
}

impl DeviceSource {
    /// Opens a device for reading; others may write it.
    pub fn open(devices: &dyn Devices, device: &Path) -> Result<Self, StorageError> {
        let storage = devices.open(device, Access::ReadOnly)?;
        let (name, len) = (storage.label().to_owned(), storage.len());
        Ok(Self { storage: Mutex::new(storage), name, len })
    }
}

impl Source for DeviceSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        let len = buf.len();
        let storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        storage.read_at(offset, buf).map_err(|failure| SourceError::Read {
            name: self.name.clone(),
            offset,
            len,
            source: std::io::Error::other(failure),
        })
    }
}

/// The content of a slot's device with its index. `note` hears when the whole slot is read.
pub(super) fn open_slot(
    content: Arc<dyn Source>,
    dir: Option<&Path>,
    files: &dyn Files,
    note: &mut dyn FnMut(String),
    stop: StopQuestion<'_>,
) -> Result<OldBlocks, AdaptiveError> {
    let blocks = content.len().get() / 4096;
    if let Some(index) = dir.and_then(|dir| load(dir, blocks, files, note)) {
        return Ok(OldBlocks { content, index });
    }
    note(format!("Building new hash index for {} with {blocks} chunks", content.name()));
    let index = build_index(&content, &mut |_| stop().is_none())?;
    Ok(OldBlocks { content, index })
}

/// An index that cannot be used is no failure: it can be built again.
fn load(
    dir: &Path,
    blocks: u64,
    files: &dyn Files,
    note: &mut dyn FnMut(String),
) -> Option<BlockHashIndex> {
    let path = dir.join(INDEX_FILE);
    let limit = ByteLen::new(blocks.saturating_mul(32));
    let name = path.display().to_string();
    let bytes = match files.read(&path, limit) {
        Ok(bytes) => bytes?,
        Err(failure) => {
            note(storage::chain(&failure));
            return None;
        }
    };
    match BlockHashIndex::parse(&name, &bytes) {
        Ok(index) => {
            note(format!("using existing hash index {name}"));
            Some(index.cut_to(blocks))
        }
        Err(failure) => {
            note(format!("{name} is not used: {failure}"));
            None
        }
    }
}

/// Keeps an index for the next update.
pub(super) fn save(
    dir: &Path,
    index: &BlockHashIndex,
    files: &mut dyn Files,
) -> Result<(), storage::FilesError> {
    files.replace(&dir.join(INDEX_FILE), &index.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle::MemorySource;
    use storage::MemoryFiles;

    #[test]
    fn kept_index_is_used_and_a_bad_one_is_built_again() {
        let bytes: Vec<u8> = (0..4_u8).flat_map(|block| vec![block; 4096]).collect();
        let content: Arc<dyn Source> = Arc::new(MemorySource::new("slot", bytes));
        let (mut files, mut notes) = (MemoryFiles::default(), Vec::new());
        let dir = Path::new("/data/slot.rootfs.0/hash-unknown");
        let mut open = |files: &MemoryFiles| {
            let mut note = |text| notes.push(text);
            open_slot(content.clone(), Some(dir), files, &mut note, &|| None).unwrap().index
        };
        let built = open(&files);
        save(dir, &built, &mut files).unwrap();
        assert_eq!(open(&files), built);
        files.replace(&dir.join(INDEX_FILE), b"torn").unwrap();
        assert_eq!(open(&files), built);
        assert!(notes[0].starts_with("Building new hash index"), "{notes:?}");
        assert!(notes[1].starts_with("using existing"), "{notes:?}");
        assert!(notes[2].contains("not a list of hashes"), "{notes:?}");
        let stopped = open_slot(content, None, &files, &mut |_| {}, &|| Some("a test"));
        assert!(matches!(stopped, Err(AdaptiveError::Stopped)));
    }
}
