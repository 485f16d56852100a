// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs one image into one slot: is it needed, is it noted as pending, is it written with its
//! hooks, is it noted as done. The slot's own status file goes into the slot before it is proven.

use super::environment::ProgramFacts;
use super::hooks::EngineHooks;
use super::install::Install;
use super::plan::PlannedSlot;
use super::progress::{StepEnd, Steps};
use super::status_keeper::write_local;
use super::{
    BoxedError, ImageRequest, InstallationError, OpenContent, ProgramFailure, SlotState, System,
};
use crate::event_log::Event;
use crate::slot_handlers::{
    ContentDigest, HandlerKind, SlotEvent, SlotHandlerError, SlotImage, SlotJob, SlotProof,
    is_mountable, write_slot,
};
use crate::status::timestamp_text;
use crate::status_store::chain;
use crate::{Slot, SlotName, SlotStatus, SlotStatusState};
use bundle::ImageType;
use std::cell::RefCell;
use std::path::PathBuf;
use storage::{ByteLen, Digest};

/// Parts of a slot's step that are its check, and its copying.
const CHECK_WEIGHT: u64 = 1;
const COPY_WEIGHT: u64 = 9;
/// What the adaptive data of a slot whose content is not known lie in.
const UNKNOWN_DATA: &str = "hash-unknown";

impl System {
    /// Installs into one slot.
    pub(super) fn install_slot(
        &mut self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let slot = &planned.slot;
        steps.message(format!("Checking slot {}", slot.name));
        let shown = match &slot.bootname {
            Some(bootname) => format!("Checking slot {} ({bootname})", slot.name),
            None => format!("Checking slot {}", slot.name),
        };
        steps.begin_weighted(&shown, 0, CHECK_WEIGHT);
        let checked = self.check_slot(planned, steps);
        steps.end(StepEnd::from(&checked));
        match checked? {
            Needed::No => self.skip_slot(planned, install, steps)?,
            Needed::Yes => {
                steps.message(format!("Updating slot {}", slot.name));
                self.log(&Event::updating_slot(&slot.name), steps);
                steps.begin_weighted(&format!("Copying image to {}", slot.name), 0, COPY_WEIGHT);
                let written = self.write_planned(planned, install, steps);
                steps.end(StepEnd::from(&written));
                self.note_written(planned, install, written, steps)?;
            }
        }
        steps.message(format!("Updating slot {} done", slot.name));
        Ok(())
    }

    fn check_slot(
        &mut self,
        planned: &PlannedSlot,
        steps: &mut Steps<'_>,
    ) -> Result<Needed, InstallationError> {
        let slot = &planned.slot;
        // A program beside this one may have written the slot since.
        self.reload_status(steps);
        self.status.forget_local(&slot.name);
        let mounted = self.mount_point(slot, steps);
        let status = self.status.slot(
            &self.config,
            slot,
            mounted.as_deref(),
            (&*self.parts.files, &mut *self.parts.machine),
            steps,
        );
        let is_same = status.state == Some(SlotStatusState::Ok)
            && status.sha256.is_some()
            && status.sha256 == planned.image.sha256;
        if !slot.install_same && is_same {
            let image = planned.image.filename.clone().unwrap_or_default();
            steps.message(format!("Skipping update for correct image '{image}'"));
            return Ok(Needed::No);
        }
        if self.status.is_central() {
            if let Err(error) = self.forget_slot_data(slot, status.sha256) {
                steps.warn(format!(
                    "Failed to move slot data directory, but will try to continue: {error}"
                ));
            }
            self.set_status(&slot.name, steps, &make_pending)?;
        }
        Ok(Needed::Yes)
    }

    fn skip_slot(
        &mut self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        steps.begin_weighted("Copying image skipped", 0, COPY_WEIGHT);
        let slot = &planned.slot;
        let status = self.next_status(planned, install, SlotStatusState::Ok);
        let mut noted = self.set_status(&slot.name, steps, &|known| *known = status.clone());
        if !self.status.is_central() && is_mountable(slot.slot_type) {
            let written = write_local(
                &self.config,
                slot,
                &status,
                (&mut *self.parts.files, &mut *self.parts.machine),
            );
            noted = noted.and(written.map_err(|source| InstallationError::Status { source }));
        }
        steps.end(StepEnd::from(&noted));
        noted
    }

