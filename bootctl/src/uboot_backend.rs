// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state in U-Boot's environment.
//!
//! One store is one environment commit: all variables of a transition become valid together, and
//! variables that are not ours stay as they are. A lost environment reads as a state of unknown
//! slots; it is begun anew only from the boot loader's own defaults.
//!
//! A store is a comparison and a commit under one lock: an install takes minutes, and a mark-good
//! of the health service in between must not be undone by the install's end, nor the begun install
//! by a mark-good that was decided before it.

use crate::backend::{BackendError, BootBackend};
use crate::{BootState, DataReset, EnvLock, Numbered, ReadStateError, read_trail};
use std::path::PathBuf;
use storage::Storage;
use uboot::{Env, EnvError, EnvStore, Redundancy};

/// Keeps the boot state in an environment of U-Boot.
pub struct UbootBackend<S> {
    store: EnvStore<S>,
    defaults: Option<Env>,
    lock: Option<PathBuf>,
    warnings: Vec<String>,
    trail: Vec<Numbered>,
}

impl<S: Storage> UbootBackend<S> {
    /// A backend that refuses to store while the environment is lost.
    #[must_use]
    pub const fn new(store: EnvStore<S>) -> Self {
        Self { store, defaults: None, lock: None, warnings: Vec::new(), trail: Vec::new() }
    }

    /// A backend that begins a lost environment anew from `defaults`, which must be those of the
    /// boot loader.
    #[must_use]
    pub fn with_defaults(store: EnvStore<S>, defaults: Env) -> Self {
        Self { defaults: Some(defaults), ..Self::new(store) }
    }

    /// Every store then holds [`EnvLock`] with the lock file at `path` while it reads, compares
    /// and writes.
    #[must_use]
    pub fn locked_by(self, path: PathBuf) -> Self {
        Self { lock: Some(path), ..self }
    }

    /// What a change starts from: what is stored, or the boot loader's defaults where it is lost.
    fn begun_from(&self, found: Option<Env>) -> Result<Env, BackendError> {
        match (found, &self.defaults) {
            (Some(env), _) => Ok(env),
            (None, Some(defaults)) => Ok(defaults.clone()),
            (None, None) => Err(BackendError::NoDefaults),
        }
    }

    /// The stored variables, or `None` when they are lost. A place that cannot be read is not a
    /// lost environment: nothing may be concluded from it.
    fn load_env(&mut self) -> Result<Option<Env>, BackendError> {
        match self.store.load() {
            Ok(loaded) => {
                self.warnings = loaded.warnings();
                Ok(Some(loaded.env))
            }
            Err(lost @ (EnvError::Lost { .. } | EnvError::BothCorrupt { .. })) => {
                self.warnings = vec![lost.to_string()];
                Ok(None)
            }
            Err(source) => Err(BackendError::Environment { source }),
        }
    }

    /// As [`Self::load_env`], with the right to change what was found, for as long as it is held.
    fn load_locked(&mut self) -> Result<(Option<Env>, Option<EnvLock>), BackendError> {
        let lock = self.lock.as_deref().map(EnvLock::acquire).transpose()?;
        let found = self.load_env()?;
        let warning = lock.as_ref().and_then(EnvLock::warning);
        self.warnings.extend(warning.map(str::to_owned));
        Ok((found, lock))
    }
}

impl<S: Storage> BootBackend for UbootBackend<S> {
    fn name(&self) -> &'static str {
        "uboot"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        self.trail.clear();
        let Some(env) = self.load_env()? else {
            return Ok(BootState::lost());
        };
        self.trail = read_trail(&env);
        match BootState::from_env_warned(&env) {
            Ok((state, warnings)) => {
                self.warnings.extend(warnings.iter().map(ToString::to_string));
                Ok(state)
            }
            Err(lost @ ReadStateError::Lost) => {
                self.warnings.push(lost.to_string());
                Ok(BootState::lost())
            }
        }
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError> {
        // Read again and not remembered from `load`: another program may have set a variable of
        // its own meanwhile, which must not be lost. The lock is held to the end of the function.
        let known = std::mem::take(&mut self.warnings);
        let (found, lock) = self.load_locked()?;
        let of_lock = lock.as_ref().and_then(EnvLock::warning);
        let current = found.as_ref().and_then(|env| BootState::from_env(env).ok());
        if current.unwrap_or_else(BootState::lost) != *old {
            // The older copy speaks when the newer one cannot be read any more: nobody changed it.
            let is_news =
                |warning: &&String| !known.contains(warning) && of_lock != Some(warning.as_str());
            return Err(match self.warnings.iter().find(is_news) {
                Some(warning) => BackendError::CopyLost { warning: warning.clone() },
                None => BackendError::Changed,
            });
        }
        let mut env = self.begun_from(found)?;
        let failed = |source| BackendError::Environment { source };
        new.write_to(&mut env).map_err(failed)?;
        self.store.store(&env).map_err(failed)
    }

    fn copies(&self) -> usize {
        match self.store.redundancy() {
            Redundancy::Single => 1,
            Redundancy::Redundant(_) => 2,
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn trail(&self) -> Vec<Numbered> {
        self.trail.clone()
    }

    fn data_reset(&mut self) -> Result<DataReset, BackendError> {
        Ok(self.load_env()?.map_or(DataReset::NotRequested, |env| DataReset::from_env(&env)))
    }

    fn set_data_reset(&mut self, wanted: DataReset) -> Result<(), BackendError> {
        // The lock is held to the end of the function.
        let (found, _lock) = self.load_locked()?;
        if found.as_ref().map_or(DataReset::NotRequested, DataReset::from_env) == wanted {
            return Ok(());
        }
        let mut env = self.begun_from(found)?;
        let failed = |source| BackendError::Environment { source };
        wanted.write_to(&mut env).map_err(failed)?;
        // A request that was done must not come back with the older copy when the newer one is
        // lost: taking it back reaches both copies.
        let commits = match wanted {
            DataReset::Partition(_) | DataReset::BoundDisk => 1,
            DataReset::NotRequested => self.copies(),
        };
        (0..commits).try_for_each(|_| self.store.store(&env)).map_err(failed)
    }
}
