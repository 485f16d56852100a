// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs one image into one slot: is it needed, is it noted as pending, is it written with its
//! hooks, is it noted as done. The slot's own status file goes into the slot before it is proven.

use super::environment::ProgramFacts;
use super::hooks::EngineHooks;
use super::install::Install;
use super::plan::PlannedSlot;
use super::progress::{StepEnd, Steps};
use super::slot_data::SlotData;
use super::status_keeper::{Forgotten, Unwritable, forget_in_slot, write_local};
use super::{
    BoxedError, ImageRequest, InstallationError, OpenContent, ProgramFailure, SlotState, System,
    SystemFacts, SystemParts,
};
use crate::event_log::Event;
use crate::slot_handlers::{
    ContentDigest, HandlerKind, OldHead, SlotEvent, SlotHandlerError, SlotImage, SlotJob,
    SlotProof, SlotWritten, is_mountable, write_slot,
};
use crate::status::timestamp_text;
use crate::{SlotName, SlotStatus, SlotStatusState, SystemConfig};
use bootctl::Activation;
use bundle::ImageType;
use std::cell::RefCell;
use storage::{ByteLen, Digest, chain};

/// Parts of a slot's step that are its check, and its copying.
const CHECK_WEIGHT: u64 = 1;
const COPY_WEIGHT: u64 = 9;

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
            Needed::Yes(old_head) => {
                steps.message(format!("Updating slot {}", slot.name));
                self.log(&Event::updating_slot(&slot.name), steps);
                steps.begin_weighted(&format!("Copying image to {}", slot.name), 0, COPY_WEIGHT);
                let written = self.write_planned(planned, install, old_head, steps);
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
        if let Err(error) = self.slot_data().forget(slot, status.sha256) {
            steps.warn(format!(
                "Failed to move slot data directory, but will try to continue: {error}"
            ));
        }
        self.forget_installed(planned, mounted.as_deref(), status, steps).map(Needed::Yes)
    }

    /// Durably, before the first byte: a cut may leave a mixture of two contents, and a status that
    /// calls it one of them would have it skipped, and booted.
    fn forget_installed(
        &mut self,
        planned: &PlannedSlot,
        mounted: Option<&std::path::Path>,
        mut status: SlotStatus,
        steps: &mut Steps<'_>,
    ) -> Result<OldHead, InstallationError> {
        let slot = &planned.slot;
        let mut old_head = OldHead::Stays;
        let in_slot = !self.status.is_central() && is_mountable(slot.slot_type);
        // Where there is no status nothing is claimed, and no file system needs to be there.
        if in_slot && status != SlotStatus::default() {
            make_pending(&mut status);
            let unwritable = if planned.handler == HandlerKind::InstallHook {
                // Nobody but the hook knows what it leaves of the content.
                Unwritable::Fails
            } else {
                Unwritable::LosesItsHead
            };
            let (files, machine) = (&mut *self.parts.files, &mut *self.parts.machine);
            let place = (slot, mounted);
            let forgotten =
                forget_in_slot(&self.config, place, &status, unwritable, (files, machine));
            match forgotten.map_err(|source| InstallationError::Status { source })? {
                Forgotten::Noted => {}
                Forgotten::Removed(why) => steps.warn(removed_text(&slot.name, &why)),
                Forgotten::Not(why) => {
                    old_head = OldHead::Goes;
                    steps.warn(format!(
                        "nobody can mount slot {} until it is written, since its status cannot \
                         be changed: {why}",
                        slot.name
                    ));
                }
            }
        }
        self.set_status(&slot.name, steps, &make_pending).map(|()| old_head)
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
        old_head: OldHead,
        steps: &mut Steps<'_>,
    ) -> Result<(), BoxedError> {
        let in_slot = !self.status.is_central() && is_mountable(planned.slot.slot_type);
        let local_status = in_slot.then(|| self.next_status(planned, install, SlotStatusState::Ok));
        let Self { config, parts, facts, states, status, .. } = self;
        let data = SlotData { config, states: states.as_ref(), status };
        let running = data.running_of(&planned.slot.name.class);
        let target_data = data.of_target(&planned.slot);
        let running_data = running.and_then(|slot| data.of_content(slot));
        let request = ImageRequest {
            config,
            bundle: install.bundle,
            location: &install.request.location,
            image: &planned.image,
            target: &planned.slot,
            running,
            target_data: target_data.as_deref(),
            running_data: running_data.as_deref(),
            stop: install.stop,
        };
        let state = data.state(&planned.slot);
        let mut content = if planned.handler == HandlerKind::InstallHook {
            OpenContent::None
        } else {
            let machine = &mut *parts.machine;
            parts.sources.open(&request, machine, &mut |text| steps.note(text))?
        };
        let in_slot = (local_status, old_head);
        let mut writing = Writing { config, facts, parts, planned, install, state, in_slot };
        let written = writing.write(&mut content, steps);
        drop(content);
        let SystemParts { sources, machine, .. } = parts;
        let ended = match &written {
            Ok(_) => sources.written(&request, &mut **machine, &mut |text| steps.note(text)),
            Err(_) => {
                sources.not_written(&request, &mut **machine, &mut |text| steps.note(text));
                Ok(())
            }
        };
        if let SlotProof::Unproven(why) = written?.proof {
            steps.note(format!("slot {} could not be read back: {why}", planned.slot.name));
        }
        if let Err(error) = ended {
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
                self.slot_data().prune(&planned.slot, &*self.parts.files, steps);
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

    /// RAUC's record: the new install's, with the old counters. A status inside the slot says here
    /// already that the slot boots next, because nothing is written into it when it does.
    fn next_status(
        &self,
        planned: &PlannedSlot,
        install: &Install<'_>,
        state: SlotStatusState,
    ) -> SlotStatus {
        let old = self.status.known(&planned.slot.name);
        let update = &install.bundle.manifest().update;
        let boots_next = planned.activation == Some(Activation::Activate)
            && state == SlotStatusState::Ok
            && !self.status.is_central();
        let now = timestamp_text((self.parts.clock)());
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
            installed_at: now.clone(),
            installed_count: old.installed_count + 1,
            activated_at: now.filter(|_| boots_next),
            activated_count: old.activated_count + u64::from(boots_next),
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

    pub(super) fn slot_data(&self) -> SlotData<'_> {
        let Self { config, states, status, .. } = self;
        SlotData { config, states: states.as_ref(), status }
    }
}

/// One slot while it is written.
struct Writing<'a, 'i> {
    config: &'a SystemConfig,
    facts: &'a SystemFacts,
    parts: &'a mut SystemParts,
    planned: &'a PlannedSlot,
    install: &'a Install<'i>,
    state: SlotState,
    /// What goes into the slot, nothing where the status is central; and its old head.
    in_slot: (Option<SlotStatus>, OldHead),
}

impl Writing<'_, '_> {
    fn write(
        &mut self,
        content: &mut OpenContent<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let Self { config, facts, planned, install, state, .. } = *self;
        let (size, digest) = described(content, planned);
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
        let shared = RefCell::new(steps);
        let surroundings = &self.parts.surroundings;
        let mut hooks = EngineHooks {
            program: install.hook_program(),
            facts: ProgramFacts {
                config,
                facts,
                config_path: &surroundings.config_path,
                inherited: &surroundings.inherited,
                manifest: install.bundle.manifest(),
                transaction: install.transaction,
                content: install.content.as_ref().map(super::bundle_files::UnpackedBundle::path),
            },
            planned,
            state,
            bundle: install.bundle,
            local_status: self.in_slot.0.take(),
            old_head: self.in_slot.1,
            files: &mut *self.parts.files,
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
        write_slot(&job, content.as_image(), &mut hooks, &mut *self.parts.machine, &mut tell)
    }
}

/// The content is about to change, and must not be taken for what it was.
pub(super) fn make_pending(status: &mut SlotStatus) {
    status.state = Some(SlotStatusState::Pending);
    status.sha256 = None;
    status.size = None;
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

/// A slot whose status could not be changed.
pub(super) fn removed_text(slot: &SlotName, why: &str) -> String {
    format!("the status of slot {slot} is removed from it, since it cannot be changed: {why}")
}

enum Needed {
    Yes(OldHead),
    No,
}
