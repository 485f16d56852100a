// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of a bundle on a server, by position: which request brings which of them?
//!
//! The first request asks for four bytes and shows that the server serves ranges. After it, a read
//! that stands alone costs one request of exactly its bytes. Who reads on and on gets one long
//! request that runs ahead of him into a bounded buffer ([`super::window`]): at any latency the
//! line stays full, on one connection. Reads beside it (hash blocks at the end, tables) are grown
//! where they follow each other and kept for a while ([`super::pieces`]); what is announced
//! ([`crate::Source::prefetch`]) is fetched in that order ([`super::plan`]).
//!
//! At most [`MAX_MEMORY_BYTES`] are held whatever the bundle's size. A broken transfer goes on at
//! the next missing byte. Nothing is believed about the bytes themselves; but a file that is not
//! the one of the first request any more ends it all, with a reason, instead of failing later as
//! damage.

use super::client::{Client, Target, Turn};
use super::error::HttpError;
use super::options::HttpOptions;
use super::pieces::{KEPT_BYTES, Pieces};
use super::plan::{PLANNED_BYTES, Plan, coalesce};
use super::transfer::{Body, Expect, Identity};
use super::tries::{Batch, Tries, fetch_range, fetch_ranges};
use super::url::HttpUrl;
use super::window::{AHEAD_BYTES, BEHIND_BYTES, Found, Window, ahead_for};
use crate::source::check_range;
use crate::{Source, SourceError};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use storage::ByteLen;

/// Connections of one source: the one that runs ahead, two for plans, one for reads beside.
const HANDLES: usize = 4;
/// Threads that fetch what was announced.
const PLAN_WORKERS: usize = 2;
/// So many requests for several ranges may fail in a row; then each is asked for on its own.
const MAX_FAILED_BATCHES: u32 = 3;
/// Reads shorter than this never start a long request: they are not the data.
const STREAMED_READ_BYTES: usize = 64 * 1024;
/// The first long request; each next one is twice as long, up to [`LONGEST_REQUEST_BYTES`].
const FIRST_REQUEST_BYTES: u64 = 2 * 1024 * 1024;
/// The longest request. Asking again costs one latency.
const LONGEST_REQUEST_BYTES: u64 = 64 * 1024 * 1024;
/// Reads beside the long request grow up to this while they follow each other.
const GROWN_READ_BYTES: u64 = 1024 * 1024;
/// A long request is given up for another after so many reads that it did not serve.
const IDLE_READS: u64 = 4;
/// Places where reading may go on that are remembered.
const RUNS: usize = 4;
const LOOK_UP: Duration = Duration::from_millis(200);
/// Most memory that a source takes for bytes: window, pieces, plan, and requests in work.
pub const MAX_MEMORY_BYTES: u64 = AHEAD_BYTES
    + BEHIND_BYTES
    + KEPT_BYTES as u64
    + PLANNED_BYTES
    + (HANDLES as u64) * GROWN_READ_BYTES;

/// What a source has cost so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpCounts {
    /// Requests sent, also those that were redirected or repeated.
    pub requests: u64,
    /// Bytes of bodies received, wherever they went.
    pub bytes: u64,
}

struct Shared {
    client: Client,
    target: Target,
    identity: Arc<Identity>,
    /// Why no later read can succeed.
    lost: OnceLock<HttpError>,
    plan: Plan,
    /// Requests for several ranges that failed one after the other.
    failed_batches: AtomicU32,
}

impl Shared {
    fn fetch(&self, first: u64, end: u64) -> Result<Vec<u8>, HttpError> {
        let range = (first, end.saturating_sub(1));
        let identity = Some(&self.identity);
        let fetched = fetch_range(&self.client, &self.target, Turn::Later, range, identity);
        fetched.map(|(bytes, _)| bytes).inspect_err(|failure| self.note(failure))
    }

