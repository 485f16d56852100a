// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::adaptive::{build_index, choose, index_of_stream};
use crate::create_extras::CreateExtras;
use crate::{
    BundleContent, BundleFormat, CheckTime, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    FileSource, Keyring, KeyringOptions, Limits, MemorySource, SigningIdentity, SourceError,
    SquashfsCompression, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle_with,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

const NOW: UnixTime = UnixTime(1_793_491_200);

/// Counts what is read of a bundle.
struct Counted(FileSource, AtomicU64);

impl Source for Counted {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn len(&self) -> ByteLen {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        self.1.fetch_add(buf.len() as u64, Ordering::SeqCst);
        self.0.read_at(offset, buf)
    }
}

/// 12 MiB: noise, zeros, and noise that repeats.
fn image() -> Vec<u8> {
    let mut image = Vec::new();
    for block in 0..3072_u32 {
        let seed = if block % 100 == 50 { 50 } else { block };
        let zeros = (1000..1500).contains(&block);
        let byte = |n: u32| {
            let mixed = (n ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
            if zeros { 0 } else { u8::try_from(mixed >> 24).unwrap() }
        };
        image.extend((0..4096).map(byte));
    }
    image
}

struct Bench {
    bundle: VerifiedBundle,
    source: Arc<Counted>,
    keyring: Keyring,
    _dir: tempfile::TempDir,
}

fn bench(image: &[u8], index: Option<Vec<u8>>) -> Bench {
    bench_with(image, index, &[])
}

/// The same, packed by the real mksquashfs when it is given arguments.
fn bench_with(image: &[u8], index: Option<Vec<u8>>, mksquashfs: &[String]) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let pki = DevelopmentPki::generate("adaptive", &DevelopmentPkiOptions::new(NOW)).unwrap();
    let identity =
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
    let manifest =
        "[update]\ncompatible=x\n\n[image.rootfs]\nfilename=r.img\nadaptive=block-hash-index\n";
    let files = BTreeMap::from([("r.img".to_owned(), image.to_vec())]);
    let request = CreateRequest {
        content: BundleContent::Memory { manifest, files: &files },
        format: Some(BundleFormat::Verity),
        compression: SquashfsCompression::Zstd,
        identity: &identity,
        salt: [7; 32],
        timestamp: NOW,
    };
    let make = |image: &mut dyn Read, len| match &index {
        Some(lie) => Ok(lie.clone()),
        None => index_of_stream(image, len),
    };
    let extras = CreateExtras {
        block_hash_index: Some(&make),
        mksquashfs_args: mksquashfs,
        ..CreateExtras::default()
    };
    let path = dir.path().join("b.raucb");
    create_bundle_with(&request, &extras, &path, &mut |_| {}).unwrap();
    let keyring = Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default()).unwrap();
    let source = Arc::new(Counted(FileSource::open(&path).unwrap(), AtomicU64::new(0)));
    let bundle = UntrustedBundle::open(source.clone(), &Limits::default()).unwrap();
    let bundle = bundle.verify(&keyring, CheckTime::At(NOW)).unwrap();
    Bench { bundle, source, keyring, _dir: dir }
}

fn old(bytes: Vec<u8>) -> OldBlocks {
    let content: Arc<dyn Source> = Arc::new(MemorySource::new("slot", bytes));
    let index = build_index(&content, &mut |_| true).unwrap();
    OldBlocks { content, index }
}

fn open(
    bench: &Bench,
    slots: (Option<OldBlocks>, Option<OldBlocks>),
) -> Result<(AdaptiveImage, crate::adaptive::DeltaCost), AdaptiveError> {
    let image = bench.bundle.manifest().images.first().unwrap();
    let parts = bench.bundle.open_parts(image).unwrap();
    let files = bench.bundle.files().unwrap();
    let bytes = files.read_file("r.img.block-hash-index", ByteLen::mib(1)).unwrap();
    let index = BlockHashIndex::parse("r.img", &bytes)?;
    let plan = DeltaPlan::new(&index, &parts, slots.0.as_ref(), slots.1.as_ref());
    let cost = plan.cost(ByteLen::new(bytes.len() as u64));
    Ok((AdaptiveImage::new("r.img", &index, parts, plan, slots)?, cost))
}

