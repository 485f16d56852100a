// SPDX-License-Identifier: MIT OR Apache-2.0
//! Marks a slot good, bad or active, with RAUC's identifiers and messages.

use super::progress::Steps;
use super::status_keeper::write_local;
use super::{Loader, SlotState, System, SystemError, SystemEvent};
use crate::event_log::Event;
use crate::slot_handlers::is_mountable;
use crate::status::timestamp_text;
use crate::{Slot, SlotName, SlotStatus};
use bootctl::{NamedError, NamedMark};
use storage::chain;

/// What a slot is marked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkState {
    /// It works.
    Good,
    /// It does not.
    Bad,
    /// It boots next.
    Active,
}

impl MarkState {
    /// RAUC's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Active => "active",
        }
    }

    /// The state of RAUC's word.
    ///
    /// # Errors
    /// [`MarkError::UnknownState`].
    pub fn from_name(name: &str) -> Result<Self, MarkError> {
        [Self::Good, Self::Bad, Self::Active]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| MarkError::UnknownState { name: name.to_owned() })
    }
}

/// Why nothing, or not everything, was marked.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// There is no such mark.
    #[error("unknown subcommand {name}")]
    UnknownState {
        /// The word.
        name: String,
    },
    /// No slot is booted.
    #[error("Did not find booted slot")]
    NoBooted,
    /// No slot is booted, and `other` is measured by it.
    #[error("Did not find booted slot needed to find another bootable slot of the same class")]
    NoBootedForOther,
    /// There is no other one.
    #[error("No other bootable slot of the same class found")]
    NoOther,
    /// There is no such slot.
    #[error("No slot with class {class} and name {name} found")]
    NoSuchSlot {
        /// Its class.
        class: String,
        /// The whole name.
        name: String,
    },
    /// The boot loader has no name for it.
    #[error("Slot {slot} has no bootname set")]
    NoBootname {
        /// The slot.
        slot: SlotName,
    },
    /// It is no slot's name.
    #[error("Invalid slot name format: '{name}'")]
    BadName {
        /// What was given.
        name: String,
    },
    /// Only one can be good by one word.
    #[error("cannot mark multiple slots as good")]
    SeveralGood,
    /// Only one can boot next.
    #[error("cannot activate multiple slots")]
    SeveralActive,
    /// The boot loader refused or failed.
    #[error("Failed marking slot {slot} as {state}:  {}", chain(cause))]
    State {
        /// The slot.
        slot: SlotName,
        /// `good` or `bad`.
        state: &'static str,
        /// Cause; shown in the text, after RAUC's two blanks.
        cause: NamedError,
    },
    /// The boot loader refused or failed.
    #[error("failed to activate slot {slot}: {}", chain(cause))]
    Activate {
        /// The slot.
        slot: SlotName,
        /// Cause, shown in the text.
        cause: NamedError,
    },
}

impl MarkError {
    /// The way out, where there is one to name.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::State { cause, .. } | Self::Activate { cause, .. } => cause.hint(),
            Self::UnknownState { .. }
            | Self::NoBooted
            | Self::NoBootedForOther
            | Self::NoOther
            | Self::NoSuchSlot { .. }
            | Self::NoBootname { .. }
            | Self::BadName { .. }
            | Self::SeveralGood
            | Self::SeveralActive => None,
        }
    }
}

/// What was marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkOutcome {
    /// The slots, a blank between.
    pub slots: String,
    /// For the person who asked.
    pub message: String,
}

impl System {
    /// Marks `booted`, `other` or the slot of a name. A mark waits for no install: the boot
    /// loader's own lock keeps two from meeting, and the running slot is confirmed while the other
    /// one is written.
    ///
    /// # Errors
    /// [`SystemError::Mark`], or as [`System::determine_slot_states`].
    pub fn mark(
        &mut self,
        state: MarkState,
        identifier: &str,
        sink: &mut dyn FnMut(SystemEvent),
    ) -> Result<MarkOutcome, SystemError> {
        self.determine_slot_states()?;
        let mut steps = Steps::new(sink);
        let slots = self.identify(identifier)?;
        match state {
            MarkState::Good => {
                let [slot] = slots.as_slice() else { return Err(MarkError::SeveralGood.into()) };
                self.mark_good(slot, &mut steps)?;
                // Our own protocol does it in the same commit, and spares an update on trial.
                let by_itself = self.parts.boot.prevents_late_fallback();
                let prevent = self.config.system.prevent_late_fallback && !by_itself;
                if prevent && identifier == "booted" {
                    self.give_up_others(&mut steps);
                }
            }
            MarkState::Bad => {
                for slot in &slots {
                    self.mark_bad(slot, &mut steps)?;
                }
            }
            MarkState::Active => {
                let [slot] = slots.as_slice() else { return Err(MarkError::SeveralActive.into()) };
                self.mark_active(slot, &mut steps)?;
            }
        }
        let names: Vec<String> = slots.iter().map(|slot| slot.name.to_string()).collect();
        let slots = names.join(" ");
        let message = format!("marked slot(s) {slots} as {}", state.name());
        Ok(MarkOutcome { slots, message })
    }

    /// The booted slot is good by now, and stays so whatever becomes of the others.
    fn give_up_others(&mut self, steps: &mut Steps<'_>) {
        let others = self.identify("other").unwrap_or_else(|error| {
            steps.warn(format!("a late fallback is not prevented: {}", chain(&error)));
            Vec::new()
        });
        for other in others {
            if let Err(error) = self.mark_bad(&other, steps) {
                steps.warn(format!("a late fallback is not prevented: {}", chain(&error)));
            }
        }
    }

