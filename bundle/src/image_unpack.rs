// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an image unpacked by all processors, and still read from start to end?
//!
//! The blocks of a squashfs file are compressed each on its own. Threads take units of neighbouring
//! blocks in turns: the stored bytes one after the other from one cursor, whose own threads verify
//! ahead, and then each expands its own. What they made waits in order for the reader. No unit is
//! begun that lies further ahead than [`Crew::window`], so memory is bounded whatever the image:
//! per thread and unit ahead [`UNIT_BYTES`], or one block where blocks are longer.
//!
//! Nothing is expanded before it was verified, and a failure is told when the reader gets there.

use crate::image_parts::ImageParts;
use crate::payload::{Payload, PayloadCursor};
use crate::verified::squashfs_cause;
use crate::{BundleError, SquashfsError};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use storage::ByteLen;

/// Content that one thread expands at a time.
const UNIT_BYTES: u64 = 256 * 1024;

/// Shorter images are unpacked before threads for them are there.
pub(crate) const TOGETHER: ByteLen = ByteLen::mib(2);

/// More threads would wait for the device that is written.
const MOST_THREADS: usize = 4;

/// Units that wait for the reader, beside those in work.
const WAITING: u64 = 2;

/// The blocks of a unit, in order.
type Unit = VecDeque<Vec<u8>>;

/// The stored bytes, read in order.
struct Stored {
    cursor: PayloadCursor,
    /// The unit that nobody has begun.
    next: u64,
}

#[derive(Default)]
struct Schedule {
    done: BTreeMap<u64, Result<Unit, BundleError>>,
    /// Units that the reader took.
    taken: u64,
    /// Buffers of blocks that were read.
    used: Vec<Vec<u8>>,
    workers: usize,
    stop: bool,
}

struct Crew {
    parts: ImageParts,
    parts_each: u64,
    units: u64,
    window: u64,
    stored: Mutex<Stored>,
    schedule: Mutex<Schedule>,
    /// The reader took a unit, or is gone.
    room: Condvar,
    /// A unit is done, or a worker is gone.
    ready: Condvar,
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // Whole units or failures only, whoever panicked since.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _leaving = Leaving(self);
        let mut bytes = Vec::new();
        while self.unpack_next(&mut bytes) {}
    }

    /// Takes the next unit and expands it, by way of a used buffer; `false` when there is none, or
    /// nobody wants it.
    fn unpack_next(&self, bytes: &mut Vec<u8>) -> bool {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let unit = stored.next;
        if unit >= self.units {
            return false;
        }
        // Whoever waits here keeps the others from later units, for which there is no room either.
        let mut schedule = self.lock();
        while !schedule.stop && unit >= schedule.taken.saturating_add(self.window) {
            schedule = self.room.wait(schedule).unwrap_or_else(PoisonError::into_inner);
        }
        if schedule.stop {
            return false;
        }
        let used: Vec<_> = (0..self.parts_each).map_while(|_| schedule.used.pop()).collect();
        drop(schedule);
        let first = unit.saturating_mul(self.parts_each);
        let parts = first..first.saturating_add(self.parts_each).min(self.parts.count());
        let read = self.read_stored(parts.clone(), &mut stored.cursor, bytes);
        stored.next += 1;
        drop(stored);
        let made = read.and_then(|()| self.expand(parts, bytes, used));
        self.lock().done.insert(unit, made);
        self.ready.notify_one();
        true
    }

    /// Fills `bytes` with what the bundle has of these parts, one after the other.
    fn read_stored(
        &self,
        parts: Range<u64>,
        cursor: &mut PayloadCursor,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BundleError> {
        bytes.clear();
        for (start, end) in parts.filter_map(|part| self.parts.stored_span(part)) {
            if end > self.parts.payload_bytes() {
                return Err(corrupt("a block lies behind its end"));
            }
            let filled = bytes.len();
            let more = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            bytes.resize(filled.saturating_add(more), 0);
            let block = bytes.get_mut(filled..).unwrap_or_default();
            let read = cursor.seek(SeekFrom::Start(start)).and_then(|_| cursor.read_exact(block));
            read.map_err(|failure| squashfs_cause(SquashfsError::Read(failure)))?;
        }
        Ok(())
    }

    fn expand(
        &self,
        parts: Range<u64>,
        stored: &[u8],
        mut used: Vec<Vec<u8>>,
    ) -> Result<Unit, BundleError> {
        let mut rest = stored;
        let expand = |part| {
            let (start, end) = self.parts.stored_span(part).unwrap_or_default();
            let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            let (block, behind) =
                rest.split_at_checked(len).ok_or_else(|| corrupt("a block is missing"))?;
            rest = behind;
            let mut out = used.pop().unwrap_or_default();
            self.parts.expand_into(part, block, &mut out)?;
            Ok(out)
        };
        parts.map(expand).collect()
    }
}

