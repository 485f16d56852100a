// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a write or an erase leave on the medium, whole or torn?
//!
//! The one model of devices losing power, used by the crash images and by the simulated power
//! cut. Sectors of 512 bytes are written whole or not at all, in order. NOR flash is programmed
//! and erased in units as well, but the unit in work when the power goes is left in between: some
//! of its bits have changed and some have not.

use crate::device::check_range;
use crate::seed::Choices;
use crate::{ByteLen, Geometry, StorageError};

/// What a disk writes whole or not at all, and a convenient page of a flash.
const SECTOR_BYTES: u64 = 512;

/// A change of bytes on the way to the medium.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Write { offset: u64, data: &'a [u8] },
    Erase { offset: u64, len: ByteLen },
}

impl<'a> Change<'a> {
    /// The part of the change that touches `len` bytes from `start`, counted from `start`.
    pub(crate) fn within(&self, start: u64, len: u64) -> Option<Change<'a>> {
        let from = self.offset().max(start);
        let to = self.offset().saturating_add(self.len()).min(start.saturating_add(len));
        let part = to.checked_sub(from).filter(|part| *part > 0)?;
        let offset = from - start;
        match self {
            Self::Erase { .. } => Some(Change::Erase { offset, len: ByteLen::new(part) }),
            Self::Write { offset: begin, data } => {
                let skip = usize::try_from(from - begin).ok()?;
                let data = data.get(skip..skip.checked_add(usize::try_from(part).ok()?)?)?;
                Some(Change::Write { offset, data })
            }
        }
    }

    /// Whether both are the same act, not only an equal one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write { data, .. }, Self::Write { data: other, .. }) => {
                std::ptr::eq(*data, *other)
            }
            // There is at most one that is uncertain.
            (Self::Erase { offset, .. }, Self::Erase { offset: other, .. }) => offset == other,
            (Self::Write { .. }, Self::Erase { .. }) | (Self::Erase { .. }, Self::Write { .. }) => {
                false
            }
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        match self {
            Self::Write { offset, .. } | Self::Erase { offset, .. } => *offset,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Write { data, .. } => data.len() as u64,
            Self::Erase { len, .. } => len.get(),
        }
    }

    /// In how many units the medium takes it: sectors, or erase blocks for an erase of flash.
    pub(crate) fn units(&self, geometry: Geometry) -> u64 {
        let unit = self.unit(geometry);
        let first = self.offset() / unit;
        let end = self.offset().saturating_add(self.len()).div_ceil(unit);
        end.saturating_sub(first)
    }

    /// How many whole units lie in its first `done` bytes.
    pub(crate) fn whole_units(&self, geometry: Geometry, done: u64) -> u64 {
        let unit = self.unit(geometry);
        (self.offset().saturating_add(done) / unit).saturating_sub(self.offset() / unit)
    }

    /// How many bytes of it the first `units` hold.
    fn prefix_len(&self, geometry: Geometry, units: u64) -> u64 {
        let unit = self.unit(geometry);
        let edge = (self.offset() / unit).saturating_add(units).saturating_mul(unit);
        edge.saturating_sub(self.offset()).min(self.len())
    }

    fn unit(&self, geometry: Geometry) -> u64 {
        match (self, geometry.erase_bytes) {
            (Self::Erase { .. }, Some(block)) => u64::from(block.max(1)),
            (Self::Erase { .. } | Self::Write { .. }, _) => SECTOR_BYTES,
        }
    }
}

/// Applies the whole change to `image`.
pub(crate) fn apply(
    label: &str,
    geometry: Geometry,
    image: &mut [u8],
    change: &Change<'_>,
) -> Result<(), StorageError> {
    check_range(label, ByteLen::new(image.len() as u64), change.offset(), change.len())?;
    if let Some(bytes) = range(image, change.offset(), change.len()) {
        overwrite(geometry, bytes, change);
    }
    Ok(())
}

/// Applies the first `units` of the change to `image` and leaves the next one as a cut leaves it.
pub(crate) fn apply_torn(
    label: &str,
    geometry: Geometry,
    image: &mut [u8],
    change: &Change<'_>,
    units: u64,
    choices: &mut Choices,
) -> Result<(), StorageError> {
    check_range(label, ByteLen::new(image.len() as u64), change.offset(), change.len())?;
    if let Some(bytes) = range(image, change.offset(), change.len()) {
        tear(geometry, bytes, change, units, choices);
    }
    Ok(())
}

/// The same on the bytes of the change's own range.
pub(crate) fn tear(
    geometry: Geometry,
    bytes: &mut [u8],
    change: &Change<'_>,
    units: u64,
    choices: &mut Choices,
) {
    let kept = change.prefix_len(geometry, units);
    let worked = change.prefix_len(geometry, units.saturating_add(1));
    let old = bytes.to_vec();
    overwrite(geometry, bytes, change);
    let half_done = geometry.erase_bytes.is_some();
    for (at, (new, old)) in (0_u64..).zip(bytes.iter_mut().zip(&old)) {
        if at >= worked || (at >= kept && !half_done) {
            *new = *old;
        } else if at >= kept {
            let [changed, ..] = choices.next().to_le_bytes();
            *new = (*new & changed) | (*old & !changed);
        }
    }
}

/// Does the whole change to the bytes of its own range.
pub(crate) fn overwrite(geometry: Geometry, bytes: &mut [u8], change: &Change<'_>) {
    match change {
        Change::Write { data, .. } if geometry.erase_bytes.is_some() => {
            for (old, new) in bytes.iter_mut().zip(*data) {
                *old &= new;
            }
        }
        Change::Write { data, .. } => bytes.copy_from_slice(data),
        Change::Erase { .. } => bytes.fill(0xff),
    }
}

fn range(image: &mut [u8], offset: u64, len: u64) -> Option<&mut [u8]> {
    let start = usize::try_from(offset).ok()?;
    image.get_mut(start..start.checked_add(usize::try_from(len).ok()?)?)
}
