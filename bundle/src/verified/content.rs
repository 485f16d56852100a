// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a verified bundle: its images and its other files. Each byte is compared with the
//! signature when it is read.

use super::{VerifiedBundle, squashfs_cause};
use crate::image_parts::ImageParts;
use crate::image_unpack::{TOGETHER, Unpacker};
use crate::payload::PayloadCursor;
use crate::{BundleError, Image, ImageStream, SquashfsError, SquashfsFiles, SquashfsLimits};
use std::sync::Arc;
use storage::ByteLen;

/// What is read of the hash tree at once, and the data that it is for.
const HASHES_BYTES: u64 = 64 * 1024;
const DATA_PER_HASHES: u64 = 128 * HASHES_BYTES;

impl VerifiedBundle {
    /// Opens the file of an image of this bundle's manifest. Its size is compared with the
    /// manifest now, its digest while it is read.
    ///
    /// # Errors
    /// [`BundleError::ImageWithoutFile`], [`BundleError::ImageMissing`],
    /// [`BundleError::ImageSize`], [`BundleError::Squashfs`] or [`BundleError::Verity`].
    pub fn open_image(&self, image: &Image) -> Result<ImageStream<'_>, BundleError> {
        let (stream, filename) = self.open_stream(image)?;
        if stream.len() < TOGETHER {
            return Ok(stream);
        }
        Ok(match self.parts_of(filename)? {
            Some(parts) => stream.unpacked_by(Unpacker::new(Arc::clone(&self.payload), parts, 0)),
            None => stream,
        })
    }

    /// The rest of an image, from byte `start` on. Of what lies before nothing is read but the block
    /// that `start` lies in. Every block is compared with the hash tree; the image's digest, which is
    /// one of all its bytes, the caller compares, who has the ones before.
    ///
    /// # Errors
    /// As [`VerifiedBundle::open_image`], and [`BundleError::ImageSize`] where `start` lies behind
    /// its end.
    pub fn open_image_from(
        &self,
        image: &Image,
        start: ByteLen,
    ) -> Result<ImageStream<'_>, BundleError> {
        let (stream, filename) = self.open_stream(image)?;
        if start > stream.len() {
            let (expected, found) = (start.get(), stream.len().get());
            return Err(BundleError::ImageSize { filename: filename.to_owned(), expected, found });
        }
        let parts = self.parts_of(filename)?.ok_or_else(contradiction)?;
        let unpacker = Unpacker::new(Arc::clone(&self.payload), parts, start.get());
        Ok(stream.unpacked_by(unpacker).without_digest().beginning_at(start))
    }

    /// How many bytes of the bundle are read for an image from byte `start` on: its blocks as they are
    /// stored, and their hashes. Nothing of them is read to tell.
    ///
    /// # Errors
    /// As [`VerifiedBundle::open_image`].
    pub fn cost_from(&self, image: &Image, start: ByteLen) -> Result<ByteLen, BundleError> {
        let stored = self.open_parts(image)?.cost_from(start.get()).get();
        let hashes = stored.div_ceil(DATA_PER_HASHES).saturating_mul(HASHES_BYTES);
        Ok(ByteLen::new(stored.saturating_add(hashes)))
    }

    /// An image by the reader of the file system, and the name of its file.
    fn open_stream<'i>(&self, image: &'i Image) -> Result<(ImageStream<'_>, &'i str), BundleError> {
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
        Ok((ImageStream::new(file, filename, image)?, filename))
    }

    /// The same image, to be read at single places instead of from start to end.
    ///
    /// # Errors
    /// As [`VerifiedBundle::open_image`].
    pub fn open_parts(&self, image: &Image) -> Result<ImageParts, BundleError> {
        // Compares the size and tells what is missing.
        drop(self.open_image(image)?);
        let filename = image.filename.as_deref().unwrap_or_default();
        self.parts_of(filename)?.ok_or_else(contradiction)
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

fn contradiction() -> BundleError {
    BundleError::Squashfs(SquashfsError::Corrupt { what: "its tables contradict each other" })
}

pub(super) fn open_files(cursor: PayloadCursor) -> Result<SquashfsFiles, BundleError> {
    SquashfsFiles::open(cursor, &SquashfsLimits::default()).map_err(squashfs_cause)
}