    /// Each of the ranges (first, end).
    fn fetch_batch(&self, ranges: &[(u64, u64)]) -> Result<Vec<Vec<u8>>, HttpError> {
        if ranges.len() > 1 && self.failed_batches.load(Ordering::Relaxed) < MAX_FAILED_BATCHES {
            let fetched = fetch_ranges(&self.client, &self.target, ranges, &self.identity);
            match fetched.inspect_err(|failure| self.note(failure))? {
                Batch::Got(all) => {
                    self.failed_batches.store(0, Ordering::Relaxed);
                    return Ok(all);
                }
                Batch::Refused => self.failed_batches.store(MAX_FAILED_BATCHES, Ordering::Relaxed),
                Batch::Broken => {
                    self.failed_batches.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        ranges.iter().map(|(first, end)| self.fetch(*first, *end)).collect()
    }

    fn note(&self, failure: &HttpError) {
        if failure.is_final() {
            // The first reason is the one to tell.
            let _ = self.lost.set(failure.clone());
        }
    }

    fn fill(&self, window: &Arc<Window>) {
        let mut tries = Tries::new(&self.client, Turn::Later);
        let mut longest = FIRST_REQUEST_BYTES;
        while let Some((first, last)) = window.missing() {
            let last = last.min(first.saturating_add(longest - 1));
            let identity = Some(Arc::clone(&self.identity));
            let expect = Expect::Range { first, last, identity };
            let body = Body::Window(Arc::clone(window));
            let got = self.client.get(&self.target, Turn::Later, &expect, body);
            tries.gain(got.received);
            match got.outcome {
                Ok(_) => longest = (longest * 2).min(LONGEST_REQUEST_BYTES),
                Err(fault) => {
                    let at = window.missing().map_or(last, |(at, _)| at);
                    let again = tries.failed((fault, &self.target, at), &|| window.is_closed());
                    if let Err(failure) = again {
                        if !window.is_closed() {
                            self.note(&failure);
                        }
                        window.fail(failure);
                        return;
                    }
                }
            }
        }
    }
}

struct Stream {
    window: Arc<Window>,
    /// The read that it served last.
    hit: u64,
}

/// A place where reading may go on.
#[derive(Clone, Copy, Default)]
struct Run {
    end: u64,
    /// Reads that followed each other before it.
    length: u32,
    used: u64,
}

#[derive(Default)]
struct State {
    pieces: Pieces,
    stream: Option<Stream>,
    runs: [Run; RUNS],
    reads: u64,
    in_work: Vec<(u64, u64)>,
}

impl State {
    /// Notes a read; how many reads it follows on.
    fn follow(&mut self, offset: u64, end: u64) -> u32 {
        self.reads += 1;
        let reads = self.reads;
        if let Some(run) = self.runs.iter_mut().find(|run| run.used > 0 && run.end == offset) {
            *run = Run { end, length: run.length.saturating_add(1), used: reads };
            return run.length;
        }
        if let Some(oldest) = self.runs.iter_mut().min_by_key(|run| run.used) {
            *oldest = Run { end, length: 0, used: reads };
        }
        0
    }

    fn stream_is_idle(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| {
            stream.window.is_over() || self.reads.saturating_sub(stream.hit) > IDLE_READS
        })
    }
}

/// A bundle on a server.
pub struct HttpSource {
    shared: Arc<Shared>,
    name: String,
    state: Mutex<State>,
    /// A request in work is done.
    settled: Condvar,
    /// Where sequential reading ends; the hash tree begins there.
    data_end: AtomicU64,
    planning: OnceLock<()>,
}

impl std::fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSource").field("url", &self.name).finish_non_exhaustive()
    }
}

