// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who wants an install to end? The service manager, by a signal, or the server, which took its offer
//! back. Asked by everything that takes long, on whatever thread.

use crate::signals::StopRequest;
use agents::agent::Stop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What is given in the place of a signal's name.
const SERVER: &str = "the server";
const SERVICE_MANAGER: &str = "the service manager";

const BY_PROGRAM: u8 = 1;
const BY_SERVER: u8 = 2;

/// Whether it shall end.
pub struct Stopping {
    program: Arc<StopRequest>,
    said: AtomicU8,
}

impl Stopping {
    /// Not yet, but where a signal has come.
    #[must_use]
    pub fn new(program: &Arc<StopRequest>) -> Arc<Self> {
        Arc::new(Self { program: Arc::clone(program), said: AtomicU8::new(0) })
    }

    /// Somebody said so; the first word counts.
    pub fn end(&self, stop: Stop) {
        let said = match stop {
            Stop::Program => BY_PROGRAM,
            Stop::Server => BY_SERVER,
        };
        let _first = self.said.compare_exchange(0, said, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Who wants it, if anybody does.
    #[must_use]
    pub fn who(&self) -> Option<Stop> {
        match (self.said.load(Ordering::Relaxed), self.program.by()) {
            (BY_SERVER, None) => Some(Stop::Server),
            (0, None) => None,
            (_, Some(_)) | (_, None) => Some(Stop::Program),
        }
    }

    /// The same in a word: the name of the signal where one came.
    #[must_use]
    pub fn by(&self) -> Option<&'static str> {
        self.program.by().or_else(|| {
            self.who().map(|stop| match stop {
                Stop::Program => SERVICE_MANAGER,
                Stop::Server => SERVER,
            })
        })
    }
}