    fn identify(&self, identifier: &str) -> Result<Vec<Slot>, MarkError> {
        let is_booted = |slot: &&Slot| {
            self.states.as_ref().is_some_and(|s| s.of(&slot.name) == SlotState::Booted)
        };
        let booted = self.config.slots.values().find(is_booted);
        match identifier {
            "booted" => Ok(vec![booted.ok_or(MarkError::NoBooted)?.clone()]),
            "other" => {
                let booted = booted.ok_or(MarkError::NoBootedForOther)?;
                let is_other = |slot: &&Slot| {
                    slot.name.class == booted.name.class
                        && slot.parent.is_none()
                        && slot.bootname.is_some()
                        && slot.name != booted.name
                };
                let others: Vec<Slot> =
                    self.config.slots.values().filter(is_other).cloned().collect();
                if others.is_empty() { Err(MarkError::NoOther) } else { Ok(others) }
            }
            name => Ok(vec![self.named(name)?]),
        }
    }

    fn named(&self, name: &str) -> Result<Slot, MarkError> {
        let Ok(parsed) = name.parse::<SlotName>() else {
            return Err(MarkError::BadName { name: name.to_owned() });
        };
        let slot = self.config.slots.get(&parsed).ok_or_else(|| MarkError::NoSuchSlot {
            class: parsed.class.clone(),
            name: name.to_owned(),
        })?;
        if slot.bootname.is_none() {
            return Err(MarkError::NoBootname { slot: parsed });
        }
        Ok(slot.clone())
    }

    fn mark_good(&mut self, slot: &Slot, steps: &mut Steps<'_>) -> Result<(), MarkError> {
        self.set_state(slot, NamedMark::Good, steps)?;
        self.log(&Event::marked_good(slot), steps);
        Ok(())
    }

    pub(super) fn mark_bad(&mut self, slot: &Slot, steps: &mut Steps<'_>) -> Result<(), MarkError> {
        self.set_state(slot, NamedMark::Bad, steps)?;
        self.log(&Event::marked_bad(slot), steps);
        Ok(())
    }

    fn set_state(
        &mut self,
        slot: &Slot,
        mark: NamedMark,
        steps: &mut Steps<'_>,
    ) -> Result<(), MarkError> {
        // A booted slot may have no name at its boot loader, and then nothing can be said of it.
        let bootname = slot.bootname.as_deref();
        let bootname = bootname.ok_or_else(|| MarkError::NoBootname { slot: slot.name.clone() })?;
        let marked = self.parts.boot.set_state(bootname, mark);
        self.boot_warnings(steps);
        self.view_boot(Loader::after(&marked), steps);
        let state = mark.as_str();
        marked.map_err(|cause| MarkError::State { slot: slot.name.clone(), state, cause })
    }

    fn mark_active(&mut self, slot: &Slot, steps: &mut Steps<'_>) -> Result<(), MarkError> {
        let bootname = slot.bootname.as_deref();
        let bootname = bootname.ok_or_else(|| MarkError::NoBootname { slot: slot.name.clone() })?;
        let before = (!self.status.is_central()).then(|| self.activate_in_slot(slot, steps));
        let marked = self.parts.boot.set_primary(bootname);
        self.boot_warnings(steps);
        self.view_boot(Loader::after(&marked), steps);
        marked.map_err(|cause| {
            if let Some(before) = before {
                self.put_in_slot(slot, &before, steps);
            }
            MarkError::Activate { slot: slot.name.clone(), cause }
        })?;
        self.note_activated(slot, steps);
        Ok(())
    }

    /// A status inside the slot is changed before the slot boots next: from then on nothing is
    /// written into it. Gives back what was there.
    fn activate_in_slot(&mut self, slot: &Slot, steps: &mut Steps<'_>) -> SlotStatus {
        let before = self.local_status(slot, steps);
        let mut after = before.clone();
        self.count_activation(&mut after);
        self.put_in_slot(slot, &after, steps);
        before
    }

    fn put_in_slot(&mut self, slot: &Slot, status: &SlotStatus, steps: &mut Steps<'_>) {
        let is_written = crate::running_install(&self.parts.surroundings.lock_root).is_some();
        if is_mountable(slot.slot_type) && !is_written {
            let (files, machine) = (&mut *self.parts.files, &mut *self.parts.machine);
            if let Err(error) = write_local(&self.config, slot, status, (files, machine)) {
                steps.note(format!("Error while writing status file: {}", chain(&*error)));
            }
        }
        // With a status in each slot this is memory alone, which does not fail.
        let _kept = self.set_status(&slot.name, steps, &|known| *known = status.clone());
    }

    fn count_activation(&self, status: &mut SlotStatus) {
        status.activated_at = timestamp_text((self.parts.clock)());
        status.activated_count += 1;
    }

    /// Event and status of a slot that boots next. A status inside the slot says so already.
    pub(super) fn note_activated(&mut self, slot: &Slot, steps: &mut Steps<'_>) {
        let hash = self.status.known(&slot.name).bundle_hash;
        self.log(&Event::marked_active(slot, hash), steps);
        if !self.status.is_central() {
            return;
        }
        let mut counted = SlotStatus::default();
        self.count_activation(&mut counted);
        let noted = self.set_status(&slot.name, steps, &|status| {
            status.activated_at.clone_from(&counted.activated_at);
            status.activated_count += counted.activated_count;
        });
        if let Err(error) = noted {
            // The slot boots next already.
            steps.note(chain(&error));
        }
    }

    pub(super) fn boot_warnings(&mut self, steps: &mut Steps<'_>) {
        for warning in self.parts.boot.warnings() {
            steps.warn(warning);
        }
    }
}
