// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots with a file system: made anew and filled from an archive, or copied and grown.

use super::error::SlotHandlerError;
use super::job::{HookStep, ImageContent, OldHead, SlotPlace, SlotProof, SlotWritten};
use super::source::Counted;
use super::work::{Ending, Work};
use crate::{SlotName, SlotType, WriteCount, archive};
use bundle::ImageType;
use programs::{ProgramCall, ProgramError};
use std::path::Path;
use storage::{Access, ByteLen};

/// Longest label of an ext4 file system; with a longer name RAUC gives none.
const EXT4_LABEL_BYTES: usize = 16;
/// Longest label of a FAT.
const VFAT_LABEL_LETTERS: usize = 11;
/// No file system that carries a `slot.raucs` is recognised without this much of its start: the
/// boot sector of FAT, the superblock of ext4 at 1024.
const HEAD_BYTES: usize = 4096;
/// What a FAT's label must not have.
const VFAT_FORBIDDEN: &str = "*?.,;:/\\|+=<>[]\"";

/// `mkfs.vfat` refuses some letters and warns of small ones.
fn vfat_label(name: &str) -> String {
    let letter = |letter: char| match letter {
        letter if VFAT_FORBIDDEN.contains(letter) => '_',
        letter => letter.to_ascii_uppercase(),
    };
    name.chars().take(VFAT_LABEL_LETTERS).map(letter).collect()
}

/// The program that makes the slot's file system.
fn mkfs(slot_type: SlotType, name: &SlotName, extra: Vec<String>) -> Option<ProgramCall<'static>> {
    let name = name.to_string();
    let call = match slot_type {
        SlotType::Ext4 => {
            let mut call = ProgramCall::new("mkfs.ext4").arg("-F");
            if name.len() <= EXT4_LABEL_BYTES {
                call = call.arg("-L").arg(&name);
            }
            call.arg("-I256")
        }
        SlotType::Vfat => ProgramCall::new("mkfs.vfat").arg("-n").arg(vfat_label(&name)),
        SlotType::Ubifs => ProgramCall::new("mkfs.ubifs").arg("-y"),
        SlotType::Raw
        | SlotType::Ubivol
        | SlotType::Nand
        | SlotType::Nor
        | SlotType::BootEmmc
        | SlotType::BootMbrSwitch
        | SlotType::BootGptSwitch
        | SlotType::BootRawFallback => return None,
    };
    Some(call.args(extra))
}

impl Work<'_, '_> {
    /// A fresh file system and what is in the archive. A cut or failure leaves a file system that
    /// is not whole; the slot is marked bad before anything is written, so nothing boots it.
    pub(super) fn unpack(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let slot = self.job.slot;
        let place = self.plain_place();
        // Before the old content is gone.
        match (&content, self.job.image.image_type) {
            (ImageContent::None, ImageType::Emptyfs)
            | (ImageContent::Stream(_), ImageType::Tar)
            | (ImageContent::Tree(_), ImageType::Catar | ImageType::Caidx) => {}
            (ImageContent::None | ImageContent::Stream(_) | ImageContent::Tree(_), _) => {
                return Err(self.wrong_shape());
            }
        }
        if slot.slot_type == SlotType::Ubifs && self.hooks.wants(HookStep::PreInstall) {
            self.mounted_hooks(&[HookStep::PreInstall])?;
        } else {
            self.hook(HookStep::PreInstall, &place)?;
        }
        let extra = self.options("extra-mkfs-opts", slot.extra_mkfs_opts.as_ref())?;
        let Some(mkfs) = mkfs(slot.slot_type, &slot.name, extra) else {
            return Err(self.no_handler());
        };
        self.give_up_head()?;
        self.note(format!("Formatting {} slot {}", slot.slot_type, slot.device.display()));
        self.program(mkfs.arg(&slot.device), Ending::Allowed)?;
        self.mounted(|work, dir| {
            work.fill(content, dir)?;
            let place =
                SlotPlace { mount_point: Some(dir), device: &slot.device, variables: Vec::new() };
            work.hook(HookStep::PostInstall, &place)?;
            work.hook(HookStep::Status, &place)
        })?;
        if slot.slot_type != SlotType::Ubifs {
            // UBIFS writes everything when it is unmounted, and its node is no block device.
            self.flush_device()?;
        }
        Ok(SlotWritten { count: WriteCount::default(), proof: SlotProof::Unpacked })
    }

