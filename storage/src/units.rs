// SPDX-License-Identifier: MIT OR Apache-2.0
//! Newtypes for the two numbers that disks are measured in, so that they cannot be swapped.

use std::fmt;

/// A length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteLen(u64);

impl ByteLen {
    /// Zero bytes.
    pub const ZERO: Self = Self(0);

    /// A length of `bytes` bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A length of `kib` × 1024 bytes, saturating.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1024))
    }

    /// A length of `mib` × 1048576 bytes, saturating.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1024 * 1024))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The length as a memory size, or `None` where it does not fit the address space.
    #[must_use]
    pub fn to_usize(self) -> Option<usize> {
        usize::try_from(self.0).ok()
    }
}

impl fmt::Display for ByteLen {
    /// Whole bytes below 1 KiB, else the largest binary unit with one decimal: `64.0 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = 0;
        let mut scale = 1024_u64;
        while self.0 / scale >= 1024 && unit + 1 < UNITS.len() {
            scale = scale.saturating_mul(1024);
            unit += 1;
        }
        let name = UNITS.get(unit).copied().unwrap_or("B");
        let tenths = u128::from(self.0) * 10 / u128::from(scale);
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// The number of a logical block (sector) of a device; the block's size belongs to the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lba(pub u64);

impl Lba {
    /// The byte offset of this block for blocks of `sector_bytes`, or `None` on overflow.
    #[must_use]
    pub fn byte_offset(self, sector_bytes: u32) -> Option<u64> {
        self.0.checked_mul(u64::from(sector_bytes))
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_print_in_the_largest_unit_that_keeps_a_digit_before_the_point() {
        assert_eq!(ByteLen::new(512).to_string(), "512 B");
        assert_eq!(ByteLen::mib(64).to_string(), "64.0 MiB");
        assert_eq!(ByteLen::mib(1536).to_string(), "1.5 GiB");
        assert_eq!(ByteLen::new(u64::MAX).to_string(), "16383.9 PiB");
    }

    #[test]
    fn block_number_overflow_is_noticed() {
        assert_eq!(Lba(2).byte_offset(512), Some(1024));
        assert_eq!(Lba(u64::MAX).byte_offset(512), None);
    }
}
