// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an image get onto a slot so that it is certainly there?
//!
//! Write (skipping what is equal already), flush, drop the cache, read everything again and
//! compare with digests taken from the verified bytes on their way in: [`WrittenSlot`] becomes
//! [`DurableSlot`] in no other way. The image is never held; one XXH3-128 per MiB is. That digest
//! finds damage, not malice: who could forge it between write and read-back owns the device, and
//! the bytes were checked by SHA-256 before they came here (docs/decisions/0008).
//!
//! Reading back does not wait for the whole image: what was flushed is compared while the next is
//! verified and written (docs/performance.md). The order holds for every byte all the same:
//! written, flushed, dropped from the cache, read.
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

/// After so many bytes the device is told to begin writing. Left to itself the system would keep
/// hundreds of MiB in memory until the flush, while the device idles.
const WRITE_OUT_BYTES: u64 = 8 * 1024 * 1024;

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

/// So much is written before it is flushed, so that reading it back can begin.
const READ_BACK_BYTES: u64 = 32 * 1024 * 1024;

/// A slot whose bytes were accepted by the device, no more. It cannot be made bootable.
pub struct WrittenSlot {
    open: OpenSlot,
    len: ByteLen,
    digest: Digest,
    read_back: ReadBack,
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
    let mut read_back = ReadBack::default();
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
            writer.put(&mut open, offset, chunk)?;
            read_back.note(chunk);
            if read_back.waiting() >= READ_BACK_BYTES {
                read_back.make_durable(&mut open)?;
            }
            offset += len;
            at.set(offset);
            progress(len + read_back.compare_next(&open)?);
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
        read_back,
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
    /// Everything before was told to be written out.
    written_out: u64,
}

impl ChunkWriter {
    /// Writes a chunk, and lets the device begin with what has gathered. Dropping cached bytes
    /// starts to write out the dirty ones among them and waits for none; it makes nothing durable,
    /// and whether it did anything shows only in how long the flush takes.
    fn put(&mut self, open: &mut OpenSlot, offset: u64, chunk: &[u8]) -> Result<(), InstallError> {
        self.put_chunk(open, offset, chunk)?;
        let end = offset + chunk.len() as u64;
        let gathered = end - self.written_out;
        if gathered >= WRITE_OUT_BYTES {
            let from = self.written_out;
            let begun = open.storage.forget_cached(from, gathered);
            begun.map_err(|source| open.failed("write out", from, source))?;
            self.written_out = end;
        }
        Ok(())
    }

