// SPDX-License-Identifier: MIT OR Apache-2.0
//! An answer that another thread gives, as a future: a method on D-Bus waits for it without
//! keeping the one thread that reads the bus.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

struct Inner<T> {
    value: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

fn lock<T>(inner: &Mutex<Inner<T>>) -> MutexGuard<'_, Inner<T>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side that gives the answer. Dropped without one, the other side hears that.
pub struct Giver<T>(Arc<Mutex<Inner<T>>>);

/// The side that waits; `None` when nobody will answer.
pub struct Answer<T>(Arc<Mutex<Inner<T>>>);

/// A question and its answer.
#[must_use]
pub fn pair<T>() -> (Giver<T>, Answer<T>) {
    let inner = Arc::new(Mutex::new(Inner { value: None, is_over: false, waker: None }));
    (Giver(Arc::clone(&inner)), Answer(inner))
}

impl<T> Giver<T> {
    /// Gives the answer.
    pub fn give(self, value: T) {
        lock(&self.0).value = Some(value);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut inner = lock(&self.0);
            inner.is_over = true;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = lock(&self.0);
        if inner.is_over {
            return Poll::Ready(inner.value.take());
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::block_on;

    #[test]
    fn an_answer_arrives_from_another_thread_and_a_lost_one_is_noticed() {
        let (giver, answer) = pair();
        let thread = std::thread::spawn(move || giver.give(7));
        assert_eq!(block_on(answer), Some(7));
        thread.join().unwrap();
        let (giver, answer) = pair::<u8>();
        drop(giver);
        assert_eq!(block_on(answer), None);
    }
}
