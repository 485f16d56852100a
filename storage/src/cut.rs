// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does the power go, over all devices and files of a board?
//!
//! A plan counts the acts of everything that shares it and, at the chosen one, cuts the power of
//! all of it at once. It decides; `PowerCut` and its kin do.

use crate::ByteLen;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The moment of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// Never: for counting the acts of an undisturbed run.
    Never,
    /// After this many writes, erases, flushes and file changes; the next one is torn.
    Operation(u64),
    /// In the write or erase that reaches this many bytes over all devices.
    Byte(ByteLen),
}

/// One source of power for several devices. Clones are the same plan.
#[derive(Clone)]
pub struct CutPlan {
    state: Arc<Mutex<State>>,
}

struct State {
    at: CutAt,
    seed: u64,
    operations: u64,
    bytes: u64,
    is_cut: bool,
    devices: Vec<Weak<Mutex<dyn LosePower>>>,
}

/// Something whose unflushed content is at stake when the power goes.
pub(crate) trait LosePower: Send {
    fn lose_power(&mut self);
}

/// Whether an act still has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    /// This act is the one in which it goes; so many of its bytes are done, if that was chosen.
    Goes {
        done: Option<u64>,
    },
    Off,
}

impl CutPlan {
    /// A plan that cuts at `at`; `seed` chooses what is torn, kept and lost.
    #[must_use]
    pub fn new(at: CutAt, seed: u64) -> Self {
        let state = State { at, seed, operations: 0, bytes: 0, is_cut: false, devices: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    /// How many writes, erases, flushes and file changes were begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How many bytes were written or erased so far.
    #[must_use]
    pub fn bytes(&self) -> ByteLen {
        ByteLen::new(self.lock().bytes)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.lock().seed
    }

    pub(crate) fn attach(&self, device: Weak<Mutex<dyn LosePower>>) {
        let mut state = self.lock();
        state.devices.retain(|device| device.strong_count() > 0);
        state.devices.push(device);
    }

    /// Counts an act of `bytes` bytes.
    pub(crate) fn spend(&self, bytes: u64) -> Power {
        let mut state = self.lock();
        if state.is_cut {
            return Power::Off;
        }
        let (operations, before) = (state.operations, state.bytes);
        state.operations = operations.saturating_add(1);
        state.bytes = before.saturating_add(bytes);
        let power = match state.at {
            CutAt::Operation(at) if operations >= at => Power::Goes { done: None },
            CutAt::Byte(at) if bytes > 0 && state.bytes >= at.get() => {
                Power::Goes { done: Some(at.get().saturating_sub(before)) }
            }
            CutAt::Never | CutAt::Operation(_) | CutAt::Byte(_) => Power::On,
        };
        state.is_cut = power != Power::On;
        power
    }

    /// Takes the power from every device. Called once, by the act that was cut, with none of its
    /// own locks held, so that devices used on other threads can finish and find the power gone.
    pub(crate) fn cut_all(&self) {
        let devices = std::mem::take(&mut self.lock().devices);
        for device in devices.iter().filter_map(Weak::upgrade) {
            device.lock().unwrap_or_else(PoisonError::into_inner).lose_power();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay true when somebody else panics, so the guard is taken over.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
