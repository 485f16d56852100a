// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an image get onto a slot so that it is certainly there?
//!
//! Write (skipping what is equal already), flush, drop the cache, read everything again and
//! compare: [`WrittenSlot`] becomes [`DurableSlot`] in no other way. The image is never held; of
//! each MiB one XXH3-128 is, and the medium must have it. Whether the bytes are those that were
//! signed is asked on their way, by their SHA-256, of the same buffers: hashing what is read back
//! instead would keep one processor busy while the others wait (docs/decisions/0034).
//!
//! Nothing behind the image's end is written, as in RAUC, and nothing is discarded.

use crate::prefix::Begun;
use crate::read_ahead::{Abandoned, CHUNK_BYTES, fill, fill_from_device, for_each_chunk};
use crate::{ContentDigest, InstallError, Slot, SlotName};
use bundle::BundleError;
use openssl::sha::Sha256;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use storage::{AlignedBuffer, ByteLen, Digest, Storage, StorageError};
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
        Err(slot_differs(&self.name, &self.device, offset + first, len - first))
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

fn slot_differs(slot: &SlotName, device: &Path, offset: u64, len: u64) -> InstallError {
    InstallError::ReadBackMismatch {
        slot: slot.clone(),
        device: device.to_owned(),
        offset,
        len: ByteLen::new(len),
    }
}

/// A slot whose bytes were accepted by the device, no more. It cannot be made bootable.
pub struct WrittenSlot {
    open: OpenSlot,
    len: ByteLen,
    digest: Digest,
    /// XXH3-128 of each chunk as it was written.
    chunk_digests: Vec<u128>,
    count: WriteCount,
    held_back: Vec<u8>,
}

/// A slot whose every byte was read back from the medium, after the last was written.
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
    /// Its name in the bundle, for messages.
    pub filename: String,
    pub len: ByteLen,
    /// What the manifest promises, compared with what was read; or what the source learns.
    pub digest: ContentDigest,
    /// So many bytes at the start are kept and zeros written in their place.
    pub hold_back: usize,
    /// What the slot holds of it already: the source begins behind that.
    pub begun: Begun,
}

/// Told how far the writing of an image is.
pub(crate) trait WriteWatch {
    /// So many bytes more are written; may end it. Told of none while nothing comes.
    fn passed(&mut self, bytes: u64) -> Result<(), InstallError>;

    /// After how many bytes each time the slot is flushed; a multiple of [`CHUNK_BYTES`].
    fn mark_every(&self) -> Option<u64> {
        None
    }

    /// So many bytes from the start are durable, and have this digest.
    fn durable(&mut self, _bytes: u64, _prefix: Digest) {}
}

impl<F: FnMut(u64) -> Result<(), InstallError>> WriteWatch for F {
    fn passed(&mut self, bytes: u64) -> Result<(), InstallError> {
        self(bytes)
    }
}

/// Reads an image for the writer: hashed as it was signed, then without what is held back.
struct Feed<'a> {
    slot: SlotName,
    source: &'a mut (dyn Read + Send),
    /// Of a digest that its source learns nobody else has anything to compare with.
    hash: Option<Sha256>,
    start: u64,
    hold_back: usize,
    held_back: Vec<u8>,
    chunk_digests: Vec<u128>,
    mark_every: Option<u64>,
    marks: Sender<(u64, Digest)>,
}

impl Feed<'_> {
    /// The next chunk, `at` bytes behind the start; how much there was.
    fn read(
        &mut self,
        at: u64,
        buffer: &mut [u8],
        abandoned: &Abandoned,
    ) -> Result<usize, InstallError> {
        let at = at + self.start;
        let read = fill(self.source, buffer, abandoned).map_err(|source| {
            InstallError::ReadImage { slot: self.slot.clone(), offset: at, source }
        })?;
        if read == 0 {
            return Ok(0);
        }
        let chunk = buffer.get_mut(..read).unwrap_or_default();
        // What was signed, before anything of it is held back.
        if let Some(hash) = &mut self.hash {
            hash.update(chunk);
            let end = at + read as u64;
            if self.mark_every.is_some_and(|every| end.is_multiple_of(every)) {
                // Whoever writes has the other end until this ends.
                let _ = self.marks.send((end, Digest::from_bytes(hash.clone().finish())));
            }
        }
        if at == 0 {
            let held = self.hold_back.min(read);
            if let Some(head) = chunk.get_mut(..held) {
                self.held_back = head.to_vec();
                head.fill(0);
            }
        }
        self.chunk_digests.push(xxh3_128(chunk));
        Ok(read)
    }
}