    /// Opens the content, writes it with the hooks, and lets the source keep what it learned.
    fn write_planned(
        &mut self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), BoxedError> {
        let next = self.next_status(planned, install, SlotStatusState::Ok);
        let local = !self.status.is_central() && is_mountable(planned.slot.slot_type);
        let state = self.states.as_ref().map_or(SlotState::Inactive, |s| s.of(&planned.slot.name));
        let running = self.running_of(&planned.slot.name.class).cloned();
        let target_data = self.slot_data(&planned.slot).map(|dir| dir.join(UNKNOWN_DATA));
        let running_data = running.as_ref().and_then(|slot| {
            let digest = self.status.known(&slot.name).sha256?;
            Some(self.slot_data(slot)?.join(format!("hash-{digest}")))
        });
        let Self { config, parts, facts, .. } = self;
        let request = ImageRequest {
            config,
            bundle: install.bundle,
            location: &install.request.location,
            image: &planned.image,
            target: &planned.slot,
            running: running.as_ref(),
            target_data: target_data.as_deref(),
            running_data: running_data.as_deref(),
            stop: install.stop,
        };
        let mut content = if planned.handler == HandlerKind::InstallHook {
            OpenContent::None
        } else {
            parts.sources.open(&request, &mut *parts.machine, &mut |text| steps.note(text))?
        };
        let (size, digest) = described(&content, planned);
        let job = SlotJob {
            slot: &planned.slot,
            image: SlotImage {
                image_type: planned.image.image_type.unwrap_or(ImageType::Raw),
                filename: planned.image.filename.clone().unwrap_or_default(),
                size,
                digest,
            },
            mount_prefix: &config.system.mountprefix,
            stop: install.stop,
        };
        let shared = RefCell::new(&mut *steps);
        let mut hooks = EngineHooks {
            program: install.hook_program(),
            facts: ProgramFacts {
                config,
                facts,
                config_path: &parts.surroundings.config_path,
                inherited: &parts.surroundings.inherited,
                manifest: install.bundle.manifest(),
                transaction: install.transaction,
                content: install.content.as_ref().map(super::bundle_files::UnpackedBundle::path),
            },
            planned,
            state,
            bundle: install.bundle,
            local_status: local.then_some(next),
            files: &mut *parts.files,
            steps: &shared,
            stop: install.stop,
        };
        let mut tell = |event| match event {
            SlotEvent::Bytes { done, total } => {
                let percent = done.get().saturating_mul(100).checked_div(total.get());
                shared.borrow_mut().percent(percent.unwrap_or(0));
            }
            SlotEvent::Note(text) => shared.borrow_mut().note(text),
        };
        let machine = &mut *parts.machine;
        let written = write_slot(&job, content.as_image(), &mut hooks, machine, &mut tell);
        drop(content);
        if written.is_err() {
            parts.sources.not_written(&request, &mut |text| steps.note(text));
        }
        let written = written?;
        if let SlotProof::Unproven(why) = written.proof {
            steps.note(format!("slot {} could not be read back: {why}", planned.slot.name));
        }
        let kept = parts.sources.written(&request, machine, &mut |text| steps.note(text));
        if let Err(error) = kept {
            steps.warn(format!("nothing was kept for the next delta: {}", chain(&*error)));
        }
        Ok(())
    }

    fn note_written(
        &mut self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        written: Result<(), BoxedError>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let name = &planned.slot.name;
        steps.note(format!("Updating slot {name} status"));
        let state = if written.is_ok() { SlotStatusState::Ok } else { SlotStatusState::Failed };
        let next = self.next_status(planned, install, state);
        let noted = self.set_status(name, steps, &|status| *status = next.clone());
        match written {
            Ok(()) => {
                self.prune_slot_data(&planned.slot, steps);
                noted
            }
            Err(source) => {
                if let Err(error) = noted {
                    steps.warn(format!(
                        "Error while writing status file after slot update failure: {}",
                        chain(&error)
                    ));
                }
                Err(slot_failed(name, source))
            }
        }
    }

