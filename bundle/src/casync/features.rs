// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this archive or index keep of each file?
//!
//! A set of bits, the same in the head of an index and in every entry of its archive. casync
//! stores them without redundant bits and refuses others; so do we, since a second spelling of
//! the same set would change every chunk. Source: casync's `caformat.h`.

use super::ChunkDigest;

/// What is kept; see the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureFlags(u64);

impl FeatureFlags {
    /// Owners up to 65534.
    pub const UIDS_16: Self = Self(0x1);
    /// Owners of 32 bits.
    pub const UIDS_32: Self = Self(0x2);
    /// Names of owners.
    pub const USER_NAMES: Self = Self(0x4);
    /// Times in seconds.
    pub const SEC_TIME: Self = Self(0x8);
    /// Times in microseconds.
    pub const USEC_TIME: Self = Self(0x10);
    /// Times in nanoseconds.
    pub const NSEC_TIME: Self = Self(0x20);
    /// Times in units of two seconds.
    pub const TWO_SEC_TIME: Self = Self(0x40);
    /// Only whether a file may be written.
    pub const READ_ONLY: Self = Self(0x80);
    /// Permission bits.
    pub const PERMISSIONS: Self = Self(0x100);
    /// Symbolic links.
    pub const SYMLINKS: Self = Self(0x200);
    /// Device nodes.
    pub const DEVICE_NODES: Self = Self(0x400);
    /// Pipes.
    pub const FIFOS: Self = Self(0x800);
    /// Sockets.
    pub const SOCKETS: Self = Self(0x1000);
    /// Access control lists (in which case permission bits are kept too).
    pub const ACL: Self = Self(0x2000_0000);
    /// Chunks are named by SHA-512/256 and not by SHA-256.
    pub const SHA512_256: Self = Self(0x2000_0000_0000_0000);

    const NODUMP: u64 = 0x10_0000;
    const SUBVOLUME: u64 = 0x400_0000;
    const SUBVOLUME_READ_ONLY: u64 = 0x800_0000;
    const QUOTA: u64 = 0x1_0000_0000;
    const EXCLUDE_FILE: u64 = 0x1000_0000_0000_0000;
    const EXCLUDE_SUBMOUNTS: u64 = 0x4000_0000_0000_0000;
    const EXCLUDE_NODUMP: u64 = 0x8000_0000_0000_0000;

    /// Every known bit.
    const KNOWN: u64 = 0xffff_ffff
        | Self::QUOTA
        | Self::EXCLUDE_FILE
        | Self::SHA512_256.0
        | Self::EXCLUDE_SUBMOUNTS
        | Self::EXCLUDE_NODUMP;

    /// What casync writes into an index of an image.
    pub const IMAGE: Self = Self(Self::EXCLUDE_NODUMP | Self::EXCLUDE_FILE | Self::SHA512_256.0);

    /// What casync writes with `--with=unix`, as RAUC calls it for trees.
    pub const UNIX: Self = Self(0x1f09 | Self::IMAGE.0);

    /// The set with these bits, if casync would write it so: no unknown ones, no redundant ones.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let flags = Self(bits);
        let one_of = |several: &[Self]| several.iter().filter(|one| flags.has(**one)).count() <= 1;
        let times = [Self::SEC_TIME, Self::USEC_TIME, Self::NSEC_TIME, Self::TWO_SEC_TIME];
        let modes = [Self::ACL, Self::PERMISSIONS, Self::READ_ONLY];
        let owners = Self::UIDS_16.0 | Self::UIDS_32.0 | Self::USER_NAMES.0;
        let fits = bits & !Self::KNOWN == 0
            && one_of(&times)
            && one_of(&modes)
            && one_of(&[Self::UIDS_16, Self::UIDS_32])
            && !(flags.has(Self::ACL) && bits & owners == 0)
            && !(bits & Self::EXCLUDE_NODUMP != 0 && bits & Self::NODUMP != 0)
            && !(bits & Self::SUBVOLUME_READ_ONLY != 0 && bits & Self::SUBVOLUME == 0);
        fits.then_some(flags)
    }

    /// The bits as stored.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The hash that names the chunks.
    #[must_use]
    pub const fn digest(self) -> ChunkDigest {
        if self.has(Self::SHA512_256) { ChunkDigest::Sha512Slash256 } else { ChunkDigest::Sha256 }
    }

    /// The unit of times in nanoseconds, or `None` when times are not kept.
    #[must_use]
    pub const fn time_unit_nanos(self) -> Option<u64> {
        if self.has(Self::NSEC_TIME) {
            Some(1)
        } else if self.has(Self::USEC_TIME) {
            Some(1000)
        } else if self.has(Self::SEC_TIME) {
            Some(1_000_000_000)
        } else if self.has(Self::TWO_SEC_TIME) {
            Some(2_000_000_000)
        } else {
            None
        }
    }

    /// The largest owner that can be kept plus one; 1 when owners are not kept.
    #[must_use]
    pub const fn owner_limit(self) -> u64 {
        if self.has(Self::UIDS_32) {
            u32::MAX as u64
        } else if self.has(Self::UIDS_16) {
            u16::MAX as u64
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redundant_and_unknown_bits_are_refused() {
        assert_eq!(FeatureFlags::from_bits(FeatureFlags::UNIX.bits()), Some(FeatureFlags::UNIX));
        assert_eq!(FeatureFlags::UNIX.bits(), 0xb000_0000_0000_1f09);
        assert_eq!(FeatureFlags::from_bits(0), Some(FeatureFlags(0)));
        for bits in [0x3, 0x18, 0x180, 0x2_0000_0000, 0x2000_0000, 0x800_0000, u64::MAX] {
            assert_eq!(FeatureFlags::from_bits(bits), None, "{bits:#x}");
        }
    }
}
