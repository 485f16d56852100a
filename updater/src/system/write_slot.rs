// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes one image file into one slot, without a bundle (`rauc write-slot`). As in RAUC it
//! changes no mark; so it must not make anything bootable that was not proven: of a sealed group
//! no slot is written this way, and none that is in use.
//!
//! Deviates: RAUC leaves the status as it was, and with `install-same=false` the next install would
//! take the foreign content for the bundle's. Here the slot is `pending` before the first byte.

use super::progress::{Steps, SystemEvent};
use super::slot_install::{make_pending, removed_text};
use super::status_keeper::{Forgotten, Unwritable, forget_in_slot};
use super::{BoxedError, SlotState, System, SystemError};
use crate::slot_handlers::{
    ImageContent, InstallHook, NoHooks, SlotEvent, SlotHandlerError, SlotImage, SlotJob,
    handler_for, is_index, is_mountable, write_slot,
};
use crate::{Slot, SlotAccess, SlotName, SlotStatus, StopQuestion};
use bundle::ImageType;
use openssl::sha::Sha256;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use storage::{ByteLen, Digest};

const READ_BYTES: usize = 256 * 1024;

/// One image for one slot.
#[derive(Clone, Debug)]
pub struct WriteSlotRequest {
    /// The slot's name as given.
    pub slot: String,
    /// The file.
    pub image: PathBuf,
    /// `-t`; otherwise from the file's name.
    pub image_type: Option<String>,
}

/// Why a slot was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteSlotError {
    /// The image cannot be read.
    #[error("{act} {image}: {cause}", image = image.display())]
    Image {
        /// What was tried.
        act: &'static str,
        /// The file.
        image: PathBuf,
        /// Cause, shown in the text.
        cause: io::Error,
    },
    /// The file's name says nothing.
    #[error("Unable to map extension of file '{image}' to known image type", image = image.display())]
    UnknownExtension {
        /// The file.
        image: PathBuf,
    },
    /// There is no such type.
    #[error("Unsupported image type '{name}'")]
    UnknownType {
        /// What was given.
        name: String,
    },
    /// There is no such slot.
    #[error("No matching slot found for given slot name '{name}'.\nAvailable slots:{known}")]
    UnknownSlot {
        /// What was given.
        name: String,
        /// A line for each slot.
        known: String,
    },
    /// The slot must not be written.
    #[error("Reject writing to readonly slot")]
    ReadOnly,
    /// The image does not go into the slot.
    #[error("Unsupported image type '{image_type}' for slot type '{slot_type}'")]
    TypeMismatch {
        /// The image's type.
        image_type: ImageType,
        /// The slot's.
        slot_type: String,
    },
    /// The slot is in use.
    #[error("slot {slot} is {state}: what runs now is not written")]
    InUse {
        /// The slot.
        slot: SlotName,
        /// `booted` or `active`.
        state: &'static str,
    },
    /// The slot belongs to a sealed group.
    #[error("slot {slot} belongs to a group that is sealed; a single image cannot be proven there")]
    Sealed {
        /// The slot.
        slot: SlotName,
    },
    /// The status would go on telling of the old content.
    #[error("slot {slot} was not written, because its status cannot be changed before")]
    Status {
        /// The slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// Writing failed.
    #[error("Failed to write slot")]
    Write {
        /// Cause.
        #[source]
        source: SlotHandlerError,
    },
}

impl WriteSlotError {
    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Sealed { .. } => Some("install a bundle: that writes the group as a whole"),
            Self::InUse { .. } => Some("boot from the other slot first"),
            Self::Write { source } => source.hint(),
            Self::Image { .. }
            | Self::Status { .. }
            | Self::UnknownExtension { .. }
            | Self::UnknownType { .. }
            | Self::UnknownSlot { .. }
            | Self::ReadOnly
            | Self::TypeMismatch { .. } => None,
        }
    }
}

impl System {
    /// Writes an image file into a slot, under the lock of installs.
    ///
    /// # Errors
    /// [`SystemError::WriteSlot`] or [`SystemError::Lock`].
    pub fn write_slot(
        &mut self,
        request: &WriteSlotRequest,
        sink: &mut dyn FnMut(SystemEvent),
        stop: StopQuestion<'_>,
    ) -> Result<(), SystemError> {
        let mut steps = Steps::new(sink);
        let mut file = open_image(request)?;
        let image_type = image_type(request)?;
        let slot = self.writable_slot(request, image_type)?;
        let _lock = self.lock()?;
        let (size, digest) = describe(&mut file, stop).map_err(|cause| match stop() {
            Some(by) => SystemError::Stopped { by },
            None => {
                WriteSlotError::Image { act: "Failed to read", image: request.image.clone(), cause }
                    .into()
            }
        })?;
        self.forget_content(&slot, &mut steps)?;
        let name = request.image.file_name().unwrap_or_default();
        let job = SlotJob {
            slot: &slot,
            image: SlotImage {
                image_type,
                filename: name.to_string_lossy().into_owned(),
                size,
                digest: digest.into(),
            },
            mount_prefix: &self.config.system.mountprefix,
            stop,
        };
        steps.begin("Installing", 1);
        steps.begin(&format!("Copying image to {}", slot.name), 0);
        let mut tell = |event| match event {
            SlotEvent::Bytes { done, total } => {
                let percent = done.get().saturating_mul(100).checked_div(total.get());
                steps.percent(percent.unwrap_or(0));
            }
            SlotEvent::Note(text) => steps.note(text),
        };
        let content = if image_type == ImageType::Emptyfs {
            ImageContent::None
        } else {
            ImageContent::Stream(&mut file)
        };
        let machine = &mut *self.parts.machine;
        let written = write_slot(&job, content, &mut NoHooks, machine, &mut tell);
        for _ in 0..2 {
            steps.end((&written).into());
        }
        written.map_err(|source| {
            if let SlotHandlerError::Stopped { by } = source {
                return SystemError::Stopped { by };
            }
            WriteSlotError::Write { source }.into()
        })?;
        Ok(())
    }

