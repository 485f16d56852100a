// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes of a running download are at hand? The bounded buffer between the one request that
//! runs ahead and the readers that follow it, nearly in order.
//!
//! ```text
//! start          front - BEHIND ≤ start      end            front + ahead
//!   | read, kept for late readers | front | not read yet |  free
//! ```
//!
//! Readers are several threads that take neighbouring pieces; the second may be served first. So
//! bytes stay for a while after they were read. The writer waits when it is far enough ahead: a
//! server whose answers come at once needs little, and memory that was never touched costs nothing.
//! The bytes lie in chunks that go round, so that no more memory is touched than is held.

use super::error::HttpError;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes fetched ahead of the foremost reader.
pub(super) const AHEAD_BYTES: u64 = 6 * 1024 * 1024;
/// The same where answers begin within [`NEAR`], to begin with: twice as many each time when a
/// reader waits for a writer that had to wait before.
const NEAR_AHEAD_BYTES: u64 = 1024 * 1024;
/// The answer of a server that is near: in this time readers take a fraction of those bytes.
const NEAR: Duration = Duration::from_millis(10);
/// Bytes kept behind it: more than the pieces that the threads of one reader work at, and have read
/// when another one goes on from where he ends.
pub(super) const BEHIND_BYTES: u64 = 2 * 1024 * 1024;
/// The bytes that are dropped together.
const CHUNK_BYTES: usize = 64 * 1024;
/// How far beyond the bytes at hand a read may begin and still wait for them. Farther is a jump.
const PATIENCE_BYTES: u64 = 2 * 1024 * 1024;
/// How often somebody who waits looks whether he still should.
const LOOK_UP: Duration = Duration::from_millis(200);

struct State {
    start: u64,
    end: u64,
    /// One after the other from `start` on; all but the last are full.
    chunks: VecDeque<Vec<u8>>,
    /// Chunks' memory that is used again.
    spare: Vec<Vec<u8>>,
    /// The end of the foremost read.
    front: u64,
    /// The least end that a reader waits for; beyond all ends if none does.
    wanted: u64,
    /// How far ahead of the front the writer may be.
    ahead: u64,
    /// The writer had to wait since it was let further ahead.
    held_up: bool,
    closed: bool,
    failed: Option<HttpError>,
}

