// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle that we made, verified and read over a bad line.

use super::{quick, sample};
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpSource, MAX_MEMORY_BYTES};
use crate::{
    BundleContent, BundleError, BundleFormat, CheckTime, CreateRequest, DevelopmentPki,
    DevelopmentPkiOptions, Keyring, KeyringOptions, Limits, SigningIdentity, SquashfsCompression,
    UnixTime, UntrustedBundle, VerifiedBundle, create_bundle,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

const NOW: UnixTime = UnixTime(1_793_491_200);

struct Made {
    bundle: Vec<u8>,
    ca: Vec<u8>,
    images: [Vec<u8>; 2],
}

/// Two images in a verity bundle.
fn make(sizes: [usize; 2]) -> Made {
    make_as(sizes, BundleFormat::Verity)
}

fn make_as(sizes: [usize; 2], format: BundleFormat) -> Made {
    let pki = DevelopmentPki::generate("http", &DevelopmentPkiOptions::new(NOW)).unwrap();
    let identity =
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
    let images = sizes.map(sample);
    let files = BTreeMap::from([
        ("boot.img".to_owned(), images[0].clone()),
        ("rootfs.img".to_owned(), images[1].clone()),
    ]);
    let manifest = "[update]\ncompatible=x\n[image.boot]\nfilename=boot.img\n\
        [image.rootfs]\nfilename=rootfs.img\n";
    let request = CreateRequest {
        content: BundleContent::Memory { manifest, files: &files },
        format: Some(format),
        compression: SquashfsCompression::Stored,
        identity: &identity,
        salt: [3; 32],
        timestamp: NOW,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.raucb");
    create_bundle(&request, &path, &mut |_| ()).unwrap();
    let mut bundle = Vec::new();
    std::fs::File::open(&path).unwrap().read_to_end(&mut bundle).unwrap();
    Made { bundle, ca: pki.ca_cert_pem, images }
}

fn verify(source: &Arc<HttpSource>, ca: &[u8]) -> VerifiedBundle {
    let keyring = Keyring::from_pem(ca, KeyringOptions::default()).unwrap();
    let source = Arc::<HttpSource>::clone(source);
    let bundle = UntrustedBundle::open(source, &Limits::default()).unwrap();
    bundle.verify(&keyring, CheckTime::At(NOW)).unwrap()
}

fn read_image(bundle: &VerifiedBundle, class: &str) -> std::io::Result<Vec<u8>> {
    let images = &bundle.manifest().images;
    let image = images.iter().find(|image| image.class == class).unwrap();
    let mut content = Vec::new();
    bundle.open_image(image).unwrap().read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn verity_bundle_is_read_whole_over_a_line_that_keeps_breaking() {
    let made = make([1_000_000, 24 * 1024 * 1024]);
    let served = made.bundle.clone();
    let server = TestServer::start(move |request| {
        let good = Reply::file(request, &served);
        match request.number % 4 {
            0 => good,
            1 => Reply { cut: Some(700_000), ..good },
            2 => Reply { cut: Some(100), ..good },
            _ => Reply::new(502, b"bad gateway"),
        }
    });
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    assert!(read_image(&bundle, "boot").unwrap() == made.images[0]);
    assert!(read_image(&bundle, "rootfs").unwrap() == made.images[1]);
}

#[test]
fn install_over_a_good_line_costs_the_bundle_once_and_few_requests() {
    let made = make([1_000_000, 24 * 1024 * 1024]);
    let server = TestServer::serve(made.bundle.clone());
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    assert_eq!(source.counts().requests, 3, "what info needs");
    assert!(read_image(&bundle, "boot").unwrap() == made.images[0]);
    assert!(read_image(&bundle, "rootfs").unwrap() == made.images[1]);
    let (counts, len) = (source.counts(), made.bundle.len() as u64);
    assert!(counts.bytes <= len + len / 20, "{counts:?} for {len}");
    assert!(counts.requests <= 20, "{counts:?}");
    const { assert!(MAX_MEMORY_BYTES <= 24 * 1024 * 1024) };
}

#[test]
fn one_image_of_two_costs_no_more_than_itself_and_the_window() {
    let made = make([600_000, 30 * 1024 * 1024]);
    let server = TestServer::serve(made.bundle.clone());
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    assert!(read_image(&bundle, "boot").unwrap() == made.images[0]);
    assert!(source.bytes_fetched() < 10 * 1024 * 1024, "{}", source.bytes_fetched());
}

#[test]
fn damage_on_the_way_is_named_by_the_hash_tree() {
    let made = make([100_000, 4 * 1024 * 1024]);
    let mut bytes = made.bundle.clone();
    bytes[3_000_000] ^= 1;
    let server = TestServer::serve(bytes);
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    assert!(read_image(&bundle, "boot").unwrap() == made.images[0]);
    let failure = read_image(&bundle, "rootfs").unwrap_err();
    assert!(matches!(crate::ImageStream::cause(failure), BundleError::Verity(_)));
}

#[test]
fn plain_bundles_are_not_streamed() {
    let made = make_as([100_000, 100_000], BundleFormat::Plain);
    let server = TestServer::serve(made.bundle.clone());
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let keyring = Keyring::from_pem(&made.ca, KeyringOptions::default()).unwrap();
    let open = || {
        let source = Arc::<HttpSource>::clone(&source);
        UntrustedBundle::open(source, &Limits::default()).unwrap()
    };
    let refused = open().verify(&keyring, CheckTime::At(NOW)).unwrap_err();
    assert!(matches!(refused, BundleError::PlainStreamed), "{refused}");
    assert!(matches!(open().inspect_unverified(), Err(BundleError::PlainStreamed)));
    let whole = made.bundle.len() as u64;
    assert!(source.bytes_fetched() < whole / 2, "{}", source.bytes_fetched());
}
