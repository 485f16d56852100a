// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two halves of the region of a `boot-*` slot, and the pure part of switching between them.
//!
//! Master boot record (source: UEFI specification, "Legacy Master Boot Record"): byte 446 four
//! entries of 16 bytes: 0 boot indicator, 1 first sector as head/sector/cylinder, 4 type, 5 last
//! sector in the same way, 8 first sector, 12 number of sectors (both little-endian u32); byte 510
//! `0x55 0xAA`.

use crate::Slot;
use storage::ByteLen;

/// Where an MBR has its entries.
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY_BYTES: usize = 16;
/// What every tool takes for the shape of a disk that has none.
const HEADS: u64 = 255;
const SECTORS: u64 = 63;
/// What is said of a place that this shape cannot name.
const CHS_BEYOND: [u8; 3] = [254, 0xff, 0xff];

/// One half of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// It begins where the region does.
    First,
    /// It ends where the region does.
    Second,
}

impl Half {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// As in `RAUC_BOOT_PARTITION_ACTIVATING`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// For messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// A region of two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte on the disk.
    pub start: u64,
    /// Bytes of one half.
    pub half: u64,
}

impl Region {
    /// The region of a slot on a disk of `len` bytes whose sectors have `sector` bytes; what
    /// lies below `floor` is the table's.
    ///
    /// # Errors
    /// Why the slot's region cannot be used, in words.
    pub fn of(slot: &Slot, len: ByteLen, sector: u64, floor: u64) -> Result<Self, String> {
        let (Some(start), Some(size)) = (slot.region_start, slot.region_size) else {
            return Err("region-start and region-size are missing".to_owned());
        };
        let (start, size) = (start.get(), size.get());
        if start < floor || size == 0 {
            return Err("no valid configuration for region".to_owned());
        }
        if !start.is_multiple_of(sector) {
            return Err(format!("region start {start} is not aligned to the sector size {sector}"));
        }
        if !size.is_multiple_of(2 * sector) {
            return Err(format!(
                "region size {size} is not aligned to the double sector size {}",
                2 * sector
            ));
        }
        match start.checked_add(size) {
            Some(end) if end <= len.get() => Ok(Self { start, half: size / 2 }),
            Some(_) | None => Err("region configuration is bigger than device".to_owned()),
        }
    }

    /// First byte of a half.
    #[must_use]
    pub const fn start_of(self, half: Half) -> u64 {
        match half {
            Half::First => self.start,
            Half::Second => self.start + self.half,
        }
    }

    /// The half that begins at this byte.
    #[must_use]
    pub fn half_at(self, start: u64) -> Option<Half> {
        [Half::First, Half::Second].into_iter().find(|half| self.start_of(*half) == start)
    }
}

/// A master boot record of which one entry is moved and nothing else looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootRecord(Vec<u8>);

impl BootRecord {
    /// The record in the first sector of a disk.
    ///
    /// # Errors
    /// In words: there is none.
    pub fn parse(sector: Vec<u8>) -> Result<Self, String> {
        if sector.get(510..512) != Some(&[0x55, 0xaa]) {
            return Err("no valid master boot record found".to_owned());
        }
        Ok(Self(sector))
    }

    /// The sector.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn entry(&self, index: usize) -> [u8; MBR_ENTRY_BYTES] {
        let at = MBR_ENTRIES + index * MBR_ENTRY_BYTES;
        let bytes = self.0.get(at..at + MBR_ENTRY_BYTES);
        bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }

    /// First sector and number of sectors of an entry, from 0.
    fn place(&self, index: usize) -> (u64, u64) {
        let [.., a, b, c, d, e, f, g, h] = self.entry(index);
        (u32::from_le_bytes([a, b, c, d]).into(), u32::from_le_bytes([e, f, g, h]).into())
    }

    /// Which half the first entry names; the other entries must leave the region alone.
    ///
    /// # Errors
    /// In words: it names neither, or another partition is there.
    pub fn active(&self, region: Region, sector: u64) -> Result<Half, String> {
        let (first, end) = (region.start / sector, (region.start + 2 * region.half) / sector);
        for index in 1..4 {
            let (start, len) = self.place(index);
            if len > 0 && start < end && first < start + len {
                return Err(format!("the region is in the area of partition {}", index + 1));
            }
        }
        let (start, len) = self.place(0);
        if start == 0 || len == 0 {
            return Err("no boot partition found in entry 0".to_owned());
        }
        region.half_at(start * sector).ok_or_else(|| {
            "boot partition's start address does not match region configuration".to_owned()
        })
    }

    /// The record whose first entry names another half. Boot indicator and type stay.
    ///
    /// # Errors
    /// In words: the half is out of reach.
    pub fn switched(&self, region: Region, half: Half, sector: u64) -> Result<Self, String> {
        let (start, len) = (region.start_of(half) / sector, region.half / sector);
        let too_far = |_| "the region is out of reach of a master boot record".to_owned();
        let start_field = u32::try_from(start).map_err(too_far)?;
        let len_field = u32::try_from(len).map_err(too_far)?;
        let [indicator, _, _, _, kind, ..] = self.entry(0);
        let entry = [
            &[indicator][..],
            &head_sector_cylinder(start),
            &[kind],
            &head_sector_cylinder(start + len - 1),
            &start_field.to_le_bytes(),
            &len_field.to_le_bytes(),
        ]
        .concat();
        let mut sector = self.0.clone();
        if let Some(place) = sector.get_mut(MBR_ENTRIES..MBR_ENTRIES + MBR_ENTRY_BYTES) {
            place.copy_from_slice(&entry);
        }
        Ok(Self(sector))
    }

    /// Whether the record is of a GPT alone: one entry, of type 0xEE.
    #[must_use]
    pub fn is_protective_alone(&self) -> bool {
        let kinds = [0, 1, 2, 3].map(|index| {
            let [_, _, _, _, kind, ..] = self.entry(index);
            kind
        });
        kinds.iter().filter(|kind| **kind != 0).eq([&0xee])
    }
}

