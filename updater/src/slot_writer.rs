// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an image get onto a slot so that it is certainly there?
//!
//! Write (skipping what is equal already), flush, drop the cache, read everything again and
//! compare with digests taken from the verified bytes on their way in: [`WrittenSlot`] becomes
//! [`DurableSlot`] in no other way. The image is never held; one XXH3-128 per MiB is. That digest
//! finds damage, not malice: who could forge it between write and read-back owns the device, and
//! the bytes were checked by SHA-256 before they came here (docs/decisions/0008).
//!
//! Nothing behind the image's end is written, as in RAUC, and nothing is discarded.

use crate::read_ahead::{CHUNK_BYTES, for_each_chunk};
use crate::{InstallError, Slot, SlotName};
use std::io::Read;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest, Storage, StorageError};
use xxhash_rust::xxh3::xxh3_128;

/// Unit of skipping; about what eMMC programs at once, so smaller savings would save nothing.
const COMPARE_BYTES: usize = 64 * 1024;

/// So many chunks in a row without an equal block, and only every [`PROBE_EVERY`]th is compared:
/// reading a slot of unrelated content costs as much as half the writing.
const PATIENCE_CHUNKS: u32 = 4;
const PROBE_EVERY: u64 = 32;

/// How much of an image was really written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCount {
    /// Bytes written.
    pub written: ByteLen,
    /// Bytes that were on the slot already.
    pub skipped: ByteLen,
}

/// An open device of a slot and its name for messages.
pub(crate) struct OpenSlot {
    pub name: SlotName,
    pub device: PathBuf,
    pub storage: Box<dyn Storage>,
}

impl OpenSlot {
    pub fn new(slot: &Slot, storage: Box<dyn Storage>) -> Self {
        Self { name: slot.name.clone(), device: slot.device.clone(), storage }
    }

    /// Puts slot, device and offset to a device's failure.
    pub fn failed(&self, act: &'static str, offset: u64, source: StorageError) -> InstallError {
        slot_failed(&self.name, &self.device, act, offset, source)
    }

    /// Writes a few bytes, flushes, and reads them back past the cache.
    pub fn write_durably(&mut self, offset: u64, expected: &[u8]) -> Result<(), InstallError> {
        let len = expected.len() as u64;
        self.storage
            .write_at(offset, expected)
            .map_err(|source| self.failed("write the seal of", offset, source))?;
        self.storage.flush().map_err(|source| self.failed("flush", offset, source))?;
        self.storage
            .forget_cached(offset, len)
            .map_err(|source| self.failed("read back", offset, source))?;
        let mut found = vec![0; expected.len()];
        self.storage
            .read_at(offset, &mut found)
            .map_err(|source| self.failed("read back", offset, source))?;
        if found == expected {
            return Ok(());
        }
        let first = expected.iter().zip(&found).take_while(|(a, b)| a == b).count() as u64;
        Err(self.mismatch(offset + first, len - first))
    }

    fn mismatch(&self, offset: u64, len: u64) -> InstallError {
        InstallError::ReadBackMismatch {
            slot: self.name.clone(),
            device: self.device.clone(),
            offset,
            len: ByteLen::new(len),
        }
    }
}

fn slot_failed(
    slot: &SlotName,
    device: &Path,
    act: &'static str,
    offset: u64,
    source: StorageError,
) -> InstallError {
    InstallError::Slot {
        act,
        slot: slot.clone(),
        offset,
        device: device.to_owned(),
        source: Box::new(source),
    }
}

/// A slot whose bytes were accepted by the device, no more. It cannot be made bootable.
pub struct WrittenSlot {
    open: OpenSlot,
    len: ByteLen,
    digest: Digest,
    chunks: Vec<u128>,
    count: WriteCount,
    held_back: Vec<u8>,
}

/// A slot whose every byte was read back from the medium.
///
/// There is no way to make one but to write and read back:
///
/// ```compile_fail
/// let slot = updater::DurableSlot { name: "rootfs.1".parse().unwrap() };
/// ```
pub struct DurableSlot {
    pub(crate) open: OpenSlot,
    pub(crate) len: ByteLen,
    pub(crate) digest: Digest,
    pub(crate) count: WriteCount,
    /// First bytes of the image that are still zero on the slot; empty without a seal.
    pub(crate) held_back: Vec<u8>,
}

/// An image on its way into a slot.
pub(crate) struct Incoming<'a> {
    pub source: &'a mut (dyn Read + Send),
    pub len: ByteLen,
    pub digest: Digest,
    /// So many bytes at the start are kept and zeros written in their place.
    pub hold_back: usize,
}

