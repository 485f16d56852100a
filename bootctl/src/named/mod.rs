// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a boot loader say about the bootnames of `system.conf`, and how is it told?
//!
//! [`crate::BootBackend`] keeps the whole state of our own protocol, for two slots. RAUC knows less
//! of more boot loaders: any number of bootnames, each good or bad, and one of them primary. Here
//! are its six backends, each through the programs that RAUC runs, and `AtomixNamed`, which
//! answers the same questions on a board that has our own protocol and keeps its rules.

mod error;

pub use error::{NamedError, NamedFailure};

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
    /// [`NamedError`]; [`NamedError::is_unsupported`] where nobody can tell.
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

    /// The install into the slots of `bootname` was given up. In RAUC's protocol it stays bad.
    ///
    /// # Errors
    /// [`NamedError`].
    fn fail_install(&mut self, _bootname: &str) -> Result<(), NamedError> {
        Ok(())
    }

    /// What should be told to a person but stopped nothing, since the last time it was asked.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
