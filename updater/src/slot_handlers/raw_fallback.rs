// SPDX-License-Identifier: MIT OR Apache-2.0
//! `boot-raw-fallback`: two copies of a boot loader in one region, of which the ROM takes the
//! first whose header (512 bytes) it accepts.
//!
//! For each copy in turn: header zeroed, flushed; the rest written, flushed, read back; header
//! written, flushed, read back. A cut inside one copy leaves that copy without a header and the
//! other one whole: the old fallback or primary before, the new one after. The copy that is broken
//! already goes first, because the other one is what boots.

use super::boot_switch::{put_durably, sector_of};
use super::error::SlotHandlerError;
use super::job::{HookStep, ImageContent, SlotPlace, SlotProof, SlotWritten};
use super::region::{Half, Region};
use super::work::Work;
use crate::WriteCount;
use std::io::{self, Read};
use storage::{ByteLen, Storage};

/// What the ROM looks at; also the unit that a medium writes whole, so it is never torn.
const HEADER_BYTES: usize = 512;

impl Work<'_, '_> {
    pub(super) fn boot_raw_fallback(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        let disk = self.open_disk()?;
        let sector = sector_of(&*disk);
        if sector != HEADER_BYTES as u64 {
            return Err(self.region_failed(format!(
                "Specified header length ({HEADER_BYTES}) does not match sector size ({sector})"
            )));
        }
        let region = Region::of(self.job.slot, disk.len(), sector, 0)
            .map_err(|reason| self.region_failed(reason))?;
        let (room, size) = (ByteLen::new(region.half), self.job.image.size);
        if room < size {
            return Err(SlotHandlerError::TooSmall { room, size });
        }
        let place = SlotPlace {
            mount_point: None,
            device: &self.job.slot.device,
            variables: vec![
                ("RAUC_BOOT_REGION_START", region.start.to_string()),
                ("RAUC_BOOT_REGION_SIZE", region.half.saturating_mul(2).to_string()),
            ],
        };
        self.hook(HookStep::PreInstall, &place)?;
        // Asked after the hook, which may have touched it.
        let first = match is_clear(&*disk, region.start) {
            true => Half::First,
            false => Half::Second,
        };
        drop(disk);
        self.expect(size.get().saturating_mul(4));
        let mut count = self.put_copy(region, first, source)?;
        // What the first copy holds was proven to be the image a moment ago.
        let proven = self.window(self.open_disk()?, region.start_of(first), region.half)?;
        let mut again = Reader { storage: proven, at: 0, len: size.get() };
        let second = self.put_copy(region, first.other(), &mut again)?;
        count.written = ByteLen::new(count.written.get().saturating_add(second.written.get()));
        count.skipped = ByteLen::new(count.skipped.get().saturating_add(second.skipped.get()));
        if self.hooks.wants(HookStep::PostInstall) {
            self.hook(HookStep::PostInstall, &place)?;
            self.open_disk()?.flush().map_err(|source| self.device_failed(source))?;
        }
        Ok(SlotWritten { count, proof: SlotProof::ReadBack })
    }

    fn put_copy(
        &mut self,
        region: Region,
        half: Half,
        source: &mut (dyn Read + Send),
    ) -> Result<WriteCount, SlotHandlerError> {
        let name = match half {
            Half::First => "primary",
            Half::Second => "fallback",
        };
        let (start, device) = (region.start_of(half), &self.job.slot.device);
        self.note(format!("Updating {name} partition at {start} on {}", device.display()));
        let mut copy = self.window(self.open_disk()?, start, region.half)?;
        self.put_header(&mut *copy, &[0; HEADER_BYTES])?;
        let mut written = self.copy_alone(copy, source, HEADER_BYTES)?;
        self.put_header(&mut *written.open.storage, &written.held_back)?;
        Ok(written.count)
    }

    fn put_header(&self, copy: &mut dyn Storage, header: &[u8]) -> Result<(), SlotHandlerError> {
        match put_durably(copy, 0, header) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let reason = "a header does not read back as it was written".to_owned();
                Err(SlotHandlerError::Table { slot: self.job.slot.name.clone(), reason })
            }
            Err(source) => Err(self.device_failed(source)),
        }
    }
}

/// Whether the copy that begins there has no header: all zeros and ones, as of erased or cleared
/// media. What cannot be read is no header either.
fn is_clear(disk: &dyn Storage, start: u64) -> bool {
    let mut header = [0; HEADER_BYTES];
    disk.read_at(start, &mut header).is_err() || header.iter().all(|byte| matches!(byte, 0 | 0xff))
}

/// A device as a stream.
struct Reader {
    storage: Box<dyn Storage>,
    at: u64,
    len: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len - self.at).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        let taken = buf.get_mut(..len).unwrap_or_default();
        self.storage.read_at(self.at, taken).map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}
