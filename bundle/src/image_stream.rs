// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of one image, each of them verified, ending only when the whole is.
//!
//! Blocks are compared with the hash tree below; on top of that the image's own SHA-256 is
//! computed on the way and compared with the signed manifest before the last bytes are handed
//! out. So a stream that ended well had the signed size and digest, unless its caller took the
//! digest over. Long images are unpacked by all processors ([`Unpacker`]).

use crate::image_unpack::Unpacker;
use crate::verified::squashfs_cause;
use crate::{BundleError, Image, SquashfsError, SquashfsFile};
use openssl::sha::Sha256;
use std::io::{self, Read};
use storage::{ByteLen, Digest};

/// An image of a verified bundle, read from start to end. Failures are [`io::Error`]s that hold
/// a [`BundleError`]; see [`ImageStream::cause`].
pub struct ImageStream<'a> {
    content: Content<'a>,
    len: ByteLen,
    filename: String,
    left: u64,
    /// Absent when the caller hashes.
    hash: Option<Sha256>,
    expected: Option<Digest>,
}

/// Where the bytes come from.
enum Content<'a> {
    File(SquashfsFile<'a>),
    Unpacker(Unpacker),
}

impl std::fmt::Debug for ImageStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageStream")
            .field("filename", &self.filename)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<'a> ImageStream<'a> {
    pub(crate) fn new(
        file: SquashfsFile<'a>,
        filename: &str,
        image: &Image,
    ) -> Result<Self, BundleError> {
        let found = file.len().get();
        if let Some(expected) = image.size.map(ByteLen::get).filter(|size| *size != found) {
            return Err(BundleError::ImageSize { filename: filename.to_owned(), expected, found });
        }
        let stream = Self {
            content: Content::File(file),
            len: ByteLen::new(found),
            filename: filename.to_owned(),
            left: found,
            hash: Some(Sha256::new()),
            expected: image.sha256,
        };
        if found == 0 {
            // No read will ever return a last byte to hold back.
            stream.check_digest()?;
        }
        Ok(stream)
    }

    /// The same bytes by way of several threads.
    pub(crate) fn unpacked_by(self, unpacker: Unpacker) -> Self {
        Self { content: Content::Unpacker(unpacker), ..self }
    }

    /// The size of the image.
    #[must_use]
    pub const fn len(&self) -> ByteLen {
        self.len
    }

    /// Leaves the image's SHA-256 to the caller, who must compare it with the manifest's before
    /// the bytes count: for one who stores the image and hashes it there anyway. Every block is
    /// compared with the hash tree all the same.
    #[must_use]
    pub fn without_digest(mut self) -> Self {
        self.hash = None;
        self
    }

    /// Its bytes begin here; those before it are not counted.
    pub(crate) fn beginning_at(self, start: ByteLen) -> Self {
        Self { left: self.len.get().saturating_sub(start.get()), ..self }
    }

    /// The failure behind an [`io::Error`] of a read.
    #[must_use]
    pub fn cause(failure: io::Error) -> BundleError {
        squashfs_cause(SquashfsError::Read(failure))
    }

    fn check_digest(&self) -> Result<(), BundleError> {
        let Some(hash) = &self.hash else { return Ok(()) };
        let found = Digest::from_bytes(hash.clone().finish());
        match self.expected {
            Some(expected) if expected != found => {
                Err(BundleError::ImageDigest { filename: self.filename.clone(), expected, found })
            }
            _ => Ok(()),
        }
    }
}

impl Read for ImageStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.content {
            Content::File(file) => file.read(buf),
            // Its blocks have exactly the image's length together.
            Content::Unpacker(unpacker) => unpacker.read(buf),
        };
        let read = read.map_err(|failure| {
            let kind = failure.kind();
            io::Error::new(kind, Self::cause(failure))
        })?;
        let bytes = buf.get(..read).unwrap_or_default();
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.left = self.left.saturating_sub(read as u64);
        if self.left == 0
            && read > 0
            && let Err(refused) = self.check_digest()
        {
            buf.fill(0);
            return Err(io::Error::new(io::ErrorKind::InvalidData, refused));
        }
        Ok(read)
    }
}
