// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that need less than all of their bytes: [`ImageSources`] for casync indexes and adaptive
//! methods. Everything else comes from the bundle as it is.

use super::adaptive_images::{METHOD, open_adaptive};
use super::casync_images::{measure_blob, open_archive, open_blob, open_tree};
use super::content::measure_plain;
use super::remarks::Remarks;
use super::seed_mount::{SeedPlace, mount_seed, unmount_seed};
use super::slot_indexes::save;
use super::{BoxedError, ImageRequest, ImageSources, OpenContent, open_plain};
use crate::SlotName;
use crate::slot_handlers::{HandlerKind, InstallHook, Machine, handler_for, is_index};
use bundle::ImageType;
use bundle::adaptive::BlockHashIndex;
use bundle::http::HttpOptions;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use storage::{ByteLen, HostFiles};

/// How to speak to the server of the bundle, which is asked when a chunk store is opened. One that
/// is another server gets none of its secrets ([`HttpOptions::for_other`]).
pub type StoreOptions = Box<dyn Fn() -> HttpOptions + Send + Sync>;

/// What is kept of an image from its opening until its slot is written.
#[derive(Default)]
struct Opened {
    index: Option<BlockHashIndex>,
    remarks: Option<Remarks>,
    /// Where a seed was mounted.
    seed: Option<PathBuf>,
}

/// Content by casync indexes and adaptive methods, else as it is.
pub struct DeltaSources {
    /// Below it lies the data directory; `/` on a board.
    root: PathBuf,
    options: StoreOptions,
    opened: Mutex<BTreeMap<SlotName, Opened>>,
}

impl DeltaSources {
    /// Sources with the data directory below `root`, asking `options` how to speak to a server.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, options: StoreOptions) -> Self {
        Self { root: root.into(), options, opened: Mutex::default() }
    }

    fn files(&self) -> HostFiles {
        HostFiles::new(&self.root)
    }

    fn keep(&self, slot: &SlotName, opened: Opened) {
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(slot.clone(), opened);
    }

    /// Tells what is to be told of an image, unmounts what was mounted for it, and forgets it.
    fn take_index(
        &self,
        request: &ImageRequest<'_>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Option<BlockHashIndex> {
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Opened { index, remarks, seed } = all.remove(&request.target.name)?;
        drop(all);
        if let Some(place) = seed
            && let Err(error) = unmount_seed(&place, machine)
        {
            note(format!("{} stays mounted: {}", place.display(), storage::chain(&*error)));
        }
        if let Some(remarks) = remarks {
            remarks.take().into_iter().for_each(note);
        }
        index
    }

    /// A tree by its index. What was mounted for it is unmounted when it is closed, or here when
    /// it cannot be opened.
    fn open_tree<'a>(
        &self,
        request: &ImageRequest<'a>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenContent<'a>, BoxedError> {
        let seed = mount_seed(request, machine).map_err(&mut *note).ok();
        if let Some(SeedPlace::Mounted(place)) = &seed {
            let opened = Opened { seed: Some(place.clone()), ..Opened::default() };
            self.keep(&request.target.name, opened);
        }
        match open_tree(request, &self.options, seed.as_ref().map(SeedPlace::path), note) {
            Ok(tree) => {
                let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(request.target.name.clone()).or_default().remarks = tree.remarks();
                Ok(OpenContent::Tree(Box::new(tree)))
            }
            Err(error) => {
                self.take_index(request, machine, note);
                Err(error)
            }
        }
    }

    /// The image by its block-hash-index, or `None` when it is to be taken whole.
    fn open_adaptive<'a>(
        &self,
        request: &ImageRequest<'a>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Option<OpenContent<'a>> {
        let image = request.image;
        let (Some(size), Some(digest)) = (image.size, image.sha256) else { return None };
        if request.target_data.is_none() {
            note("Ignoring adaptive method since 'data-directory' is not configured".to_owned());
            return None;
        }
        match open_adaptive(request, machine, &self.files(), note) {
            Ok(Some((reader, index))) => {
                let remarks = Some(reader.remarks());
                let opened = Opened { index: Some(index), remarks, ..Opened::default() };
                self.keep(&request.target.name, opened);
                Some(OpenContent::Stream { reader: Box::new(reader), size, digest: digest.into() })
            }
            Ok(None) => None,
            Err(failure) => {
                let why = storage::chain(&*failure);
                note(format!("Continuing after adaptive mode error: {why}"));
                None
            }
        }
    }
}

/// Whether the method is for such a slot: bytes onto a device, nothing else.
fn takes_blocks(request: &ImageRequest<'_>) -> bool {
    let image_type = request.image.image_type;
    matches!(
        handler_for(request.target.slot_type, image_type, InstallHook::Absent),
        Some(HandlerKind::Copy | HandlerKind::CopyFilesystem)
    )
}

impl ImageSources for DeltaSources {
    fn measure(&self, request: &ImageRequest<'_>) -> Result<ByteLen, BoxedError> {
        if request.image.image_type.is_some_and(is_index) {
            return measure_blob(request, &self.options);
        }
        measure_plain(request)
    }

    fn open<'a>(
        &self,
        request: &ImageRequest<'a>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenContent<'a>, BoxedError> {
        self.keep(&request.target.name, Opened::default());
        let slot = &request.target.name;
        match request.image.image_type {
            Some(
                ImageType::RawCaibx
                | ImageType::Ext4Caibx
                | ImageType::VfatCaibx
                | ImageType::UbifsCaibx
                | ImageType::SquashfsCaibx,
            ) => {
                let blob = open_blob(request, &self.options, machine, note)?;
                let remarks = Some(blob.reader.remarks());
                self.keep(slot, Opened { remarks, ..Opened::default() });
                let (size, digest) = (blob.size, blob.digest);
                Ok(OpenContent::Stream { reader: Box::new(blob.reader), size, digest })
            }
            Some(ImageType::Catar) => Ok(OpenContent::Tree(Box::new(open_archive(request)?))),
            Some(ImageType::Caidx) => self.open_tree(request, machine, note),
            Some(
                ImageType::Raw
                | ImageType::Ext4
                | ImageType::Vfat
                | ImageType::Ubifs
                | ImageType::Squashfs
                | ImageType::Tar
                | ImageType::Emptyfs,
            )
            | None => {
                let adaptive = request.image.adaptive.iter().any(|method| method == METHOD);
                let delta = (adaptive && takes_blocks(request))
                    .then(|| self.open_adaptive(request, machine, note))
                    .flatten();
                delta.map_or_else(|| open_plain(request), Ok)
            }
        }
    }

    fn written(
        &self,
        request: &ImageRequest<'_>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Result<(), BoxedError> {
        let index = self.take_index(request, machine, note);
        let dir = request.target_data.and_then(std::path::Path::parent);
        if let (Some(index), Some(dir), Some(digest)) = (index, dir, request.image.sha256) {
            save(&dir.join(format!("hash-{digest}")), &index, &mut self.files())?;
        }
        Ok(())
    }

    fn not_written(
        &self,
        request: &ImageRequest<'_>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) {
        drop(self.take_index(request, machine, note));
    }
}
