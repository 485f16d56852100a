// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we make, and what the real rauc made, our own verifier accepts and reads back.

use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    FileSource, Keyring, KeyringOptions, Limits, SigningIdentity, SquashfsCompression,
    SquashfsFiles, SquashfsLimits, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle,
};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{ByteLen, Digest};

const NOW: UnixTime = UnixTime(1_793_491_200);

fn verify(path: &Path, ca: &[u8]) -> VerifiedBundle {
    let keyring = Keyring::from_pem(ca, KeyringOptions::default()).unwrap();
    let source = Arc::new(FileSource::open(path).unwrap());
    let bundle = UntrustedBundle::open(source, &Limits::default()).unwrap();
    bundle.verify(&keyring, CheckTime::At(NOW)).unwrap()
}

/// Every image, checked against the size and digest that were signed.
fn images(bundle: &VerifiedBundle) -> BTreeMap<String, Vec<u8>> {
    let mut images = BTreeMap::new();
    for image in &bundle.manifest().images {
        let mut content = Vec::new();
        bundle.open_image(image).unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(image.size, Some(ByteLen::new(content.len() as u64)));
        let digest = Digest::from_bytes(openssl::sha::sha256(&content));
        assert_eq!(image.sha256, Some(digest));
        images.insert(image.class.clone(), content);
    }
    images
}

#[test]
fn our_verifier_reads_back_what_we_packed_in_every_compression() {
    let options = DevelopmentPkiOptions::new(NOW);
    let pki = DevelopmentPki::generate("round trip", &options).unwrap();
    let identity =
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let manifest = "[update]\ncompatible=x\n[image.rootfs]\nfilename=rootfs.img\n";
    // Smaller than a block, larger than what one leaf of the hash tree covers, and long enough for
    // several threads.
    for size in [10, 700_001, 5_000_003] {
        let content = vec![0x5a; size];
        let files = BTreeMap::from([("rootfs.img".to_owned(), content.clone())]);
        for compression in
            [SquashfsCompression::Stored, SquashfsCompression::Gzip, SquashfsCompression::Zstd]
        {
            for format in [BundleFormat::Verity, BundleFormat::Plain] {
                let path = dir.path().join(format!("{size}-{compression:?}-{format}"));
                let request = CreateRequest {
                    content: BundleContent::Memory { manifest, files: &files },
                    format: Some(format),
                    compression,
                    identity: &identity,
                    salt: [3; 32],
                    timestamp: NOW,
                };
                let made = create_bundle(&request, &path, &mut |_| ()).unwrap();
                let bundle = verify(&path, &pki.ca_cert_pem);
                assert_eq!(bundle.manifest(), &made.manifest);
                assert_eq!(bundle.manifest_digest(), made.manifest_digest);
                assert_eq!(bundle.payload_len(), made.payload_len);
                assert_eq!(bundle.signer().signing_time, Some(NOW));
                assert!(images(&bundle)["rootfs"] == content, "{}", path.display());
                // All of it was read for the digest of a plain bundle; of the other none was.
                let mut read = 0;
                bundle.check_payload(&mut |bytes| read += bytes).unwrap();
                assert_eq!(bundle.check_len(), ByteLen::new(read));
                assert_eq!(read == 0, format == BundleFormat::Plain);
                assert!(images(&bundle)["rootfs"] == content, "{}", path.display());
            }
        }
    }
}

#[test]
fn bundles_of_the_real_rauc_verify_and_hold_their_images() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/rauc-1.8");
    let ca = std::fs::read(fixtures.join("ca.cert.pem")).unwrap();
    for format in [BundleFormat::Verity, BundleFormat::Plain] {
        let bundle = verify(&fixtures.join(format!("{format}.raucb")), &ca);
        assert_eq!(bundle.format(), format);
        assert_eq!(bundle.manifest().update.version.as_deref(), Some("2026.11-rauc"));
        let images = images(&bundle);
        assert_eq!(images["boot"].len(), 8 << 20);
        let rootfs = Cursor::new(images["rootfs"].clone());
        let rootfs = SquashfsFiles::open(rootfs, &SquashfsLimits::ROOT_FILE_SYSTEM).unwrap();
        let release = rootfs.read_file("etc/os-release", ByteLen::kib(4)).unwrap();
        assert!(release.starts_with(b"ID=atomixos\n"));
    }
}