/// Counts a worker out, also when it unwinds: its reader must not wait for ever.
struct Leaving<'a>(&'a Crew);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.ready.notify_all();
    }
}

/// The content of an image, from start to end. Failures are [`io::Error`]s that hold a
/// [`BundleError`].
pub(crate) struct Unpacker {
    crew: Arc<Crew>,
    threads: Vec<JoinHandle<()>>,
    started: bool,
    unit: Unit,
    /// Bytes of the first block of the unit that were handed out.
    within: usize,
    /// Bytes of the first unit that lie before the one that was asked for.
    skip: u64,
}

impl Unpacker {
    /// Of the image whose blocks these are, from byte `start` on.
    pub fn new(payload: Arc<Payload>, parts: ImageParts, start: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let parts_each = parts.parts_in(UNIT_BYTES);
        let units = parts.count().div_ceil(parts_each);
        let (next, skip) = if start >= parts.len().get() {
            (units, 0)
        } else {
            let next = parts.part_of(start) / parts_each;
            (next, start - parts.span_of(next.saturating_mul(parts_each)).0)
        };
        let crew = Crew {
            parts_each,
            units,
            window: WAITING.saturating_add(threads as u64),
            parts,
            stored: Mutex::new(Stored { cursor: PayloadCursor::new(payload), next }),
            schedule: Mutex::new(Schedule { taken: next, ..Schedule::default() }),
            room: Condvar::new(),
            ready: Condvar::new(),
        };
        let crew = Arc::new(crew);
        Self { crew, threads: Vec::new(), started: false, unit: Unit::new(), within: 0, skip }
    }

