// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does RAUC ask of a boot loader? Six questions about bootnames, and what an install tells it.

use super::NamedError;
use crate::{Activation, BundleId};
use std::path::PathBuf;

/// What RAUC can say of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedMark {
    /// It may be booted.
    Good,
    /// It is not to be booted.
    Bad,
}

impl NamedMark {
    /// RAUC's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// A slot of `system.conf` that has a bootname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSlot {
    /// What the boot loader calls it.
    pub bootname: String,
    /// Its device.
    pub device: PathBuf,
    /// The loader of a firmware entry that has to be made anew.
    pub efi_loader: Option<String>,
    /// The command line of such an entry.
    pub efi_cmdline: Option<String>,
}

/// A boot loader as RAUC sees it.
pub trait NamedBoot: Send {
    /// The name in `system.conf`.
    fn name(&self) -> &'static str;

    /// The bootname that runs now, where the boot loader itself can tell.
    ///
    /// # Errors
    /// [`NamedError`] when it could tell and the question failed.
    fn current(&mut self) -> Result<Option<String>, NamedError>;

    /// Whether `bootname` may be booted.
    ///
    /// # Errors
    /// [`NamedError`]; [`super::NamedFailure::Unsupported`] where nobody can tell.
    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError>;

    /// The bootname that is booted next, among those of `system.conf`.
    ///
    /// # Errors
    /// [`NamedError`], also where there is none, as in RAUC.
    fn primary(&mut self) -> Result<Option<String>, NamedError>;

    /// Marks `bootname`.
    ///
    /// # Errors
    /// [`NamedError`].
    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError>;

    /// Makes `bootname` the one that is booted next.
    ///
    /// # Errors
    /// [`NamedError`].
    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError>;

    /// The slots of `bootname` are about to be written: from here on it must not be booted.
    ///
    /// # Errors
    /// [`NamedError`]; nothing may be written then.
    fn begin_install(&mut self, bootname: &str) -> Result<(), NamedError> {
        self.set_state(bootname, NamedMark::Bad)
    }

    /// The slots of `bootname` are written and durable.
    ///
    /// # Errors
    /// [`NamedError`].
    fn finish_install(
        &mut self,
        bootname: &str,
        _bundle: BundleId,
        activation: Activation,
    ) -> Result<(), NamedError> {
        match activation {
            Activation::Activate => self.set_primary(bootname),
            Activation::Stage => Ok(()),
        }
    }

    /// Whether a mark-good of the booted slot itself gives the other one up where `system.conf`
    /// says so (`prevent-late-fallback`). Nobody else may mark it then.
    fn prevents_late_fallback(&self) -> bool {
        false
    }

    /// Whether `bundle` was installed here before and did not prove itself. Whoever installs by
    /// itself asks this first; a boot loader that RAUC knows remembers nothing of the kind.
    ///
    /// # Errors
    /// [`NamedError`].
    fn is_known_failed(&mut self, _bundle: &BundleId) -> Result<bool, NamedError> {
        Ok(false)
    }

    /// What should be told to a person but stopped nothing, since the last time it was asked.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
