// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots on bare flash: UBI volumes, NOR and NAND.

use super::error::SlotHandlerError;
use super::filesystem::Mounting;
use super::job::{HookStep, ImageContent, SlotProof, SlotWritten};
use super::source::Counted;
use super::work::{Ending, Work};
use crate::{SlotType, WriteCount};
use openssl::sha::Sha256;
use programs::{OutputStream, ProgramCall, ProgramError};
use std::io::{self, Read, Write};
use storage::{Access, Digest};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 256 * 1024;

impl Work<'_, '_> {
    /// Replaces a UBI volume. The kernel marks it as being updated until the last byte is there,
    /// so a cut leaves a volume that nobody can read, never a mixture.
    pub(super) fn replace_volume(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        let (slot, image) = (self.job.slot, &self.job.image);
        let is_filesystem = slot.slot_type == SlotType::Ubifs;
        let place = self.plain_place();
        if is_filesystem {
            self.mounted_hooks(&[HookStep::PreInstall])?;
        } else {
            self.hook(HookStep::PreInstall, &place)?;
        }
        self.note(format!("opening slot device {}", slot.device.display()));
        let started = self.machine.replace_volume(&slot.device, image.size);
        let mut volume = started.map_err(|source| self.device_failed(source))?;
        let stop = self.job.stop;
        let mut tell = |bytes| self.count(bytes);
        let mut counted = Counted::new(source, image.size.get(), &mut tell, stop);
        pour(&mut counted, &mut *volume).map_err(|error| match (error, stop()) {
            (_, Some(by)) => SlotHandlerError::Stopped { by },
            (Poured::Read(source), None) => {
                SlotHandlerError::ReadImage { slot: slot.name.clone(), source }
            }
            (Poured::Write(source), None) => SlotHandlerError::Program {
                program: "UBI volume update".to_owned(),
                source: ProgramError::Talk { program: slot.device.display().to_string(), source },
            },
        })?;
        counted.finish(&slot.name, image)?;
        drop(volume);
        self.prove_volume()?;
        if is_filesystem {
            self.mounted_hooks(&[HookStep::PostInstall, HookStep::Status])?;
        } else {
            self.hook(HookStep::PostInstall, &place)?;
        }
        Ok(SlotWritten { count: self.all_written(), proof: SlotProof::ReadBack })
    }