/// Writes an image, and tells.
pub(crate) fn write_image(
    mut open: OpenSlot,
    image: Incoming<'_>,
    watch: &mut dyn WriteWatch,
) -> Result<WrittenSlot, InstallError> {
    let slot = open.name.clone();
    let Begun { bytes: start, hash, chunk_digests, held_back } = image.begun;
    let count = WriteCount { skipped: ByteLen::new(start), ..WriteCount::default() };
    let mut writer = ChunkWriter { count, ..ChunkWriter::default() };
    let mut offset = start;
    let expected = image.len.get();
    // Hashed ahead of the writing; at most as many as there are buffers.
    let (mark, marks) = channel();
    let mut next_mark = None;
    let mut feed = Feed {
        slot: slot.clone(),
        source: image.source,
        hash: matches!(&image.digest, ContentDigest::Known(_)).then_some(hash),
        start,
        hold_back: image.hold_back,
        held_back,
        chunk_digests,
        mark_every: watch.mark_every(),
        marks: mark,
    };
    for_each_chunk(
        ByteLen::new(expected.saturating_sub(start)),
        |at, buffer, abandoned| feed.read(at, buffer, abandoned),
        |chunk| {
            if chunk.is_empty() {
                return watch.passed(0);
            }
            let len = chunk.len() as u64;
            if offset + len > expected {
                let found = offset + len;
                return Err(InstallError::ImageLength { slot: slot.clone(), expected, found });
            }
            writer.put(&mut open, offset, chunk)?;
            offset += len;
            next_mark = next_mark.take().or_else(|| marks.try_recv().ok());
            if let Some((end, prefix)) = next_mark.take_if(|(end, _)| *end == offset) {
                open.storage.flush().map_err(|source| open.failed("flush", offset, source))?;
                watch.durable(end, prefix);
            }
            watch.passed(len)
        },
    )?;
    if offset != expected {
        return Err(InstallError::ImageLength { slot, expected, found: offset });
    }
    let digest = signed_digest(&slot, feed.hash, &image.filename, &image.digest)?;
    let (len, count) = (image.len, writer.count);
    let Feed { chunk_digests, held_back, .. } = feed;
    Ok(WrittenSlot { open, len, digest, chunk_digests, count, held_back })
}

/// The digest of an image that was read to its end, if it is the one that was promised.
fn signed_digest(
    slot: &SlotName,
    hash: Option<Sha256>,
    filename: &str,
    digest: &ContentDigest,
) -> Result<Digest, InstallError> {
    let found = hash.map(|hash| Digest::from_bytes(hash.finish()));
    let (filename, expected) = (filename.to_owned(), digest.expected());
    match (found, digest.get()) {
        (None, Some(learned)) => Ok(learned),
        (Some(found), Some(promised)) if found == promised => Ok(promised),
        (found, _) => {
            let found = found.unwrap_or(expected);
            let source = BundleError::ImageDigest { filename, expected, found };
            Err(InstallError::WrongImage { slot: slot.clone(), source: Box::new(source) })
        }
    }
}

/// Decides per chunk whether to compare, and writes what differs.
#[derive(Default)]
struct ChunkWriter {
    count: WriteCount,
    fruitless: u32,
    /// What the slot holds at the chunk's place.
    old: Option<AlignedBuffer>,
}

impl ChunkWriter {
    fn put(&mut self, open: &mut OpenSlot, offset: u64, chunk: &[u8]) -> Result<(), InstallError> {
        let number = offset / CHUNK_BYTES as u64;
        if self.fruitless >= PATIENCE_CHUNKS && !number.is_multiple_of(PROBE_EVERY) {
            return self.write(open, offset, chunk);
        }
        let mut old = self.old.take().unwrap_or_else(|| AlignedBuffer::zeroed(chunk.len()));
        old.set_len(chunk.len());
        if open.storage.read_at(offset, &mut old).is_err() {
            // What cannot be read differs. Media replace a bad sector when it is written, and
            // one that does not is found when it is read back.
            self.old = Some(old);
            return self.write(open, offset, chunk);
        }
        let skipped_before = self.count.skipped;
        let outcome = self.write_differences(open, offset, chunk, &old);
        self.old = Some(old);
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
    /// Makes the slot durable and proves it: flush, drop the cache, read everything, compare.
    ///
    /// Nothing is read before the last byte is durable, so a medium is found out too on which
    /// writing one place changes another. A chunk that differs is named by its place.
    ///
    /// # Errors
    /// [`InstallError::Slot`] or [`InstallError::ReadBackMismatch`].
    pub(crate) fn read_back(
        self,
        progress: &mut dyn FnMut(u64) -> Result<(), InstallError>,
    ) -> Result<DurableSlot, InstallError> {
        let Self { mut open, len, digest, chunk_digests, count, held_back } = self;
        let (slot, device) = (open.name.clone(), open.device.clone());
        open.storage.flush().map_err(|source| open.failed("flush", 0, source))?;
        open.storage
            .forget_cached(0, len.get())
            .map_err(|source| open.failed("read back", 0, source))?;
        let mut expected = chunk_digests.iter();
        let mut offset = 0_u64;
        for_each_chunk(
            len,
            |at, buffer, _| {
                fill_from_device(&mut open.storage, len, at, buffer)
                    .map_err(|source| slot_failed(&slot, &device, "read back", at, source))
            },
            |chunk| {
                if chunk.is_empty() {
                    return progress(0);
                }
                let read = chunk.len() as u64;
                if expected.next() != Some(&xxh3_128(chunk)) {
                    return Err(slot_differs(&slot, &device, offset, read));
                }
                offset += read;
                progress(read)
            },
        )?;
        if expected.next().is_some() || offset != len.get() {
            return Err(slot_differs(&slot, &device, offset, len.get().saturating_sub(offset)));
        }
        Ok(DurableSlot { open, len, digest, count, held_back })
    }
}

#[cfg(test)]
mod tests;