    fn start(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let wanted = self.crew.window.saturating_sub(WAITING);
        for number in 0..wanted {
            self.crew.lock().workers += 1;
            let crew = Arc::clone(&self.crew);
            let thread =
                thread::Builder::new().name(format!("unpack-{number}")).spawn(move || crew.work());
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(_) => {
                    // With fewer threads, or on the reader's own: slower, not wrong.
                    self.crew.lock().workers -= 1;
                    return;
                }
            }
        }
    }

    /// The next unit; `None` at the end.
    fn fetch(&mut self) -> Option<Result<Unit, BundleError>> {
        self.start();
        let mut schedule = self.crew.lock();
        let unit = schedule.taken;
        if unit >= self.crew.units {
            return None;
        }
        loop {
            if let Some(made) = schedule.done.remove(&unit) {
                schedule.taken += 1;
                self.crew.room.notify_one();
                return Some(made);
            }
            if schedule.workers == 0 {
                drop(schedule);
                let begun = self.crew.stored.lock().unwrap_or_else(PoisonError::into_inner).next;
                if begun > unit || !self.crew.unpack_next(&mut Vec::new()) {
                    return Some(Err(BundleError::WorkerLost));
                }
                schedule = self.crew.lock();
                continue;
            }
            schedule = self.crew.ready.wait(schedule).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for Unpacker {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(block) = self.unit.front() {
                let len = block.len();
                let before = usize::try_from(self.skip).unwrap_or(usize::MAX).min(len);
                self.within += before;
                self.skip -= before as u64;
                let left = block.get(self.within..).unwrap_or_default();
                let taken = left.len().min(buf.len());
                if let (Some(to), Some(from)) = (buf.get_mut(..taken), left.get(..taken)) {
                    to.copy_from_slice(from);
                }
                self.within += taken;
                if self.within >= len
                    && let Some(read) = self.unit.pop_front()
                {
                    self.within = 0;
                    self.crew.lock().used.push(read);
                }
                if taken > 0 {
                    return Ok(taken);
                }
                continue;
            }
            match self.fetch() {
                Some(Ok(unit)) => self.unit = unit,
                Some(Err(failure)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, failure));
                }
                None => return Ok(0),
            }
        }
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        self.crew.lock().stop = true;
        self.crew.room.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn corrupt(what: &'static str) -> BundleError {
    BundleError::Squashfs(SquashfsError::Corrupt { what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pinned::PinnedPayload;
    use crate::{
        MemorySource, Source, SquashfsCompression, SquashfsFiles, SquashfsLimits, SquashfsTree,
        write_squashfs,
    };
    use openssl::hash::MessageDigest;
    use std::io::Cursor;

    const MIB: usize = 1 << 20;

    /// Words, holes and noise in turns, with an end that fills no block.
    fn content() -> Vec<u8> {
        let mut state = 7_u64;
        let byte = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match n / 200_000 % 3 {
                0 => b"atomix "[n % 7],
                1 => 0,
                _ => state.to_le_bytes()[0],
            }
        };
        (0..9 * MIB + 4321).map(byte).collect()
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut tree = SquashfsTree::new();
        tree.add_file("small", 0o644, &b"shares the last block"[..]).unwrap();
        tree.add_file("image", 0o644, content).unwrap();
        let mut out = Cursor::new(Vec::new());
        write_squashfs(tree, SquashfsCompression::Zstd, 0, &mut out).unwrap();
        out.into_inner()
    }

    fn unpacker(packed: Vec<u8>, break_at: Option<u64>) -> Unpacker {
        unpacker_from(packed, break_at, 0)
    }

    fn unpacker_from(packed: Vec<u8>, break_at: Option<u64>, start: u64) -> Unpacker {
        let len = packed.len() as u64;
        let files =
            SquashfsFiles::open(Cursor::new(packed.clone()), &SquashfsLimits::default()).unwrap();
        let (places, compressor, part_bytes, size) = files.places("image").unwrap();
        let mut packed = packed;
        if let Some(part) = break_at {
            let all = ImageParts::new(
                Arc::new(pinned(packed.clone(), len)),
                places.clone(),
                compressor,
                part_bytes,
                size,
            );
            let (start, end) = all.unwrap().stored_span(part).unwrap();
            let broken = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
            packed[broken].fill(0xff);
        }
        let payload = Arc::new(pinned(packed, len));
        let parts =
            ImageParts::new(Arc::clone(&payload), places, compressor, part_bytes, size).unwrap();
        Unpacker::new(payload, parts, start)
    }

    fn pinned(bytes: Vec<u8>, len: u64) -> Payload {
        let source: Arc<dyn Source> = Arc::new(MemorySource::new("b", bytes));
        Payload::Pinned(PinnedPayload::read(source, len, MessageDigest::sha256()).unwrap().0)
    }

    #[test]
    fn content_comes_whole_and_in_order_and_no_more_than_the_window_waits() {
        let content = content();
        let mut unpacker = unpacker(packed(&content), None);
        assert!(unpacker.crew.units > 2 * unpacker.crew.window, "too short to show anything");
        let mut found = Vec::new();
        let mut buf = vec![0; 70_001];
        loop {
            let read = unpacker.read(&mut buf).unwrap();
            if read == 0 {
                break;
            }
            found.extend_from_slice(&buf[..read]);
            let waiting = unpacker.crew.lock().done.len() as u64;
            assert!(waiting <= unpacker.crew.window, "{waiting}");
        }
        assert!(found == content);
        assert_eq!(unpacker.read(&mut buf).unwrap(), 0, "the end is the end");
    }

    #[test]
    fn the_rest_from_any_byte_is_the_rest_and_nothing_before_it_is_unpacked() {
        let content = content();
        let packed = packed(&content);
        let len = content.len() as u64;
        for start in [1, 131_071, 131_072, 262_144, 262_145, MIB as u64, len - 4321, len - 1, len] {
            // Whoever reads what lies before trips over it.
            let broken = (start >= MIB as u64 && start < len - 4321).then_some(1);
            let mut unpacker = unpacker_from(packed.clone(), broken, start);
            let mut found = Vec::new();
            unpacker.read_to_end(&mut found).unwrap();
            assert!(found == content[usize::try_from(start).unwrap()..], "{start}");
        }
    }

    #[test]
    fn without_threads_the_reader_unpacks_by_itself() {
        let content = content();
        let mut unpacker = unpacker(packed(&content), None);
        unpacker.started = true;
        let mut found = Vec::new();
        unpacker.read_to_end(&mut found).unwrap();
        assert!(found == content);
    }

    #[test]
    fn a_broken_block_is_told_where_it_is_and_all_before_it_is_handed_out() {
        let content = content();
        // Its first byte belongs to words.
        let part = (14..).find(|part| part * 131_072 / 200_000 % 3 == 0).unwrap();
        let mut unpacker = unpacker(packed(&content), Some(part));
        let before = usize::try_from(part / 2 * 2 * 131_072).unwrap();
        let mut found = vec![0; before];
        unpacker.read_exact(&mut found).unwrap();
        assert!(found == content[..before]);
        let failure = unpacker.read(&mut found).unwrap_err().downcast::<BundleError>().unwrap();
        assert!(
            matches!(failure, BundleError::Squashfs(SquashfsError::Corrupt { .. })),
            "{failure}"
        );
    }

    #[test]
    fn a_reader_that_leaves_early_leaves_no_thread_behind() {
        let mut unpacker = unpacker(packed(&content()), None);
        let mut some = vec![0; 1000];
        unpacker.read_exact(&mut some).unwrap();
        let crew = Arc::clone(&unpacker.crew);
        drop(unpacker);
        assert_eq!(crew.lock().workers, 0);
        assert_eq!(Arc::strong_count(&crew), 1);
    }
}
