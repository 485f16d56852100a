// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes of a running download are at hand? The bounded buffer between the one request that
//! runs ahead and the readers that follow it, nearly in order.
//!
//! ```text
//! start          front - BEHIND ≤ start      end            front + AHEAD
//!   | read, kept for late readers | front | not read yet |  free
//! ```
//!
//! Readers are several threads that take neighbouring pieces; the second may be served first. So
//! bytes stay for a while after they were read. The writer waits when it is `AHEAD_BYTES` ahead.

use super::client::RECEIVE_BUFFER_BYTES;
use super::error::HttpError;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes fetched ahead of the foremost reader.
pub(super) const AHEAD_BYTES: u64 = 6 * 1024 * 1024;
/// Bytes kept behind it: more than the pieces that the threads of one reader work at.
pub(super) const BEHIND_BYTES: u64 = 2 * 1024 * 1024;
/// How far beyond the bytes at hand a read may begin and still wait for them. Farther is a jump.
const PATIENCE_BYTES: u64 = 2 * 1024 * 1024;
/// How often somebody who waits looks whether he still should.
const LOOK_UP: Duration = Duration::from_millis(200);

struct State {
    start: u64,
    bytes: VecDeque<u8>,
    /// The end of the foremost read.
    front: u64,
    /// The least end that a reader waits for; beyond all ends if none does.
    wanted: u64,
    closed: bool,
    failed: Option<HttpError>,
}

impl State {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    fn drop_behind(&mut self) {
        let keep = self.front.min(self.end()).saturating_sub(BEHIND_BYTES);
        if let Ok(surplus) = usize::try_from(keep.saturating_sub(self.start)) {
            let surplus = surplus.min(self.bytes.len());
            self.bytes.drain(..surplus);
            self.start = self.start.saturating_add(surplus as u64);
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
    /// Empty, to be filled from `start` up to `limit`, by at most [`RECEIVE_BUFFER_BYTES`] at once.
    pub fn new(start: u64, limit: u64) -> Self {
        let most = AHEAD_BYTES + BEHIND_BYTES + RECEIVE_BUFFER_BYTES as u64;
        let most = usize::try_from(limit.saturating_sub(start).min(most)).unwrap_or_default();
        // A buffer that grows is for a moment there twice, and has more pages than bytes.
        let bytes = VecDeque::with_capacity(most);
        let state =
            State { start, bytes, front: start, wanted: u64::MAX, closed: false, failed: None };
        Self {
            state: Mutex::new(state),
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
        let end = state.end();
        (!state.closed && end < self.limit).then(|| (end, self.limit - 1))
    }

    /// Appends; waits while readers are behind. False: nobody reads any more, or `stop` says so.
    pub fn push(&self, bytes: &[u8], stop: &dyn Fn() -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if state.closed || stop() {
                return false;
            }
            if state.end() < state.front.saturating_add(AHEAD_BYTES) {
                state.drop_behind();
                state.bytes.extend(bytes);
                // Who waits for more than this is not woken for less.
                if state.end() >= state.wanted {
                    state.wanted = u64::MAX;
                    self.data.notify_all();
                }
                return true;
            }
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
        if offset > state.end().saturating_add(PATIENCE_BYTES) || end > self.limit {
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
            if end <= state.end() {
                copy(&state, offset, buf);
                return Ok(Found::Bytes);
            }
            if let Some(failure) = &state.failed {
                return Err(failure.clone());
            }
            if let Some(reason) = stop() {
                return Err(HttpError::Stopped { reason });
            }
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
        state.closed || state.failed.is_some() || state.end() >= self.limit
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

fn copy(state: &State, offset: u64, buf: &mut [u8]) {
    let skip = usize::try_from(offset.saturating_sub(state.start)).unwrap_or(usize::MAX);
    let (head, tail) = state.bytes.as_slices();
    let from_head = head.get(skip..).unwrap_or_default();
    let taken = from_head.len().min(buf.len());
    let (first, second) = buf.split_at_mut(taken);
    first.copy_from_slice(from_head.get(..taken).unwrap_or_default());
    let skip = skip.saturating_sub(head.len());
    if let Some(rest) = tail.get(skip..).and_then(|rest| rest.get(..second.len())) {
        second.copy_from_slice(rest);
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
        let window = Arc::new(Window::new(1000, total));
        let writer = Arc::clone(&window);
        let filling = std::thread::spawn(move || {
            let mut at = 1000;
            while at < total {
                let end = (at + 100_003).min(total);
                let bytes: Vec<u8> = (at..end).map(byte).collect();
                assert!(writer.push(&bytes, &|| false));
                let state = writer.lock();
                let (held, room) = (state.bytes.len() as u64, state.bytes.capacity() as u64);
                drop(state);
                let most = AHEAD_BYTES + BEHIND_BYTES + RECEIVE_BUFFER_BYTES as u64;
                assert!(held <= most && room <= most, "{held} {room}");
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
        let window = Arc::new(Window { look_up, ..Window::new(0, 1_000_000) });
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
            assert!(window.push(&[1; 1000], &|| false));
            assert_eq!(ends.recv(), Ok(piece * 1000));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }

    #[test]
    fn jumps_failures_and_stops_end_the_wait() {
        let window = Window::new(100, 10_000_000);
        assert!(window.push(&[7; 50], &|| false));
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
        assert!(!window.push(&[1], &|| false));
    }
}
