// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far is an install, and shall it go on? Asked and told at every chunk.

use crate::{InstallError, InstallEvent, InstallPlan, InstallStep};
use programs::StopQuestion;
use storage::ByteLen;

/// Counts work and reports it, and ends it when somebody wants that.
pub(crate) struct Meter<'a> {
    done: u64,
    total: u64,
    sink: &'a mut dyn FnMut(InstallEvent),
    stop: StopQuestion<'a>,
}

impl<'a> Meter<'a> {
    /// Every byte is written and read back; `checked` is read before that.
    pub fn new(
        plan: &InstallPlan,
        checked: ByteLen,
        sink: &'a mut dyn FnMut(InstallEvent),
        stop: StopQuestion<'a>,
    ) -> Self {
        let images: u64 = plan.images.iter().map(|planned| planned.size.get()).sum();
        let total = images.saturating_mul(2).saturating_add(checked.get());
        Self { done: 0, total, sink, stop }
    }

    pub fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        let (done, total) = (ByteLen::new(self.done), ByteLen::new(self.total));
        (self.sink)(InstallEvent::Bytes { done, total });
    }

    /// Counts these bytes, which are written or read back, and asks.
    pub fn pass(&mut self, bytes: u64) -> Result<(), InstallError> {
        self.add(bytes);
        go_on(self.stop)
    }

    /// So many bytes are written once more than was known.
    pub fn expect(&mut self, bytes: ByteLen) {
        self.total = self.total.saturating_add(bytes.get());
    }

    /// Asks.
    pub fn go_on(&self) -> Result<(), InstallError> {
        go_on(self.stop)
    }

    pub fn note(&mut self, text: String) {
        (self.sink)(InstallEvent::Note(text));
    }

    pub fn step(&mut self, step: InstallStep) {
        (self.sink)(InstallEvent::Step(step));
    }
}

pub(crate) fn go_on(stop: StopQuestion<'_>) -> Result<(), InstallError> {
    stop().map_or(Ok(()), |by| Err(InstallError::Stopped { by }))
}
