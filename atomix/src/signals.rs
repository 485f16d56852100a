// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does somebody want this program to end? Between two blocks of long work there is time to say
//! where it stands and to write it down; a program that is killed by the signal says nothing.
//! Nothing depends on it: a kill at any moment is as safe.

use nix::sys::signal::{SigSet, Signal, raise};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals that ask for an end: of a service manager, of a person, of a lost terminal.
const ASKING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Whether the end was asked for since [`StopRequest::listen`].
pub struct StopRequest {
    asked: Arc<[AtomicBool; ASKING.len()]>,
}

fn set() -> SigSet {
    ASKING.into_iter().collect()
}

impl StopRequest {
    /// From now on the signals are noted and end nothing, until the second one. Must be called
    /// before other threads are there, which would be ended by them still. A system that allows
    /// neither leaves the signals what they were.
    #[must_use]
    pub fn listen() -> Self {
        let asked: Arc<[AtomicBool; ASKING.len()]> = Arc::default();
        if set().thread_block().is_ok() {
            let noted = Arc::clone(&asked);
            let spawned = std::thread::Builder::new().spawn(move || note(&noted));
            if spawned.is_err() {
                let _as_before = set().thread_unblock();
            }
        }
        Self { asked }
    }

    /// The name of the signal that asks for an end.
    #[must_use]
    pub fn by(&self) -> Option<&'static str> {
        let asked = self.asked.iter().zip(ASKING).find(|(asked, _)| asked.load(Ordering::Relaxed));
        asked.map(|(_, signal)| signal.as_str())
    }
}

/// Notes the first signal; the second one ends the program.
fn note(asked: &[AtomicBool; ASKING.len()]) {
    if let Ok(first) = set().wait()
        && let Some((asked, _)) = asked.iter().zip(ASKING).find(|(_, signal)| *signal == first)
    {
        asked.store(true, Ordering::Relaxed);
    }
    if let Ok(second) = set().wait() {
        end_by(second.as_str());
    }
}

/// Ends this program by the signal of that name, as it would have ended without listening: who
/// started it sees that it was stopped, and not that it failed.
pub fn end_by(name: &str) {
    if let Ok(signal) = Signal::from_str(name)
        && set().thread_unblock().is_ok()
    {
        let _ended = raise(signal);
    }
}
