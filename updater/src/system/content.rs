// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the content of an image come from? From the verified bundle as it is, unless
//! somebody knows a better way: a casync index whose chunks lie in a store, or an adaptive method
//! that takes most of it from slots. The seam is [`ImageSources`]; whatever implements it, the
//! content it gives is compared with the digest that the manifest, or the verified index, names.

use super::BoxedError;
use crate::slot_handlers::{ContentDigest, ImageContent, Machine, TreeContent, is_index};
use crate::{Slot, StopQuestion, SystemConfig};
use bundle::{Image, VerifiedBundle};
use std::io::Read;
use storage::ByteLen;

/// What is to be written, and what is around it.
pub struct ImageRequest<'a> {
    /// The configuration.
    pub config: &'a SystemConfig,
    /// The verified bundle.
    pub bundle: &'a VerifiedBundle,
    /// Where the bundle came from, as the person said; a store may lie beside it.
    pub location: &'a str,
    /// The image.
    pub image: &'a Image,
    /// Where to.
    pub target: &'a Slot,
    /// The slot of the same class that runs now: a seed. `None` when booted from elsewhere.
    pub running: Option<&'a Slot>,
    /// Directory of the target's adaptive data of the content it holds now
    /// (`<data-directory>/slot.CLASS.IDX/hash-unknown`), if there is a data directory.
    pub target_data: Option<&'a std::path::Path>,
    /// Directory of the running slot's adaptive data.
    pub running_data: Option<&'a std::path::Path>,
    /// Asked all the time.
    pub stop: StopQuestion<'a>,
}

/// Opened content.
pub enum OpenContent<'a> {
    /// None: `emptyfs`.
    None,
    /// Bytes.
    Stream {
        /// The reader, which gives exactly `size` bytes.
        reader: Box<dyn Read + Send + 'a>,
        /// Length of the content.
        size: ByteLen,
        /// SHA-256 of the content.
        digest: ContentDigest,
    },
    /// A tree.
    Tree(Box<dyn TreeContent + 'a>),
}

impl OpenContent<'_> {
    /// As slot handlers take it.
    pub fn as_image(&mut self) -> ImageContent<'_> {
        match self {
            Self::None => ImageContent::None,
            Self::Stream { reader, .. } => ImageContent::Stream(&mut **reader),
            Self::Tree(tree) => ImageContent::Tree(&mut **tree),
        }
    }
}

/// Opens the content of images.
pub trait ImageSources: Send {
    /// How long the content will be that [`ImageSources::open`] gives, as far as that can be known
    /// without reading slots.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn measure(&self, request: &ImageRequest<'_>) -> Result<ByteLen, BoxedError> {
        measure_plain(request)
    }

    /// Opens one. `note` is told lines for the log, such as why a delta is not used.
    ///
    /// # Errors
    /// Whatever went wrong; the slot fails.
    fn open<'a>(
        &self,
        request: &ImageRequest<'a>,
        machine: &mut dyn Machine,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenContent<'a>, BoxedError>;

    /// The slot holds the image, read back: what was learned on the way may be kept below
    /// `<data-directory>/slot.CLASS.IDX/hash-<sha256>` now.
    ///
    /// # Errors
    /// Whatever went wrong; it is a warning.
    fn written(
        &self,
        _request: &ImageRequest<'_>,
        _machine: &mut dyn Machine,
        _note: &mut dyn FnMut(String),
    ) -> Result<(), BoxedError> {
        Ok(())
    }

    /// The slot was not written: what was learned on the way is told, and nothing kept. After
    /// content was opened either this or [`ImageSources::written`] is called, when it is closed.
    fn not_written(
        &self,
        _request: &ImageRequest<'_>,
        _machine: &mut dyn Machine,
        _note: &mut dyn FnMut(String),
    ) {
    }
}

/// Everything from the bundle, as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct BundleSources;

impl ImageSources for BundleSources {
    fn open<'a>(
        &self,
        request: &ImageRequest<'a>,
        _machine: &mut dyn Machine,
        _note: &mut dyn FnMut(String),
    ) -> Result<OpenContent<'a>, BoxedError> {
        open_plain(request)
    }
}

/// The content of an image that lies in the bundle as it is to be written. An image that no
/// manifest rule lets through is a failure.
pub(super) fn open_plain<'a>(request: &ImageRequest<'a>) -> Result<OpenContent<'a>, BoxedError> {
    let image = request.image;
    if image.filename.is_none() {
        return Ok(OpenContent::None);
    }
    if let Some(image_type) = image.image_type.filter(|image_type| is_index(*image_type)) {
        return Err(format!("an image of type {image_type} needs a chunk store").into());
    }
    let (Some(size), Some(digest)) = (image.size, image.sha256) else {
        return Err(format!("the manifest gives no size or digest for '{}'", image.class).into());
    };
    // Every handler compares the digest of what it takes; once is enough.
    let stream = request.bundle.open_image(image)?.without_digest();
    Ok(OpenContent::Stream { reader: Box::new(stream), size, digest: digest.into() })
}

/// The length of such content.
pub(super) fn measure_plain(request: &ImageRequest<'_>) -> Result<ByteLen, BoxedError> {
    match open_plain(request)? {
        OpenContent::Stream { size, .. } => Ok(size),
        OpenContent::None | OpenContent::Tree(_) => Ok(ByteLen::ZERO),
    }
}