    /// RAUC's record: the new install's, with the old counters.
    fn next_status(
        &self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        state: SlotStatusState,
    ) -> SlotStatus {
        let old = self.status.known(&planned.slot.name);
        let update = &install.bundle.manifest().update;
        SlotStatus {
            compatible: Some(update.compatible.clone()),
            version: update.version.clone(),
            description: update.description.clone(),
            build: update.build.clone(),
            bundle_hash: Some(install.bundle.manifest_digest()),
            state: Some(state),
            sha256: planned.image.sha256,
            size: planned.image.size,
            transaction: Some(install.transaction.to_owned()),
            installed_at: timestamp_text((self.parts.clock)()),
            installed_count: old.installed_count + 1,
            activated_at: None,
            activated_count: old.activated_count,
        }
    }

    /// Changes what is known of a slot, for everybody who asks.
    pub(super) fn set_status(
        &mut self,
        slot: &SlotName,
        steps: &mut Steps<'_>,
        change: &dyn Fn(&mut SlotStatus),
    ) -> Result<(), InstallationError> {
        let noted = self.status.change(slot, &mut *self.parts.files, steps, change);
        let known = self.status.known(slot);
        self.view.change(|view| {
            if let Some(report) = view.slots.iter_mut().find(|r| r.slot.name == *slot) {
                report.status = known;
            }
        });
        noted.map_err(|source| InstallationError::Status { source: Box::new(source) })
    }

    /// The slot of this class that runs now.
    fn running_of(&self, class: &str) -> Option<&Slot> {
        let states = self.states.as_ref()?;
        let mut slots = self.config.slots.values().filter(|slot| slot.name.class == class);
        slots.find(|slot| states.of(&slot.name) != SlotState::Inactive)
    }

    /// Where the adaptive data of a slot lie.
    fn slot_data(&self, slot: &Slot) -> Option<PathBuf> {
        let dir = self.config.system.data_directory.as_ref()?;
        Some(dir.join(format!("slot.{}", slot.name)))
    }

    /// The adaptive data are of a content that is about to change.
    #[expect(clippy::disallowed_methods, reason = "hints for the next delta may be lost in a cut")]
    fn forget_slot_data(&self, slot: &Slot, digest: Option<Digest>) -> std::io::Result<()> {
        let (Some(dir), Some(digest)) = (self.slot_data(slot), digest) else { return Ok(()) };
        let (from, to) = (dir.join(format!("hash-{digest}")), dir.join(UNKNOWN_DATA));
        absent_is_fine(std::fs::remove_dir_all(&to))?;
        absent_is_fine(std::fs::rename(from, to))
    }

    /// Removes adaptive data of contents that the slot does not hold any more.
    fn prune_slot_data(&self, slot: &Slot, steps: &mut Steps<'_>) {
        let Some(dir) = self.slot_data(slot) else { return };
        let current = self.status.known(&slot.name).sha256.map(|d| format!("hash-{d}"));
        let Ok(names) = self.parts.files.list(&dir) else { return };
        let old = names
            .into_iter()
            .filter(|name| name.starts_with("hash-") && Some(name) != current.as_ref());
        for name in old {
            if let Err(error) = std::fs::remove_dir_all(dir.join(name)) {
                steps
                    .warn(format!("Continuing after failure to remove old slot data dir: {error}"));
            }
        }
    }
}

/// The content is about to change, and must not be taken for what it was.
pub(super) fn make_pending(status: &mut SlotStatus) {
    status.state = Some(SlotStatusState::Pending);
    status.sha256 = None;
    status.size = None;
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Length and digest of what is to be written; of a tree nobody asks.
fn described(content: &OpenContent<'_>, planned: &PlannedSlot) -> (ByteLen, ContentDigest) {
    match content {
        OpenContent::Stream { size, digest, .. } => (*size, digest.clone()),
        OpenContent::None | OpenContent::Tree(_) => (
            planned.image.size.unwrap_or(ByteLen::ZERO),
            planned.image.sha256.unwrap_or(Digest::from_bytes([0; 32])).into(),
        ),
    }
}

fn slot_failed(slot: &SlotName, source: BoxedError) -> InstallationError {
    match stopped_by(&*source) {
        Some(by) => InstallationError::Stopped { by },
        None => InstallationError::Slot { slot: slot.clone(), source },
    }
}

/// Who ended it, if somewhere below somebody did.
fn stopped_by(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(SlotHandlerError::Stopped { by }) = error.downcast_ref() {
            return Some(by);
        }
        if let Some(ProgramFailure::Stopped { by }) = error.downcast_ref() {
            return Some(by);
        }
        cause = error.source();
    }
    None
}

enum Needed {
    Yes,
    No,
}