    fn fill(&mut self, content: ImageContent<'_>, dir: &Path) -> Result<(), SlotHandlerError> {
        let name = self.job.slot.name.clone();
        match content {
            ImageContent::None => Ok(()),
            ImageContent::Tree(tree) => {
                self.note(format!("Extracting {} to {}", self.job.image.filename, dir.display()));
                tree.extract_into(dir, self.job.stop).map_err(|source| match (self.job.stop)() {
                    Some(by) => SlotHandlerError::Stopped { by },
                    None => SlotHandlerError::Unpack { slot: name, source },
                })
            }
            ImageContent::Stream(source) => {
                let image = &self.job.image;
                self.note(format!("Extracting {} to {}", image.filename, dir.display()));
                self.expect(image.size.get());
                let stop = self.job.stop;
                let mut passed = 0_u64;
                let mut tell = |bytes| passed = passed.saturating_add(bytes);
                let unread = |source| SlotHandlerError::ReadImage { slot: name.clone(), source };
                let (flag, mut whole) = archive::look(source).map_err(unread)?;
                let mut counted = Counted::new(&mut whole, image.size.get(), &mut tell, stop);
                let mut call = ProgramCall::new("tar").args(["xf", "-", "-C"]).arg(dir);
                call = call.arg("--numeric-owner").args(flag);
                let unpacked = self.program(call.input(&mut counted), Ending::Allowed);
                // Broken input makes the program fail as well; the reason is said first.
                unpacked?;
                counted.finish(&name, image)?;
                self.count(passed);
                Ok(())
            }
        }
    }

    /// An image of a file system: hooks see it mounted, an ext4 may grow.
    pub(super) fn copy_filesystem(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        if self.hooks.wants(HookStep::PreInstall) {
            self.mounted_hooks(&[HookStep::PreInstall])?;
        }
        self.give_up_head()?;
        let written = self.copy_device(content)?;
        let slot = self.job.slot;
        let grows = slot.resize && slot.slot_type == SlotType::Ext4;
        if grows {
            self.note(format!("Resizing {}", slot.device.display()));
            self.program(ProgramCall::new("resize2fs").arg(&slot.device), Ending::Allowed)?;
        }
        let after = self.mounted_hooks(&[HookStep::PostInstall, HookStep::Status])?;
        if grows || after == Mounting::Done {
            self.flush_device()?;
        }
        Ok(written)
    }

    /// Zeroes the start of the slot, where the engine wants that: nobody mounts it then. A UBI volume
    /// is emptied instead, and the kernel makes a fresh file system in an empty one. Replacing a
    /// volume begins in the same way, and needs nothing before.
    pub(super) fn give_up_head(&mut self) -> Result<(), SlotHandlerError> {
        let slot = self.job.slot;
        if self.hooks.old_head() == OldHead::Stays {
            return Ok(());
        }
        if slot.slot_type == SlotType::Ubifs {
            let emptied = self.machine.replace_volume(&slot.device, ByteLen::ZERO);
            let mut volume = emptied.map_err(|source| self.device_failed(source))?;
            volume.flush().map_err(|source| SlotHandlerError::Program {
                program: "UBI volume update".to_owned(),
                source: ProgramError::Talk { program: slot.device.display().to_string(), source },
            })?;
        } else {
            let mut device = self.open(&slot.device, Access::ReadWrite)?;
            let len = device.len().to_usize().map_or(HEAD_BYTES, |len| len.min(HEAD_BYTES));
            let zeroed = device.write_at(0, &vec![0; len]).and_then(|()| device.flush());
            zeroed.map_err(|source| self.device_failed(source))?;
        }
        self.go_on()
    }

    /// Mounts the slot once and calls the engine back for each step it wants; not at all when it
    /// wants none.
    pub(super) fn mounted_hooks(
        &mut self,
        steps: &[HookStep],
    ) -> Result<Mounting, SlotHandlerError> {
        if !steps.iter().any(|step| self.hooks.wants(*step)) {
            return Ok(Mounting::NotNeeded);
        }
        let slot = self.job.slot;
        self.mounted(|work, dir| {
            let place =
                SlotPlace { mount_point: Some(dir), device: &slot.device, variables: Vec::new() };
            steps.iter().try_for_each(|step| work.hook(*step, &place))
        })?;
        Ok(Mounting::Done)
    }
}

/// Whether a slot was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mounting {
    Done,
    NotNeeded,
}
