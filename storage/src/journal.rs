// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done to which device, in which order over all devices and files?
//!
//! A journal only remembers and replays; which of it a power cut lets survive is the question of
//! the `crash` and `crash_files` modules.

use crate::medium::{Change, apply};
use crate::{ByteLen, FileStep, Geometry, StorageError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One act, in the order it was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The label of the device, or [`Journal::FILES`].
    pub device: Arc<str>,
    /// What was done.
    pub kind: OpKind,
}

/// What an [`Op`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Bytes were written.
    Write {
        /// Byte offset.
        offset: u64,
        /// The bytes; on NOR flash they are combined by AND with what was there.
        data: Vec<u8>,
    },
    /// Bytes were set to 0xFF.
    Erase {
        /// Byte offset.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Everything before it on this device is durable.
    Flush,
    /// A step of replacing or removing a small file.
    File(FileStep),
}

/// The order of all acts on the devices and files that share it. Clones are the same journal.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ops: Vec<Op>,
    devices: BTreeMap<Arc<str>, Geometry>,
}

impl Journal {
    /// The device name under which steps on small files are logged.
    pub const FILES: &'static str = "files";

    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many acts were logged; also the number of the next one.
    #[must_use]
    pub fn op_count(&self) -> usize {
        self.lock().ops.len()
    }

    /// All acts so far.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        self.lock().ops.clone()
    }

    /// A journal of the same devices with other acts: what code that does them in another order,
    /// or leaves one out, would have logged.
    #[must_use]
    pub fn with_ops(&self, ops: Vec<Op>) -> Self {
        let devices = self.lock().devices.clone();
        Self { state: Arc::new(Mutex::new(State { ops, devices })) }
    }

    /// The labels of the devices that share this journal.
    #[must_use]
    pub fn devices(&self) -> Vec<Arc<str>> {
        self.lock().devices.keys().cloned().collect()
    }

    /// The content of `device` after the first `ops` acts (of all devices), none of them torn or
    /// lost, when it began as `initial`.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`] when `initial` is smaller than the device was.
    pub fn image_after(
        &self,
        device: &str,
        initial: &[u8],
        ops: usize,
    ) -> Result<Vec<u8>, StorageError> {
        let state = self.lock();
        let geometry = state.geometry(device);
        let mut image = initial.to_owned();
        for op in state.ops.iter().take(ops).filter(|op| &*op.device == device) {
            if let Some(change) = op.kind.change() {
                apply(device, geometry, &mut image, &change)?;
            }
        }
        Ok(image)
    }

    pub(crate) fn log(&self, device: &Arc<str>, kind: OpKind) {
        self.lock().ops.push(Op { device: Arc::clone(device), kind });
    }

    pub(crate) fn register(&self, device: &Arc<str>, geometry: Geometry) {
        self.lock().devices.insert(Arc::clone(device), geometry);
    }

    pub(crate) fn geometry(&self, device: &str) -> Geometry {
        self.lock().geometry(device)
    }

    /// Geometry and acts of one device, each act with its number in the whole order.
    pub(crate) fn of_device(&self, device: &str) -> (Geometry, Vec<(usize, OpKind)>) {
        let state = self.lock();
        let ops = state.ops.iter().enumerate();
        let own = ops.filter(|(_, op)| &*op.device == device);
        (state.geometry(device), own.map(|(number, op)| (number, op.kind.clone())).collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not change what was logged, so the guard is taken over.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A device that was never registered has no acts either, so its geometry does not matter.
    fn geometry(&self, device: &str) -> Geometry {
        let plain = Geometry { sector_bytes: 512, erase_bytes: None };
        self.devices.get(device).copied().unwrap_or(plain)
    }
}

impl OpKind {
    pub(crate) fn change(&self) -> Option<Change<'_>> {
        match self {
            Self::Write { offset, data } => Some(Change::Write { offset: *offset, data }),
            Self::Erase { offset, len } => {
                Some(Change::Erase { offset: *offset, len: ByteLen::new(*len) })
            }
            Self::Flush | Self::File(_) => None,
        }
    }
}
