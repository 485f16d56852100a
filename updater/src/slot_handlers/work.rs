// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every handler has at hand: the job, the machine, the engine's hooks and listener.

use super::error::SlotHandlerError;
use super::job::{HookStep, SlotEvent, SlotHooks, SlotJob, SlotPlace};
use super::machine::Machine;
use crate::prefix::Begun;
use crate::slot_writer::{DurableSlot, Incoming, OpenSlot, write_image};
use crate::{InstallError, split_shell_words};
use programs::{ProgramCall, ProgramEnd, ProgramError};
use std::io::Read;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Storage, StorageError};

/// One slot's writing under way.
pub(super) struct Work<'w, 'j> {
    pub job: &'w SlotJob<'j>,
    pub hooks: &'w mut dyn SlotHooks,
    pub machine: &'w mut dyn Machine,
    tell: &'w mut dyn FnMut(SlotEvent),
    done: u64,
    total: u64,
}

/// Whether an act may be ended from outside.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// As always.
    Allowed,
    /// Cleaning up: it is done whatever is wanted.
    No,
}

impl<'w, 'j> Work<'w, 'j> {
    pub fn new(
        job: &'w SlotJob<'j>,
        hooks: &'w mut dyn SlotHooks,
        machine: &'w mut dyn Machine,
        tell: &'w mut dyn FnMut(SlotEvent),
    ) -> Self {
        // Written and read back.
        let total = job.image.size.get().saturating_mul(2);
        Self { job, hooks, machine, tell, done: 0, total }
    }

    /// Work that is more than one writing and one reading.
    pub const fn expect(&mut self, total: u64) {
        self.total = total;
    }

    pub fn note(&mut self, text: impl Into<String>) {
        (self.tell)(SlotEvent::Note(text.into()));
    }

    /// Counts bytes.
    pub fn count(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        let (done, total) = (ByteLen::new(self.done), ByteLen::new(self.total));
        (self.tell)(SlotEvent::Bytes { done, total });
    }

    /// All is done, also what was not counted in bytes.
    pub fn finish(&mut self) {
        self.count(self.total.saturating_sub(self.done));
    }

    /// Asks whether anybody wants it to end.
    pub fn go_on(&self) -> Result<(), SlotHandlerError> {
        (self.job.stop)().map_or(Ok(()), |by| Err(SlotHandlerError::Stopped { by }))
    }

    /// Counts bytes and asks.
    pub fn pass(&mut self, bytes: u64) -> Result<(), SlotHandlerError> {
        self.count(bytes);
        self.go_on()
    }

    /// Runs a program that must succeed.
    pub fn program(
        &mut self,
        call: ProgramCall<'_>,
        ending: Ending,
    ) -> Result<ProgramEnd, SlotHandlerError> {
        let program = call.name();
        let ended = match ending {
            Ending::Allowed => self.machine.run(call, self.job.stop),
            Ending::No => self.machine.run(call, &|| None),
        };
        ended.and_then(|end| end.check(&program)).map_err(|source| match source {
            ProgramError::Stopped { by } => SlotHandlerError::Stopped { by },
            ProgramError::Input { source, .. } => match (self.job.stop)() {
                // An image's reader is asked too, and can only fail.
                Some(by) => SlotHandlerError::Stopped { by },
                None => SlotHandlerError::ReadImage { slot: self.job.slot.name.clone(), source },
            },
            ProgramError::Start { .. }
            | ProgramError::Talk { .. }
            | ProgramError::TimedOut { .. }
            | ProgramError::Failed { .. } => SlotHandlerError::Program { program, source },
        })
    }

    /// The words of an option list of the slot.
    pub fn options(
        &self,
        key: &'static str,
        line: Option<&String>,
    ) -> Result<Vec<String>, SlotHandlerError> {
        split_shell_words(line.map_or("", String::as_str)).map_err(|error| {
            SlotHandlerError::Options {
                slot: self.job.slot.name.clone(),
                key,
                reason: error.to_string(),
            }
        })
    }

    pub fn device_failed(&self, source: StorageError) -> SlotHandlerError {
        SlotHandlerError::Device { slot: self.job.slot.name.clone(), source: Box::new(source) }
    }

    /// Opens a device of this slot.
    pub fn open(
        &self,
        device: &Path,
        access: Access,
    ) -> Result<Box<dyn Storage>, SlotHandlerError> {
        self.machine.devices().open(device, access).map_err(|source| self.device_failed(source))
    }

