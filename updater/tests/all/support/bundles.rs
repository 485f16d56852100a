// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small signed bundles, made, opened and verified as a device does it.

use super::System;
use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateExtras, CreateRequest, CryptKey, DevelopmentPki,
    DevelopmentPkiOptions, FileSource, Keyring, KeyringOptions, Limits, SigningIdentity, Source,
    SquashfsCompression, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle_with,
};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const NOW: UnixTime = UnixTime(1_795_230_000);

static PKI: LazyLock<DevelopmentPki> = LazyLock::new(|| {
    DevelopmentPki::generate("updater tests", &DevelopmentPkiOptions::new(NOW)).unwrap()
});

/// A bundle with both images of a system.
pub fn bundle_of(system: &System, version: &str) -> VerifiedBundle {
    make(&[("boot", "boot.vfat", &system.boot), ("rootfs", "rootfs.img", &system.rootfs)], version)
}

/// A bundle of these images: slot class, file name, content.
pub fn make(images: &[(&str, &str, &[u8])], version: &str) -> VerifiedBundle {
    verify(&file_of(images, version)).unwrap()
}

/// A crypt bundle that nobody encrypted for anybody.
pub fn half_made(images: &[(&str, &str, &[u8])], version: &str) -> VerifiedBundle {
    verify(&file_in(BundleFormat::Crypt, images, version)).unwrap()
}

/// The bytes of a bundle of these images.
pub fn file_of(images: &[(&str, &str, &[u8])], version: &str) -> Vec<u8> {
    file_in(BundleFormat::Verity, images, version)
}

fn file_in(format: BundleFormat, images: &[(&str, &str, &[u8])], version: &str) -> Vec<u8> {
    let mut manifest = format!("[update]\ncompatible=rock64\nversion={version}\n");
    let mut files = BTreeMap::new();
    for (class, name, content) in images {
        manifest.push_str(&format!("[image.{class}]\nfilename={name}\n"));
        files.insert((*name).to_owned(), content.to_vec());
    }
    let identity =
        SigningIdentity::from_pem(&PKI.signer_cert_pem, &PKI.signer_key_pem, &[]).unwrap();
    let request = CreateRequest {
        content: BundleContent::Memory { manifest: &manifest, files: &files },
        format: Some(format),
        compression: SquashfsCompression::Stored,
        identity: &identity,
        salt: [7; 32],
        timestamp: NOW,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("update.raucb");
    let key = CryptKey([4; 32]);
    let extras = CreateExtras { crypt_key: Some(&key), ..CreateExtras::default() };
    create_bundle_with(&request, &extras, &path, &mut |_| {}).unwrap();
    std::fs::read(path).unwrap()
}

/// Opens and verifies the bytes of a bundle.
pub fn verify(bytes: &[u8]) -> Result<VerifiedBundle, bundle::BundleError> {
    // The handle outlives the name, so the directory can go.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("update.raucb");
    std::fs::write(&path, bytes).unwrap();
    verify_from(Arc::new(FileSource::open(&path).unwrap()))
}

/// Opens and verifies the bundle that a source has.
pub fn verify_from(source: Arc<dyn Source>) -> Result<VerifiedBundle, bundle::BundleError> {
    let keyring = Keyring::from_pem(&PKI.ca_cert_pem, KeyringOptions::default()).unwrap();
    UntrustedBundle::open(source, &Limits::default())?.verify(&keyring, CheckTime::At(NOW))
}
