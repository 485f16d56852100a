// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does RAUC do with a system? Its install, its marks and its status, as a library.
//!
//! A [`System`] is a configuration, what was found out about the running system once at its start,
//! and the seams it acts through ([`SystemParts`]). What is told goes to a sink of
//! [`SystemEvent`]s, what is asked all the time is whether somebody wants it to end. Nothing here
//! prints, reads a clock or verifies a bundle.
//!
//! On a board with our own boot protocol the slots are written by [`crate::Installer`] and by
//! nothing else (`sealed`).

mod adaptive_images;
mod artifact_install;
mod booted;
mod bundle_files;
mod casync_images;
mod content;
mod content_need;
mod delta_sources;
mod environment;
mod error;
mod facts;
mod fit;
mod handler_output;
mod hooks;
mod install;
mod mark;
mod parts;
mod plan;
mod program;
mod program_failure;
mod progress;
mod remarks;
mod report;
mod run_links;
mod sealed;
mod sealed_images;
mod sealed_install;
mod seed_mount;
mod slot_data;
mod slot_indexes;
mod slot_install;
mod status_keeper;
mod system_info;
mod target;
mod write_slot;

use booted::slot_states;
pub use booted::{EXTERNAL, SlotStates};
pub use bundle_files::{ContentError, memory_available};
use content::open_plain;
pub use content::{BundleSources, ImageRequest, ImageSources, OpenContent};
pub use delta_sources::{DeltaSources, StoreOptions};
pub use error::{BoxedError, InstallationError, SystemError};
pub use facts::{Started, SystemFacts};
pub use handler_output::{HandlerLine, parse_handler_line};
pub use mark::{MarkError, MarkOutcome, MarkState};
pub use parts::{
    InstallOutcome, InstallRequest, OpenBundle, OpeningFacts, Surroundings, SystemParts, Updated,
    VersionLimit,
};
pub use program_failure::ProgramFailure;
pub use progress::{StepEnd, Steps, SystemEvent};
pub use report::{BootStatus, SlotReport, SlotState, SystemStatus, SystemView};
pub use sealed::{OwnedInstaller, SealedInstall, SealedJob};
pub use system_info::{MAX_VARIABLES, SystemInfo};
pub use write_slot::{WriteSlotError, WriteSlotRequest};

use crate::event_log::Event;
use crate::{InstallLock, SlotName, SystemConfig};
use bootctl::{BundleId, NamedBoot, NamedError};
use status_keeper::StatusKeeper;

/// RAUC's view of this system.
pub struct System {
    config: SystemConfig,
    parts: SystemParts,
    facts: SystemFacts,
    states: Option<SlotStates>,
    status: StatusKeeper,
    view: SystemView,
}

impl System {
    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &SystemConfig {
        &self.config
    }

    /// What was found out at the start.
    #[must_use]
    pub const fn facts(&self) -> &SystemFacts {
        &self.facts
    }

    /// What was last known, for other threads.
    #[must_use]
    pub fn view(&self) -> SystemView {
        self.view.clone()
    }

    /// Which slot was booted and what that makes of the others. Install, status and mark need it
    /// first; it stays as it is for the life of the value.
    ///
    /// # Errors
    /// [`SystemError::NoSlots`], [`SystemError::BootSlotUnknown`] or
    /// [`SystemError::BootSlotMissing`].
    pub fn determine_slot_states(&mut self) -> Result<&SlotStates, SystemError> {
        let states = match self.states.take() {
            Some(states) => states,
            None => {
                let machine = &self.parts.machine;
                let real = |device: &std::path::Path| machine.real_path(device).ok();
                slot_states(&self.config, self.facts.booted_from.as_deref(), &real)?
            }
        };
        Ok(self.states.insert(states))
    }

    /// The slot that boots next.
    ///
    /// # Errors
    /// [`SystemError::Primary`] with the boot loader's words.
    pub fn primary(&mut self) -> Result<SlotName, SystemError> {
        self.ask_primary(&mut Loader::Answers)
    }

    fn ask_primary(&mut self, loader: &mut Loader) -> Result<SlotName, SystemError> {
        let answer = loader.ask(|| self.parts.boot.primary()).ok_or_else(|| {
            let backend = self.parts.boot.name();
            let text = format!("{backend} backend: not asked, since it did not answer before");
            SystemError::Primary { text }
        })?;
        let bootname = match answer {
            Ok(Some(bootname)) => bootname,
            Ok(None) => {
                let text = format!("{} backend: no primary slot found", self.parts.boot.name());
                return Err(SystemError::Primary { text });
            }
            Err(error) => {
                return Err(SystemError::Primary { text: storage::chain(&error) });
            }
        };
        let mut slots = self.config.slots.values();
        slots
            .find(|slot| slot.bootname.as_deref() == Some(&bootname))
            .map(|slot| slot.name.clone())
            .ok_or_else(|| SystemError::Primary {
                text: format!(
                    "{} backend: no slot has the bootname {bootname}",
                    self.parts.boot.name()
                ),
            })
    }

    /// Whether the bundle of that manifest was installed here before and did not prove itself.
    /// What installs by itself asks this first (built-in polling).
    ///
    /// # Errors
    /// Why the boot loader cannot tell.
    pub fn is_known_failed(&mut self, manifest: storage::Digest) -> Result<bool, NamedError> {
        self.parts.boot.is_known_failed(&BundleId::from(manifest))
    }

