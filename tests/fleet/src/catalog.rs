// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bundles are there? Names, digests and lengths; nobody looks into them.

use agents::Looked;
use bootctl::BundleId;
use openssl::sha::{sha1, sha256};
use storage::{ByteLen, Digest};

/// The `compatible` of every device and bundle.
pub const PRODUCT: &str = "fleet";
/// Where documents and bundles lie.
pub const WEB: &str = "https://updates.example.org";
/// Length of every bundle.
const SIZE: ByteLen = ByteLen::mib(120);
/// What is fetched of it when the slots hold the version before: the rest is there already.
pub const FETCHED: ByteLen = ByteLen::mib(48);

/// Which bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// What some devices were left with.
    Old,
    /// What the fleet runs when a run begins.
    Former,
    /// The release.
    Sound,
    /// A release that does not start, or is not healthy, on three of four boards.
    Bad,
    /// The release after that one.
    Mended,
}

impl Version {
    /// Every one, oldest first.
    pub const ALL: [Self; 5] = [Self::Old, Self::Former, Self::Sound, Self::Bad, Self::Mended];

    /// Its text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Old => "0.9",
            Self::Former => "1.0",
            Self::Sound => "1.1",
            Self::Bad => "1.2",
            Self::Mended => "1.3",
        }
    }

    /// SHA-256 of its manifest.
    #[must_use]
    pub fn manifest(self) -> Digest {
        Digest::from_bytes(sha256(format!("manifest of {}", self.text()).as_bytes()))
    }

    /// What devices remember it by.
    #[must_use]
    pub fn id(self) -> BundleId {
        self.manifest().into()
    }

    /// Its file's name.
    #[must_use]
    pub fn file(self) -> String {
        format!("fleet-{}.raucb", self.text())
    }

    /// SHA-256 of its file.
    #[must_use]
    pub fn digest(self) -> Digest {
        Digest::from_bytes(sha256(self.file().as_bytes()))
    }

    /// Length of its file.
    #[must_use]
    pub const fn size(self) -> ByteLen {
        SIZE
    }

    /// As the server of hawkBit's interface names it.
    #[must_use]
    pub fn artifact(self) -> ddi::book::Bundle {
        let digits = sha1(self.file().as_bytes()).map(|byte| format!("{byte:02x}"));
        ddi::book::Bundle {
            file: self.file(),
            version: self.text().to_owned(),
            size: SIZE.get(),
            sha1: digits.concat(),
        }
    }

    /// The one with this identity.
    #[must_use]
    pub fn of(id: BundleId) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.id() == id)
    }

    /// The one at this address.
    #[must_use]
    pub fn at(url: &str) -> Option<Self> {
        let file = url.rsplit('/').next().unwrap_or_default();
        Self::ALL.into_iter().find(|version| version.file() == file)
    }

    /// What its beginning says on a device that has fetched so much of it already.
    #[must_use]
    pub fn looked(self, have: ByteLen) -> Looked {
        Looked {
            manifest: self.manifest(),
            version: Some(self.text().to_owned()),
            compatible: PRODUCT.to_owned(),
            size: SIZE,
            transfer: ByteLen::new(FETCHED.get().saturating_sub(have.get())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_found_by_what_tells_them_apart() {
        for version in Version::ALL {
            assert_eq!(Version::of(version.id()), Some(version));
            assert_eq!(Version::at(&format!("{WEB}/x/{}", version.file())), Some(version));
        }
        assert_eq!(Version::at("https://updates.example.org/other.raucb"), None);
    }
}
