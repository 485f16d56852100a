// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does somebody want this program to end? Between two blocks of long work there is time to say
//! where it stands and to write it down; a program that is killed by the signal says nothing.
//! Nothing depends on it: a kill at any moment is as safe.

use nix::sys::signal::{SigSet, Signal, raise};
use std::fs::File;
use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals that ask for an end: of a service manager, of a person, of a lost terminal.
const ASKING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Whether the end was asked for since [`StopRequest::listen`].
pub struct StopRequest {
    asked: Arc<[AtomicBool; ASKING.len()]>,
}

/// Bytes of `/proc/self/status` that are read; it has some 1500.
const STATUS_MAX_BYTES: u64 = 16 * 1024;

/// The signals that are listened to. Whoever started this program may have ignored some: `nohup` so
/// that a lost terminal ends nothing, a shell so that Ctrl-C does not reach what runs behind it.
fn set() -> SigSet {
    let mut status = String::new();
    // Where there is no such file nothing is known to be ignored.
    let _read = File::open("/proc/self/status")
        .and_then(|file| file.take(STATUS_MAX_BYTES).read_to_string(&mut status));
    ASKING.into_iter().filter(|signal| !is_ignored(&status, *signal)).collect()
}

/// Whether the text of `/proc/self/status` (proc(5)) says that a signal is ignored.
fn is_ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (signal as i32 - 1) & 1 == 1
}

impl StopRequest {
    /// From now on the signals are noted and end nothing, until the second one. Must be called
    /// before other threads are there, which would be ended by them still. A system that allows
    /// neither leaves the signals what they were.
    #[must_use]
    pub fn listen() -> Self {
        let asked: Arc<[AtomicBool; ASKING.len()]> = Arc::default();
        let set = set();
        if set.thread_block().is_ok() {
            let noted = Arc::clone(&asked);
            let spawned = std::thread::Builder::new().spawn(move || note(&set, &noted));
            if spawned.is_err() {
                let _as_before = set.thread_unblock();
            }
        }
        Self { asked }
    }

    /// One that nobody makes: signals stay what they are.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self { asked: Arc::default() }
    }

    /// As [`StopRequest::listen`], for several who ask.
    #[must_use]
    pub fn listen_shared() -> Arc<Self> {
        Arc::new(Self::listen())
    }

    /// The name of the signal that asks for an end.
    #[must_use]
    pub fn by(&self) -> Option<&'static str> {
        let asked = self.asked.iter().zip(ASKING).find(|(asked, _)| asked.load(Ordering::Relaxed));
        asked.map(|(_, signal)| signal.as_str())
    }
}

/// Notes the first signal; the second one ends the program.
fn note(set: &SigSet, asked: &[AtomicBool; ASKING.len()]) {
    if let Ok(first) = set.wait()
        && let Some((asked, _)) = asked.iter().zip(ASKING).find(|(_, signal)| *signal == first)
    {
        asked.store(true, Ordering::Relaxed);
    }
    if let Ok(second) = set.wait() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_starter_ignored_is_read_from_the_mask() {
        // As nohup leaves it: SIGHUP is signal 1, bit 0.
        let status = "Name:\tatomix\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        let ignored = ASKING.map(|signal| is_ignored(status, signal));
        assert_eq!(ignored, [false, false, true]);
        assert!(is_ignored("SigIgn:\t0000000000000002\n", Signal::SIGINT));
        for odd in ["", "SigIgn:\tx\n", "SigIgn:"] {
            assert!(!is_ignored(odd, Signal::SIGHUP), "{odd:?}");
        }
    }
}