    /// Durably, before the first byte.
    fn forget_content(&mut self, slot: &Slot, steps: &mut Steps<'_>) -> Result<(), WriteSlotError> {
        let failed = |source| WriteSlotError::Status { slot: slot.name.clone(), source };
        self.reload_status(steps);
        let in_slot = !self.status.is_central() && is_mountable(slot.slot_type);
        if in_slot {
            self.status.forget_local(&slot.name);
            let mounted = self.mount_point(slot, steps);
            let (files, machine) = (&mut *self.parts.files, &mut *self.parts.machine);
            let config = &self.config;
            let mut status =
                self.status.slot(config, slot, mounted.as_deref(), (files, machine), steps);
            // Where there is no status nothing is claimed, and no file system needs to be there.
            if status != SlotStatus::default() {
                make_pending(&mut status);
                let place = (slot, mounted.as_deref());
                let unwritable = Unwritable::Fails;
                let forgotten =
                    forget_in_slot(config, place, &status, unwritable, (files, machine));
                if let Forgotten::Removed(why) = forgotten.map_err(failed)? {
                    steps.warn(removed_text(&slot.name, &why));
                }
            }
        }
        self.set_status(&slot.name, steps, &make_pending).map_err(|error| failed(error.into()))
    }

    fn writable_slot(
        &mut self,
        request: &WriteSlotRequest,
        image_type: ImageType,
    ) -> Result<Slot, WriteSlotError> {
        let found = request.slot.parse().ok().and_then(|name| self.config.slots.get(&name));
        let Some(slot) = found.cloned() else {
            let known = self.config.slots.values();
            let known = known.map(|slot| format!("\n  {} ({})", slot.name, slot.slot_type));
            let (name, known) = (request.slot.clone(), known.collect());
            return Err(WriteSlotError::UnknownSlot { name, known });
        };
        if slot.access == SlotAccess::ReadOnly {
            return Err(WriteSlotError::ReadOnly);
        }
        let handler = handler_for(slot.slot_type, Some(image_type), InstallHook::Absent);
        // The index of an image would be written as if it were the image.
        if handler.is_none() || is_index(image_type) {
            let slot_type = slot.slot_type.to_string();
            return Err(WriteSlotError::TypeMismatch { image_type, slot_type });
        }
        if self.parts.sealed.is_some() && self.is_in_boot_group(&slot) {
            return Err(WriteSlotError::Sealed { slot: slot.name });
        }
        // Where nobody can tell what was booted, the mount table still refuses what is in use.
        if let Ok(states) = self.determine_slot_states() {
            let state = states.of(&slot.name);
            if state != SlotState::Inactive {
                return Err(WriteSlotError::InUse { slot: slot.name, state: state.name() });
            }
        }
        Ok(slot)
    }

    /// Whether a slot boots, or belongs to one that does.
    pub(super) fn is_in_boot_group(&self, slot: &Slot) -> bool {
        let root = slot.parent.as_ref().and_then(|name| self.config.slots.get(name));
        root.unwrap_or(slot).bootname.is_some()
    }
}

fn open_image(request: &WriteSlotRequest) -> Result<File, WriteSlotError> {
    let failed = |cause| WriteSlotError::Image {
        act: "Error opening file",
        image: request.image.clone(),
        cause,
    };
    let file = File::open(&request.image).map_err(failed)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(file),
        false => Err(failed(io::Error::other("not a regular file"))),
    }
}

fn image_type(request: &WriteSlotRequest) -> Result<ImageType, WriteSlotError> {
    if let Some(name) = &request.image_type {
        return name.parse().map_err(|_| WriteSlotError::UnknownType { name: name.clone() });
    }
    let name = request.image.file_name().unwrap_or_default().to_string_lossy();
    ImageType::of_filename(&name)
        .ok_or_else(|| WriteSlotError::UnknownExtension { image: request.image.clone() })
}

/// Length and digest of the file as it is now: what is read back must have them.
fn describe(file: &mut File, stop: StopQuestion<'_>) -> io::Result<(ByteLen, Digest)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0_u64;
    loop {
        if let Some(by) = stop() {
            return Err(io::Error::other(BoxedError::from(format!("stopped by {by}"))));
        }
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        hash.update(buffer.get(..len).unwrap_or_default());
        size += len as u64;
    }
    file.rewind()?;
    Ok((ByteLen::new(size), Digest::from_bytes(hash.finish())))
}
