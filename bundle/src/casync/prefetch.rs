// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work done ahead of its reader, on other threads, handed over in order.
//!
//! At most `window` results wait at any time. A failure is reported when the reader gets there,
//! and the threads end when the reader is dropped; one that waits for a server is then left to
//! its own time limit, which every request has.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

struct State<T> {
    /// The next job to begin, and the next result to hand out.
    begin: usize,
    next: usize,
    done: BTreeMap<usize, T>,
    workers: usize,
    stop: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    jobs: usize,
    window: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Results are put whole or not at all, whoever panicked since.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a worker out, also when it unwinds: its reader must not wait for ever.
struct Leaving<'a, T>(&'a Shared<T>);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.workers -= 1;
        // What it had begun will never be done, so nobody may wait for it.
        state.stop |= std::thread::panicking();
        drop(state);
        self.0.changed.notify_all();
    }
}

/// Results of the jobs `0..jobs`, in this order.
pub(crate) struct Prefetch<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    work: Arc<dyn Fn(usize) -> T + Send + Sync>,
    /// Threads to start at the first question.
    threads: usize,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Has `threads` that do `work`, at most `window` jobs ahead of the reader; from the first
    /// question on, and not before.
    pub(crate) fn new(
        jobs: usize,
        threads: usize,
        window: usize,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Self {
        let state = State { begin: 0, next: 0, done: BTreeMap::new(), workers: 0, stop: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { state, changed, jobs, window: window.max(1) });
        let work: Arc<dyn Fn(usize) -> T + Send + Sync> = Arc::new(work);
        Self { shared, work, threads: threads.min(jobs) }
    }

    fn start(&mut self) {
        for _ in 0..std::mem::take(&mut self.threads) {
            self.shared.lock().workers += 1;
            let (ours, does) = (Arc::clone(&self.shared), Arc::clone(&self.work));
            let spawned = std::thread::Builder::new()
                .name("prefetch".to_owned())
                .spawn(move || run(&ours, does.as_ref()));
            if spawned.is_err() {
                // Without threads the reader does the work itself.
                self.shared.lock().workers -= 1;
            }
        }
    }

    /// The next result; `None` after the last.
    pub(crate) fn next(&mut self) -> Option<T> {
        self.start();
        let mut state = self.shared.lock();
        let number = state.next;
        if number >= self.shared.jobs {
            return None;
        }
        loop {
            if let Some(result) = state.done.remove(&number) {
                state.next += 1;
                self.shared.changed.notify_all();
                return Some(result);
            }
            if state.begin <= number {
                // Nobody has begun it; waiting for a thread would not be faster.
                state.begin = number + 1;
                state.next = number + 1;
                drop(state);
                self.shared.changed.notify_all();
                return Some((self.work)(number));
            }
            if state.workers == 0 {
                return None;
            }
            state = self.shared.wait(state);
        }
    }
}

impl<T: Send + 'static> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

fn run<T>(shared: &Shared<T>, work: &(dyn Fn(usize) -> T + Send + Sync)) {
    let _leaving = Leaving(shared);
    let mut state = shared.lock();
    loop {
        if state.stop || state.begin >= shared.jobs {
            return;
        }
        if state.begin >= state.next.saturating_add(shared.window) {
            state = shared.wait(state);
            continue;
        }
        let number = state.begin;
        state.begin += 1;
        drop(state);
        let result = work(number);
        state = shared.lock();
        state.done.insert(number, result);
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_never_far_ahead() {
        let ahead = Arc::new(AtomicUsize::new(0));
        let (begun, counter) = (Arc::clone(&ahead), Arc::clone(&ahead));
        let mut results = Prefetch::new(200, 4, 5, move |number| {
            begun.fetch_add(1, Ordering::SeqCst);
            number * 2
        });
        for number in 0..200 {
            assert!(counter.load(Ordering::SeqCst) <= number + 5 + 4);
            assert_eq!(results.next(), Some(number * 2));
        }
        assert_eq!(results.next(), None);
    }

    #[test]
    fn thread_that_panics_ends_the_results() {
        let mut results = Prefetch::new(3, 1, 3, |number| {
            assert!(std::thread::current().name() != Some("prefetch"), "a defect");
            number
        });
        // Either the reader does the first itself or its thread dies: it never hangs.
        let _ = results.next();
        let _ = results.next();
    }

    #[test]
    fn dropping_the_reader_ends_the_threads() {
        let mut results = Prefetch::new(1000, 2, 2, |number| number);
        assert_eq!(results.next(), Some(0));
        let weak = Arc::downgrade(&results.work);
        drop(results);
        for _ in 0..6000 {
            if weak.upgrade().is_none() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("threads live on");
    }
}
