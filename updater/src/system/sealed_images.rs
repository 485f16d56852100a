// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do the images of sealed slots come from the same sources as all others? Deltas included:
//! what a source reads of slots is hashed before it is used, the target's seal is gone by then, and
//! what is written is read back, so a slot that changes meanwhile costs bytes and nothing else.

use super::install::Install;
use super::slot_data::SlotData;
use super::{BoxedError, ImageRequest, ImageSources, OpenContent};
use crate::slot_handlers::Machine;
use crate::{ImageOpener, OpenImage, PlannedImage, SlotName, StopQuestion, WriteEnd};
use bundle::VerifiedBundle;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use storage::{ByteLen, chain};

/// Directories by slot.
type Dirs = BTreeMap<SlotName, PathBuf>;

/// The system's sources, as the engine for sealed slots asks them.
pub(super) struct SystemImages<'a> {
    sources: &'a dyn ImageSources,
    machine: RefCell<&'a mut dyn Machine>,
    data: SlotData<'a>,
    /// Where the data of what each slot is about to lose, and of what it holds, lie.
    of_target: Dirs,
    of_content: Dirs,
    location: &'a str,
    stop: StopQuestion<'a>,
}

impl<'a> SystemImages<'a> {
    pub fn new(
        sources: &'a dyn ImageSources,
        machine: &'a mut dyn Machine,
        data: SlotData<'a>,
        install: &'a Install<'_>,
    ) -> Self {
        let slots = data.config.slots.values();
        let of_target =
            slots.clone().filter_map(|slot| Some((slot.name.clone(), data.of_target(slot)?)));
        let of_content =
            slots.clone().filter_map(|slot| Some((slot.name.clone(), data.of_content(slot)?)));
        Self {
            sources,
            machine: RefCell::new(machine),
            data,
            of_target: of_target.collect(),
            of_content: of_content.collect(),
            location: &install.request.location,
            stop: install.stop,
        }
    }

    fn request<'r>(
        &'r self,
        bundle: &'r VerifiedBundle,
        planned: &'r PlannedImage,
    ) -> ImageRequest<'r> {
        let running = self.data.running_of(&planned.slot.name.class);
        let running_data = running.and_then(|slot| self.of_content.get(&slot.name));
        ImageRequest {
            config: self.data.config,
            bundle,
            location: self.location,
            image: &planned.image,
            target: &planned.slot,
            running,
            target_data: self.of_target.get(&planned.slot.name).map(PathBuf::as_path),
            running_data: running_data.map(PathBuf::as_path),
            stop: self.stop,
        }
    }
}

impl ImageOpener for SystemImages<'_> {
    fn measure(
        &self,
        bundle: &VerifiedBundle,
        planned: &PlannedImage,
    ) -> Result<ByteLen, BoxedError> {
        self.sources.measure(&self.request(bundle, planned))
    }

    fn open<'r>(
        &'r self,
        bundle: &'r VerifiedBundle,
        planned: &'r PlannedImage,
        note: &mut dyn FnMut(String),
    ) -> Result<OpenImage<'r>, BoxedError> {
        let slot = &planned.slot;
        if let Err(error) = self.data.forget(slot, self.data.status.known(&slot.name).sha256) {
            note(format!("Failed to move slot data directory, but will try to continue: {error}"));
        }
        let request = self.request(bundle, planned);
        match self.sources.open(&request, &mut **self.machine.borrow_mut(), note)? {
            OpenContent::Stream { reader, digest, .. } => Ok(OpenImage { reader, digest }),
            OpenContent::None | OpenContent::Tree(_) => {
                Err(format!("the image for slot {} is no run of bytes", slot.name).into())
            }
        }
    }

    fn close(
        &self,
        bundle: &VerifiedBundle,
        planned: &PlannedImage,
        end: WriteEnd,
        note: &mut dyn FnMut(String),
    ) {
        let request = self.request(bundle, planned);
        let machine = &mut **self.machine.borrow_mut();
        match end {
            WriteEnd::Proven => {
                if let Err(error) = self.sources.written(&request, machine, note) {
                    note(format!("nothing was kept for the next delta: {}", chain(&*error)));
                }
            }
            WriteEnd::Failed => self.sources.not_written(&request, machine, note),
        }
    }
}