impl State {
    fn new(start: u64, ahead: u64) -> Self {
        Self {
            start,
            end: start,
            chunks: VecDeque::new(),
            spare: Vec::new(),
            front: start,
            wanted: u64::MAX,
            ahead,
            held_up: false,
            closed: false,
            failed: None,
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.chunks.back().is_none_or(|last| last.len() >= CHUNK_BYTES) {
                self.drop_behind();
                let mut chunk = self.spare.pop().unwrap_or_default();
                chunk.clear();
                chunk.reserve_exact(CHUNK_BYTES);
                self.chunks.push_back(chunk);
            }
            let Some(last) = self.chunks.back_mut() else { return };
            let room = CHUNK_BYTES.saturating_sub(last.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            last.extend_from_slice(now);
            self.end = self.end.saturating_add(room as u64);
            bytes = later;
        }
    }

    /// A reader waits. Where the writer had to wait before, what was ahead did not last until it was
    /// back.
    fn grow(&mut self) {
        if std::mem::take(&mut self.held_up) {
            self.ahead = self.ahead.saturating_mul(2).min(AHEAD_BYTES);
        }
    }

    fn drop_behind(&mut self) {
        while let Some(first) = self.chunks.front() {
            let end = self.start.saturating_add(first.len() as u64);
            if end.saturating_add(BEHIND_BYTES) > self.front {
                return;
            }
            self.start = end;
            self.spare.extend(self.chunks.pop_front());
        }
    }

    /// Fills `buf` from `offset`; all of it is here.
    fn copy(&self, offset: u64, mut buf: &mut [u8]) {
        let skip = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let mut skip_in_first = skip % CHUNK_BYTES;
        for chunk in self.chunks.iter().skip(skip / CHUNK_BYTES) {
            let here = chunk.get(skip_in_first..).unwrap_or_default();
            let (now, later) = buf.split_at_mut(here.len().min(buf.len()));
            now.copy_from_slice(here.get(..now.len()).unwrap_or_default());
            skip_in_first = 0;
            buf = later;
            if buf.is_empty() {
                return;
            }
        }
    }
}

pub(super) struct Window {
    state: Mutex<State>,
    /// Readers went on.
    room: Condvar,
    /// There are more bytes, or there will be none.
    data: Condvar,
    /// No byte beyond is ever fetched.
    limit: u64,
    /// How often a waiting thread looks up.
    look_up: Duration,
}

/// What a read found.
#[derive(Debug)]
pub(super) enum Found {
    Bytes,
    /// Not here, and not soon.
    Elsewhere,
}

impl Window {
    /// Empty, to be filled from `start` up to `limit`, at first only so far `ahead` of its readers.
    pub fn new(start: u64, limit: u64, ahead: u64) -> Self {
        Self {
            state: Mutex::new(State::new(start, ahead)),
            room: Condvar::new(),
            data: Condvar::new(),
            limit,
            look_up: LOOK_UP,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Bytes are appended and dropped whole, whoever panicked since.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next byte that is missing, and the last that is wanted; none when all are here or
    /// nobody reads any more.
    pub fn missing(&self) -> Option<(u64, u64)> {
        let state = self.lock();
        let end = state.end;
        (!state.closed && end < self.limit).then(|| (end, self.limit - 1))
    }

    /// Appends; waits while readers are behind, and says how long. None: nobody reads any more, or
    /// `stop` says so.
    pub fn push(&self, bytes: &[u8], stop: &dyn Fn() -> bool) -> Option<Duration> {
        let mut state = self.lock();
        // Looking at a clock costs more than taking a few KiB where it is a system call.
        let mut waiting: Option<Instant> = None;
        loop {
            if state.closed || stop() {
                return None;
            }
            if state.end < state.front.saturating_add(state.ahead) {
                state.append(bytes);
                // Who waits for more than this is not woken for less.
                if state.end >= state.wanted {
                    state.wanted = u64::MAX;
                    self.data.notify_all();
                }
                return Some(waiting.map_or(Duration::ZERO, |since| since.elapsed()));
            }
            state.held_up = true;
            waiting.get_or_insert_with(Instant::now);
            let waited = self.room.wait_timeout(state, self.look_up);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Fills `buf` from `offset`, waiting for bytes that are about to come.
    pub fn read(
        &self,
        offset: u64,
        buf: &mut [u8],
        stop: &dyn Fn() -> Option<&'static str>,
    ) -> Result<Found, HttpError> {
        let end = offset.saturating_add(buf.len() as u64);
        let mut state = self.lock();
        if offset > state.end.saturating_add(PATIENCE_BYTES) || end > self.limit {
            return Ok(Found::Elsewhere);
        }
        if offset >= state.start && end > state.front {
            state.front = end;
            self.room.notify_all();
        }
        loop {
            if offset < state.start || state.closed {
                return Ok(Found::Elsewhere);
            }
            if end <= state.end {
                state.copy(offset, buf);
                return Ok(Found::Bytes);
            }
            if let Some(failure) = &state.failed {
                return Err(failure.clone());
            }
            if let Some(reason) = stop() {
                return Err(HttpError::Stopped { reason });
            }
            state.grow();
            state.wanted = state.wanted.min(end);
            let waited = self.data.wait_timeout(state, self.look_up);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// No more bytes will come; readers of missing ones get the reason.
    pub fn fail(&self, failure: HttpError) {
        self.lock().failed = Some(failure);
        self.data.notify_all();
    }

    /// Whether no byte will be added any more.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        state.closed || state.failed.is_some() || state.end >= self.limit
    }

    /// Nobody reads any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
        self.data.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

/// How far ahead to fetch, at first, from a server whose fastest answer took so long to begin. The
/// fastest, since any may have waited for something else.
pub(super) fn ahead_for(fastest: Option<Duration>) -> u64 {
    match fastest {
        Some(took) if took <= NEAR => NEAR_AHEAD_BYTES,
        Some(_) | None => AHEAD_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const GO_ON: &dyn Fn() -> Option<&'static str> = &|| None;

    fn byte(at: u64) -> u8 {
        u8::try_from(at.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap()
    }

    #[test]
    fn two_readers_out_of_order_get_every_byte_and_memory_stays_bounded() {
        let total = 40 * 1024 * 1024_u64;
        let window = Arc::new(Window::new(1000, total, NEAR_AHEAD_BYTES));
        let writer = Arc::clone(&window);
        let filling = std::thread::spawn(move || {
            let mut at = 1000;
            while at < total {
                let end = (at + 100_003).min(total);
                let bytes: Vec<u8> = (at..end).map(byte).collect();
                assert!(writer.push(&bytes, &|| false).is_some());
                let state = writer.lock();
                let held = state.end - state.start;
                let room = (state.chunks.len() + state.spare.len()) * CHUNK_BYTES;
                drop(state);
                // What is pushed at once, and two chunks that begin or end elsewhere, come on top.
                let most = AHEAD_BYTES + BEHIND_BYTES + 100_003 + 2 * CHUNK_BYTES as u64;
                assert!(held <= most && room as u64 <= most, "{held} {room}");
                at = end;
            }
        });
        // As the reader above does: nobody begins a piece six beyond one that is still read.
        let work = Arc::new((Mutex::new((0_u64, BTreeSet::new())), Condvar::new()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (window, work) = (Arc::clone(&window), Arc::clone(&work));
                std::thread::spawn(move || {
                    let mut buf = vec![0; 256 * 1024];
                    loop {
                        let (lock, done) = &*work;
                        let mut state = lock.lock().unwrap();
                        while state.1.first().is_some_and(|first| state.0 >= first + 6) {
                            state = done.wait(state).unwrap();
                        }
                        let piece = state.0;
                        state.0 += 1;
                        state.1.insert(piece);
                        drop(state);
                        let at = 1000 + piece * buf.len() as u64;
                        if at + buf.len() as u64 > total {
                            lock.lock().unwrap().1.remove(&piece);
                            done.notify_all();
                            return;
                        }
                        let found = window.read(at, &mut buf, GO_ON).unwrap();
                        assert!(matches!(found, Found::Bytes), "{at}");
                        assert!((at..).zip(&buf).all(|(at, found)| byte(at) == *found), "{at}");
                        lock.lock().unwrap().1.remove(&piece);
                        done.notify_all();
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        window.close();
        filling.join().unwrap_or_default();
    }

    #[test]
    fn readers_that_wait_for_different_bytes_are_all_woken() {
        const READERS: u64 = 4;
        const ROUNDS: u64 = 100;
        // Whom nobody wakes waits on.
        let look_up = Duration::from_secs(24 * 3600);
        let window = Arc::new(Window { look_up, ..Window::new(0, 1_000_000, AHEAD_BYTES) });
        let (served, ends) = std::sync::mpsc::channel();
        let readers: Vec<_> = (0..READERS)
            .rev()
            .map(|number| {
                let (window, served) = (Arc::clone(&window), served.clone());
                std::thread::spawn(move || {
                    let mut buf = [0; 1000];
                    for round in 0..ROUNDS {
                        let at = (round * READERS + number) * 1000;
                        let found = window.read(at, &mut buf, GO_ON).unwrap();
                        assert!(matches!(found, Found::Bytes));
                        served.send(at + 1000).unwrap();
                    }
                })
            })
            .collect();
        for piece in 1..=READERS * ROUNDS {
            assert!(window.push(&[1; 1000], &|| false).is_some());
            assert_eq!(ends.recv(), Ok(piece * 1000));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }

    #[test]
    fn jumps_failures_and_stops_end_the_wait() {
        let window = Window::new(100, 10_000_000, AHEAD_BYTES);
        assert_eq!(window.push(&[7; 50], &|| false), Some(Duration::ZERO));
        let mut buf = [0; 10];
        assert!(matches!(window.read(99, &mut buf, GO_ON), Ok(Found::Elsewhere)));
        assert!(matches!(window.read(5_000_000, &mut buf, GO_ON), Ok(Found::Elsewhere)));
        assert!(matches!(window.read(9_999_995, &mut buf, GO_ON), Ok(Found::Elsewhere)));
        let stopped = window.read(145, &mut buf, &|| Some("cancelled"));
        assert!(matches!(stopped, Err(HttpError::Stopped { reason: "cancelled" })));
        window.fail(HttpError::Stopped { reason: "lost" });
        assert!(matches!(window.read(140, &mut buf, GO_ON), Ok(Found::Bytes)));
        assert!(matches!(window.read(145, &mut buf, GO_ON), Err(HttpError::Stopped { .. })));
        window.close();
        assert_eq!(window.push(&[1], &|| false), None);
    }

    #[test]
    fn a_near_server_is_fetched_less_far_ahead_until_a_reader_waits_for_it() {
        let far = |ahead: u64, window: &Window| {
            let stop = std::cell::Cell::new(0);
            let mut pushed = 0;
            // At the first wait it is stopped.
            while window
                .push(&[1; CHUNK_BYTES], &|| stop.replace(pushed) == pushed && pushed > 0)
                .is_some()
            {
                pushed += CHUNK_BYTES as u64;
            }
            assert_eq!(pushed, ahead);
        };
        for (fastest, ahead) in
            [(Some(NEAR), NEAR_AHEAD_BYTES), (Some(NEAR * 2), AHEAD_BYTES), (None, AHEAD_BYTES)]
        {
            assert_eq!(ahead_for(fastest), ahead);
        }
        let look_up = Duration::from_millis(1);
        let window = Window { look_up, ..Window::new(0, u64::MAX, ahead_for(Some(NEAR))) };
        far(NEAR_AHEAD_BYTES, &window);
        // What is there is read without waiting: nothing has changed.
        let mut all = vec![0; usize::try_from(NEAR_AHEAD_BYTES).unwrap()];
        assert!(matches!(window.read(0, &mut all, GO_ON), Ok(Found::Bytes)));
        far(NEAR_AHEAD_BYTES, &window);
        // The next is not.
        let stop = || Some("enough");
        let more = &mut [0; 10];
        assert!(window.read(2 * NEAR_AHEAD_BYTES, more, &stop).is_err());
        assert_eq!(window.lock().ahead, NEAR_AHEAD_BYTES);
        std::thread::scope(|scope| {
            scope.spawn(|| window.read(2 * NEAR_AHEAD_BYTES, &mut [0; 10], GO_ON));
            while window.lock().ahead == NEAR_AHEAD_BYTES {
                std::thread::yield_now();
            }
            window.close();
        });
        assert_eq!(window.lock().ahead, 2 * NEAR_AHEAD_BYTES);
    }
}
