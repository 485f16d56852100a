// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a boot partition? The slot script and what it loads; the same tree makes the
//! flashable image's boot-a and the `boot.vfat` of a bundle.
//!
//! Same tree, version and time: same bytes. The serial number is derived, every timestamp given.

use crate::board::{Board, Role};
use crate::firmware::{INITRD_PATH, InitPath, KERNEL_PATH, SCRIPT_PATH};
use crate::image::{ImagePart, derived_uuid};
use crate::image_error::ImageError;
use bootctl::SlotId;
use bundle::{MemorySource, Source};
use repart::{FatImage, FatLabel, FatOptions, FatTime};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;
use storage::{ByteLen, Storage};

/// Label of every boot file system: it does not say which slot it lies in, since one image is
/// installed into either.
const LABEL: &str = "BOOT";

/// What a slot's kernel needs.
#[derive(Clone)]
pub struct BootFiles {
    /// Uncompressed kernel image.
    pub kernel: Arc<dyn Source>,
    /// Initrd.
    pub initrd: Arc<dyn Source>,
    /// Device tree.
    pub device_tree: Arc<dyn Source>,
    /// First program of the root file system that belongs to this kernel.
    pub init: InitPath,
}

/// Files by path, ordered.
#[derive(Clone, Default)]
pub struct BootTree {
    files: BTreeMap<String, Arc<dyn Source>>,
}

impl BootTree {
    /// The tree of a slot: kernel, initrd, device tree and `boot.scr`. It fits both slots.
    /// `time` is the script's timestamp, seconds since 1970.
    ///
    /// # Errors
    /// [`ImageError::Script`].
    pub fn for_slot(board: &Board, files: &BootFiles, time: u32) -> Result<Self, ImageError> {
        let script = boot_script(board, &files.init, time)?;
        let mut tree = Self::default();
        tree.add(KERNEL_PATH, Arc::clone(&files.kernel))?;
        tree.add(INITRD_PATH, Arc::clone(&files.initrd))?;
        tree.add(board.device_tree, Arc::clone(&files.device_tree))?;
        tree.add(SCRIPT_PATH, Arc::new(MemorySource::new(SCRIPT_PATH, script)))?;
        Ok(tree)
    }

    /// Adds a file; missing directories are made.
    ///
    /// # Errors
    /// [`ImageError::RepeatedPath`].
    pub fn add(&mut self, path: &str, content: Arc<dyn Source>) -> Result<(), ImageError> {
        // FAT does not tell `Image` from `image`.
        let folded = |path: &str| path.to_ascii_lowercase();
        let below = |dir: &str, path: &str| folded(path).starts_with(&format!("{}/", folded(dir)));
        let clashes = |known: &String| {
            folded(known) == folded(path) || below(known, path) || below(path, known)
        };
        if self.files.keys().any(clashes) {
            return Err(ImageError::RepeatedPath { path: path.to_owned() });
        }
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    /// Paths and contents, ordered by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Source)> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_ref()))
    }

    /// Sum of the files' sizes.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        let sizes = self.files.values().map(|content| content.len().get());
        ByteLen::new(sizes.fold(0, u64::saturating_add))
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every directory, each before what lies in it.
    fn directories(&self) -> BTreeSet<&str> {
        let parents =
            |path: &'_ str| -> Vec<usize> { path.match_indices('/').map(|(at, _)| at).collect() };
        self.files
            .keys()
            .flat_map(|path| parents(path).into_iter().filter_map(|at| path.get(..at)))
            .collect()
    }
}

/// A slot's `boot.scr`, as every boot file system of the board carries it. `time` is its timestamp,
/// seconds since 1970.
///
/// # Errors
/// [`ImageError::Script`].
pub fn boot_script(board: &Board, init: &InitPath, time: u32) -> Result<Vec<u8>, ImageError> {
    let text = board.slot_script(init);
    Ok(uboot::encode_script("atomix slot script", text.as_bytes(), time)?)
}

/// Makes the boot file system on `out`, which has the boot partition's size and reads as zeros.
/// The file system is durable when this returns.
///
/// # Errors
/// [`ImageError`].
pub fn build_boot_vfat(
    board: &Board,
    tree: &BootTree,
    version: &str,
    source_date_epoch: i64,
    out: &mut dyn Storage,
) -> Result<(), ImageError> {
    let partition =
        board.partition(Role::Boot(SlotId::A)).ok_or(ImageError::NoPartition { what: "boot" })?;
    let room = board.room(partition);
    if out.len() != room {
        let label = out.label().to_owned();
        return Err(ImageError::OutputSize { label, found: out.len(), expected: room });
    }
    if tree.len() > room {
        return Err(ImageError::BootFiles { len: tree.len(), room });
    }
    let id = derived_uuid(board, version, "boot file system", 0);
    let (serial, ..) = id.as_fields();
    let time = FatTime::from_unix(source_date_epoch);
    let options = FatOptions { label: FatLabel::from_text(LABEL), serial, time };
    let mut fat = FatImage::format(out, &options)?;
    for directory in tree.directories() {
        fat.create_dir(directory)?;
    }
    for (path, content) in tree.iter() {
        fat.write_file(path, &mut SourceReader { content, at: 0 })?;
    }
    fat.finish()?;
    Ok(())
}

/// A source read from its start to its end.
struct SourceReader<'a> {
    content: &'a dyn Source,
    at: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len().get().saturating_sub(self.at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let Some(part) = buf.get_mut(..count) else { return Ok(0) };
        let failed = |source| ImageError::Source { part: ImagePart::Boot, source };
        self.content.read_at(self.at, part).map_err(|error| io::Error::other(failed(error)))?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<dyn Source> {
        Arc::new(MemorySource::new("f", vec![1]))
    }

    #[test]
    fn paths_that_a_fat_cannot_tell_apart_are_refused() {
        let mut tree = BootTree::default();
        tree.add("dtbs/rk/a.dtb", file()).unwrap();
        for clash in ["DTBS/RK/A.dtb", "dtbs", "dtbs/rk", "dtbs/rk/a.dtb/x"] {
            assert!(tree.add(clash, file()).is_err(), "{clash}");
        }
        tree.add("dtbs/rk/b.dtb", file()).unwrap();
        assert_eq!(tree.directories().into_iter().collect::<Vec<_>>(), ["dtbs", "dtbs/rk"]);
    }
}
