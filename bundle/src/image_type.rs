// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sort of image is this file? RAUC's names, and its order of guesses by file name.

use std::fmt;
use std::str::FromStr;

/// A type of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageType {
    /// Bytes written as they are.
    Raw,
    /// ext4 file system image.
    Ext4,
    /// FAT file system image.
    Vfat,
    /// UBIFS image.
    Ubifs,
    /// squashfs image.
    Squashfs,
    /// Archive unpacked into a fresh file system.
    Tar,
    /// A fresh file system without content; has no file.
    Emptyfs,
    /// casync archive.
    Catar,
    /// casync index of an archive.
    Caidx,
    /// casync index of a raw image.
    RawCaibx,
    /// casync index of an ext4 image.
    Ext4Caibx,
    /// casync index of a FAT image.
    VfatCaibx,
    /// casync index of a UBIFS image.
    UbifsCaibx,
    /// casync index of a squashfs image.
    SquashfsCaibx,
}

/// The text names no image type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown image type {name:?}")]
pub struct ParseImageTypeError {
    /// The text.
    pub name: String,
}

impl ImageType {
    /// Every type.
    pub const ALL: [Self; 14] = [
        Self::Raw,
        Self::Ext4,
        Self::Vfat,
        Self::Ubifs,
        Self::Squashfs,
        Self::Tar,
        Self::Emptyfs,
        Self::Catar,
        Self::Caidx,
        Self::RawCaibx,
        Self::Ext4Caibx,
        Self::VfatCaibx,
        Self::UbifsCaibx,
        Self::SquashfsCaibx,
    ];

    /// RAUC's name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Ext4 => "ext4",
            Self::Vfat => "vfat",
            Self::Ubifs => "ubifs",
            Self::Squashfs => "squashfs",
            Self::Tar => "tar",
            Self::Emptyfs => "emptyfs",
            Self::Catar => "catar",
            Self::Caidx => "caidx",
            Self::RawCaibx => "raw-caibx",
            Self::Ext4Caibx => "ext4-caibx",
            Self::VfatCaibx => "vfat-caibx",
            Self::UbifsCaibx => "ubifs-caibx",
            Self::SquashfsCaibx => "squashfs-caibx",
        }
    }

    /// The type that RAUC derives from a file name, or `None`.
    #[must_use]
    pub fn of_filename(filename: &str) -> Option<Self> {
        let ends = |suffix: &str| filename.ends_with(suffix);
        // The order is RAUC's and matters: "a.ext4.caibx" ends like an index and holds ".ext4".
        if let Some(stem) = filename.strip_suffix(".caibx") {
            return if stem.ends_with(".ext4") {
                Some(Self::Ext4Caibx)
            } else if stem.ends_with(".vfat") {
                Some(Self::VfatCaibx)
            } else if stem.ends_with(".ubifs") {
                Some(Self::UbifsCaibx)
            } else if stem.ends_with(".img") {
                Some(Self::RawCaibx)
            } else if stem.ends_with(".squashfs") || stem.contains(".squashfs-") {
                Some(Self::SquashfsCaibx)
            } else {
                None
            };
        }
        if ends(".catar") {
            Some(Self::Catar)
        } else if ends(".caidx") {
            Some(Self::Caidx)
        } else if filename.contains(".tar") || ends(".tgz") {
            Some(Self::Tar)
        } else if ends(".ext4") {
            Some(Self::Ext4)
        } else if ends(".vfat") {
            Some(Self::Vfat)
        } else if ends(".img") {
            Some(Self::Raw)
        } else if filename.contains(".squashfs-") || ends(".squashfs") {
            Some(Self::Squashfs)
        } else if ends(".ubifs") {
            Some(Self::Ubifs)
        } else {
            None
        }
    }
}

impl fmt::Display for ImageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ImageType {
    type Err = ParseImageTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| ParseImageTypeError { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for known in ImageType::ALL {
            assert_eq!(known.name().parse(), Ok(known));
        }
        assert!("jffs2".parse::<ImageType>().is_err());
    }

    #[test]
    fn file_names_give_the_type_rauc_derives() {
        for (name, expected) in [
            ("a.ext4.caibx", Some(ImageType::Ext4Caibx)),
            ("a.squashfs-zstd.caibx", Some(ImageType::SquashfsCaibx)),
            ("a.caibx", None),
            ("a.tar.gz", Some(ImageType::Tar)),
            ("a.tgz", Some(ImageType::Tar)),
            ("a.tar.img", Some(ImageType::Tar)),
            ("boot.vfat", Some(ImageType::Vfat)),
            ("root.squashfs-xz", Some(ImageType::Squashfs)),
            ("root.img", Some(ImageType::Raw)),
            ("root.bin", None),
        ] {
            assert_eq!(ImageType::of_filename(name), expected, "{name}");
        }
    }
}
