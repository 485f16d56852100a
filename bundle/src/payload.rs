// SPDX-License-Identifier: MIT OR Apache-2.0
//! Verified payload bytes as a stream: checked ahead of their reader, on other threads.
//!
//! The payload is cut into segments of 256 KiB. While a reader goes from segment to segment, two
//! threads read and verify the next ones; a jump drops them. At most [`AHEAD`] finished segments,
//! one per thread and the reader's own exist at any time: under 3 MiB, whatever the bundle's size.
//! Their buffers go round: clearing and faulting in fresh memory for each would cost as much as
//! reading it.
//! Of a bundle on a server a jump reads single pages instead.
//! A failure ahead is reported when the reader gets there, and not if it never does.

use crate::BundleError;
use crate::crypt::SectorCipher;
use crate::pinned::PinnedPayload;
use crate::verity_reader::VerityReader;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

const SEGMENT_BYTES: usize = 256 * 1024;
const SEGMENT: u64 = SEGMENT_BYTES as u64;
/// What a hash of the tree covers.
const PAGE: u64 = 4096;
/// Segments verified ahead of the reader.
const AHEAD: u64 = 6;
/// Threads that verify; hashing one segment takes as long as reading and unpacking it.
const WORKERS: usize = 2;

/// A payload all of whose bytes are compared with something signed.
pub(crate) enum Payload {
    /// By its hash tree; when that was done once for all of it, by the record of that. Decrypted
    /// when it has a cipher (format crypt).
    Verity {
        reader: Box<VerityReader>,
        checked: OnceLock<PinnedPayload>,
        cipher: Option<SectorCipher>,
    },
    /// By the record of the pass that verified it.
    Pinned(PinnedPayload),
}

impl Payload {
    pub fn data_bytes(&self) -> u64 {
        match self {
            Self::Verity { reader, .. } => reader.data_bytes(),
            Self::Pinned(pinned) => pinned.data_bytes(),
        }
    }

    /// Whether each reading fetches it anew. A plain payload is never streamed.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Verity { reader, .. } => reader.source().is_remote(),
            Self::Pinned(_) => false,
        }
    }

    /// How much [`Payload::check`] reads.
    pub fn check_bytes(&self) -> u64 {
        match self {
            Self::Verity { reader, .. } => reader.data_bytes(),
            Self::Pinned(_) => 0,
        }
    }

    /// Reads and verifies all of it, unless `progress` ends that. A plain payload was, or it would
    /// not be here.
    pub fn check(
        &self,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, BundleError> {
        match self {
            Self::Verity { reader, checked, .. } => {
                let Some(pinned) = PinnedPayload::check(reader, progress)? else {
                    return Ok(ControlFlow::Break(()));
                };
                // Whoever was first has recorded the same bytes.
                let _ = checked.set(pinned);
                Ok(ControlFlow::Continue(()))
            }
            Self::Pinned(_) => Ok(ControlFlow::Continue(())),
        }
    }

    /// `offset` and the length of `buf` are multiples of a block: both are of whole segments, and
    /// of whole blocks at the end.
    /// Fills `buf` with verified bytes from `offset`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        match self {
            Self::Verity { reader, checked, cipher } => {
                match checked.get() {
                    Some(pinned) => pinned.read_at(offset, buf)?,
                    None => reader.read_at(offset, buf)?,
                }
                match cipher {
                    Some(cipher) => cipher.decrypt(offset, buf).map_err(BundleError::Decrypt),
                    None => Ok(()),
                }
            }
            Self::Pinned(pinned) => pinned.read_at(offset, buf),
        }
    }

    /// Announces ranges (first byte, byte behind the last) that will be read, in this order.
    pub fn announce(&self, ranges: &[(u64, u64)]) {
        if let Self::Verity { reader, .. } = self {
            reader.source().prefetch(ranges);
        }
    }

    /// The verified bytes of a segment, in a used buffer; empty behind the end.
    fn segment(&self, segment: u64, used: Vec<u8>) -> Result<Vec<u8>, BundleError> {
        let start = segment.saturating_mul(SEGMENT);
        let len = self.data_bytes().saturating_sub(start).min(SEGMENT);
        let mut bytes = used;
        bytes.resize(usize::try_from(len).unwrap_or(SEGMENT_BYTES), 0);
        self.read_at(start, &mut bytes)?;
        Ok(bytes)
    }
}

