// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backend of a board whose boot loader selects by itself and cannot be told.

use crate::backend::{BackendError, BootBackend};
use crate::{AttemptsLeft, BootState, SlotRecord};

/// Accepts every change and keeps none, as RAUC's `noop` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoopBackend;

impl BootBackend for NoopBackend {
    fn name(&self) -> &'static str {
        "noop"
    }

    /// Nothing is known: no order, and both slots unknown without attempts, so that no slot is
    /// shown as the primary.
    fn load(&mut self) -> Result<BootState, BackendError> {
        let unknown = SlotRecord { attempts: AttemptsLeft::ZERO, ..SlotRecord::UNKNOWN };
        Ok(BootState { order: Vec::new(), a: unknown, b: unknown, ..BootState::lost() })
    }

    fn copies(&self) -> usize {
        0
    }

    fn store(&mut self, _old: &BootState, _new: &BootState) -> Result<(), BackendError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_about_a_boot_loader_that_cannot_be_asked() {
        let state = NoopBackend.load().unwrap();
        assert_eq!(state.primary(), None);
        assert!(NoopBackend.store(&state, &BootState::lost()).is_ok());
        assert_eq!(NoopBackend.load().unwrap(), state);
    }
}