    fn put_chunk(
        &mut self,
        open: &mut OpenSlot,
        offset: u64,
        chunk: &[u8],
    ) -> Result<(), InstallError> {
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

/// What was written, and how far the medium was compared with it.
#[derive(Default)]
struct ReadBack {
    /// Of each chunk of [`CHUNK_BYTES`] in order.
    digests: Vec<u128>,
    /// Written from the start.
    written: u64,
    /// Flushed after it was written, and dropped from the cache after that.
    durable: u64,
    /// Read back since then and found equal.
    compared: u64,
    buffer: Vec<u8>,
}

impl ReadBack {
    fn note(&mut self, chunk: &[u8]) {
        self.digests.push(xxh3_128(chunk));
        self.written += chunk.len() as u64;
    }

    /// Bytes that were not flushed yet.
    const fn waiting(&self) -> u64 {
        self.written - self.durable
    }

    fn make_durable(&mut self, open: &mut OpenSlot) -> Result<(), InstallError> {
        let (from, len) = (self.durable, self.waiting());
        open.storage.flush().map_err(|source| open.failed("flush", from, source))?;
        open.storage
            .forget_cached(from, len)
            .map_err(|source| open.failed("read back", from, source))?;
        self.durable = self.written;
        Ok(())
    }

    /// Compares the next durable chunk and returns its length, 0 when there is none.
    fn compare_next(&mut self, open: &OpenSlot) -> Result<u64, InstallError> {
        let offset = self.compared;
        let len = (self.durable - offset).min(CHUNK_BYTES as u64);
        if len == 0 {
            return Ok(0);
        }
        // At most CHUNK_BYTES, so it fits.
        self.buffer.resize(usize::try_from(len).unwrap_or(CHUNK_BYTES), 0);
        open.storage
            .read_at(offset, &mut self.buffer)
            .map_err(|source| open.failed("read back", offset, source))?;
        let index = usize::try_from(offset / CHUNK_BYTES as u64).ok();
        let expected = index.and_then(|index| self.digests.get(index));
        if expected != Some(&xxh3_128(&self.buffer)) {
            return Err(open.mismatch(offset, len));
        }
        self.compared += len;
        Ok(len)
    }
}

impl WrittenSlot {
    /// Makes the slot durable and proves it: flush, drop the cache, read the rest, compare.
    ///
    /// # Errors
    /// [`InstallError::Slot`] or [`InstallError::ReadBackMismatch`].
    pub(crate) fn read_back(
        mut self,
        progress: &mut dyn FnMut(u64),
    ) -> Result<DurableSlot, InstallError> {
        self.read_back.make_durable(&mut self.open)?;
        loop {
            match self.read_back.compare_next(&self.open)? {
                0 => break,
                len => progress(len),
            }
        }
        let compared = self.read_back.compared;
        if compared != self.len.get() {
            return Err(self.open.mismatch(compared, self.len.get().saturating_sub(compared)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::ops::Range;
    use std::sync::{Arc, Mutex};
    use storage::{Fault, Faulty, Geometry, MemoryStorage};

    const IMAGE_BYTES: u64 = 2 * READ_BACK_BYTES + 5 * CHUNK_BYTES as u64 + 17;

    #[derive(Debug)]
    enum Act {
        Write(Range<u64>),
        Read(Range<u64>),
        Forget(Range<u64>),
        Flush,
    }

    /// Notes what is done to a device.
    struct Watched {
        inner: MemoryStorage,
        acts: Arc<Mutex<Vec<Act>>>,
    }

    impl Watched {
        fn act(&self, act: Act) {
            self.acts.lock().unwrap().push(act);
        }
    }

    impl Storage for Watched {
        fn label(&self) -> &str {
            self.inner.label()
        }

        fn len(&self) -> ByteLen {
            self.inner.len()
        }

        fn geometry(&self) -> Geometry {
            self.inner.geometry()
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
            self.act(Act::Read(offset..offset + buf.len() as u64));
            self.inner.read_at(offset, buf)
        }

        fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
            self.act(Act::Write(offset..offset + data.len() as u64));
            self.inner.write_at(offset, data)
        }

        fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
            self.inner.erase(offset, len)
        }

        fn flush(&mut self) -> Result<(), StorageError> {
            self.act(Act::Flush);
            self.inner.flush()
        }

        fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
            self.act(Act::Forget(offset..offset + len));
            self.inner.forget_cached(offset, len)
        }
    }

    fn blank() -> MemoryStorage {
        MemoryStorage::disk("slot", vec![0; usize::try_from(IMAGE_BYTES).unwrap()])
    }

    fn install(storage: Box<dyn Storage>) -> Result<DurableSlot, InstallError> {
        let name = "rootfs.1".parse().unwrap();
        let open = OpenSlot { name, device: PathBuf::from("/dev/slot"), storage };
        let mut source = io::repeat(0x5a).take(IMAGE_BYTES);
        let image = Incoming {
            source: &mut source,
            len: ByteLen::new(IMAGE_BYTES),
            digest: Digest::from_bytes([0; 32]),
            hold_back: 0,
        };
        let mut told = 0;
        let written = write_image(open, image, &mut |bytes| told += bytes)?;
        let durable = written.read_back(&mut |bytes| told += bytes)?;
        assert_eq!(told, 2 * IMAGE_BYTES);
        Ok(durable)
    }

    #[test]
    fn every_byte_is_read_after_its_flush_and_past_the_cache() {
        let acts = Arc::new(Mutex::new(Vec::new()));
        let inner = blank();
        install(Box::new(Watched { inner, acts: Arc::clone(&acts) })).unwrap();
        let acts = acts.lock().unwrap();
        for byte in (0..IMAGE_BYTES).step_by(CHUNK_BYTES) {
            let last = |wanted: &dyn Fn(&Act) -> bool| acts.iter().rposition(wanted).unwrap();
            let write = last(&|act| matches!(act, Act::Write(range) if range.contains(&byte)));
            let forget = last(&|act| matches!(act, Act::Forget(range) if range.contains(&byte)));
            let read = last(&|act| matches!(act, Act::Read(range) if range.contains(&byte)));
            let flush = acts.iter().skip(write).position(|act| matches!(act, Act::Flush));
            let flush = write + flush.unwrap();
            assert!(flush < forget && forget < read, "{byte}: {write} {flush} {forget} {read}");
        }
    }

    #[test]
    fn wrong_byte_is_found_in_every_part_of_the_image() {
        for at in [0, READ_BACK_BYTES - 1, READ_BACK_BYTES, IMAGE_BYTES - 1] {
            let inner = blank();
            let refused = install(Box::new(Faulty::new(inner, Fault::ReadsBackWrong { at })));
            let chunk = at - at % CHUNK_BYTES as u64;
            let found = refused.err();
            let named = matches!(
                &found,
                Some(InstallError::ReadBackMismatch { offset, .. }) if *offset == chunk
            );
            assert!(named, "{at}: {found:?}");
        }
    }
}
