// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much may a squashfs image make its reader allocate?
//!
//! Decided on the superblock and on the lengths of the metadata blocks alone, before a table is
//! expanded; what the expanded tables say is judged in `squashfs_tables.rs`.

use crate::SquashfsError;
use crate::squashfs_tables::Tables;
use backhand::compression::{CompressionAction, Compressor, DefaultCompressor};
use backhand::{BackhandError, FilesystemCompressor, SuperBlock};
use liblzma::stream::{Action, Status, Stream};
use std::io::{self, Read, Seek, SeekFrom};
use storage::ByteLen;

/// Bytes of the superblock.
const SUPERBLOCK_BYTES: usize = 96;

/// A metadata block never expands to more than this (format).
pub(crate) const METADATA_BLOCK_BYTES: usize = 8192;

/// Memory for expanding one xz block. A dictionary is never larger than the largest block, 1 MiB,
/// and the decoder needs some room around it.
const XZ_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// Marks a table that is not there.
const ABSENT: u64 = u64::MAX;

/// A block that compression shrinks by less than 1/16 is stored as it is: bundles mostly hold
/// images that are compressed already, and expanding them again would cost every install more
/// time than the bytes are worth.
const WORTHWHILE_SHARE: usize = 16;

/// What an image may ask of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SquashfsLimits {
    /// Files, directories and links, and as many entries of directories. Stops a small image of
    /// millions of either, and a chain of directories so deep that walking it exhausts the stack.
    pub inodes: u32,
    /// Expanded size of all tables together, and of all paths together. Stops tables that expand a
    /// thousandfold, and long names in long chains of directories.
    pub tables: ByteLen,
}

impl SquashfsLimits {
    /// For bundles: a handful of images, hooks and their indexes. The tables hold 4 bytes per
    /// block of each image: enough for 128 GiB of default blocks.
    pub const BUNDLE: Self = Self { inodes: 1024, tables: ByteLen::mib(4) };

    /// For the root file system of a slot.
    pub const ROOT_FILE_SYSTEM: Self = Self { inodes: 1 << 20, tables: ByteLen::mib(128) };
}

impl Default for SquashfsLimits {
    fn default() -> Self {
        Self::BUNDLE
    }
}

/// Refuses an image whose superblock or tables exceed `limits`; returns where its tables are.
///
/// All failures to read come out here as they are; the library's parser would blur them.
pub(crate) fn check_superblock<R: Read + Seek>(
    reader: &mut R,
    limits: &SquashfsLimits,
) -> Result<Tables, SquashfsError> {
    let mut head = [0; SUPERBLOCK_BYTES];
    read_at(reader, 0, &mut head)?;
    if !head.starts_with(b"hsqs") {
        return Err(SquashfsError::Corrupt { what: "it does not begin with the squashfs magic" });
    }
    let inodes = u32_at(&head, 4);
    if inodes > limits.inodes {
        return Err(SquashfsError::TooLarge {
            what: "inodes",
            found: inodes.into(),
            limit: limits.inodes.into(),
        });
    }
    let mut budget = Budget { used: 0, limit: limits.tables.get() };
    let (inode_table, directory_table) = (u64_at(&head, 64), u64_at(&head, 72));
    budget.spend_until(reader, inode_table, directory_table)?;

    let ids = u64_at(&head, 48);
    let ids_start = budget.spend_lookup(reader, ids, u64::from(u16_at(&head, 26)) * 4)?;
    let fragments = u32_at(&head, 16);
    let fragment_table = u64_at(&head, 80);
    let mut directories_end = ids_start;
    let export_table = u64_at(&head, 88);
    if u16_at(&head, 24) & 0x80 != 0 && export_table != ABSENT {
        directories_end = budget.spend_lookup(reader, export_table, u64::from(inodes) * 8)?;
    }
    if fragments != 0 && fragment_table != ABSENT {
        let bytes = u64::from(fragments) * 16;
        directories_end = budget.spend_lookup(reader, fragment_table, bytes)?;
    }
    budget.spend_until(reader, directory_table, directories_end)?;
    Ok(Tables {
        compressor: u16_at(&head, 20),
        block_log: u16_at(&head, 22),
        root: u64_at(&head, 32),
        inodes: inode_table..directory_table,
        directories: directory_table..directories_end,
    })
}

