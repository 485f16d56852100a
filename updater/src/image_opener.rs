// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do the bytes of an image come from that [`crate::Installer`] writes? From the bundle as it
//! is ([`FromBundle`]), or put together from what slots hold, a chunk store and the bundle, by
//! whoever knows how.
//!
//! Nothing here is believed: what an opener hands out must have the digest, and the slot, read back,
//! must hold it; until then nothing loads it. An opener may read the slots, also the one that is
//! written; it never writes any.

use crate::slot_handlers::{BoxedError, ContentDigest};
use crate::{InstallError, PlanInstallError, PlannedImage, ResumeRule, StopQuestion};
use bundle::{BundleError, VerifiedBundle};
use std::io::Read;
use storage::ByteLen;

/// An image that is open.
pub struct OpenImage<'a> {
    /// Gives exactly the bytes of the content.
    pub reader: Box<dyn Read + Send + 'a>,
    /// What the slot must hold in the end.
    pub digest: ContentDigest,
}

/// How the writing of a slot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// It holds the image, read back.
    Proven,
    /// It failed, or was stopped.
    Failed,
}

/// Opens the images of a bundle. Each call is told where to put lines for the log.
pub trait ImageOpener {
    /// How long the content of an image is. Asked before anything is written: what can be known
    /// to be missing must not cost the target its content.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn measure(
        &self,
        bundle: &VerifiedBundle,
        planned: &PlannedImage,
    ) -> Result<ByteLen, BoxedError>;

    /// Opens an image. Its slot is about to be written, and the seal of the group is gone.
    ///
    /// # Errors
    /// Whatever went wrong; the install fails.
    fn open<'a>(
        &'a self,
        bundle: &'a VerifiedBundle,
        planned: &'a PlannedImage,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenImage<'a>, BoxedError>;

    /// As [`ImageOpener::open`], from byte `start` on, which lies in the image or at its end; none
    /// where it can only be had from its beginning.
    ///
    /// # Errors
    /// As [`ImageOpener::open`].
    fn open_from<'a>(
        &'a self,
        _bundle: &'a VerifiedBundle,
        _planned: &'a PlannedImage,
        _start: ByteLen,
        _note: &mut dyn FnMut(String),
    ) -> Result<Option<OpenImage<'a>>, BoxedError> {
        Ok(None)
    }

    /// An image that was opened is closed.
    fn close(
        &self,
        _bundle: &VerifiedBundle,
        _planned: &PlannedImage,
        _end: WriteEnd,
        _note: &mut dyn FnMut(String),
    ) {
    }
}

/// Everything from the bundle, as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromBundle;

impl ImageOpener for FromBundle {
    fn measure(
        &self,
        bundle: &VerifiedBundle,
        planned: &PlannedImage,
    ) -> Result<ByteLen, BoxedError> {
        drop(bundle.open_image(&planned.image)?);
        Ok(planned.size)
    }

    fn open<'a>(
        &'a self,
        bundle: &'a VerifiedBundle,
        planned: &'a PlannedImage,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenImage<'a>, BoxedError> {
        if !planned.image.adaptive.is_empty() {
            let (slot, size) = (&planned.slot.name, planned.size);
            note(format!(
                "taking the whole image of {size} for {slot}: only the service of `rauc` compares it with what slots hold"
            ));
        }
        // Whoever writes it compares its digest; once is enough.
        let reader = bundle.open_image(&planned.image)?.without_digest();
        Ok(OpenImage { reader: Box::new(reader), digest: planned.digest.into() })
    }

    fn open_from<'a>(
        &'a self,
        bundle: &'a VerifiedBundle,
        planned: &'a PlannedImage,
        start: ByteLen,
        _note: &mut dyn FnMut(String),
    ) -> Result<Option<OpenImage<'a>>, BoxedError> {
        let reader = bundle.open_image_from(&planned.image, start)?;
        Ok(Some(OpenImage { reader: Box::new(reader), digest: planned.digest.into() }))
    }
}

/// A bundle on its way into the slots, with everybody who is asked about it.
pub(crate) struct Incoming<'a> {
    pub bundle: &'a VerifiedBundle,
    pub opener: &'a dyn ImageOpener,
    pub stop: StopQuestion<'a>,
    /// Read before anything was written, as far as it counts as work done.
    pub checked: ByteLen,
    /// Whether what was interrupted goes on.
    pub resume: ResumeRule,
}

impl Incoming<'_> {
    pub fn go_on(&self) -> Result<(), InstallError> {
        (self.stop)().map_or(Ok(()), |by| Err(InstallError::Stopped { by }))
    }

    /// The length of an image's content, which fits into `room`.
    pub fn measure(&self, planned: &PlannedImage, room: ByteLen) -> Result<ByteLen, InstallError> {
        // Asked before the first commit: a crypt bundle that was never encrypted carries its key
        // in clear.
        self.bundle
            .refuse_unencrypted_crypt()
            .map_err(BoxedError::from)
            .and_then(|()| self.opener.measure(self.bundle, planned))
            .map_err(|source| self.open_failed(planned, source))
            .and_then(|size| fits(planned, size, room))
    }

    pub fn open<'a>(
        &'a self,
        planned: &'a PlannedImage,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenImage<'a>, InstallError> {
        let opened = self.opener.open(self.bundle, planned, note);
        opened.map_err(|source| self.open_failed(planned, source))
    }

    /// As [`Self::open`], from `start` on.
    pub fn open_from<'a>(
        &'a self,
        planned: &'a PlannedImage,
        start: ByteLen,
        note: &mut dyn FnMut(String),
    ) -> Result<Option<OpenImage<'a>>, InstallError> {
        let opened = self.opener.open_from(self.bundle, planned, start, note);
        opened.map_err(|source| self.open_failed(planned, source))
    }

    /// The first `len` bytes of an image, or all of a shorter one.
    pub fn head(&self, planned: &PlannedImage, len: usize) -> Result<Vec<u8>, InstallError> {
        if len == 0 {
            return Ok(Vec::new());
        }
        let part = self.bundle.open_parts(&planned.image).and_then(|parts| parts.read_part(0));
        let mut head = part.map_err(|source| self.open_failed(planned, source.into()))?;
        head.truncate(len);
        Ok(head)
    }

    /// Of what was stopped only the stop is told.
    pub fn or_stopped(&self, error: InstallError) -> InstallError {
        self.go_on().err().unwrap_or(error)
    }

    fn open_failed(&self, planned: &PlannedImage, source: BoxedError) -> InstallError {
        let slot = planned.slot.name.clone();
        self.or_stopped(match source.downcast::<BundleError>() {
            Ok(source) => InstallError::OpenImage { slot, source },
            Err(source) => InstallError::Content { slot, source },
        })
    }
}

/// An index of an image is shorter than the image, which the plan could not know.
fn fits(planned: &PlannedImage, size: ByteLen, room: ByteLen) -> Result<ByteLen, InstallError> {
    if size <= room {
        return Ok(size);
    }
    let image = planned.image.filename.clone().unwrap_or_default();
    let slot = planned.slot.name.clone();
    Err(PlanInstallError::TooLarge { image, slot, size, room }.into())
}