    fn prove_volume(&mut self) -> Result<(), SlotHandlerError> {
        let opened = self.machine.read_volume(&self.job.slot.device);
        let volume = opened.map_err(|source| self.device_failed(source))?;
        let slot = self.job.slot.name.clone();
        let mut left = volume.take(self.job.image.size.get());
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = left
                .read(&mut chunk)
                .map_err(|source| SlotHandlerError::ReadImage { slot: slot.clone(), source })?;
            if read == 0 {
                return self.compare(Digest::from_bytes(hash.finish()));
            }
            hash.update(chunk.get(..read).unwrap_or_default());
            self.pass(read as u64)?;
        }
    }

    fn compare(&self, found: Digest) -> Result<(), SlotHandlerError> {
        let expected = self.job.image.digest.expected();
        if found == expected {
            return Ok(());
        }
        Err(SlotHandlerError::ReadBack { slot: self.job.slot.name.clone(), expected, found })
    }

    fn all_written(&self) -> WriteCount {
        WriteCount { written: self.job.image.size, ..WriteCount::default() }
    }

    /// The image for a chip, which hooks see before anything is erased.
    fn begin_flash<'c>(
        &mut self,
        content: ImageContent<'c>,
    ) -> Result<&'c mut dyn Read, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        self.hook(HookStep::PreInstall, &self.plain_place())?;
        Ok(source)
    }

    /// `flashcp` wants a file, erases what is too much and verifies by itself; the whole is read
    /// back here once more, for the digest.
    pub(super) fn write_nor(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let source = self.begin_flash(content)?;
        let (slot, image) = (self.job.slot, &self.job.image);
        let (stop, mut ignore) = (self.job.stop, |_| {});
        let mut counted = Counted::new(source, image.size.get(), &mut ignore, stop);
        let spooled = self.machine.spool(&mut counted).map_err(|error| match stop() {
            Some(by) => SlotHandlerError::Stopped { by },
            None => error.into(),
        })?;
        counted.finish(&slot.name, image)?;
        self.note(format!("writing slot device {}", slot.device.display()));
        let call = ProgramCall::new("flashcp").arg("--erase-all");
        self.program(call.arg(spooled.path()).arg(&slot.device), Ending::Allowed)?;
        self.count(image.size.get());
        drop(spooled);
        self.prove_nor()?;
        self.hook(HookStep::PostInstall, &self.plain_place())?;
        Ok(SlotWritten { count: self.all_written(), proof: SlotProof::ReadBack })
    }

    fn prove_nor(&mut self) -> Result<(), SlotHandlerError> {
        let len = self.job.image.size.get();
        let mut chip = self.open(&self.job.slot.device, Access::ReadOnly)?;
        chip.forget_cached(0, len).map_err(|source| self.device_failed(source))?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = 0;
        while at < len {
            let step = usize::try_from(len - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let bytes = chunk.get_mut(..step).unwrap_or_default();
            chip.read_at(at, bytes).map_err(|source| self.device_failed(source))?;
            hash.update(bytes);
            at += step as u64;
            self.pass(step as u64)?;
        }
        self.compare(Digest::from_bytes(hash.finish()))
    }

    /// Erased whole and written around bad blocks by the programs, which know about them; read
    /// back by `nanddump`, which skips them as the loaders do.
    pub(super) fn write_nand(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let source = self.begin_flash(content)?;
        let (slot, image) = (self.job.slot, &self.job.image);
        self.note(format!("erasing slot device {}", slot.device.display()));
        let erase = ProgramCall::new("flash_erase").arg("--quiet").arg(&slot.device);
        self.program(erase.args(["0", "0"]), Ending::Allowed)?;
        self.note(format!("writing slot device {}", slot.device.display()));
        let (stop, mut ignore) = (self.job.stop, |_| {});
        let mut counted = Counted::new(source, image.size.get(), &mut ignore, stop);
        let write = ProgramCall::new("nandwrite").args(["--pad", "--quiet"]).arg(&slot.device);
        self.program(write.arg("-").input(&mut counted), Ending::Allowed)?;
        counted.finish(&slot.name, image)?;
        self.count(image.size.get());
        let proof = self.prove_nand()?;
        self.hook(HookStep::PostInstall, &self.plain_place())?;
        Ok(SlotWritten { count: self.all_written(), proof })
    }

    fn prove_nand(&mut self) -> Result<SlotProof, SlotHandlerError> {
        let len = self.job.image.size.get();
        let (mut hash, mut left) = (Sha256::new(), len);
        let mut take = |stream, bytes: &[u8]| {
            if stream == OutputStream::Stdout {
                // Whole pages come; what was padded is not of the image.
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                hash.update(bytes.get(..taken).unwrap_or_default());
                left -= taken as u64;
            }
        };
        let call = ProgramCall::new("nanddump").args(["--quiet", "--omitoob", "--bb=skipbad"]);
        let call = call.arg(format!("--length={len}")).arg(&self.job.slot.device);
        let dumped = self.program(call.output(&mut take), Ending::Allowed);
        match dumped {
            Err(SlotHandlerError::Program {
                source: ProgramError::Start { source, .. }, ..
            }) if source.kind() == io::ErrorKind::NotFound => {
                let reason = "there is no nanddump to read the slot back";
                self.note(format!("slot {} is not proven: {reason}", self.job.slot.name));
                return Ok(SlotProof::Unproven(reason));
            }
            other => other?,
        };
        self.count(len);
        self.compare(Digest::from_bytes(hash.finish()))?;
        Ok(SlotProof::ReadBack)
    }

    /// For mountable slots that no hook saw mounted: the moment to write the status.
    pub(super) fn status_alone(&mut self) -> Result<Mounting, SlotHandlerError> {
        self.mounted_hooks(&[HookStep::Status])
    }
}

enum Poured {
    Read(io::Error),
    Write(io::Error),
}

fn pour(from: &mut dyn Read, into: &mut dyn Write) -> Result<(), Poured> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return into.flush().map_err(Poured::Write),
            Ok(read) => {
                into.write_all(chunk.get(..read).unwrap_or_default()).map_err(Poured::Write)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Poured::Read(error)),
        }
    }
}