    /// Asks everything anew: boot loader, status, mounts, repositories. `sink` is told what could
    /// not be found out.
    ///
    /// # Errors
    /// As [`System::determine_slot_states`].
    pub fn status(
        &mut self,
        sink: &mut dyn FnMut(SystemEvent),
    ) -> Result<SystemStatus, SystemError> {
        let states = self.determine_slot_states()?.clone();
        let mut steps = Steps::new(sink);
        let mut loader = Loader::Answers;
        let primary = self.ask_primary(&mut loader).map_err(|error| error.text());
        let mut slots = Vec::new();
        for slot in self.config.slots.values() {
            let boot_status = boot_status(&mut *self.parts.boot, &mut loader, slot, &mut steps);
            slots.push(SlotReport {
                slot: slot.clone(),
                state: states.of(&slot.name),
                boot_status,
                mount_point: self.mount_point(slot, &mut steps),
                status: crate::SlotStatus::default(),
            });
        }
        self.load_status(&mut slots, &mut steps);
        let repositories = self.repository_reports(&mut steps);
        let status = SystemStatus {
            compatible: self.config.system.compatible.clone(),
            variant: self.facts.variant().map(str::to_owned),
            version: self.facts.version.clone(),
            booted_from: self.facts.booted_from.clone(),
            booted: states.booted,
            primary,
            slots,
            repositories,
        };
        self.view.change(|view| *view = status.clone());
        Ok(status)
    }

    /// Clients see at once what the boot loader was told, also during an install.
    fn view_boot(&mut self, mut loader: Loader, steps: &mut Steps<'_>) {
        let primary = self.ask_primary(&mut loader).map_err(|error| error.text());
        let boot = &mut *self.parts.boot;
        let slots = self.config.slots.values();
        let mut asked: std::collections::BTreeMap<SlotName, Option<BootStatus>> = slots
            .map(|slot| (slot.name.clone(), boot_status(boot, &mut loader, slot, steps)))
            .collect();
        self.view.change(|view| {
            // Before the first question about the system nothing is shown of it.
            if view.slots.is_empty() {
                return;
            }
            view.primary = primary;
            for report in &mut view.slots {
                report.boot_status = asked.remove(&report.slot.name).flatten();
            }
        });
    }

    /// What the slot's own file says now, or the central one.
    fn local_status(&mut self, slot: &crate::Slot, steps: &mut Steps<'_>) -> crate::SlotStatus {
        self.status.forget_local(&slot.name);
        let mounted = self.mount_point(slot, steps);
        let (files, machine) = (&*self.parts.files, &mut *self.parts.machine);
        self.status.slot(&self.config, slot, mounted.as_deref(), (files, machine), steps)
    }

    fn mount_point(&self, slot: &crate::Slot, steps: &mut Steps<'_>) -> Option<std::path::PathBuf> {
        match self.parts.machine.devices().mounted_at(&slot.device) {
            Ok(place) => place,
            // A device that is not there is mounted nowhere.
            Err(storage::StorageError::Absent { .. }) => None,
            Err(error) => {
                steps.note(storage::chain(&error));
                None
            }
        }
    }

    /// Takes over what others wrote into the central status since.
    fn reload_status(&mut self, steps: &mut Steps<'_>) {
        self.status.reload(&mut *self.parts.files, steps);
        if self.status.is_central() {
            self.view.change(|view| {
                for report in &mut view.slots {
                    report.status = self.status.known(&report.slot.name);
                }
            });
        }
    }

    fn load_status(&mut self, slots: &mut [SlotReport], steps: &mut Steps<'_>) {
        self.reload_status(steps);
        if crate::running_install(&self.parts.surroundings.lock_root).is_some() {
            // Another process writes a slot: none is mounted to be looked into.
            for report in slots {
                report.status = self.status.known(&report.slot.name);
            }
            return;
        }
        for report in slots {
            let mounted = report.mount_point.as_deref();
            let machine = &mut *self.parts.machine;
            let config = &self.config;
            report.status = self.status.slot(
                config,
                &report.slot,
                mounted,
                (&*self.parts.files, machine),
                steps,
            );
        }
    }

    fn lock(&self) -> Result<InstallLock, SystemError> {
        let surroundings = &self.parts.surroundings;
        InstallLock::acquire(&surroundings.lock_root, surroundings.pid).map_err(SystemError::Lock)
    }

    fn log(&mut self, event: &Event, steps: &mut Steps<'_>) {
        for trouble in self.parts.log.write(event, (self.parts.clock)()) {
            steps.warn(trouble);
        }
    }
}

/// Whether there is any use in asking the boot loader's programs. Who asked waits, and a program is
/// waited for for a minute: one that did not end is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    Answers,
    IsLate,
}

impl Loader {
    /// After it was told something.
    fn after<T>(told: &Result<T, NamedError>) -> Self {
        match told {
            Err(error) if error.is_late() => Self::IsLate,
            Ok(_) | Err(_) => Self::Answers,
        }
    }

    /// Asks it, if there is any use.
    fn ask<T>(
        &mut self,
        question: impl FnOnce() -> Result<T, NamedError>,
    ) -> Option<Result<T, NamedError>> {
        if *self == Self::IsLate {
            return None;
        }
        let answer = question();
        *self = Self::after(&answer);
        Some(answer)
    }
}

/// What the boot loader says of a slot; nothing of one without a bootname.
fn boot_status(
    boot: &mut dyn NamedBoot,
    loader: &mut Loader,
    slot: &crate::Slot,
    steps: &mut Steps<'_>,
) -> Option<BootStatus> {
    let bootname = slot.bootname.as_deref()?;
    let Some(answer) = loader.ask(|| boot.is_good(bootname)) else {
        return Some(BootStatus::Unknown);
    };
    Some(match answer {
        Ok(true) => BootStatus::Good,
        Ok(false) => BootStatus::Bad,
        Err(error) => {
            let why = storage::chain(&error);
            steps.note(format!("Failed to get boot state of '{}': {why}", slot.name));
            BootStatus::Unknown
        }
    })
}
