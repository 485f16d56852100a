// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this file of a store the chunk it is named after?
//!
//! Chunks are kept compressed (zstd; older casync: xz, on request gzip) or, by desync, as they
//! are. Which of these is told by the first bytes, never by the name. Expanding stops at the
//! length that the index records: a chunk cannot fill the memory, whatever it claims.

use super::{CasyncError, ChunkDigest, ChunkFault, ChunkId};
use flate2::read::MultiGzDecoder;
use std::io::{Cursor, Read};

/// Memory for an xz decoder; casync's largest preset needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 80 * 1024 * 1024;

/// casync's level.
const ZSTD_LEVEL: i32 = 3;

/// The chunk in the stored bytes, if it is the one with this id and length.
///
/// # Errors
/// [`ChunkFault`].
pub fn unpack_chunk(
    stored: Vec<u8>,
    id: ChunkId,
    len: u32,
    digest: ChunkDigest,
) -> Result<Vec<u8>, ChunkFault> {
    let expanded = match expand(&stored, len) {
        // Not compressed, or a plain chunk that begins like a compressed one.
        None => return check(stored, id, len, digest),
        Some(expanded) => expanded,
    };
    let refused = match expanded.and_then(|bytes| check(bytes, id, len, digest)) {
        Ok(bytes) => return Ok(bytes),
        Err(refused) => refused,
    };
    check(stored, id, len, digest).map_err(|_| refused)
}

fn check(
    bytes: Vec<u8>,
    id: ChunkId,
    len: u32,
    digest: ChunkDigest,
) -> Result<Vec<u8>, ChunkFault> {
    let found = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if digest.id_of(&bytes) != Some(id) {
        return Err(ChunkFault::Hash);
    }
    if found != len {
        return Err(ChunkFault::Length { expected: len, found });
    }
    Ok(bytes)
}

/// The expanded bytes, or `None` when nothing says that these are compressed.
fn expand(stored: &[u8], len: u32) -> Option<Result<Vec<u8>, ChunkFault>> {
    let input = Cursor::new(stored);
    if stored.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input);
        return Some(decoder.map_err(|_| ChunkFault::Corrupt).and_then(|it| read_all(it, len)));
    }
    if stored.starts_with(b"\xfd7zXZ\0") {
        let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0);
        let decoder = decoder.map(|stream| liblzma::bufread::XzDecoder::new_stream(input, stream));
        return Some(decoder.map_err(|_| ChunkFault::Corrupt).and_then(|it| read_all(it, len)));
    }
    if stored.starts_with(&[0x1f, 0x8b]) {
        return Some(read_all(MultiGzDecoder::new(input), len));
    }
    None
}

fn read_all(decoder: impl Read, len: u32) -> Result<Vec<u8>, ChunkFault> {
    let expected = usize::try_from(len).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(expected);
    decoder
        .take(u64::from(len).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|_| ChunkFault::Corrupt)?;
    if bytes.len() > expected {
        return Err(ChunkFault::TooLong { expected: len });
    }
    Ok(bytes)
}

/// The bytes to store for a chunk.
///
/// # Errors
/// [`CasyncError::Input`] when the compressor fails.
pub fn pack_chunk(bytes: &[u8]) -> Result<Vec<u8>, CasyncError> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(CasyncError::Input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const DIGEST: ChunkDigest = ChunkDigest::Sha512Slash256;

    fn id(bytes: &[u8]) -> ChunkId {
        DIGEST.id_of(bytes).unwrap()
    }

    #[test]
    fn every_stored_form_gives_the_chunk() {
        let chunk: Vec<u8> = (0..50_000_u32).map(|n| u8::try_from(n % 200).unwrap()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&chunk).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(&chunk).unwrap();
        let forms = [pack_chunk(&chunk).unwrap(), gzip.finish().unwrap(), xz.finish().unwrap()];
        for stored in forms.into_iter().chain([chunk.clone()]) {
            assert_eq!(unpack_chunk(stored, id(&chunk), 50_000, DIGEST).unwrap(), chunk);
        }
    }

    #[test]
    fn plain_chunk_that_begins_like_a_compressed_one_is_the_chunk() {
        let chunk = pack_chunk(b"inner").unwrap();
        let len = u32::try_from(chunk.len()).unwrap();
        assert_eq!(unpack_chunk(chunk.clone(), id(&chunk), len, DIGEST).unwrap(), chunk);
    }

    #[test]
    fn bombs_lies_and_damage_are_told_apart() {
        let bomb = pack_chunk(&vec![0; 8 << 20]).unwrap();
        assert!(bomb.len() < 4096);
        let refused = unpack_chunk(bomb, id(&[0; 100]), 100, DIGEST);
        assert_eq!(refused, Err(ChunkFault::TooLong { expected: 100 }));
        // Right hash, and an index that records another length.
        let chunk = pack_chunk(b"0123456789").unwrap();
        let refused = unpack_chunk(chunk.clone(), id(b"0123456789"), 11, DIGEST);
        assert_eq!(refused, Err(ChunkFault::Length { expected: 11, found: 10 }));
        assert_eq!(unpack_chunk(chunk.clone(), id(b"x"), 10, DIGEST), Err(ChunkFault::Hash));
        for len in 4..chunk.len() {
            let cut = unpack_chunk(chunk[..len].to_vec(), id(b"0123456789"), 10, DIGEST);
            assert!(cut.is_err(), "{len}");
        }
        assert_eq!(unpack_chunk(Vec::new(), id(b"x"), 1, DIGEST), Err(ChunkFault::Hash));
    }
}