fn read(image: &mut AdaptiveImage) -> Result<Vec<u8>, AdaptiveError> {
    let mut bytes = Vec::new();
    image.read_to_end(&mut bytes).map_err(AdaptiveError::cause)?;
    Ok(bytes)
}

#[test]
fn parts_of_a_bundle_are_the_image_wherever_they_are_read() {
    let image = image();
    for len in [image.len(), 4096, 200_000, 131_072] {
        // Not a multiple of a block: parts need no index.
        let image = &image[..len];
        let aligned = bench(&[image, &vec![1; (4096 - len % 4096) % 4096]].concat(), None);
        let parts = aligned.bundle.open_parts(&aligned.bundle.manifest().images[0]).unwrap();
        let count = parts.part_of(parts.len().get() - 1) + 1;
        for part in (0..count).rev() {
            let (start, end) = parts.span_of(part);
            let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            let bytes = parts.read_part(part).unwrap();
            assert_eq!(bytes.len(), end - start);
            let both = end.min(len);
            assert!(bytes[..both - start] == image[start..both], "{len} {part}");
        }
    }
}

#[test]
fn parts_are_found_in_what_mksquashfs_packs_too() {
    let image = image();
    for (len, arguments) in [
        (200_704, "-comp gzip -always-use-fragments"),
        (8192, "-comp zstd"),
        (1_003_520, "-comp xz -b 64K -always-use-fragments"),
        (8 << 20, "-comp gzip -noD"),
    ] {
        let image = &image[..len];
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        let made = bench_with(image, None, &arguments);
        let parts = made.bundle.open_parts(&made.bundle.manifest().images[0]).unwrap();
        let last = parts.part_of(parts.len().get() - 1);
        for part in (0..=last).rev() {
            let (start, end) = parts.span_of(part);
            let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            assert!(parts.read_part(part).unwrap() == image[start..end], "{arguments:?} {part}");
        }
        let (mut adaptive, _) = open(&made, (Some(old(image.to_vec())), None)).unwrap();
        assert!(read(&mut adaptive).unwrap() == image);
        assert_eq!(adaptive.tally().bundle_blocks, 0);
        let (mut adaptive, _) = open(&made, (None, None)).unwrap();
        assert!(read(&mut adaptive).unwrap() == image, "{arguments:?}");
    }
}

#[test]
fn without_slots_the_image_comes_from_the_bundle() {
    let image = image();
    let bench = bench(&image, None);
    let (mut adaptive, cost) = open(&bench, (None, None)).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
    let tally = adaptive.tally();
    assert_eq!((tally.zero_blocks, tally.bundle_blocks), (500, 2572));
    assert!(!choose(cost).is_delta(), "{cost:?}");
}

#[test]
fn changed_blocks_alone_are_fetched_and_the_cost_is_known_before() {
    let image = image();
    let bench = bench(&image, None);
    let mut before = image.clone();
    for block in [10, 700, 701, 2000] {
        before[block * 4096] ^= 1;
    }
    for slots in [(Some(old(before.clone())), None), (None, Some(old(before.clone())))] {
        let (mut adaptive, cost) = open(&bench, slots).unwrap();
        assert!(choose(cost).is_delta());
        let counted = bench.source.1.load(Ordering::SeqCst);
        assert!(read(&mut adaptive).unwrap() == image);
        let fetched = bench.source.1.load(Ordering::SeqCst) - counted;
        assert_eq!(adaptive.tally().bundle_blocks, 4);
        assert_eq!(adaptive.tally().misses, 0);
        // Besides the blocks there are those of the hash tree.
        let blocks = cost.blocks.get();
        assert!(fetched >= blocks && fetched < blocks + 30 * 4096 * 4, "{fetched} {cost:?}");
        assert!(cost.blocks.get() * 10 < cost.image.get(), "{cost:?}");
    }
}

#[test]
fn moved_blocks_are_found_behind_the_write_position_and_in_the_active_slot() {
    let image = image();
    let bench = bench(&image, None);
    let shifted = [&vec![3; 8192][..], &image].concat();
    let (mut adaptive, _) = open(&bench, (Some(old(shifted)), None)).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
    assert_eq!(adaptive.tally().bundle_blocks, 0);
    // Blocks that stand before the place where they are needed are overwritten by then.
    let behind = [&image[8192..], &vec![3; 8192][..]].concat();
    let (mut adaptive, _) = open(&bench, (Some(old(behind.clone())), Some(old(behind)))).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
    let tally = adaptive.tally();
    assert!(tally.active_blocks > 2000 && tally.bundle_blocks <= 2, "{tally:?}");
}

