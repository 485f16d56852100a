// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small systems and signed bundles of them.

use anyhow::{Context, Result};
use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    Keyring, KeyringOptions, Limits, MemorySource, SigningIdentity, SquashfsCompression, UnixTime,
    UntrustedBundle, VerifiedBundle, create_bundle,
};
use repart::{FatImage, FatLabel, FatOptions, FatTime};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{ByteLen, MemoryStorage, Storage};

/// How large the slots are. In which order acts follow each other and what is flushed between them
/// does not depend on it; how many sets of sectors a write has does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSizes {
    /// A boot slot.
    pub boot: usize,
    /// A rootfs slot.
    pub rootfs: usize,
}

impl SlotSizes {
    /// Images of many sectors.
    pub const BOUNDED: Self = Self { boot: 24 * 1024, rootfs: 32 * 1024 };
    /// Every set of the sectors of a write can be tried: 15 of each.
    pub const EXHAUSTIVE: Self = Self { boot: 15 * 512, rootfs: 15 * 512 };
}

/// The smallest FAT there is; a slot that holds one is larger than others.
const FAT_BYTES: ByteLen = ByteLen::kib(64);

const SIGNED_AT: UnixTime = UnixTime(1_795_230_000);

/// The images of one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What the firmware loads; its first sector is not zero.
    pub boot: Vec<u8>,
    /// The rest.
    pub rootfs: Vec<u8>,
    /// The slots that it fits.
    pub sizes: SlotSizes,
}

impl System {
    /// A system of this tag; two systems differ in every sector.
    #[must_use]
    pub fn new(tag: u8, sizes: SlotSizes) -> Self {
        // Shorter than its slot: what is behind an image is not written.
        let boot = bytes(tag, sizes.boot - 1000);
        Self { boot, rootfs: bytes(tag.wrapping_add(7), sizes.rootfs), sizes }
    }

    /// The same with a real FAT for the firmware.
    ///
    /// # Errors
    /// When the FAT cannot be made.
    pub fn with_fat(tag: u8, sizes: SlotSizes) -> Result<Self> {
        let label = FatLabel::from_text("boot");
        let options = FatOptions { label, serial: u32::from(tag), time: FatTime::EPOCH };
        let mut fat = FatImage::create(FAT_BYTES, &options)?;
        let script = bytes(tag, 3000);
        fat.write_file("boot.scr", &mut &script[..])?;
        let device: MemoryStorage = fat.finish()?;
        Ok(Self { boot: device.bytes().to_vec(), ..Self::new(tag, sizes) })
    }

    /// Its images for a bundle: slot class, file name, content.
    #[must_use]
    pub fn images(&self) -> [(&'static str, &'static str, &[u8]); 2] {
        [("boot", "boot.vfat", &self.boot), ("rootfs", "rootfs.img", &self.rootfs)]
    }

    /// What its slots hold, with zeros behind the images.
    #[must_use]
    pub fn slots(&self) -> [Vec<u8>; 2] {
        let padded = |image: &[u8], len| {
            let mut slot = image.to_vec();
            slot.resize(len, 0);
            slot
        };
        [
            padded(&self.boot, self.sizes.boot.max(self.boot.len())),
            padded(&self.rootfs, self.sizes.rootfs),
        ]
    }
}

/// Bytes that differ in every sector and from tag to tag; none is zero.
fn bytes(tag: u8, len: usize) -> Vec<u8> {
    let byte = |at: usize| {
        let [low, ..] = (at % 251).to_le_bytes();
        let [row, ..] = (at / 509).to_le_bytes();
        (low ^ row).wrapping_mul(3).wrapping_add(tag) | 1
    };
    (0..len).map(byte).collect()
}

/// Makes and verifies bundles.
pub struct Signer {
    pki: DevelopmentPki,
    dir: tempfile::TempDir,
}

impl Signer {
    /// A signer with new keys.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new() -> Result<Self> {
        let options = DevelopmentPkiOptions::new(SIGNED_AT);
        let pki = DevelopmentPki::generate("power cuts", &options)?;
        Ok(Self { pki, dir: tempfile::tempdir().context("cannot make a directory")? })
    }

    /// A verified bundle of these images: slot class, file name, content.
    ///
    /// # Errors
    /// When it cannot be made or does not verify.
    pub fn bundle(
        &self,
        format: BundleFormat,
        images: &[(&str, &str, &[u8])],
    ) -> Result<Arc<VerifiedBundle>> {
        Ok(Arc::new(self.sign(format, images)?.verify()?))
    }

    /// A bundle of these images, for who verifies it himself.
    ///
    /// # Errors
    /// When it cannot be made.
    #[expect(clippy::disallowed_methods, reason = "bundles are made as files and kept in memory")]
    pub fn sign(
        &self,
        format: BundleFormat,
        images: &[(&str, &str, &[u8])],
    ) -> Result<Arc<SignedBundle>> {
        let mut manifest = "[update]\ncompatible=rock64\nversion=26.1\n".to_owned();
        let mut files = BTreeMap::new();
        for (class, name, content) in images {
            manifest.push_str(&format!("[image.{class}]\nfilename={name}\n"));
            files.insert((*name).to_owned(), content.to_vec());
        }
        let identity =
            SigningIdentity::from_pem(&self.pki.signer_cert_pem, &self.pki.signer_key_pem, &[])?;
        let request = CreateRequest {
            content: BundleContent::Memory { manifest: &manifest, files: &files },
            format: Some(format),
            compression: SquashfsCompression::Stored,
            identity: &identity,
            salt: [7; 32],
            timestamp: SIGNED_AT,
        };
        let path = self.dir.path().join("update.raucb");
        create_bundle(&request, &path, &mut |_| {})?;
        let source = MemorySource::new("update.raucb", std::fs::read(&path)?);
        std::fs::remove_file(&path)?;
        let keyring = Keyring::from_pem(&self.pki.ca_cert_pem, KeyringOptions::default())?;
        Ok(Arc::new(SignedBundle { source: Arc::new(source), keyring }))
    }
}

/// A bundle and who vouches for it.
pub struct SignedBundle {
    source: Arc<MemorySource>,
    keyring: Keyring,
}

impl SignedBundle {
    /// Opens and verifies it.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self) -> Result<VerifiedBundle, bundle::BundleError> {
        let source = Arc::<MemorySource>::clone(&self.source);
        let opened = UntrustedBundle::open(source, &Limits::default())?;
        opened.verify(&self.keyring, CheckTime::At(SIGNED_AT))
    }
}

/// Whether the first sector of a device holds anything: without it no file system is recognised.
///
/// More than a firmware asks for, so that a torn seal has every chance to be taken for one.
#[must_use]
pub fn has_seal(device: Option<&crate::medium::Medium>) -> bool {
    let mut sector = [0; 512];
    device.is_some_and(|device| {
        device.read_at(0, &mut sector).is_ok() && sector.iter().any(|byte| *byte != 0)
    })
}
