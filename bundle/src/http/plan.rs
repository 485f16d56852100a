// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was announced to be read next? Ranges that somebody knows he will want, fetched ahead by
//! two threads in that order and handed out once.
//!
//! Neighbours are asked for together, a small gap included; and as many ranges as make a good
//! length in one request, where the server understands that. What is fetched and not read is
//! bounded; a reader that leaves the order is served first.

use super::error::HttpError;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes fetched ahead and not yet read.
const AHEAD_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes held at most: also those that were read and may be read again, since neighbouring reads
/// share a block; and those that a reader waits for beside what is ahead.
pub(super) const PLANNED_BYTES: u64 = 8 * 1024 * 1024;
/// A gap up to this is fetched along: about what another request and its answer's head cost.
const GAP_BYTES: u64 = 1024;
/// Longest request of a plan.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// Ranges asked for in one request.
pub(super) const MAX_BATCH: usize = 48;
/// Most requests remembered; the rest is fetched when it is read.
const MAX_PLANNED: usize = 65_536;
const LOOK_UP: Duration = Duration::from_millis(200);

/// Joins ranges (first, end) that follow each other closely, and cuts long ones.
pub(super) fn coalesce(ranges: &[(u64, u64)], total: u64) -> VecDeque<(u64, u64)> {
    let mut joined: VecDeque<(u64, u64)> = VecDeque::new();
    for (first, end) in ranges.iter().map(|(first, end)| (*first, (*end).min(total))) {
        let mut first = first;
        if let Some((start, last)) = joined.back_mut()
            && (*start..=last.saturating_add(GAP_BYTES)).contains(&first)
        {
            let most = start.saturating_add(MAX_REQUEST_BYTES);
            if end <= most {
                *last = end.max(*last);
                continue;
            }
            first = first.max(*last);
        }
        while first < end && joined.len() < MAX_PLANNED {
            let cut = end.min(first.saturating_add(MAX_REQUEST_BYTES));
            joined.push_back((first, cut));
            first = cut;
        }
    }
    joined
}

/// First byte, and the byte behind the last.
type Range = (u64, u64);

/// The bytes of each range of a batch.
type FetchedBatch = Result<Vec<Vec<u8>>, HttpError>;

struct Ready {
    first: u64,
    bytes: Vec<u8>,
    read: u64,
}

impl Ready {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn is_done(&self) -> bool {
        self.read >= self.len()
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<(u64, u64)>,
    working: Vec<(u64, u64)>,
    ready: VecDeque<Ready>,
    /// What readers wait for; begun first, whatever is held.
    urgent: VecDeque<(u64, u64)>,
    closed: bool,
}

impl State {
    fn working_bytes(&self) -> u64 {
        self.working.iter().map(|(first, end)| end - first).sum()
    }

    /// Bytes that wait for their reader, or are on their way.
    fn ahead(&self) -> u64 {
        let waiting = self.ready.iter().filter(|piece| !piece.is_done());
        waiting.map(Ready::len).sum::<u64>() + self.working_bytes()
    }

    fn held(&self) -> u64 {
        self.ready.iter().map(Ready::len).sum::<u64>() + self.working_bytes()
    }

    /// Makes room: what was read goes first, the oldest first.
    fn keep_within(&mut self, most: u64) {
        while self.held() > most {
            let read = self.ready.iter().position(Ready::is_done);
            if self.ready.remove(read.unwrap_or(0)).is_none() {
                return;
            }
        }
    }

    /// What one request asks for, taken from the queue; nothing while enough is held.
    fn next_batch(&mut self) -> Vec<(u64, u64)> {
        let mut batch: Vec<(u64, u64)> = self.urgent.pop_front().into_iter().collect();
        let mut bytes: u64 = batch.iter().map(|(first, end)| end - first).sum();
        if self.ahead() >= AHEAD_BYTES {
            return batch;
        }
        while let Some((first, end)) = self.queue.front().copied() {
            bytes += end - first;
            // Servers may take ranges out of order for an attack.
            let ascending = batch.last().is_none_or(|(_, last)| *last <= first);
            let full = batch.len() >= MAX_BATCH || bytes > MAX_REQUEST_BYTES || !ascending;
            if full && !batch.is_empty() {
                break;
            }
            batch.push((first, end));
            self.queue.pop_front();
        }
        batch
    }

    /// Copies from the piece that holds byte `offset`; how much, none if there is no such piece.
    fn copy(&mut self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        self.ready.iter_mut().find_map(|piece| {
            let skip = usize::try_from(offset.checked_sub(piece.first)?).ok()?;
            let bytes = piece.bytes.get(skip..).filter(|bytes| !bytes.is_empty())?;
            let taken = bytes.len().min(buf.len());
            buf.get_mut(..taken)?.copy_from_slice(bytes.get(..taken)?);
            piece.read = piece.read.saturating_add(taken as u64);
            Some(taken)
        })
    }
}

#[derive(Default)]
pub(super) struct Plan {
    state: Mutex<State>,
    changed: Condvar,
}

impl Plan {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Ranges are moved from list to list whole, whoever panicked since.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new plan takes the place of what was not begun.
    pub fn set(&self, queue: VecDeque<(u64, u64)>) {
        let mut state = self.lock();
        state.queue = queue;
        drop(state);
        self.changed.notify_all();
    }

    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        self.changed.notify_all();
    }