#[test]
fn slot_that_is_not_what_its_index_says_costs_fetching_and_nothing_else() {
    let image = image();
    let bench = bench(&image, None);
    let mut lying = old(image.clone());
    let mut other = image.clone();
    other[4096 * 77] ^= 1;
    other[4096 * 2500] ^= 1;
    lying.content = Arc::new(MemorySource::new("slot", other));
    let (mut adaptive, _) = open(&bench, (Some(lying), None)).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
    assert_eq!((adaptive.tally().misses, adaptive.tally().bundle_blocks), (2, 2));
    // A slot that ends early, too.
    let mut short = old(image.clone());
    short.content = Arc::new(MemorySource::new("slot", image[..4096 * 100].to_vec()));
    let (mut adaptive, _) = open(&bench, (None, Some(short))).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
}

#[test]
fn index_that_lies_is_found_out() {
    let image = image();
    let other = [&[1], &image[1..]].concat();
    let wrong = index_of_stream(&mut &other[..], ByteLen::new(other.len() as u64)).unwrap();
    // The block in the bundle is not the one of the index.
    let lying = bench(&image, Some(wrong));
    let (mut adaptive, _) = open(&lying, (None, None)).unwrap();
    let refused = read(&mut adaptive).unwrap_err();
    assert!(matches!(refused, AdaptiveError::WrongBlock { block: 0, .. }), "{refused}");
    assert!(matches!(read(&mut adaptive), Err(AdaptiveError::Poisoned)));
    // A slot has the block that the index wrongly names: only the whole tells, and its reader asks.
    let (mut adaptive, _) = open(&lying, (Some(old(other.clone())), None)).unwrap();
    assert!(read(&mut adaptive).unwrap() == other);
    // Too few hashes, and a piece of one.
    let short = bench(&image, Some(vec![0; 32 * 3071]));
    assert!(matches!(open(&short, (None, None)), Err(AdaptiveError::WrongLength { .. })));
    let torn = bench(&image, Some(vec![0; 32 * 3072 - 1]));
    assert!(matches!(open(&torn, (None, None)), Err(AdaptiveError::Malformed { .. })));
}

#[test]
fn streamed_bundle_gives_the_changed_blocks_and_hardly_more() {
    use crate::http::{HttpOptions, HttpSource, test_server};
    let image = image();
    let made = bench(&image, None);
    let path = made.source.0.name().to_owned();
    #[expect(clippy::disallowed_methods, reason = "the test serves the file")]
    let bytes = Arc::new(std::fs::read(path).unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let (file, counter) = (Arc::clone(&bytes), Arc::clone(&sent));
    let server = test_server::TestServer::start(move |request| {
        let reply = test_server::Reply::parts(request, &file);
        counter.fetch_add(reply.body.len() as u64, Ordering::SeqCst);
        reply
    });
    let url = format!("{}/b.raucb", server.url);
    let source = Arc::new(HttpSource::open(&url, &HttpOptions::default()).unwrap());
    let untrusted = UntrustedBundle::open(source, &Limits::default()).unwrap();
    let bundle = untrusted.verify(&made.keyring, CheckTime::At(NOW)).unwrap();
    let streamed = Bench { bundle, ..made };
    let mut before = image.clone();
    for block in [10, 700, 701, 2000] {
        before[block * 4096] ^= 1;
    }
    let (mut adaptive, cost) = open(&streamed, (Some(old(before)), None)).unwrap();
    assert!(read(&mut adaptive).unwrap() == image);
    assert_eq!(adaptive.tally().bundle_blocks, 4);
    // Signature, tables, index and blocks of the hash tree come on top.
    let (fetched, whole) = (sent.load(Ordering::SeqCst), bytes.len() as u64);
    let most = cost.blocks.get() + cost.index.get() + 600_000;
    assert!(fetched >= cost.blocks.get() && fetched < most, "{fetched} of {whole}: {cost:?}");
}
