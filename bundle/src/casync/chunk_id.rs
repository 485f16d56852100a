// SPDX-License-Identifier: MIT OR Apache-2.0
//! The name of a chunk: the hash of its bytes, 32 of them, written as 64 small hexadecimal digits.
//! SHA-512/256 (casync's default) or SHA-256; the feature flags of an index say which.

use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use std::fmt;

/// The hash of a chunk's bytes as they are in the image, never as stored, by which stores and indexes name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 32]);

impl ChunkId {
    /// An id from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where a store keeps the chunk, relative to the store: `abcd/abcd….cacnk`; without the
    /// suffix for the uncompressed variant.
    #[must_use]
    pub fn store_path(&self, suffix: &str) -> String {
        let name = self.to_string();
        let folder = name.get(..4).unwrap_or_default();
        format!("{folder}/{name}{suffix}")
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({self})")
    }
}

/// Which hash names the chunks of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChunkDigest {
    /// SHA-512/256, casync's default.
    #[default]
    Sha512Slash256,
    /// SHA-256, where the index says so.
    Sha256,
}

impl ChunkDigest {
    /// The id of a chunk with these bytes.
    ///
    /// `None` when the library refuses the hash, as a restricted build of it may.
    #[must_use]
    pub fn id_of(self, bytes: &[u8]) -> Option<ChunkId> {
        match self {
            Self::Sha256 => Some(ChunkId(openssl::sha::sha256(bytes))),
            Self::Sha512Slash256 => {
                let kind = MessageDigest::from_nid(Nid::from_raw(SHA512_256_NID))?;
                let found = hash(kind, bytes).ok()?;
                Some(ChunkId(found.as_ref().try_into().ok()?))
            }
        }
    }
}

/// `NID_sha512_256` of OpenSSL's object table, which the wrapper does not name.
const SHA512_256_NID: i32 = 1095;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_published_hashes() {
        // FIPS 180-4's "abc" vectors.
        let slash = ChunkDigest::Sha512Slash256.id_of(b"abc").unwrap();
        assert_eq!(
            slash.to_string(),
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
        );
        let plain = ChunkDigest::Sha256.id_of(b"abc").unwrap();
        assert!(plain.to_string().starts_with("ba7816bf8f01cfea"));
        assert_eq!(slash.store_path(".cacnk"), format!("5304/{slash}.cacnk"));
    }
}
