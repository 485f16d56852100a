// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state of a context: which keeper, which memory and which rule its configuration names.
//! What is done with them is `bootctl`'s.

use crate::context::Context;
use crate::failure::Failure;
use bootctl::{ControlError, ControlParts, LateFallback, SlotId};
use std::ops::{Deref, DerefMut};
use storage::Access;
use updater::SystemConfig;

/// The boot state of a context, open for change.
pub struct BootControl(bootctl::BootControl);

impl BootControl {
    /// Opens the boot state of `context`. A recorder that cannot be opened is a warning: updating
    /// and booting must not depend on it.
    ///
    /// # Errors
    /// [`Failure`] of the configuration or the backend.
    pub fn open(context: &Context, access: Access) -> Result<Self, Failure> {
        Self::open_by(context, &context.system_conf()?, access)
    }

    /// As [`BootControl::open`], by a configuration that was read already.
    ///
    /// # Errors
    /// As [`BootControl::open`].
    pub fn open_by(
        context: &Context,
        config: &SystemConfig,
        access: Access,
    ) -> Result<Self, Failure> {
        let recorder = match (context.settings(), access) {
            // Those who only look need the rest of the answer, most of all then.
            (Err(failure), Access::ReadOnly) => Err(failure),
            (settings, Access::ReadOnly | Access::ReadWrite | Access::WriteBeside) => {
                context.recorder(&settings?, access)
            }
        };
        let backend = context.backend(config, access)?;
        let late_fallback = if config.system.prevent_late_fallback {
            LateFallback::Prevented
        } else {
            LateFallback::Allowed
        };
        let parts = ControlParts {
            backend,
            recorder: recorder.map_err(|failure| failure.as_warning()),
            booted: context.booted()?,
            late_fallback,
            at: context.now.timestamp(),
        };
        let mut control = bootctl::BootControl::load(parts)?;
        if let Some(front) = context.disk_when_unnamed(control.stored()) {
            control.of_disk(front);
        }
        Ok(Self(control))
    }

    /// The slot that runs now.
    ///
    /// # Errors
    /// [`Failure::NotBootedFromSlot`].
    pub fn require_booted(&self) -> Result<SlotId, Failure> {
        self.booted().ok_or(Failure::NotBootedFromSlot)
    }

    /// The control itself.
    #[must_use]
    pub fn into_inner(self) -> bootctl::BootControl {
        self.0
    }
}

impl Deref for BootControl {
    type Target = bootctl::BootControl;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for BootControl {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(refused) => Self::BootState(refused),
            ControlError::Backend(cause) => Self::Backend(cause),
        }
    }
}
