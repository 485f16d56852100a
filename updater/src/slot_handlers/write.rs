// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in: which handler, and the plain ones.

use super::boot_switch::TableKind;
use super::error::SlotHandlerError;
use super::job::{HookStep, ImageContent, SlotEvent, SlotHooks, SlotJob, SlotProof, SlotWritten};
use super::machine::Machine;
use super::table::{HandlerKind, InstallHook, handler_for, is_mountable};
use super::work::Work;
use crate::WriteCount;
use storage::Access;

/// Writes one slot, with its hooks, and proves it.
///
/// What is true at the end is durable. A failure leaves a slot whose content counts for nothing,
/// and never switches anything to it.
///
/// # Errors
/// [`SlotHandlerError`].
pub fn write_slot(
    job: &SlotJob<'_>,
    content: ImageContent<'_>,
    hooks: &mut dyn SlotHooks,
    machine: &mut dyn Machine,
    tell: &mut dyn FnMut(SlotEvent),
) -> Result<SlotWritten, SlotHandlerError> {
    let hook = match hooks.wants(HookStep::Install) {
        true => InstallHook::Present,
        false => InstallHook::Absent,
    };
    let handler = handler_for(job.slot.slot_type, Some(job.image.image_type), hook);
    let mut work = Work::new(job, hooks, machine, tell);
    work.go_on()?;
    let Some(handler) = handler else { return Err(work.no_handler()) };
    if handler != HandlerKind::InstallHook || !job.slot.allow_mounted {
        work.refuse_mounted()?;
    }
    let written = match handler {
        HandlerKind::Copy => work.copy_plain(content),
        HandlerKind::CopyFilesystem => work.copy_filesystem(content),
        HandlerKind::Unpack => work.unpack(content),
        HandlerKind::Volume => work.replace_volume(content),
        HandlerKind::Nor => work.write_nor(content),
        HandlerKind::Nand => work.write_nand(content),
        HandlerKind::InstallHook => work.leave_to_hook(),
        HandlerKind::BootEmmc => work.boot_emmc(content),
        HandlerKind::BootMbrSwitch => work.boot_switch(content, TableKind::Mbr),
        HandlerKind::BootGptSwitch => work.boot_switch(content, TableKind::Gpt),
        HandlerKind::BootRawFallback => work.boot_raw_fallback(content),
    }?;
    work.finish();
    Ok(written)
}

impl Work<'_, '_> {
    pub(super) fn no_handler(&self) -> SlotHandlerError {
        SlotHandlerError::NoHandler {
            slot_type: self.job.slot.slot_type,
            image: self.job.image.image_type,
        }
    }

    pub(super) fn wrong_shape(&self) -> SlotHandlerError {
        SlotHandlerError::ContentShape {
            slot: self.job.slot.name.clone(),
            image: self.job.image.image_type,
        }
    }

    /// The image onto the slot's device, read back.
    pub(super) fn copy_device(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        let device = &self.job.slot.device;
        self.machine.grow_file(device, self.job.image.size)?;
        self.note(format!("writing data to device {}", device.display()));
        let storage = self.open(device, Access::ReadWrite)?;
        let written = self.copy(storage, source, 0)?;
        Ok(SlotWritten { count: written.count, proof: SlotProof::ReadBack })
    }

    fn copy_plain(&mut self, content: ImageContent<'_>) -> Result<SlotWritten, SlotHandlerError> {
        let place = self.plain_place();
        self.hook(HookStep::PreInstall, &place)?;
        self.give_up_head()?;
        let written = self.copy_device(content)?;
        if self.hooks.wants(HookStep::PostInstall) {
            self.hook(HookStep::PostInstall, &place)?;
            self.flush_device()?;
        }
        if is_mountable(self.job.slot.slot_type)
            && self.status_alone()? == super::filesystem::Mounting::Done
        {
            self.flush_device()?;
        }
        Ok(written)
    }

    /// The hook alone knows what it did.
    fn leave_to_hook(&mut self) -> Result<SlotWritten, SlotHandlerError> {
        let place = self.plain_place();
        self.hook(HookStep::Install, &place)?;
        if is_mountable(self.job.slot.slot_type) && !self.job.slot.allow_mounted {
            self.status_alone()?;
        }
        let proof = SlotProof::Unproven("an install hook wrote it");
        Ok(SlotWritten { count: WriteCount::default(), proof })
    }
}