impl HttpSource {
    /// Asks for the first four bytes of `url`: whether it is there, how long it is, whether it
    /// can be read by ranges.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpError::NotModified`] if the options name its entity tag.
    pub fn open(url: &str, options: &HttpOptions) -> Result<Self, HttpError> {
        let target = Target::new(HttpUrl::parse(url).map_err(HttpError::Url)?);
        let client = Client::new(options, HANDLES)?;
        let (_, answer) = fetch_range(&client, &target, Turn::First, (0, 3), None)?;
        let target = answer.target;
        let name = target.url.to_string();
        let range = answer.head.content_range;
        let total = range.ok_or_else(|| HttpError::NoRange { url: name.clone() })?.total;
        let identity = Arc::new(Identity::of(&answer.head, total));
        let shared = Shared {
            client,
            target,
            identity,
            lost: OnceLock::new(),
            plan: Plan::default(),
            failed_batches: AtomicU32::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
            name,
            state: Mutex::default(),
            settled: Condvar::new(),
            data_end: AtomicU64::new(total),
            planning: OnceLock::new(),
        })
    }

    /// Where the bundle was found after all redirects, without user information.
    #[must_use]
    pub fn effective_url(&self) -> String {
        self.shared.target.url.without_user()
    }

    /// The entity tag, for [`HttpOptions::if_none_match`].
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.shared.identity.etag.as_deref()
    }

    /// The date of the last change, as the server writes it.
    #[must_use]
    pub fn last_modified(&self) -> Option<&str> {
        self.shared.identity.last_modified.as_deref()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_fetched(&self) -> u64 {
        self.counts().bytes
    }

    /// Requests and bytes so far.
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        let counters = &self.shared.client.counters;
        HttpCounts {
            requests: counters.requests.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Bytes per second, where they are so few that another place is to be asked.
    pub(super) fn too_slow(&self) -> Option<u64> {
        self.shared.client.counters.too_slow()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in it was received whole, whoever panicked since.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), HttpError> {
        if let Some(lost) = self.shared.lost.get() {
            return Err(lost.clone());
        }
        let options = &self.shared.client.options;
        if let Some(reason) = options.stop_reason() {
            return Err(HttpError::Stopped { reason });
        }
        let (offset, buf) = match self.planning.get() {
            Some(()) => {
                let stop = || options.stop_reason().is_some();
                let filled = self.shared.plan.read(offset, buf, &stop);
                let rest = buf.get_mut(filled..).unwrap_or_default();
                (offset.saturating_add(filled as u64), rest)
            }
            None => (offset, buf),
        };
        if buf.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(buf.len() as u64);
        let follows = self.lock().follow(offset, end);
        loop {
            if self.read_stream(offset, buf)? {
                return Ok(());
            }
            let mut state = self.lock();
            if state.pieces.copy(offset, buf) {
                return Ok(());
            }
            if state.in_work.iter().any(|(first, last)| *first < end && offset < *last) {
                // Another thread is at these bytes; asking twice would not be faster.
                let waited = self.settled.wait_timeout(state, LOOK_UP);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let data_end = self.data_end.load(Ordering::Relaxed);
            let streamed = follows > 0 && buf.len() >= STREAMED_READ_BYTES && end <= data_end;
            if streamed && state.stream_is_idle() && self.start_stream(&mut state, offset, data_end)
            {
                continue;
            }
            return self.read_beside(state, (offset, end), follows, buf);
        }
    }

    /// From the long request; false if the bytes are elsewhere.
    fn read_stream(&self, offset: u64, buf: &mut [u8]) -> Result<bool, HttpError> {
        let stream = self.lock().stream.as_ref().map(|stream| Arc::clone(&stream.window));
        let Some(window) = stream else { return Ok(false) };
        let options = &self.shared.client.options;
        let found = window.read(offset, buf, &|| options.stop_reason());
        let mut state = self.lock();
        let reads = state.reads;
        let Some(stream) = state.stream.as_mut().filter(|now| Arc::ptr_eq(&now.window, &window))
        else {
            // Given up meanwhile; what was found is as good.
            return found.map(|found| matches!(found, Found::Bytes));
        };
        match found {
            Ok(Found::Bytes) => {
                stream.hit = reads;
                Ok(true)
            }
            Ok(Found::Elsewhere) => Ok(false),
            Err(failure) => {
                state.stream = None;
                Err(failure)
            }
        }
    }

    fn start_stream(&self, state: &mut State, start: u64, limit: u64) -> bool {
        let fastest = self.shared.client.counters.fastest_answer();
        let window = Arc::new(Window::new(start, limit, ahead_for(fastest)));
        let (shared, filled) = (Arc::clone(&self.shared), Arc::clone(&window));
        let thread = std::thread::Builder::new()
            .name("http-ahead".to_owned())
            .spawn(move || shared.fill(&filled));
        if thread.is_err() {
            // Without threads every read is a request: slower, not wrong.
            return false;
        }
        let hit = state.reads;
        if let Some(old) = state.stream.replace(Stream { window, hit }) {
            old.window.close();
        }
        true
    }

    /// By a request of its own; longer than asked for where reads follow each other.
    fn read_beside(
        &self,
        mut state: MutexGuard<'_, State>,
        (offset, end): (u64, u64),
        follows: u32,
        buf: &mut [u8],
    ) -> Result<(), HttpError> {
        let len = end - offset;
        let grown = len.checked_shl(follows.min(16)).unwrap_or(len).min(GROWN_READ_BYTES).max(len);
        let data_end = self.data_end.load(Ordering::Relaxed);
        let most = if end <= data_end { data_end } else { self.shared.identity.total };
        let range = (offset, offset.saturating_add(grown).min(most));
        state.in_work.push(range);
        drop(state);
        let fetched = self.shared.fetch(range.0, range.1);
        let mut state = self.lock();
        if let Some(at) = state.in_work.iter().position(|known| *known == range) {
            state.in_work.swap_remove(at);
        }
        self.settled.notify_all();
        let bytes = fetched?;
        // A fetch is whole or failed.
        buf.copy_from_slice(bytes.get(..buf.len()).unwrap_or_default());
        state.pieces.put(offset, bytes);
        Ok(())
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        // The threads notice within a second, and hold nothing that anybody waits for.
        if let Some(stream) = self.lock().stream.take() {
            stream.window.close();
        }
        self.shared.plan.close();
    }
}

impl Source for HttpSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.shared.identity.total)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        check_range(&self.name, self.shared.identity.total, offset, buf.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        self.read(offset, buf).map_err(|failure| SourceError::Read {
            name: self.name.clone(),
            offset,
            len: buf.len(),
            source: std::io::Error::other(failure),
        })
    }

    fn prefetch(&self, ranges: &[(u64, u64)]) {
        self.shared.plan.set(coalesce(ranges, self.shared.identity.total));
        self.planning.get_or_init(|| {
            for _ in 0..PLAN_WORKERS {
                let shared = Arc::clone(&self.shared);
                // Without threads what was announced is fetched when it is read.
                let _ = std::thread::Builder::new()
                    .name("http-plan".to_owned())
                    .spawn(move || shared.plan.work(&|batch| shared.fetch_batch(batch)));
            }
        });
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn end_of_data(&self, end: u64) {
        self.data_end.store(end.min(self.shared.identity.total), Ordering::Relaxed);
    }
}