/// Counts what the tables will expand to.
struct Budget {
    used: u64,
    limit: u64,
}

impl Budget {
    /// Walks the metadata blocks from `start` to exactly `end`.
    fn spend_until<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        start: u64,
        end: u64,
    ) -> Result<(), SquashfsError> {
        let mut position = start;
        while position < end {
            position = self.spend_block(reader, position)?;
        }
        if position == end {
            return Ok(());
        }
        Err(SquashfsError::Corrupt { what: "a table does not end where the next begins" })
    }

    /// Walks the metadata blocks of a lookup table of `bytes` expanded bytes, whose first block
    /// is named by the u64 at `pointer`; returns where that block begins.
    fn spend_lookup<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        pointer: u64,
        bytes: u64,
    ) -> Result<u64, SquashfsError> {
        let mut start = [0; 8];
        read_at(reader, pointer, &mut start)?;
        let start = u64::from_le_bytes(start);
        let mut position = start;
        for _ in 0..bytes.div_ceil(METADATA_BLOCK_BYTES as u64) {
            position = self.spend_block(reader, position)?;
        }
        Ok(start)
    }

    fn spend_block<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        position: u64,
    ) -> Result<u64, SquashfsError> {
        self.used = self.used.saturating_add(METADATA_BLOCK_BYTES as u64);
        if self.used > self.limit {
            return Err(SquashfsError::TooLarge {
                what: "bytes of tables",
                found: self.used,
                limit: self.limit,
            });
        }
        let mut length = [0; 2];
        read_at(reader, position, &mut length)?;
        let stored = u64::from(u16::from_le_bytes(length) & 0x7fff);
        // An empty block would let a table of two-byte steps stand for any size.
        if stored == 0 || stored > METADATA_BLOCK_BYTES as u64 {
            return Err(SquashfsError::Corrupt { what: "a metadata block has an illegal length" });
        }
        position
            .checked_add(2 + stored)
            .ok_or(SquashfsError::Corrupt { what: "a table lies outside the image" })
    }
}

/// Reads at a place; an end before its time is the image's fault.
pub(crate) fn read_at<R: Read + Seek>(
    reader: &mut R,
    offset: u64,
    buf: &mut [u8],
) -> Result<(), SquashfsError> {
    let done = reader.seek(SeekFrom::Start(offset)).and_then(|_| reader.read_exact(buf));
    done.map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return SquashfsError::Corrupt { what: "a table lies outside the image" };
        }
        SquashfsError::Read(error)
    })
}

fn bytes_at<const N: usize>(head: &[u8; SUPERBLOCK_BYTES], offset: usize) -> [u8; N] {
    let field = head.get(offset..).and_then(|rest| rest.first_chunk::<N>());
    field.copied().unwrap_or([0; N])
}

fn u16_at(head: &[u8; SUPERBLOCK_BYTES], offset: usize) -> u16 {
    u16::from_le_bytes(bytes_at(head, offset))
}

fn u32_at(head: &[u8; SUPERBLOCK_BYTES], offset: usize) -> u32 {
    u32::from_le_bytes(bytes_at(head, offset))
}

fn u64_at(head: &[u8; SUPERBLOCK_BYTES], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(head, offset))
}

/// The library's codec with three rules of ours: no block may expand beyond what was reserved for
/// it (the library lets gzip and xz blocks grow to 4 MiB), no xz block may ask for a dictionary of
/// any size it likes, and a block that hardly shrinks is stored.
#[derive(Debug)]
pub(crate) struct BlockCodec {
    keep: Keep,
}

/// When a compressed block is kept.
#[derive(Debug, PartialEq, Eq)]
enum Keep {
    /// When it saves at least 1/16.
    Worthwhile,
    /// Never; everything is stored.
    Never,
}

/// Compresses what is worth it; the codec for reading.
pub(crate) static BLOCK_CODEC: BlockCodec = BlockCodec { keep: Keep::Worthwhile };

/// Stores every block.
pub(crate) static STORING_CODEC: BlockCodec = BlockCodec { keep: Keep::Never };

