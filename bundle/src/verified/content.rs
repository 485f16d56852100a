// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a verified bundle: its images and its other files. Each byte is compared with the
//! signature when it is read.

use super::{VerifiedBundle, squashfs_cause};
use crate::image_parts::ImageParts;
use crate::image_unpack::{TOGETHER, Unpacker};
use crate::payload::PayloadCursor;
use crate::{BundleError, Image, ImageStream, SquashfsError, SquashfsFiles, SquashfsLimits};
use std::sync::Arc;

impl VerifiedBundle {
    /// Opens the file of an image of this bundle's manifest. Its size is compared with the
    /// manifest now, its digest while it is read.
    ///
    /// # Errors
    /// [`BundleError::ImageWithoutFile`], [`BundleError::ImageMissing`],
    /// [`BundleError::ImageSize`], [`BundleError::Squashfs`] or [`BundleError::Verity`].
    pub fn open_image(&self, image: &Image) -> Result<ImageStream<'_>, BundleError> {
        let class = || image.class.clone();
        let Some(filename) = &image.filename else {
            return Err(BundleError::ImageWithoutFile { class: class() });
        };
        let file = self.files()?.open_file(filename).map_err(|refused| {
            let absent = matches!(
                refused,
                SquashfsError::NotFound { .. }
                    | SquashfsError::NotAFile { .. }
                    | SquashfsError::BadPath { .. }
            );
            if absent {
                return BundleError::ImageMissing { class: class(), filename: filename.clone() };
            }
            squashfs_cause(refused)
        })?;
        let stream = ImageStream::new(file, filename, image)?;
        if stream.len() < TOGETHER {
            return Ok(stream);
        }
        Ok(match self.parts_of(filename)? {
            Some(parts) => stream.unpacked_by(Unpacker::new(Arc::clone(&self.payload), parts)),
            None => stream,
        })
    }

    /// The same image, to be read at single places instead of from start to end.
    ///
    /// # Errors
    /// As [`VerifiedBundle::open_image`].
    pub fn open_parts(&self, image: &Image) -> Result<ImageParts, BundleError> {
        // Compares the size and tells what is missing.
        drop(self.open_image(image)?);
        let filename = image.filename.as_deref().unwrap_or_default();
        self.parts_of(filename)?.ok_or(BundleError::Squashfs(SquashfsError::Corrupt {
            what: "its tables contradict each other",
        }))
    }

    fn parts_of(&self, filename: &str) -> Result<Option<ImageParts>, BundleError> {
        let found = self.files()?.places(filename).map_err(squashfs_cause)?;
        let (places, compressor, part_bytes, len) = found;
        Ok(ImageParts::new(Arc::clone(&self.payload), places, compressor, part_bytes, len))
    }

    /// The files of the bundle, for all that is no image: hooks, indexes, trees.
    ///
    /// # Errors
    /// [`BundleError::Squashfs`] or [`BundleError::Verity`].
    pub fn files(&self) -> Result<&SquashfsFiles, BundleError> {
        let mut waiting = self.cursor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        // Taken only once: a cursor that failed to open does not become true by asking again.
        let cursor = waiting.take().ok_or(BundleError::Squashfs(SquashfsError::Corrupt {
            what: "it could not be opened before",
        }))?;
        let files = open_files(cursor)?;
        Ok(self.files.get_or_init(|| files))
    }
}

pub(super) fn open_files(cursor: PayloadCursor) -> Result<SquashfsFiles, BundleError> {
    SquashfsFiles::open(cursor, &SquashfsLimits::default()).map_err(squashfs_cause)
}