    /// Refuses a slot that is mounted.
    pub fn refuse_mounted(&self) -> Result<(), SlotHandlerError> {
        let slot = self.job.slot;
        match self.machine.devices().mounted_at(&slot.device) {
            Ok(None) => Ok(()),
            Ok(Some(at)) => Err(SlotHandlerError::Mounted {
                slot: slot.name.clone(),
                device: slot.device.clone(),
                at,
            }),
            Err(source) => Err(self.device_failed(source)),
        }
    }

    /// Calls the engine back, if it wants that.
    pub fn hook(&mut self, step: HookStep, place: &SlotPlace<'_>) -> Result<(), SlotHandlerError> {
        if !self.hooks.wants(step) {
            return Ok(());
        }
        self.go_on()?;
        if let (HookStep::Status, Some(dir)) = (step, place.mount_point) {
            // The status says that the slot is whole: after a cut it must not be there without
            // the files that it speaks of.
            self.machine.sync_filesystem(dir)?;
        }
        self.hooks
            .run(step, place, self.machine)
            .map_err(|source| SlotHandlerError::Hook { source })
    }

    /// The place of a slot that is neither mounted nor special.
    pub fn plain_place(&self) -> SlotPlace<'j> {
        let slot = self.job.slot;
        SlotPlace { mount_point: None, device: &slot.device, variables: Vec::new() }
    }

    /// Mounts the slot, does something, and unmounts it whatever came out. A failure of the act
    /// is told rather than one of the unmounting.
    pub fn mounted<T>(
        &mut self,
        act: impl FnOnce(&mut Self, &Path) -> Result<T, SlotHandlerError>,
    ) -> Result<T, SlotHandlerError> {
        let place = self.mount()?;
        let outcome = act(self, &place);
        let unmounted = self.program(ProgramCall::new("umount").arg(&place), Ending::No).map(drop);
        if unmounted.is_ok() {
            self.machine.remove_dir(&place);
        }
        match (outcome, unmounted) {
            (Ok(outcome), Ok(())) => Ok(outcome),
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(ignored)) => {
                self.note(format!(
                    "Ignoring umount error after previous error: {}",
                    storage::chain(&ignored)
                ));
                Err(error)
            }
        }
    }

    fn mount(&mut self) -> Result<PathBuf, SlotHandlerError> {
        let slot = self.job.slot;
        let place = self.job.mount_prefix.join(slot.name.to_string());
        self.machine.make_dir(&place)?;
        let mut call = ProgramCall::new("mount").arg("-t").arg(slot.slot_type.name());
        if let Some(options) = &slot.extra_mount_opts {
            call = call.arg("-o").arg(options);
        }
        let mounted = self.program(call.arg(&slot.device).arg(&place), Ending::Allowed);
        if mounted.is_err() {
            self.machine.remove_dir(&place);
        }
        mounted.map(|_| place)
    }

    /// Writes the image onto a device that is open, reads it back and proves it.
    pub fn copy(
        &mut self,
        storage: Box<dyn Storage>,
        source: &mut (dyn Read + Send),
        hold_back: usize,
    ) -> Result<DurableSlot, SlotHandlerError> {
        let image = &self.job.image;
        let room = storage.len();
        if room < image.size {
            return Err(SlotHandlerError::TooSmall { room, size: image.size });
        }
        let open = OpenSlot::new(self.job.slot, storage);
        let incoming = Incoming {
            source,
            filename: image.filename.clone(),
            len: image.size,
            digest: image.digest.clone(),
            hold_back,
            begun: Begun::default(),
        };
        let stop = self.job.stop;
        let mut progress = |bytes| {
            self.count(bytes);
            stop().map_or(Ok(()), |by| Err(InstallError::Stopped { by }))
        };
        let written = write_image(open, incoming, &mut progress).map_err(copy_failed)?;
        written.read_back(&mut progress).map_err(copy_failed)
    }

    /// Makes what the kernel still holds of the device durable.
    pub fn flush_device(&mut self) -> Result<(), SlotHandlerError> {
        let mut storage = self.open(&self.job.slot.device, Access::ReadWrite)?;
        storage.flush().map_err(|source| self.device_failed(source))
    }
}

pub(super) fn copy_failed(error: InstallError) -> SlotHandlerError {
    if let InstallError::Stopped { by } = error {
        return SlotHandlerError::Stopped { by };
    }
    SlotHandlerError::Copy(Box::new(error))
}
