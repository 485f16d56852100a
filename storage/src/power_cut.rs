// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and files that lose their power in the middle of things, on purpose.
//!
//! Until the cut everything works. A disk holds its unflushed writes back, as a cache does; at
//! the cut each is kept, torn or lost by the plan's seed, the act in work is torn, and from then
//! on every call fails. What lies below then holds what a restarted board would find.

use crate::cut::{CutPlan, LosePower, Power};
use crate::device::check_range;
use crate::journal::OpKind;
use crate::medium::{Change, apply, tear};
use crate::nor::check_erase;
use crate::seed::Choices;
use crate::{Access, ByteLen, Devices, Files, FilesError, Geometry, Storage, StorageError};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Unflushed bytes beyond this go to the medium, oldest first, as from a cache of finite size.
const MAX_CACHED_BYTES: u64 = 32 * 1024 * 1024;

/// A device that loses its power by plan.
///
/// Closing it (dropping it) while there is power hands its unflushed writes on, as closing a
/// block device does.
pub struct PowerCut<S: Storage + 'static> {
    cache: Arc<Mutex<Cache<S>>>,
    plan: CutPlan,
    label: Arc<str>,
}

struct Cache<S> {
    inner: S,
    unflushed: VecDeque<OpKind>,
    bytes: u64,
    choices: Choices,
}

impl<S: Storage + 'static> PowerCut<S> {
    /// Puts `inner` on the power of `plan`.
    pub fn new(inner: S, plan: &CutPlan) -> Self {
        let label: Arc<str> = Arc::from(inner.label());
        let choices = Choices::named(plan.seed(), &label);
        let cache = Cache { inner, unflushed: VecDeque::new(), bytes: 0, choices };
        let cache = Arc::new(Mutex::new(cache));
        let weak: Weak<Mutex<Cache<S>>> = Arc::downgrade(&cache);
        plan.attach(weak);
        Self { cache, plan: plan.clone(), label }
    }

    fn lock(&self) -> MutexGuard<'_, Cache<S>> {
        // A panic elsewhere does not change what is in the cache, so the guard is taken over.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut_error(&self) -> StorageError {
        StorageError::PowerCut { label: self.label.to_string() }
    }

    fn check_power(&self) -> Result<(), StorageError> {
        if self.plan.is_cut() { Err(self.cut_error()) } else { Ok(()) }
    }

    fn change(&self, kind: OpKind) -> Result<(), StorageError> {
        let bytes = kind.change().map_or(0, |change| change.len());
        let mut cache = self.lock();
        match self.plan.spend(bytes) {
            Power::On => cache.accept(kind),
            Power::Off => Err(self.cut_error()),
            Power::Goes { done } => {
                cache.lose_power();
                let torn = cache.tear(&kind, done);
                drop(cache);
                self.plan.cut_all();
                torn.and(Err(self.cut_error()))
            }
        }
    }
}

impl<S: Storage> Cache<S> {
    fn accept(&mut self, kind: OpKind) -> Result<(), StorageError> {
        if matches!(kind, OpKind::Flush) {
            self.write_back()?;
            return self.inner.flush();
        }
        if self.inner.geometry().erase_bytes.is_some() {
            // Flash has no cache: what was accepted is on the chip.
            return write_through(&mut self.inner, &kind);
        }
        self.bytes = self.bytes.saturating_add(kind.change().map_or(0, |change| change.len()));
        self.unflushed.push_back(kind);
        while self.bytes > MAX_CACHED_BYTES {
            self.write_oldest()?;
        }
        Ok(())
    }

    fn write_back(&mut self) -> Result<(), StorageError> {
        while !self.unflushed.is_empty() {
            self.write_oldest()?;
        }
        Ok(())
    }

    fn write_oldest(&mut self) -> Result<(), StorageError> {
        let Some(kind) = self.unflushed.pop_front() else {
            self.bytes = 0;
            return Ok(());
        };
        self.bytes = self.bytes.saturating_sub(kind.change().map_or(0, |change| change.len()));
        write_through(&mut self.inner, &kind)
    }

    /// Leaves the act in work on the medium as a cut leaves it, `done` of its bytes done.
    fn tear(&mut self, kind: &OpKind, done: Option<u64>) -> Result<(), StorageError> {
        let Some(change) = kind.change() else { return Ok(()) };
        let geometry = self.inner.geometry();
        let chosen = self.choices.below(change.units(geometry).saturating_add(1));
        let units = done.map_or(chosen, |done| change.whole_units(geometry, done));
        let mut bytes = vec![0; usize::try_from(change.len()).unwrap_or(0)];
        self.inner.read_at(change.offset(), &mut bytes)?;
        tear(geometry, &mut bytes, &change, units, &mut self.choices);
        if geometry.erase_bytes.is_some() && matches!(kind, OpKind::Erase { .. }) {
            // Only an erase can set the bits that the torn one has set; the write clears the rest.
            self.inner.erase(change.offset(), change.len())?;
        }
        self.inner.write_at(change.offset(), &bytes)
    }
}

