// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are these still the bytes whose digest was verified?
//!
//! A plain bundle is verified by one digest over everything, so it must be read twice: once for
//! the digest, once to install. RAUC therefore demands exclusive access to the file. We remember
//! instead, during the first pass, the SHA-256 of every 64 KiB piece, and compare each piece when
//! it is read again: whoever changes the file in between is noticed, whatever the file system. The
//! record of the largest plain bundle (2 GiB) takes 1 MiB.

use crate::{BundleError, Source, VerityError};
use openssl::hash::{Hasher, MessageDigest};
use std::sync::Arc;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE: u64 = PIECE_BYTES as u64;

/// A payload whose pieces are remembered.
pub(crate) struct PinnedPayload {
    source: Arc<dyn Source>,
    bytes: u64,
    pieces: Vec<[u8; 32]>,
}

impl PinnedPayload {
    /// Reads the first `bytes` of `source` once; returns the record and the digest of it all.
    pub fn read(
        source: Arc<dyn Source>,
        bytes: u64,
        digest: MessageDigest,
    ) -> Result<(Self, Vec<u8>), BundleError> {
        let library = |stack| crate::SignatureError::Library(stack);
        let mut hasher = Hasher::new(digest).map_err(library)?;
        let mut buf = vec![0; PIECE_BYTES];
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < bytes {
            let len = usize::try_from((bytes - at).min(PIECE)).unwrap_or(PIECE_BYTES);
            let piece = buf.get_mut(..len).unwrap_or_default();
            source.read_at(at, piece)?;
            hasher.update(piece).map_err(library)?;
            pieces.push(openssl::sha::sha256(piece));
            at += len as u64;
        }
        let digest = hasher.finish().map_err(library)?.to_vec();
        Ok((Self { source, bytes, pieces }, digest))
    }

    pub fn data_bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `buf`, which must lie inside the payload, from byte `offset`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        self.read_pieces(offset, buf).inspect_err(|_| buf.fill(0))
    }

    fn read_pieces(&self, offset: u64, mut buf: &mut [u8]) -> Result<(), BundleError> {
        let mut scratch = vec![0; PIECE_BYTES];
        let mut at = offset;
        while !buf.is_empty() {
            let start = at - at % PIECE;
            let len =
                usize::try_from(self.bytes.saturating_sub(start).min(PIECE)).unwrap_or(PIECE_BYTES);
            let piece = scratch.get_mut(..len).unwrap_or_default();
            self.source.read_at(start, piece)?;
            let expected = usize::try_from(at / PIECE).ok().and_then(|i| self.pieces.get(i));
            if expected != Some(&openssl::sha::sha256(piece)) {
                let name = self.source.name().to_owned();
                let end = start + len as u64;
                return Err(VerityError::Changed { name, offset: start, end }.into());
            }
            let within = usize::try_from(at % PIECE).unwrap_or(0);
            let tail = piece.get(within..).unwrap_or_default();
            let taken = tail.len().min(buf.len());
            for (to, from) in buf.iter_mut().zip(tail) {
                *to = *from;
            }
            buf = buf.get_mut(taken..).unwrap_or_default();
            at += taken as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use storage::ByteLen;

    /// A file that an attacker writes to while it is read.
    struct Mutable(Mutex<Vec<u8>>);

    impl Source for Mutable {
        fn name(&self) -> &str {
            "m"
        }

        fn len(&self) -> ByteLen {
            ByteLen::new(self.0.lock().unwrap().len() as u64)
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), crate::SourceError> {
            let at = usize::try_from(offset).unwrap();
            buf.copy_from_slice(&self.0.lock().unwrap()[at..at + buf.len()]);
            Ok(())
        }
    }

    #[test]
    fn change_after_verification_is_noticed_in_the_piece_it_hits() {
        let bytes = vec![3; 2 * PIECE_BYTES + 100];
        let source = Arc::new(Mutable(Mutex::new(bytes.clone())));
        let total = bytes.len() as u64;
        let dynamic: Arc<dyn Source> = Arc::clone(&source) as Arc<dyn Source>;
        let (pinned, digest) =
            PinnedPayload::read(dynamic, total, MessageDigest::sha256()).unwrap();
        assert_eq!(digest, openssl::sha::sha256(&bytes));
        let mut buf = vec![0; bytes.len()];
        pinned.read_at(0, &mut buf).unwrap();
        assert_eq!(buf, bytes);
        source.0.lock().unwrap()[2 * PIECE_BYTES + 99] ^= 1;
        pinned.read_at(1, &mut buf[..PIECE_BYTES]).unwrap();
        let found = pinned.read_at(2 * PIECE, &mut buf[..1]).unwrap_err();
        assert!(
            matches!(found, BundleError::Verity(VerityError::Changed { offset, .. }) if offset == 2 * PIECE)
        );
        assert_eq!(buf[0], 0);
    }
}
