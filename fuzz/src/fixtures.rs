// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bundles of the real rauc: nobody has the keys that they were signed with, so whatever
//! else verifies against their CA is a forgery.

use bundle::{
    CheckTime, Keyring, KeyringOptions, Limits, MemorySource, UnixTime, UntrustedBundle,
    VerifiedBundle,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, LazyLock};
use storage::Digest;

/// The CA of the fixtures.
pub(crate) const CA_PEM: &[u8] = include_bytes!("../../tests/fixtures/rauc-1.8/ca.cert.pem");
/// A bundle of format verity.
pub(crate) const VERITY: &[u8] = include_bytes!("../../tests/fixtures/rauc-1.8/verity.raucb");
/// A bundle of format plain.
pub(crate) const PLAIN: &[u8] = include_bytes!("../../tests/fixtures/rauc-1.8/plain.raucb");

/// The moment by which certificates are judged here.
pub(crate) const NOW: UnixTime = UnixTime(1_793_491_200);

/// Most bytes of an image that are compared; the boot image is 8 MiB of which most is zeros.
const COMPARED_BYTES: u64 = 256 * 1024;

/// The keyring that trusts the fixtures' CA.
pub(crate) static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    Keyring::from_pem(CA_PEM, KeyringOptions::default()).expect("the fixture is a certificate")
});

/// By manifest digest and class: how the images of the true bundles begin.
static TRUE_IMAGES: LazyLock<BTreeMap<(Digest, String), Vec<u8>>> = LazyLock::new(|| {
    let mut images = BTreeMap::new();
    for bytes in [VERITY, PLAIN] {
        let bundle = open(bytes)
            .expect("the fixture is a bundle")
            .verify(&KEYRING, CheckTime::At(NOW))
            .expect("the fixture verifies");
        for image in &bundle.manifest().images {
            let mut stream = bundle.open_image(image).expect("the fixture holds its images");
            let mut start = Vec::new();
            let read = stream.by_ref().take(COMPARED_BYTES).read_to_end(&mut start);
            read.expect("the fixture can be read");
            images.insert((bundle.manifest_digest(), image.class.clone()), start);
        }
    }
    images
});

/// The bytes as a bundle.
pub(crate) fn open(bytes: &[u8]) -> Option<UntrustedBundle> {
    let source = Arc::new(MemorySource::new("input", bytes.to_vec()));
    UntrustedBundle::open(source, &Limits::default()).ok()
}

/// Whatever verified against the fixtures' CA is one of the fixtures, and every byte that it
/// hands out is theirs.
pub(crate) fn check_no_forgery(bundle: &VerifiedBundle) {
    for image in &bundle.manifest().images {
        let expected = TRUE_IMAGES.get(&(bundle.manifest_digest(), image.class.clone()));
        let expected = expected.expect("a manifest that nobody signed was believed");
        let Ok(mut stream) = bundle.open_image(image) else { continue };
        let mut buf = vec![0; 8192];
        let mut at = 0;
        while at < expected.len() {
            let Ok(read) = stream.read(&mut buf) else { return };
            assert!(read > 0, "an image ended early without a failure");
            let compared = read.min(expected.len() - at);
            assert_eq!(buf[..compared], expected[at..at + compared], "tampered bytes handed out");
            at += read;
        }
    }
}