impl<S: Storage> LosePower for Cache<S> {
    fn lose_power(&mut self) {
        self.bytes = 0;
        for kind in std::mem::take(&mut self.unflushed) {
            // A medium that fails here loses the write, which is one of the things a cut may do.
            let _lost = match self.choices.below(3) {
                0 => Ok(()),
                1 => self.tear(&kind, None),
                _ => write_through(&mut self.inner, &kind),
            };
        }
    }
}

fn write_through(inner: &mut dyn Storage, kind: &OpKind) -> Result<(), StorageError> {
    match kind.change() {
        Some(Change::Write { offset, data }) => inner.write_at(offset, data),
        Some(Change::Erase { offset, len }) => inner.erase(offset, len.get()),
        None => Ok(()),
    }
}

impl<S: Storage + 'static> Drop for PowerCut<S> {
    fn drop(&mut self) {
        if !self.plan.is_cut() {
            // As with a file that is closed unsynced, nobody is left to hear of a failure.
            let _unheard = self.lock().write_back();
        }
    }
}

impl<S: Storage + 'static> Storage for PowerCut<S> {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        self.lock().inner.len()
    }

    fn geometry(&self) -> Geometry {
        self.lock().inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.check_power()?;
        let cache = self.lock();
        cache.inner.read_at(offset, buf)?;
        let geometry = cache.inner.geometry();
        for change in cache.unflushed.iter().filter_map(OpKind::change) {
            if let Some(part) = change.within(offset, buf.len() as u64) {
                apply(&self.label, geometry, buf, &part)?;
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.check_power()?;
        check_range(&self.label, self.len(), offset, data.len() as u64)?;
        self.change(OpKind::Write { offset, data: data.to_owned() })
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_power()?;
        check_range(&self.label, self.len(), offset, len)?;
        if let Some(block) = self.geometry().erase_bytes {
            check_erase(&self.label, block, offset, len)?;
        }
        self.change(OpKind::Erase { offset, len })
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.change(OpKind::Flush)
    }

    /// Keeps what is unflushed: dirty data is not dropped.
    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_power()?;
        self.lock().inner.forget_cached(offset, len)
    }
}

/// Devices on the power of one plan from the moment they are opened.
pub struct PowerCutDevices<D> {
    inner: D,
    plan: CutPlan,
}

impl<D: Devices> PowerCutDevices<D> {
    /// Puts what `inner` opens on the power of `plan`.
    pub fn new(inner: D, plan: &CutPlan) -> Self {
        Self { inner, plan: plan.clone() }
    }
}

impl<D: Devices> Devices for PowerCutDevices<D> {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        let storage = self.inner.open(device, access)?;
        if self.plan.is_cut() {
            return Err(StorageError::PowerCut { label: storage.label().to_owned() });
        }
        Ok(Box::new(PowerCut::new(storage, &self.plan)))
    }

    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        self.inner.mounted_at(device)
    }
}

/// Files on the power of a plan; a replacement in work leaves the old or the new file whole.
pub struct PowerCutFiles<F> {
    inner: F,
    plan: CutPlan,
}

impl<F: Files> PowerCutFiles<F> {
    /// Puts `inner` on the power of `plan`.
    pub fn new(inner: F, plan: &CutPlan) -> Self {
        Self { inner, plan: plan.clone() }
    }

    fn change(
        &mut self,
        path: &Path,
        act: impl FnOnce(&mut F) -> Result<(), FilesError>,
    ) -> Result<(), FilesError> {
        let path_text = path.display().to_string();
        match self.plan.spend(0) {
            Power::On => return act(&mut self.inner),
            Power::Off => {}
            Power::Goes { .. } => {
                self.plan.cut_all();
                if Choices::named(self.plan.seed(), &path_text).below(2) == 1 {
                    act(&mut self.inner)?;
                }
            }
        }
        let source = StorageError::PowerCut { label: path_text };
        Err(FilesError::Write { path: path.to_owned(), source: io::Error::other(source) })
    }
}

impl<F: Files> Files for PowerCutFiles<F> {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.inner.read(path, limit)
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.change(path, |files| files.replace(path, content))
    }

    fn replace_secret(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.change(path, |files| files.replace_secret(path, content))
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.change(path, |files| files.remove(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.inner.list(dir)
    }
}
