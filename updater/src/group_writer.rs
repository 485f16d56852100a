// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order are the slots of a group written, so that what can be loaded is complete?
//!
//! The *seal* is the first [`SEAL_BYTES`] of the slot the firmware loads. Without it the file
//! system there is not recognised, so the group cannot start, whatever the environment says:
//! the seal is zeroed before anything else changes and written after everything else was read
//! back. The types hold the order: [`OpenGroup`] → [`UnsealedGroup`] → [`DurableGroup`], and only
//! the last can be made bootable.

use crate::prefix::Begun;
use crate::slot_writer::{DurableSlot, Incoming, OpenSlot};
use crate::{InstallError, InstallGroup, OpenImage, PlannedImage, SealHealth, SlotName};
use bootctl::SlotId;
use std::collections::BTreeMap;
use storage::{Access, ByteLen, Devices};

/// Length of the seal: the boot sector and superblock of every file system that firmware reads
/// lie inside it (FAT at 0, squashfs at 0, ext4 at 1024).
pub const SEAL_BYTES: usize = 4096;

/// Files claim sectors of 1 byte, and no disk promises less than this.
const MIN_SECTOR_BYTES: u32 = 512;
const MAX_SECTOR_BYTES: u32 = 4096;

/// The devices of a group, opened exclusively; nothing was written.
pub(crate) struct OpenGroup {
    slot_id: SlotId,
    seal: SlotName,
    slots: BTreeMap<SlotName, OpenSlot>,
    seal_bytes: Vec<u8>,
}

/// A group that cannot be loaded by any firmware.
pub(crate) struct UnsealedGroup {
    slot_id: SlotId,
    seal: SlotName,
    untouched: BTreeMap<SlotName, OpenSlot>,
    durable: Vec<DurableSlot>,
    /// What the seal was; put back when the bundle has no image for its slot.
    seal_bytes: Vec<u8>,
}

/// A group whose every written byte was read back and whose seal is in place.
///
/// Only an install makes one:
///
/// ```compile_fail
/// let group = updater::DurableGroup { slots: Vec::new() };
/// ```
pub struct DurableGroup {
    slot_id: SlotId,
    slots: Vec<DurableSlot>,
}

impl OpenGroup {
    /// Opens every device of the group and reads the seal; one that cannot be read is broken. A mounted one is refused by name,
    /// because the exclusive open alone could only say *busy*.
    pub fn open(group: &InstallGroup, devices: &dyn Devices) -> Result<Self, InstallError> {
        let mut slots = BTreeMap::new();
        for slot in &group.members {
            let failed = |source| InstallError::OpenSlot {
                slot: slot.name.clone(),
                device: slot.device.clone(),
                source: Box::new(source),
            };
            if let Some(at) = devices.mounted_at(&slot.device).map_err(failed)? {
                return Err(InstallError::Mounted {
                    slot: slot.name.clone(),
                    device: slot.device.clone(),
                    at,
                });
            }
            let access = match slot.access {
                crate::SlotAccess::Writable => Access::ReadWrite,
                crate::SlotAccess::ReadOnly => Access::ReadOnly,
            };
            let storage = devices.open(&slot.device, access).map_err(failed)?;
            slots.insert(slot.name.clone(), OpenSlot::new(slot, storage));
        }
        let seal = slots
            .get(&group.seal)
            .ok_or_else(|| InstallError::NotOpened { slot: group.seal.clone() })?;
        let mut seal_bytes = vec![0; seal_len(seal)];
        if seal.storage.read_at(0, &mut seal_bytes).is_err() {
            // Firmware cannot read it either: it counts as broken, and writing it may heal it.
            seal_bytes.fill(0);
        }
        Ok(Self { slot_id: group.slot_id, seal: group.seal.clone(), slots, seal_bytes })
    }

    /// Sizes of the devices.
    pub fn sizes(&self) -> BTreeMap<SlotName, ByteLen> {
        self.slots.iter().map(|(name, open)| (name.clone(), open.storage.len())).collect()
    }

    /// Whether the last install into the group finished.
    pub fn seal_health(&self) -> SealHealth {
        if self.seal_bytes.iter().all(|byte| *byte == 0) {
            SealHealth::Broken
        } else {
            SealHealth::Sealed
        }
    }

    /// Zeroes the seal durably. A cut before leaves the old system whole, a cut after leaves a
    /// group that no firmware loads; the next install starts here again.
    pub fn break_seal(self) -> Result<UnsealedGroup, InstallError> {
        let Self { slot_id, seal, mut slots, seal_bytes } = self;
        let open =
            slots.get_mut(&seal).ok_or_else(|| InstallError::NotOpened { slot: seal.clone() })?;
        for (offset, sector) in sectors(open, &seal_bytes) {
            open.write_durably(offset, &vec![0; sector.len()])?;
        }
        Ok(UnsealedGroup { slot_id, seal, untouched: slots, durable: Vec::new(), seal_bytes })
    }
}