/// A sector's place as old firmware wants it. // Deviates: RAUC asks the kernel for the disk's
/// shape and lets high cylinders wrap; here it is the shape that `sfdisk` uses, and its way to say
/// *too far*.
fn head_sector_cylinder(lba: u64) -> [u8; 3] {
    let (sector, head) = (lba % SECTORS + 1, lba / SECTORS % HEADS);
    let cylinder = lba / SECTORS / HEADS;
    if cylinder > 1023 {
        return CHS_BEYOND;
    }
    let low = |number: u64| number.to_le_bytes()[0];
    [low(head), low(sector) | low(cylinder >> 2) & 0xc0, low(cylinder)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REGION: Region = Region { start: 1 << 20, half: 1 << 20 };

    fn record() -> BootRecord {
        let mut sector = vec![0x11; 512];
        sector[446..510].fill(0);
        sector[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x0c, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        BootRecord::parse(sector).unwrap()
    }

    #[test]
    fn the_switch_goes_there_and_back_and_touches_one_entry_only() {
        let first = record();
        assert_eq!(first.active(REGION, 512), Ok(Half::First));
        let second = first.switched(REGION, Half::Second, 512).unwrap();
        assert_eq!(second.active(REGION, 512), Ok(Half::Second));
        assert!(second.0[..446] == first.0[..446] && second.0[462..] == first.0[462..]);
        assert_eq!((second.0[446], second.0[450]), (0x80, 0x0c));
        let back = second.switched(REGION, Half::First, 512).unwrap();
        assert_eq!(back.active(REGION, 512), Ok(Half::First));
        assert_eq!(back.0[454..462], first.0[454..462]);
    }

    #[test]
    fn other_partitions_and_other_places_are_refused() {
        let mut other = record();
        other.0[466..478].copy_from_slice(&[0x83, 0, 0, 0, 0xff, 0x17, 0, 0, 9, 0, 0, 0]);
        assert!(other.active(REGION, 512).unwrap_err().contains("partition 2"));
        let mut moved = record();
        moved.0[454] = 1;
        assert!(moved.active(REGION, 512).unwrap_err().contains("does not match"));
        let mut empty = record();
        empty.0[454..462].fill(0);
        assert!(empty.active(REGION, 512).unwrap_err().contains("no boot partition"));
        assert!(BootRecord::parse(vec![0; 512]).is_err() && BootRecord::parse(vec![]).is_err());
    }

    #[test]
    fn a_place_in_heads_and_sectors_is_what_sfdisk_writes() {
        // Partitions of a disk made by sfdisk: sector 2048 is 0/32/33, 1 GiB beyond is 130/170/40.
        assert_eq!(head_sector_cylinder(2048), [32, 33, 0]);
        assert_eq!(head_sector_cylinder(2_099_199), [170, 40, 130]);
        assert_eq!(head_sector_cylinder(1024 * 255 * 63 - 1), [254, 63 | 0xc0, 255]);
        assert_eq!(head_sector_cylinder(1024 * 255 * 63), CHS_BEYOND);
    }

    proptest! {
        #[test]
        fn no_record_and_no_region_panics(
            mut sector in prop::collection::vec(any::<u8>(), 512),
            start in 1_u64..1 << 40,
            half in 1_u64..1 << 40,
        ) {
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            let record = BootRecord::parse(sector).unwrap();
            let region = Region { start: start * 512, half: half * 512 };
            if let Ok(active) = record.active(region, 512)
                && let Ok(switched) = record.switched(region, active.other(), 512) {
                prop_assert_eq!(switched.active(region, 512), Ok(active.other()));
            }
        }
    }
}