    /// A thread's work: fetches until the plan is closed.
    pub fn work(&self, fetch: &dyn Fn(&[Range]) -> FetchedBatch) {
        let mut state = self.lock();
        loop {
            if state.closed {
                return;
            }
            let batch = state.next_batch();
            if batch.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.working.extend_from_slice(&batch);
            drop(state);
            let fetched = fetch(&batch);
            state = self.lock();
            state.working.retain(|range| !batch.contains(range));
            match fetched {
                Ok(all) => {
                    let pieces = batch.iter().zip(all);
                    let ready =
                        pieces.map(|((first, _), bytes)| Ready { first: *first, bytes, read: 0 });
                    state.ready.extend(ready);
                    state.keep_within(PLANNED_BYTES);
                }
                // Who reads there fetches again and reports what happens then.
                Err(_) => {
                    state.queue.clear();
                    state.urgent.clear();
                }
            }
            self.changed.notify_all();
        }
    }

    /// Fills the beginning of `buf`, as far as it is planned, waiting while it is on its way; how
    /// much that is.
    pub fn read(&self, offset: u64, buf: &mut [u8], stop: &dyn Fn() -> bool) -> usize {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_some(offset.saturating_add(filled as u64), rest, stop) {
                Some(taken) => filled += taken,
                None => break,
            }
        }
        filled
    }

    fn read_some(&self, offset: u64, buf: &mut [u8], stop: &dyn Fn() -> bool) -> Option<usize> {
        let holds = |range: &(u64, u64)| range.0 <= offset && offset < range.1;
        let mut state = self.lock();
        loop {
            if let Some(taken) = state.copy(offset, buf) {
                self.changed.notify_all();
                return Some(taken);
            }
            if stop() || state.closed {
                return None;
            }
            let queued = state.queue.iter().position(holds);
            if let Some(range) = queued.and_then(|at| state.queue.remove(at)) {
                state.urgent.push_back(range);
                self.changed.notify_all();
            } else if !state.urgent.iter().chain(&state.working).any(holds) {
                return None;
            }
            let waited = self.changed.wait_timeout(state, LOOK_UP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn neighbours_are_joined_and_long_ranges_cut() {
        let mib = MAX_REQUEST_BYTES;
        let joined = coalesce(&[(0, 4096), (4096, 8192), (9000, 9100), (20_000, 20_001)], 1 << 40);
        assert_eq!(joined, [(0, 9100), (20_000, 20_001)]);
        let cut = coalesce(&[(0, 2 * mib + 5)], 1 << 40);
        assert_eq!(cut, [(0, mib), (mib, 2 * mib), (2 * mib, 2 * mib + 5)]);
        let apart = coalesce(&[(5000, 6000), (10, 20), (9000, 20_000)], 10_000);
        assert_eq!(apart, [(5000, 6000), (10, 20), (9000, 10_000)]);
        assert_eq!(coalesce(&[(200, 300), (7, 7)], 100), []);
        let bytes: u64 = coalesce(&[(0, mib - 10), (mib - 10, mib + 10)], 1 << 40)
            .iter()
            .map(|(first, end)| end - first)
            .sum();
        assert_eq!(bytes, mib + 10);
    }

    #[test]
    fn planned_bytes_are_fetched_once_in_order_and_stay_bounded() {
        let plan = Arc::new(Plan::default());
        let fetched = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (plan, fetched) = (Arc::clone(&plan), Arc::clone(&fetched));
                std::thread::spawn(move || {
                    plan.work(&|batch| {
                        let piece = |(first, end): &(u64, u64)| {
                            fetched.fetch_add(end - first, Ordering::Relaxed);
                            (*first..*end).map(|at| u8::try_from(at % 251).unwrap()).collect()
                        };
                        Ok(batch.iter().map(piece).collect())
                    });
                })
            })
            .collect();
        let ranges: Vec<_> = (0..400).map(|at| (at * 100_000, at * 100_000 + 50_000)).collect();
        plan.set(coalesce(&ranges, u64::MAX));
        let mut buf = vec![0; 25_000];
        for (first, _) in &ranges {
            for at in [*first, first + 25_000] {
                assert_eq!(plan.read(at, &mut buf, &|| false), buf.len(), "{at}");
                assert_eq!(u64::from(buf[0]), at % 251);
                assert!(plan.lock().held() <= PLANNED_BYTES + 2 * MAX_REQUEST_BYTES);
            }
        }
        assert_eq!(plan.read(60_000, &mut buf, &|| false), 0);
        assert_eq!(plan.read(39_940_000, &mut buf, &|| false), 10_000, "read again, then nothing");
        // A read over the seam of two pieces of one announced range.
        plan.set(coalesce(&[(0, 3 << 20)], u64::MAX));
        let mut all = vec![0; 3 << 20];
        assert_eq!(plan.read(0, &mut all, &|| false), all.len());
        assert!((0_u64..).zip(&all).all(|(at, byte)| u64::from(*byte) == at % 251));
        fetched.fetch_sub(3 << 20, Ordering::Relaxed);
        assert_eq!(fetched.load(Ordering::Relaxed), 400 * 50_000);
        plan.close();
        for worker in workers {
            worker.join().unwrap();
        }
    }

    #[test]
    fn reader_that_skips_most_of_the_plan_is_still_served() {
        let plan = Arc::new(Plan::default());
        let worker = Arc::clone(&plan);
        let worker = std::thread::spawn(move || {
            let piece = |(first, end): &(u64, u64)| vec![0; usize::try_from(end - first).unwrap()];
            worker.work(&|batch| Ok(batch.iter().map(piece).collect()));
        });
        plan.set((0..40).map(|at| (at << 20, (at + 1) << 20)).collect());
        assert_eq!(plan.read(39 << 20, &mut [1; 10], &|| false), 10);
        plan.close();
        worker.join().unwrap();
    }
}
