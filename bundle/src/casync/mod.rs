// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which chunks make up this image, and where are they to be had?
//!
//! casync cuts an image or a directory tree into chunks at places that the content chooses, names
//! each by its hash, and keeps them in a store (`.castr`); an index (`.caibx` of an image,
//! `.caidx` of a tree) lists the names in order. Whoever holds most chunks already, in the slot
//! that runs, fetches only the others.
//!
//! Reading: [`ChunkIndex::parse`], [`Assembly`] (a [`std::io::Read`] over seeds and a
//! [`ChunkStore`]), and for trees [`extract_catar`]. Writing: [`encode_image`] and
//! [`encode_tree`]. Every chunk is hashed when it is used, wherever it came from: an index out of a
//! verified bundle therefore vouches for every byte, and a store or seed cannot lie. No program is
//! run.
//!
//! The numbers of the formats are casync's (`docs/decisions/0029-casync-in-process.md`).

mod assembly;
mod catar;
mod catar_build;
#[cfg(target_os = "linux")]
mod catar_extract;
mod catar_read;
mod catar_scan;
mod chunk_file;
mod chunk_id;
mod chunker;
mod cutter;
mod encode;
mod error;
mod features;
mod goodbye;
mod http_store;
mod index;
mod prefetch;
mod seed;
mod store;
mod tar;
mod tar_tree;

pub use assembly::{Assembly, AssemblyPlan, AssemblyTally};
pub use catar::{CatarEntry, CatarKind, MAX_DEPTH};
pub use catar_build::{CatarImage, TreeContent, TreeNode};
#[cfg(target_os = "linux")]
pub use catar_extract::{ExtractOutcome, Ownership, extract_catar};
pub use catar_read::{CatarItem, CatarReader};
pub use catar_scan::scan_tree;
pub use chunk_file::{pack_chunk, unpack_chunk};
pub use chunk_id::{ChunkDigest, ChunkId};
pub use chunker::{ChunkSizes, Chunker};
pub use cutter::Cutter;
pub use encode::{EncodeTally, encode_image, encode_tree};
pub use error::{CasyncError, ChunkFault};
pub use features::FeatureFlags;
pub use http_store::HttpStore;
pub use index::{ChunkIndex, IndexedChunk, MAX_INDEX};
pub(crate) use prefetch::Prefetch;
pub use seed::{Seed, SeedContent};
pub use store::{ChunkStore, LocalStore, WantedChunk};
pub use tar::{TarHeader, TarReader};
pub use tar_tree::read_tar;