#[derive(Default)]
struct Schedule {
    wanted: BTreeSet<u64>,
    in_work: BTreeSet<u64>,
    done: BTreeMap<u64, Result<Vec<u8>, BundleError>>,
    /// Buffers of segments that were read.
    used: Vec<Vec<u8>>,
    /// The segment that the reader waits for.
    awaited: Option<u64>,
    workers: usize,
    /// Workers that wait for work.
    idle: usize,
    stop: bool,
}

struct Ahead {
    payload: Arc<Payload>,
    schedule: Mutex<Schedule>,
    /// There is work, or the reader is gone.
    work: Condvar,
    /// What the reader waits for is done, or a worker is gone.
    ready: Condvar,
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // The schedule holds verified bytes or failures only, whoever panicked since.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _leaving = Leaving(self);
        let mut schedule = self.lock();
        loop {
            if schedule.stop {
                return;
            }
            let Some(segment) = schedule.wanted.pop_first() else {
                schedule.idle += 1;
                schedule = wait(&self.work, schedule);
                schedule.idle -= 1;
                continue;
            };
            schedule.in_work.insert(segment);
            let used = schedule.used.pop().unwrap_or_default();
            drop(schedule);
            let bytes = self.payload.segment(segment, used);
            schedule = self.lock();
            schedule.in_work.remove(&segment);
            schedule.done.insert(segment, bytes);
            // A wake-up that nobody waits for still costs a system call.
            if schedule.awaited == Some(segment) {
                self.ready.notify_one();
            }
        }
    }
}

fn wait<'a>(on: &Condvar, guard: MutexGuard<'a, Schedule>) -> MutexGuard<'a, Schedule> {
    on.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Counts a worker out, also when it unwinds: its reader must not wait for ever.
struct Leaving<'a>(&'a Ahead);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.ready.notify_all();
    }
}

/// Verified bytes, read like a file. Failures are [`io::Error`]s that hold a [`BundleError`].
pub(crate) struct PayloadCursor {
    ahead: Arc<Ahead>,
    threads: Vec<JoinHandle<()>>,
    position: u64,
    /// The segment at hand.
    current: Option<(u64, Vec<u8>)>,
    /// Where the last read of single pages ended.
    paged: Option<u64>,
    /// The pages that were read last, and their position.
    pages: (u64, Vec<u8>),
}

impl PayloadCursor {
    pub fn new(payload: Arc<Payload>) -> Self {
        let (work, ready) = (Condvar::new(), Condvar::new());
        let ahead = Ahead { payload, schedule: Mutex::default(), work, ready };
        Self {
            ahead: Arc::new(ahead),
            threads: Vec::new(),
            position: 0,
            current: None,
            paged: None,
            pages: (0, Vec::new()),
        }
    }

    fn fetch(&mut self, segment: u64) -> Result<Vec<u8>, BundleError> {
        let sequential = match &self.current {
            Some((last, _)) => last.checked_add(1) == Some(segment),
            None => false,
        };
        if sequential {
            self.start_threads();
        }
        let mut schedule = self.ahead.lock();
        if let Some((_, bytes)) = self.current.take() {
            schedule.used.push(bytes);
        }
        let window = segment..segment.saturating_add(AHEAD);
        schedule.done.retain(|known, _| window.contains(known));
        schedule.wanted.clear();
        if sequential && schedule.workers > 0 {
            let segments = self.ahead.payload.data_bytes().div_ceil(SEGMENT);
            for next in (segment + 1)..window.end.min(segments) {
                if !schedule.done.contains_key(&next) && !schedule.in_work.contains(&next) {
                    schedule.wanted.insert(next);
                }
            }
            for _ in 0..schedule.idle.min(schedule.wanted.len()) {
                self.ahead.work.notify_one();
            }
        }
        loop {
            if let Some(bytes) = schedule.done.remove(&segment) {
                return bytes;
            }
            if !schedule.in_work.contains(&segment) {
                let used = schedule.used.pop().unwrap_or_default();
                drop(schedule);
                // Nobody is at it: the reader's own thread is as good as any.
                return self.ahead.payload.segment(segment, used);
            }
            if schedule.workers == 0 {
                return Err(BundleError::WorkerLost);
            }
            schedule.awaited = Some(segment);
            schedule = wait(&self.ahead.ready, schedule);
            schedule.awaited = None;
        }
    }