/// The seal in pieces that the device writes whole or not at all, each with its offset.
///
/// Broken from the front and written from the back, each piece flushed before the next: what
/// makes a file system recognisable (FAT sector 0, ext4's magic before the end of its
/// superblock) goes first and comes last, so a torn seal is not loadable either.
fn sectors<'a>(open: &OpenSlot, seal: &'a [u8]) -> Vec<(u64, &'a [u8])> {
    let sector = open.storage.geometry().sector_bytes.clamp(MIN_SECTOR_BYTES, MAX_SECTOR_BYTES);
    // At most MAX_SECTOR_BYTES.
    let sector = usize::try_from(sector).unwrap_or(SEAL_BYTES);
    let offsets = (0_u64..).step_by(sector);
    offsets.zip(seal.chunks(sector)).collect()
}

fn seal_len(open: &OpenSlot) -> usize {
    open.storage.len().to_usize().map_or(SEAL_BYTES, |len| len.min(SEAL_BYTES))
}

/// Takes back what may be there of a seal that did not read back as it was written: the next loss
/// of the environment must not start it. The failure is told by the caller; a device that takes
/// no writes any more keeps what it has.
fn take_back(open: &mut OpenSlot) {
    let zeros = [0; MIN_SECTOR_BYTES as usize];
    let _kept = open.storage.write_at(0, &zeros).and_then(|()| open.storage.flush());
}

impl UnsealedGroup {
    /// Takes the device of a planned image out of the group, to be written.
    pub fn take(&mut self, planned: &PlannedImage) -> Result<OpenSlot, InstallError> {
        let name = &planned.slot.name;
        self.untouched.remove(name).ok_or_else(|| InstallError::NotOpened { slot: name.clone() })
    }

    /// Opens the device of a planned image once more, whose writing failed.
    pub fn open_again(
        &mut self,
        planned: &PlannedImage,
        devices: &dyn Devices,
    ) -> Result<(), InstallError> {
        let slot = &planned.slot;
        let storage = devices.open(&slot.device, Access::ReadWrite).map_err(|source| {
            let (slot, device) = (slot.name.clone(), slot.device.clone());
            InstallError::OpenSlot { slot, device, source: Box::new(source) }
        })?;
        self.untouched.insert(slot.name.clone(), OpenSlot::new(slot, storage));
        Ok(())
    }

    /// So many bytes of an image are not written with the others: the seal's.
    pub fn hold_back(&self, planned: &PlannedImage) -> usize {
        if planned.slot.name == self.seal { self.seal_bytes.len() } else { 0 }
    }

    /// How an image must be written: the seal's slot without its first bytes, each slot from where it
    /// begins.
    pub fn incoming<'a>(
        &self,
        planned: &PlannedImage,
        image: &'a mut OpenImage<'_>,
        begun: Begun,
    ) -> Incoming<'a> {
        let hold_back = self.hold_back(planned);
        let filename = planned.image.filename.clone().unwrap_or_default();
        let digest = image.digest.clone();
        let (source, len) = (&mut *image.reader, planned.size);
        Incoming { source, filename, len, digest, hold_back, begun }
    }

    /// Puts a slot back that was written and read back.
    pub fn put(&mut self, slot: DurableSlot) {
        self.durable.push(slot);
    }

    /// The slot that carries the seal.
    pub fn seal_slot(&self) -> &SlotName {
        &self.seal
    }

    /// Writes the seal, flushes and reads it back. `images` is what was planned: a group of which
    /// one is missing is never sealed.
    pub fn seal(mut self, images: &[PlannedImage]) -> Result<DurableGroup, InstallError> {
        for planned in images {
            if !self.durable.iter().any(|slot| slot.open.name == planned.slot.name) {
                return Err(InstallError::NotOpened { slot: planned.slot.name.clone() });
            }
        }
        let written = self.durable.iter_mut().find(|slot| slot.open.name == self.seal);
        let (open, seal) = match written {
            Some(slot) => (&mut slot.open, &slot.held_back),
            None => {
                let open = self
                    .untouched
                    .get_mut(&self.seal)
                    .ok_or_else(|| InstallError::NotOpened { slot: self.seal.clone() })?;
                (open, &self.seal_bytes)
            }
        };
        for (offset, sector) in sectors(open, seal).into_iter().rev() {
            open.write_durably(offset, sector).inspect_err(|_| take_back(open))?;
        }
        Ok(DurableGroup { slot_id: self.slot_id, slots: self.durable })
    }
}

impl DurableGroup {
    /// Which group it is.
    #[must_use]
    pub const fn slot_id(&self) -> SlotId {
        self.slot_id
    }

    /// The slots that were written, in order.
    #[must_use]
    pub fn slots(&self) -> &[DurableSlot] {
        &self.slots
    }
}
