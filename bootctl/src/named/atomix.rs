// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's questions on a board with our own boot protocol.
//!
//! Every mark goes through [`crate::transition`], so that what our commands refuse is refused under
//! RAUC's name too: the last good slot is not given up, a half written one is not made primary.
//! RAUC knows good and bad only. A slot reads good where the selector would take it: in the order,
//! with attempts, and `trying`, `good` or `unknown`.
//!
//! The state is opened anew for each question: a service lives long, and the health service, the
//! firmware's half of the next boot and people at the command line change it too.

use super::warnings::Warnings;
use super::{NamedBoot, NamedError, NamedFailure, NamedMark};
use crate::{Activation, BootControl, BundleId, Command, ControlError, Force, SlotId, SlotState};
use storage::Access;

const NAME: &str = "uboot";

/// Why a board could not be opened, from the program that knows its pieces.
pub type BoardCause = Box<dyn std::error::Error + Send + Sync>;

/// The pieces of a board that its program puts together.
pub trait AtomixBoard: Send {
    /// Opens the boot state.
    ///
    /// # Errors
    /// Why it cannot be.
    fn open(&mut self, access: Access) -> Result<BootControl, BoardCause>;

    /// Whether the slot would load, which the state alone does not know.
    ///
    /// # Errors
    /// Why it would not, or why that cannot be told.
    fn require_seal(&mut self, slot: SlotId) -> Result<(), BoardCause>;
}

/// U-Boot with our own protocol.
pub struct AtomixNamed {
    board: Box<dyn AtomixBoard>,
    warnings: Warnings,
}

impl AtomixNamed {
    /// RAUC's view of `board`.
    #[must_use]
    pub fn new(board: Box<dyn AtomixBoard>) -> Self {
        Self { board, warnings: Warnings::default() }
    }

    fn open(&mut self, access: Access) -> Result<BootControl, NamedError> {
        let control = self.board.open(access).map_err(own)?;
        self.hear(&control);
        Ok(control)
    }

    fn hear(&mut self, control: &BootControl) {
        for warning in control.warnings() {
            self.warnings.add_lasting(warning.clone());
        }
    }

    fn apply(&mut self, command: &Command) -> Result<(), NamedError> {
        let mut control = self.open(Access::ReadWrite)?;
        let applied = control.apply(command).map_err(failed);
        self.hear(&control);
        applied
    }
}

const fn refused(failure: NamedFailure) -> NamedError {
    NamedError::new(NAME, failure)
}

fn own(source: BoardCause) -> NamedError {
    refused(NamedFailure::Own { source })
}

fn failed(error: ControlError) -> NamedError {
    match error {
        ControlError::Refused(reason) => refused(NamedFailure::Refused(reason)),
        ControlError::Backend(cause) => own(Box::new(cause)),
    }
}

fn slot_named(bootname: &str) -> Result<SlotId, NamedError> {
    bootname.parse().map_err(|unknown: crate::UnknownSlot| {
        refused(NamedFailure::Parse { what: unknown.to_string() })
    })
}

impl NamedBoot for AtomixNamed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        let booted = self.open(Access::ReadOnly)?.booted();
        Ok(booted.map(|slot| slot.boot_name().to_owned()))
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        let slot = slot_named(bootname)?;
        let control = self.open(Access::ReadOnly)?;
        let state = control.state();
        Ok(state.order.contains(&slot) && state.is_candidate(slot))
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let primary = self.open(Access::ReadOnly)?.state().primary();
        let what = "Unable to find primary boot slot".to_owned();
        let primary = primary.ok_or_else(|| refused(NamedFailure::Parse { what }))?;
        Ok(Some(primary.boot_name().to_owned()))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        let slot = slot_named(bootname)?;
        match mark {
            NamedMark::Good => self.apply(&Command::MarkGood { slot }),
            NamedMark::Bad => {
                let held = self.open(Access::ReadOnly)?.state().slot(slot).state;
                match held {
                    // It reads bad and is never booted, other than a bad slot as the last resort:
                    // the mark is there, and the stronger state stays.
                    SlotState::Empty | SlotState::Writing => Ok(()),
                    SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown => {
                        self.apply(&Command::MarkBad { slot, force: Force::No })
                    }
                }
            }
        }
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        let slot = slot_named(bootname)?;
        let command = Command::MarkActive { slot };
        let mut control = self.open(Access::ReadWrite)?;
        // The state's own refusal says more than a missing seal.
        crate::transition(control.state(), control.booted(), &command)
            .map_err(|reason| failed(ControlError::Refused(reason)))?;
        self.board.require_seal(slot).map_err(own)?;
        let applied = control.apply(&command).map_err(failed);
        self.hear(&control);
        applied
    }

    /// Before the first byte is written both copies of the environment say `writing`.
    fn begin_install(&mut self, bootname: &str) -> Result<(), NamedError> {
        let slot = slot_named(bootname)?;
        let mut control = self.open(Access::ReadWrite)?;
        let begun = control.begin_install(slot).map_err(failed);
        self.hear(&control);
        begun
    }

    /// A slot that was not sealed is not finished, whatever its writer believes.
    fn finish_install(
        &mut self,
        bootname: &str,
        bundle: BundleId,
        activation: Activation,
    ) -> Result<(), NamedError> {
        let target = slot_named(bootname)?;
        self.board.require_seal(target).map_err(own)?;
        self.apply(&Command::FinishInstall { target, bundle, activation })
    }

    fn prevents_late_fallback(&self) -> bool {
        true
    }

    fn is_known_failed(&mut self, bundle: &BundleId) -> Result<bool, NamedError> {
        Ok(self.open(Access::ReadOnly)?.state().is_known_failed(bundle))
    }

    fn warnings(&mut self) -> Vec<String> {
        self.warnings.take()
    }
}