    /// Whether to read no more than is asked for: a jump into what a server has. Whole segments of
    /// it would be fetched for a few bytes; whoever reads on gets them from the next border on.
    fn reads_pages(&self, segment: u64) -> bool {
        let follows =
            self.current.as_ref().is_some_and(|(at, _)| at.checked_add(1) == Some(segment));
        let goes_on = self.position.is_multiple_of(SEGMENT) && self.paged == Some(self.position);
        self.ahead.payload.is_remote() && !follows && !goes_on
    }

    /// Reads the pages that hold the next bytes, up to the segment's end. Who goes on there gets
    /// the rest of the segment in one piece: block by block each would cost a server's latency.
    fn read_pages(&mut self, segment: u64, buf: &mut [u8]) -> Result<usize, BundleError> {
        if self.paged_bytes().is_empty() {
            let border = segment.saturating_add(1).saturating_mul(SEGMENT);
            let limit = border.min(self.ahead.payload.data_bytes());
            let end = match self.paged == Some(self.position) {
                true => limit,
                false => self.position.saturating_add(buf.len() as u64).min(limit),
            };
            let start = self.position - self.position % PAGE;
            let len = end.next_multiple_of(PAGE).min(limit).saturating_sub(start);
            // At most a segment.
            let mut pages = vec![0; usize::try_from(len).unwrap_or(SEGMENT_BYTES)];
            self.ahead.payload.read_at(start, &mut pages)?;
            self.pages = (start, pages);
        }
        let found = self.paged_bytes();
        let taken = found.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..taken), found.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.position += taken as u64;
        (self.current, self.paged) = (None, Some(self.position));
        Ok(taken)
    }

    /// What the pages that were read last have from the position on.
    fn paged_bytes(&self) -> &[u8] {
        let within = self.position.checked_sub(self.pages.0);
        let within = within.and_then(|within| usize::try_from(within).ok());
        within.and_then(|within| self.pages.1.get(within..)).unwrap_or_default()
    }

    fn start_threads(&mut self) {
        while self.threads.len() < WORKERS {
            self.ahead.lock().workers += 1;
            let ahead = Arc::clone(&self.ahead);
            let thread = std::thread::Builder::new()
                .name(format!("verify-{}", self.threads.len()))
                .spawn(move || ahead.work());
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(_) => {
                    // Without threads everything is read on this one: slower, not wrong.
                    self.ahead.lock().workers -= 1;
                    return;
                }
            }
        }
    }
}

impl Drop for PayloadCursor {
    fn drop(&mut self) {
        self.ahead.lock().stop = true;
        self.ahead.work.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Read for PayloadCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.position >= self.ahead.payload.data_bytes() {
            return Ok(0);
        }
        let segment = self.position / SEGMENT;
        if self.current.as_ref().is_none_or(|(at, _)| *at != segment) {
            if self.reads_pages(segment) {
                let read = self.read_pages(segment, buf);
                return read.map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure));
            }
            self.pages = (0, Vec::new());
            let bytes = self
                .fetch(segment)
                .map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure))?;
            self.current = Some((segment, bytes));
        }
        let within = usize::try_from(self.position % SEGMENT).unwrap_or(0);
        let bytes = self.current.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let left = bytes.get(within..).unwrap_or_default();
        let taken = left.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..taken), left.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for PayloadCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.ahead.payload.data_bytes().checked_add_signed(delta),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
