// SPDX-License-Identifier: MIT OR Apache-2.0
//! A disk of which only some sectors are not zero, so that a table or a file system of many MiB
//! is an input of a few KiB.
//!
//! ```text
//! 0 u32 sectors of the disk    then records of 516 bytes: 0 u32 number of a sector  4 its bytes
//! ```
//! All little endian. The last record may be short: zeros follow.

use std::collections::BTreeMap;
use storage::{ByteLen, Geometry, Storage, StorageError};

const SECTOR_BYTES: u64 = 512;
/// Larger disks would only be more zeros.
const MAX_SECTORS: u32 = 1 << 17;

/// The disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseDisk {
    sectors: u32,
    sector_bytes: u32,
    filled: BTreeMap<u64, [u8; 512]>,
}

impl SparseDisk {
    /// The disk that `data` describes, with sectors of `sector_bytes` as far as its users see.
    #[must_use]
    pub fn parse(data: &[u8], sector_bytes: u32) -> Self {
        let u32_at = |bytes: &[u8]| bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let sectors = u32_at(data).min(MAX_SECTORS);
        let mut filled = BTreeMap::new();
        for record in data.get(4..).unwrap_or_default().chunks(516) {
            let mut sector = [0; 512];
            for (to, from) in sector.iter_mut().zip(record.iter().skip(4)) {
                *to = *from;
            }
            filled.insert(u64::from(u32_at(record)), sector);
        }
        Self { sectors, sector_bytes, filled }
    }

    /// The description of a disk image, whose length is a multiple of 512.
    #[must_use]
    pub fn encode(image: &[u8]) -> Vec<u8> {
        let sectors = u32::try_from(image.len() / 512).unwrap_or(u32::MAX);
        let mut data = sectors.to_le_bytes().to_vec();
        for (number, sector) in (0_u32..).zip(image.chunks_exact(512)) {
            if sector.iter().any(|byte| *byte != 0) {
                data.extend_from_slice(&number.to_le_bytes());
                data.extend_from_slice(sector);
            }
        }
        data
    }

    /// The bytes of one sector.
    #[must_use]
    pub fn sector(&self, number: u64) -> [u8; 512] {
        self.filled.get(&number).copied().unwrap_or([0; 512])
    }

    /// Puts one sector.
    pub fn set_sector(&mut self, number: u64, sector: [u8; 512]) {
        self.filled.insert(number, sector);
    }

    /// Number of sectors of 512 bytes.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.sectors.into()
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), StorageError> {
        let (size, len) = (self.len(), len as u64);
        match offset.checked_add(len) {
            Some(end) if end <= size.get() => Ok(()),
            _ => Err(StorageError::OutOfBounds { label: "sparse".into(), offset, len, size }),
        }
    }
}

impl Storage for SparseDisk {
    fn label(&self) -> &str {
        "sparse"
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.sectors() * SECTOR_BYTES)
    }

    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: self.sector_bytes, erase_bytes: None }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.check(offset, buf.len())?;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let sector = self.sector(at / SECTOR_BYTES);
            let from = &sector[(at % SECTOR_BYTES) as usize..];
            let taken = from.len().min(rest.len());
            let (piece, after) = rest.split_at_mut(taken);
            piece.copy_from_slice(&from[..taken]);
            rest = after;
            at += taken as u64;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.check(offset, data.len())?;
        for (at, byte) in (offset..).zip(data) {
            let mut sector = self.sector(at / SECTOR_BYTES);
            sector[(at % SECTOR_BYTES) as usize] = *byte;
            self.set_sector(at / SECTOR_BYTES, sector);
        }
        Ok(())
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.check(offset, len)?;
        self.write_at(offset, &vec![0xff; len])
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn forget_cached(&mut self, _: u64, _: u64) -> Result<(), StorageError> {
        Ok(())
    }
}
