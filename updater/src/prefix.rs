// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a slot hold the start of an image already, as an interrupted install left it?
//!
//! Read once from the slot, and hashed as the writer hashes: what follows goes on from there, so that
//! the digest at the end is one of every byte of the image. The seal is zero on the slot and is
//! part of the image all the same: its bytes come from the bundle.

use crate::InstallError;
use crate::read_ahead::CHUNK_BYTES;
use crate::resume::Reached;
use crate::slot_writer::OpenSlot;
use openssl::sha::Sha256;
use storage::{AlignedBuffer, Digest};
use xxhash_rust::xxh3::xxh3_128;

/// The start of an image that its slot holds.
pub(crate) struct Begun {
    /// So many bytes.
    pub bytes: u64,
    /// SHA-256 of them, to go on with.
    pub hash: Sha256,
    /// XXH3-128 of each chunk as it is on the slot.
    pub chunk_digests: Vec<u128>,
    /// The bytes of the image that are zero on the slot.
    pub held_back: Vec<u8>,
}

impl Default for Begun {
    /// Nothing of it.
    fn default() -> Self {
        let (chunk_digests, held_back) = (Vec::new(), Vec::new());
        Self { bytes: 0, hash: Sha256::new(), chunk_digests, held_back }
    }
}

/// Reads what is claimed; none if the slot holds something else, or cannot be read. `head` are
/// the bytes of the image that are zero on the slot.
///
/// # Errors
/// That of `go_on`.
pub(crate) fn prove(
    open: &OpenSlot,
    claim: &Reached,
    head: &[u8],
    go_on: &dyn Fn() -> Result<(), InstallError>,
) -> Result<Option<Begun>, InstallError> {
    let mut begun = Begun { held_back: head.to_vec(), ..Begun::default() };
    let mut buffer = AlignedBuffer::zeroed(CHUNK_BYTES);
    while begun.bytes < claim.bytes {
        go_on()?;
        let left = usize::try_from(claim.bytes - begun.bytes).unwrap_or(usize::MAX);
        buffer.set_len(left.min(CHUNK_BYTES));
        if open.storage.read_at(begun.bytes, &mut buffer).is_err() {
            // Writing it may heal it; who writes finds out.
            return Ok(None);
        }
        let held = if begun.bytes == 0 { head.len().min(buffer.len()) } else { 0 };
        if let (Some(start), Some(head)) = (buffer.get_mut(..held), head.get(..held)) {
            start.copy_from_slice(head);
        }
        begun.hash.update(&buffer);
        buffer.get_mut(..held).unwrap_or_default().fill(0);
        begun.chunk_digests.push(xxh3_128(&buffer));
        begun.bytes += buffer.len() as u64;
    }
    let found = Digest::from_bytes(begun.hash.clone().finish());
    Ok((found == claim.prefix).then_some(begun))
}
