// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the signature of this bundle stand?
//!
//! Reads the last 8 bytes and the CMS structure before them, nothing else: that is all of an
//! unauthenticated bundle that is ever looked at. Never reads or parses the payload.
//!
//! ```text
//! 0 .. len-8-n    payload: squashfs, then the hash tree (verity, crypt)
//! len-8-n .. -8   CMS structure, DER, n bytes
//! len-8 .. len    n, big endian u64
//! ```

use crate::Source;
use storage::ByteLen;

/// Bytes of the trailer itself.
pub(crate) const TRAILER_BYTES: u64 = 8;

/// What a reader of bundles accepts from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest CMS structure parsed before anything is authenticated (RAUC's
    /// `max-bundle-signature-size`).
    pub max_signature: ByteLen,
    /// Largest payload of a plain bundle. RAUC signs and verifies no more than 2^31-1 bytes, and
    /// the memory of the record that pins a plain payload grows with it.
    pub max_plain_payload: ByteLen,
    /// What to do about a payload that is no multiple of 4096 bytes.
    pub alignment: PayloadAlignment,
}

/// Whether a payload must consist of whole blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadAlignment {
    /// Another one is only remarked upon: old tools made such plain bundles.
    #[default]
    Noticed,
    /// Another one is refused; RAUC's rule for bundles that are streamed.
    Required,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_signature: ByteLen::kib(64),
            max_plain_payload: ByteLen::new((1 << 31) - 1),
            alignment: PayloadAlignment::default(),
        }
    }
}

/// Why the trailer names no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrailerError {
    /// The file cannot hold a trailer and anything before it.
    #[error("{name} of {len} bytes is too short for a bundle")]
    TooShort {
        /// The source's name.
        name: String,
        /// Its length in bytes.
        len: u64,
    },
    /// The signature size in the trailer is 0.
    #[error("{name} has a signature size of 0 in its trailer")]
    Unsigned {
        /// The source's name.
        name: String,
    },
    /// The signature would begin before the file does.
    #[error("{name} of {len} bytes has a signature size of {size} in its trailer")]
    BeyondFile {
        /// The source's name.
        name: String,
        /// The size in the trailer.
        size: u64,
        /// Length of the file in bytes.
        len: u64,
    },
    /// The signature is larger than allowed.
    #[error("{name} has a signature of {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The source's name.
        name: String,
        /// The size in the trailer.
        size: u64,
        /// The limit.
        limit: ByteLen,
    },
}

/// Where payload and signature lie in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub payload_bytes: u64,
    pub cms_bytes: usize,
}

/// Judges the size that the trailer states; pure.
pub(crate) fn parse_trailer(
    name: &str,
    len: ByteLen,
    trailer: [u8; 8],
    limits: &Limits,
) -> Result<Trailer, TrailerError> {
    let len = len.get();
    let size = u64::from_be_bytes(trailer);
    let name = || name.to_owned();
    let room = len
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| TrailerError::TooShort { name: name(), len })?;
    if size == 0 {
        return Err(TrailerError::Unsigned { name: name() });
    }
    let payload_bytes = room.checked_sub(size).ok_or_else(|| TrailerError::BeyondFile {
        name: name(),
        size,
        len,
    })?;
    let too_large = || TrailerError::TooLarge { name: name(), size, limit: limits.max_signature };
    if size > limits.max_signature.get() {
        return Err(too_large());
    }
    let cms_bytes = usize::try_from(size).map_err(|_| too_large())?;
    Ok(Trailer { payload_bytes, cms_bytes })
}

/// Reads trailer and CMS structure.
pub(crate) fn read_signature(
    source: &dyn Source,
    limits: &Limits,
) -> Result<(Trailer, Vec<u8>), crate::BundleError> {
    let len = source.len();
    let at = len
        .get()
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| TrailerError::TooShort { name: source.name().to_owned(), len: len.get() })?;
    let mut bytes = [0; 8];
    source.read_at(at, &mut bytes)?;
    let trailer = parse_trailer(source.name(), len, bytes, limits)?;
    let mut cms = vec![0; trailer.cms_bytes];
    source.read_at(trailer.payload_bytes, &mut cms)?;
    Ok((trailer, cms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(len: u64, size: u64) -> Result<Trailer, TrailerError> {
        parse_trailer("b", ByteLen::new(len), size.to_be_bytes(), &Limits::default())
    }

    #[test]
    fn each_bad_size_has_its_own_refusal() {
        assert!(matches!(parse(7, 1), Err(TrailerError::TooShort { len: 7, .. })));
        assert!(matches!(parse(1000, 0), Err(TrailerError::Unsigned { .. })));
        assert!(matches!(parse(1000, 993), Err(TrailerError::BeyondFile { size: 993, .. })));
        assert!(matches!(parse(1000, u64::MAX), Err(TrailerError::BeyondFile { .. })));
        assert!(matches!(parse(1 << 20, 65537), Err(TrailerError::TooLarge { size: 65537, .. })));
        assert_eq!(parse(1000, 992), Ok(Trailer { payload_bytes: 0, cms_bytes: 992 }));
        assert_eq!(
            parse(1 << 20, 65536),
            Ok(Trailer { payload_bytes: (1 << 20) - 8 - 65536, cms_bytes: 65536 })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_trailer_is_judged_and_what_passes_adds_up(len: u64, size: u64) {
            if let Ok(trailer) = parse(len, size) {
                prop_assert_eq!(trailer.payload_bytes + size + 8, len);
            }
        }
    }
}
