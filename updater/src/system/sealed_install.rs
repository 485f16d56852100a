// SPDX-License-Identifier: MIT OR Apache-2.0
//! The step of an install that writes slots, on a board whose slots are sealed: what is refused
//! there, and how the rest is handed over to the engine that keeps the seals.

use super::install::{INSTALL_WEIGHT, Install};
use super::plan::choose_images;
use super::progress::{StepEnd, Steps};
use super::sealed_images::SystemImages;
use super::slot_data::SlotData;
use super::{
    BootStatus, InstallationError, Loader, SealedJob, SlotState, System, SystemError, SystemParts,
    SystemStatus, VersionLimit,
};
use crate::event_log::Event;
use crate::{InstallError, InstallEvent, InstallReport, InstallStep, VersionRule};
use bundle::Image;
use storage::chain;

impl System {
    /// What a sealed board cannot do is refused before any program of the bundle runs.
    pub(super) fn refuse_unsealing(&self, install: &Install<'_>) -> Result<(), SystemError> {
        if self.parts.sealed.is_none() {
            return Ok(());
        }
        let manifest = install.bundle.manifest();
        let refused =
            |what: String| Err(SystemError::from(InstallationError::NotWhileSealed { what }));
        if manifest.handler.is_some() {
            return refused("an install by the bundle's own handler".to_owned());
        }
        if let Some(image) = manifest.images.iter().find(|image| !image.hooks.is_empty()) {
            return refused(format!("running slot hooks for '{}'", image.class));
        }
        // The engine is given the variant alone, and "not known" would be "none" to it.
        if self.facts.variant_failure().is_some() {
            choose_images(manifest, &self.facts)?;
        }
        let (artifacts, slots): (Vec<&Image>, Vec<&Image>) =
            manifest.images.iter().partition(|image| image.artifact.is_some());
        if !artifacts.is_empty() && !slots.is_empty() {
            return refused("installing slots and artifacts by one bundle".to_owned());
        }
        Ok(())
    }

    /// Hands the slots over to the engine that keeps their seals.
    pub(super) fn install_sealed(
        &mut self,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        steps.begin_weighted("Updating slots", 1, INSTALL_WEIGHT);
        steps.message("Updating slots...");
        steps.begin("Copying images", 0);
        let installed = self.run_sealed(install, steps);
        steps.end(StepEnd::from(&installed));
        steps.end(StepEnd::from(&installed));
        // Whatever became of it: that engine wrote status and boot state by itself.
        self.reload_status(steps);
        self.view_boot(Loader::Answers, steps);
        let report = installed.map_err(|cause| {
            if let InstallError::Stopped { by } = cause {
                return InstallationError::Stopped { by };
            }
            InstallationError::Sealed { cause }
        })?;
        let transaction = Some(install.transaction.to_owned());
        for written in &report.slots {
            self.log(&Event::updating_slot(&written.slot), steps);
            let noted =
                self.set_status(&written.slot, steps, &|s| s.transaction.clone_from(&transaction));
            // The slot boots next already; a status that cannot be kept does not undo that.
            if let Err(error) = noted {
                steps.warn(chain(&error));
            }
            if let Some(slot) = self.config.slots.get(&written.slot) {
                self.slot_data().prune(slot, &*self.parts.files, steps);
            }
        }
        steps.message("All slots updated");
        Ok(())
    }

    fn run_sealed(
        &mut self,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<InstallReport, InstallError> {
        let Self { config, parts, facts, states, status, view, .. } = self;
        let SystemParts { sealed, sources, machine, clock, .. } = parts;
        let Some(sealed) = sealed else {
            return Err(InstallError::Board { source: "its slots are not sealed".into() });
        };
        let data = SlotData { config, states: states.as_ref(), status };
        let images = SystemImages::new(&**sources, &mut **machine, data, install);
        let job = SealedJob {
            lock: install.lock,
            config,
            bundle: install.bundle,
            variant: facts.variant(),
            transaction: install.transaction,
            versions: match install.request.version_limit {
                VersionLimit::Keep => VersionRule::MinimumOnly,
                VersionLimit::Ignore => VersionRule::AllowAny,
            },
            images: &images,
            at: clock(),
            stop: install.stop,
        };
        sealed.install(&job, &mut |event| {
            if event == InstallEvent::Step(InstallStep::BreakSeal) {
                view.change(show_target_bad);
            }
            tell_sealed(event, steps);
        })
    }
}

/// Of two groups the one that is not booted is written; booted from elsewhere nobody can tell yet.
fn show_target_bad(view: &mut SystemStatus) {
    if view.booted.is_none() {
        return;
    }
    for report in view.slots.iter_mut().filter(|report| report.state == SlotState::Inactive) {
        report.boot_status = report.boot_status.map(|_| BootStatus::Bad);
    }
}

/// What the engine for sealed slots tells, in RAUC's words.
fn tell_sealed(event: InstallEvent, steps: &mut Steps<'_>) {
    match event {
        InstallEvent::Bytes { done, total } => {
            let percent = done.get().saturating_mul(100).checked_div(total.get());
            steps.percent(percent.unwrap_or(0));
        }
        InstallEvent::Step(InstallStep::Write(slot)) => {
            steps.message(format!("Updating slot {slot}"));
        }
        InstallEvent::Step(step) => steps.note(format!("sealed install: {step:?}")),
        InstallEvent::Note(text) => steps.note(text),
        InstallEvent::Warning(text) => steps.warn(text),
    }
}
