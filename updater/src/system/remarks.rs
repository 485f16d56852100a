// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of an image on its way, said by its reader and told when its slot is written: a
//! reader is deep inside the writing then, and nobody listens to it.

use std::sync::{Arc, Mutex, PoisonError};

/// Remarks of one image; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    /// Adds one.
    pub(super) fn add(&self, text: String) {
        // Whoever panicked left whole remarks.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Takes all, oldest first.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
