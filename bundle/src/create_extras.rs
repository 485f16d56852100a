// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a new bundle can have beyond images and signature: a key, indexes, converted images, a
//! file system packed by mksquashfs.

use crate::operations::PostCheck;
use crate::{BundleFormat, CryptKey, RaucVersion};
use std::io::{self, Read};
use storage::ByteLen;

/// Makes the block-hash-index of an image: reads it once, returns the index file.
pub type IndexMaker<'a> = &'a (dyn Fn(&mut dyn Read, ByteLen) -> io::Result<Vec<u8>> + 'a);

/// Options of a new bundle that most bundles do not need.
#[derive(Clone, Copy, Default)]
pub struct CreateExtras<'a> {
    /// Key of a payload in format crypt; random in production.
    pub crypt_key: Option<&'a CryptKey>,
    /// Makes the indexes that `adaptive=block-hash-index` asks for, in place of
    /// [`crate::adaptive::index_of_stream`]; for tests that lie.
    pub block_hash_index: Option<IndexMaker<'a>>,
    /// When not empty the program mksquashfs packs, with these arguments at its end.
    pub mksquashfs_args: &'a [String],
    /// The keyring that the fresh signature must satisfy.
    pub post_check: Option<PostCheck<'a>>,
    /// The RAUC whose place this program takes; judges `min-rauc-version`.
    pub rauc_version: Option<RaucVersion>,
    /// Told the format as soon as it is known.
    pub on_format: Option<&'a dyn Fn(BundleFormat)>,
}

impl std::fmt::Debug for CreateExtras<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateExtras")
            .field("mksquashfs_args", &self.mksquashfs_args)
            .finish_non_exhaustive()
    }
}