impl CompressionAction for BlockCodec {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        compressor: Compressor,
    ) -> Result<(), BackhandError> {
        // The library reserves the largest legal size of the block before it calls.
        let reserved = out.capacity();
        if compressor == Compressor::Xz {
            return expand_xz(bytes, out);
        }
        DefaultCompressor.decompress(bytes, out, compressor)?;
        if out.len() > reserved { Err(BackhandError::CorruptedOrInvalidSquashfs) } else { Ok(()) }
    }

    fn compress(
        &self,
        bytes: &[u8],
        compressor: FilesystemCompressor,
        block_bytes: u32,
    ) -> Result<Vec<u8>, BackhandError> {
        // The library stores a block as it is when the "compressed" form is longer.
        let store = || vec![0; bytes.len() + 1];
        if self.keep == Keep::Never {
            return Ok(store());
        }
        let packed = DefaultCompressor.compress(bytes, compressor, block_bytes)?;
        let worthwhile = bytes.len() - bytes.len() / WORTHWHILE_SHARE;
        Ok(if packed.len() < worthwhile { packed } else { store() })
    }
}

/// Expands an xz block into the room that `out` has, and no further. The library's own way has no
/// limit of memory, and a header of a few bytes may ask for a dictionary of 4 GiB.
fn expand_xz(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BackhandError> {
    let corrupt = || BackhandError::CorruptedOrInvalidSquashfs;
    let mut stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).map_err(|_| corrupt())?;
    loop {
        let before = (stream.total_in(), stream.total_out());
        let rest = usize::try_from(before.0).ok().and_then(|used| bytes.get(used..));
        match stream.process_vec(rest.unwrap_or_default(), out, Action::Finish) {
            Ok(Status::StreamEnd) => return Ok(()),
            // The end of a stream may take another call when the room is full already.
            Ok(_) if (stream.total_in(), stream.total_out()) != before => {}
            Ok(_) | Err(_) => return Err(corrupt()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressor(id: Compressor) -> FilesystemCompressor {
        FilesystemCompressor::new(id, None).unwrap()
    }

    #[test]
    fn block_that_expands_beyond_its_legal_size_is_refused() {
        for id in [Compressor::Gzip, Compressor::Xz, Compressor::Zstd] {
            let bomb = BLOCK_CODEC.compress(&[0; 1 << 20], compressor(id), 1 << 20).unwrap();
            assert!(bomb.len() < 8192);
            let mut fits = Vec::with_capacity(1 << 20);
            BLOCK_CODEC.decompress(&bomb, &mut fits, id).unwrap();
            assert_eq!(fits.len(), 1 << 20);
            let mut metadata = Vec::with_capacity(8192);
            assert!(BLOCK_CODEC.decompress(&bomb, &mut metadata, id).is_err(), "{id:?}");
        }
    }

    /// The library expanded such a block, whatever the board had of memory.
    #[test]
    fn xz_block_with_a_huge_dictionary_is_refused() {
        for (dictionary, fits) in [(1 << 16, true), (1 << 20, true), (1 << 26, false)] {
            let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
            options.dict_size(dictionary);
            let mut filters = liblzma::stream::Filters::new();
            filters.lzma2(&options);
            let check = liblzma::stream::Check::Crc32;
            let mut encoder = Stream::new_stream_encoder(&filters, check).unwrap();
            let mut block = Vec::with_capacity(4096);
            encoder.process_vec(&[7; 4096], &mut block, Action::Finish).unwrap();
            let mut out = Vec::with_capacity(4096);
            let expanded = BLOCK_CODEC.decompress(&block, &mut out, Compressor::Xz);
            assert_eq!(expanded.is_ok(), fits, "{dictionary}");
            assert_eq!(out.len(), if fits { 4096 } else { 0 });
        }
    }

    #[test]
    fn block_that_hardly_shrinks_is_stored() {
        let mut block = vec![0; 4000];
        openssl::rand::rand_bytes(&mut block).unwrap();
        let dense = BLOCK_CODEC.compress(&block, compressor(Compressor::Zstd), 4096).unwrap();
        // Longer than the block: the library then stores the block itself.
        assert_eq!(dense.len(), block.len() + 1);
        block.extend([0; 1000]);
        let loose = BLOCK_CODEC.compress(&block, compressor(Compressor::Zstd), 8192).unwrap();
        assert!(loose.len() < block.len());
    }
}
