// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle that we made, verified and read over a bad line.

use super::{quick, sample};
use crate::adaptive::{AdaptiveImage, DeltaPlan, OldBlocks, build_index};
use crate::http::test_server::{Reply, TestServer};
use crate::http::{HttpSource, MAX_MEMORY_BYTES};
use crate::{
    BundleContent, BundleError, BundleFormat, CheckTime, CreateRequest, DevelopmentPki,
    DevelopmentPkiOptions, Keyring, KeyringOptions, Limits, MemorySource, SigningIdentity, Source,
    SquashfsCompression, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use storage::ByteLen;

pub(super) const NOW: UnixTime = UnixTime(1_793_491_200);

pub(super) struct Made {
    pub bundle: Vec<u8>,
    pub ca: Vec<u8>,
    pub images: [Vec<u8>; 2],
}

/// Two images in a verity bundle.
pub(super) fn make(sizes: [usize; 2]) -> Made {
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

pub(super) fn read_image(bundle: &VerifiedBundle, class: &str) -> std::io::Result<Vec<u8>> {
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
fn rest_of_an_image_costs_the_rest_and_as_much_as_was_told() {
    let made = make([300_000, 24 * 1024 * 1024 + 5]);
    let server = TestServer::serve(made.bundle.clone());
    for start in [0, 1, 8 * 1024 * 1024, 24 * 1024 * 1024, 24 * 1024 * 1024 + 5] {
        let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
        let bundle = verify(&source, &made.ca);
        let images = &bundle.manifest().images;
        let image = images.iter().find(|image| image.class == "rootfs").unwrap();
        let told = bundle.cost_from(image, ByteLen::new(start)).unwrap().get();
        let before = source.bytes_fetched();
        let mut content = Vec::new();
        bundle
            .open_image_from(image, ByteLen::new(start))
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        assert!(content == made.images[1][usize::try_from(start).unwrap()..], "{start}");
        let cost = source.bytes_fetched() - before;
        assert!(cost <= told + told / 50 + 65_536, "{start}: {cost} of {told}");
        assert!(told <= cost + cost / 50 + 2 * 65_536, "{start}: {cost} of {told}");
    }
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    let image = &bundle.manifest().images[0];
    let behind = bundle.open_image_from(image, ByteLen::new(300_001)).err();
    assert!(matches!(behind, Some(BundleError::ImageSize { .. })), "{behind:?}");
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

/// What an adaptive install fetched beside what opening cost: the plan's cost, bytes, requests.
fn fetch_changes(made: &Made, server: &TestServer) -> (u64, u64, u64) {
    let source = Arc::new(HttpSource::open(&server.url, &quick()).unwrap());
    let bundle = verify(&source, &made.ca);
    let image = bundle.manifest().images.iter().find(|image| image.class == "rootfs").unwrap();
    let mut old = made.images[1].clone();
    for at in 0..40 {
        old[at * 700_000 + 5000] ^= 1;
    }
    // And one longer stretch.
    old[10_000_000..12_500_000].fill(0xee);
    let memory = |bytes: Vec<u8>| -> Arc<dyn Source> { Arc::new(MemorySource::new("m", bytes)) };
    let index_of = |content| build_index(&content, &mut |_| true).unwrap();
    let index = index_of(memory(made.images[1].clone()));
    let old = OldBlocks { index: index_of(memory(old.clone())), content: memory(old) };
    let parts = bundle.open_parts(image).unwrap();
    let plan = DeltaPlan::new(&index, &parts, None, Some(&old));
    let cost = plan.cost(storage::ByteLen::new(0)).blocks.get();
    let before = source.counts();
    let mut adaptive =
        AdaptiveImage::new("rootfs", &index, parts, plan, (None, Some(old))).unwrap();
    let mut content = Vec::new();
    adaptive.read_to_end(&mut content).unwrap();
    assert!(content == made.images[1]);
    let after = source.counts();
    (cost, after.bytes - before.bytes, after.requests - before.requests)
}

#[test]
fn changes_alone_are_fetched_in_few_requests() {
    let made = make([100_000, 28 * 1024 * 1024]);
    let served = made.bundle.clone();
    let several = TestServer::start(move |request| Reply::parts(request, &served));
    let (cost, bytes, requests) = fetch_changes(&made, &several);
    // Heads of parts, and the hash blocks of what is read.
    let tree = made.bundle.len() as u64 / 100;
    assert!(bytes <= cost + tree + 60 * 200, "{bytes} instead of {cost}");
    assert!(requests <= 20, "{requests}");
    let single = TestServer::serve(made.bundle.clone());
    let (cost, bytes, requests) = fetch_changes(&made, &single);
    assert!(bytes <= cost + tree + 60 * 200, "{bytes} instead of {cost}");
    assert!(requests <= 60, "{requests}");
}