/// Writes an image; `progress` is told the bytes of each chunk.
pub(crate) fn write_image(
    mut open: OpenSlot,
    image: Incoming<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<WrittenSlot, InstallError> {
    let slot = open.name.clone();
    let mut writer = ChunkWriter::default();
    let mut held_back = Vec::new();
    let mut chunks = Vec::new();
    let mut offset = 0_u64;
    let expected = image.len.get();
    let at = std::cell::Cell::new(0_u64);
    for_each_chunk(
        image.source,
        |source| InstallError::ReadImage { slot: slot.clone(), offset: at.get(), source },
        |chunk| {
            let len = chunk.len() as u64;
            if offset + len > expected {
                let found = offset + len;
                return Err(InstallError::ImageLength { slot: slot.clone(), expected, found });
            }
            if offset == 0 {
                let held = image.hold_back.min(chunk.len());
                if let Some(head) = chunk.get_mut(..held) {
                    held_back = head.to_vec();
                    head.fill(0);
                }
            }
            chunks.push(xxh3_128(chunk));
            writer.put(&mut open, offset, chunk)?;
            offset += len;
            at.set(offset);
            progress(len);
            Ok(())
        },
    )?;
    if offset != expected {
        return Err(InstallError::ImageLength { slot, expected, found: offset });
    }
    let WriteCount { written, skipped } = writer.count;
    Ok(WrittenSlot {
        open,
        len: image.len,
        digest: image.digest,
        chunks,
        count: WriteCount { written, skipped },
        held_back,
    })
}

/// Decides per chunk whether to compare, and writes what differs.
#[derive(Default)]
struct ChunkWriter {
    count: WriteCount,
    fruitless: u32,
    old: Vec<u8>,
}

impl ChunkWriter {
    fn put(&mut self, open: &mut OpenSlot, offset: u64, chunk: &[u8]) -> Result<(), InstallError> {
        let number = offset / CHUNK_BYTES as u64;
        if self.fruitless >= PATIENCE_CHUNKS && !number.is_multiple_of(PROBE_EVERY) {
            return self.write(open, offset, chunk);
        }
        self.old.resize(chunk.len(), 0);
        open.storage
            .read_at(offset, &mut self.old)
            .map_err(|source| open.failed("compare", offset, source))?;
        let old = std::mem::take(&mut self.old);
        let skipped_before = self.count.skipped;
        let outcome = self.write_differences(open, offset, chunk, &old);
        self.old = old;
        if self.count.skipped == skipped_before {
            self.fruitless += 1;
        } else {
            self.fruitless = 0;
        }
        outcome
    }

    /// Writes runs of blocks that differ, each run in one call.
    fn write_differences(
        &mut self,
        open: &mut OpenSlot,
        offset: u64,
        new: &[u8],
        old: &[u8],
    ) -> Result<(), InstallError> {
        let mut run_start = 0;
        let mut at = 0;
        for (new_block, old_block) in new.chunks(COMPARE_BYTES).zip(old.chunks(COMPARE_BYTES)) {
            let end = at + new_block.len();
            if new_block == old_block {
                self.write(open, offset + run_start as u64, new.get(run_start..at).unwrap_or(&[]))?;
                add(&mut self.count.skipped, new_block.len());
                run_start = end;
            }
            at = end;
        }
        self.write(open, offset + run_start as u64, new.get(run_start..).unwrap_or(&[]))
    }

    fn write(&mut self, open: &mut OpenSlot, offset: u64, data: &[u8]) -> Result<(), InstallError> {
        if data.is_empty() {
            return Ok(());
        }
        open.storage
            .write_at(offset, data)
            .map_err(|source| slot_failed(&open.name, &open.device, "write", offset, source))?;
        add(&mut self.count.written, data.len());
        Ok(())
    }
}

fn add(len: &mut ByteLen, more: usize) {
    *len = ByteLen::new(len.get().saturating_add(more as u64));
}

impl WrittenSlot {
    /// Makes the slot durable and proves it: flush, drop the cache, read all, compare.
    ///
    /// # Errors
    /// [`InstallError::Slot`] or [`InstallError::ReadBackMismatch`].
    pub(crate) fn read_back(
        mut self,
        progress: &mut dyn FnMut(u64),
    ) -> Result<DurableSlot, InstallError> {
        let open = &mut self.open;
        open.storage.flush().map_err(|source| open.failed("flush", 0, source))?;
        open.storage
            .forget_cached(0, self.len.get())
            .map_err(|source| open.failed("read back", 0, source))?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        for expected in &self.chunks {
            let left = self.len.get() - offset;
            let len = left.min(CHUNK_BYTES as u64);
            // At most CHUNK_BYTES, so the buffer holds it.
            let chunk = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            open.storage
                .read_at(offset, chunk)
                .map_err(|source| open.failed("read back", offset, source))?;
            if xxh3_128(chunk) != *expected {
                return Err(open.mismatch(offset, len));
            }
            offset += len;
            progress(len);
        }
        Ok(DurableSlot {
            open: self.open,
            len: self.len,
            digest: self.digest,
            count: self.count,
            held_back: self.held_back,
        })
    }
}
