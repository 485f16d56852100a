// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images by casync index and by block-hash-index land in slots of files, are read back, and need
//! no more bytes than casync itself. Judged by the real casync against one counting server.

use crate::programs::{noise, run};
use bundle::adaptive::index_of_stream;
use bundle::http::HttpOptions;
use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateExtras, CreateRequest, DevelopmentPki,
    DevelopmentPkiOptions, FileSource, Keyring, KeyringOptions, Limits, SigningIdentity,
    SquashfsCompression, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle_with,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::{Access, ByteLen, Devices, HostDevices, Storage, StorageError};
use tempfile::TempDir;
use updater::system::{DeltaSources, ImageRequest, ImageSources, OpenContent};
use updater::{HostMachine, NoHooks, SlotImage, SlotJob, SlotProof, write_slot};
use updater::{Slot, SystemConfig};

const NOW: UnixTime = UnixTime(1_793_491_200);
const SLOT_BYTES: usize = 24 << 20;

/// Serves files below a directory and counts bytes of their contents.
struct Server {
    url: String,
    bytes: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl Server {
    fn start(dir: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (bytes, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&bytes), Arc::clone(&requests));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (dir, counters) = (dir.clone(), counters.clone());
                std::thread::spawn(move || serve(connection.unwrap(), &dir, &counters));
            }
        });
        Self { url, bytes, requests }
    }

    fn taken(&self) -> (u64, u64) {
        (self.bytes.swap(0, Ordering::SeqCst), self.requests.swap(0, Ordering::SeqCst))
    }
}

fn serve(stream: TcpStream, dir: &Path, counters: &(Arc<AtomicU64>, Arc<AtomicU64>)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        counters.1.fetch_add(1, Ordering::SeqCst);
        let sent = match fs::read(dir.join(path)) {
            Ok(body) => {
                counters.0.fetch_add(body.len() as u64, Ordering::SeqCst);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                out.write_all(&[head.as_bytes(), &body].concat())
            }
            Err(_) => out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// 16 MiB: noise, a run of zeros, noise.
fn image() -> Vec<u8> {
    let mut image = noise(6 << 20, 1);
    image.extend(vec![0; 4 << 20]);
    image.extend(noise(6 << 20, 2));
    image
}

/// The same system a version later: a few places changed.
fn newer() -> Vec<u8> {
    let mut newer = image();
    for place in [5000, 1_000_000, 3_000_000, 11_000_000, 16_000_000] {
        newer[place..place + 100].fill(0xaa);
    }
    newer
}

struct Bench {
    dir: TempDir,
    config: SystemConfig,
    notes: Vec<String>,
}

impl Bench {
    fn new(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let device = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            "[system]\ncompatible=x\nbootloader=noop\ndata-directory={}\n{extra}\n\
             [slot.rootfs.0]\ndevice={}\nbootname=A\n[slot.rootfs.1]\ndevice={}\nbootname=B\n",
            device("data"),
            device("a.img"),
            device("b.img")
        );
        let config = SystemConfig::parse(&text, dir.path()).unwrap();
        for name in ["a.img", "b.img"] {
            fs::File::create(dir.path().join(name)).unwrap().set_len(SLOT_BYTES as u64).unwrap();
        }
        Self { dir, config, notes: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fill(&self, slot: &str, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new().write(true).open(self.path(slot)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn slot(&self, number: usize) -> &Slot {
        self.config.slots.values().nth(number).unwrap()
    }

    fn bundle(&self, manifest: &str, files: &BTreeMap<String, Vec<u8>>) -> VerifiedBundle {
        let pki = DevelopmentPki::generate("deltas", &DevelopmentPkiOptions::new(NOW)).unwrap();
        let identity =
            SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
        let request = CreateRequest {
            content: BundleContent::Memory { manifest, files },
            format: Some(BundleFormat::Verity),
            compression: SquashfsCompression::Zstd,
            identity: &identity,
            salt: [7; 32],
            timestamp: NOW,
        };
        let make = |image: &mut dyn Read, len| index_of_stream(image, len);
        let extras = CreateExtras { block_hash_index: Some(&make), ..CreateExtras::default() };
        let path = self.path("x.raucb");
        let _ = fs::remove_file(&path);
        create_bundle_with(&request, &extras, &path, &mut |_| {}).unwrap();
        let keyring = Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default()).unwrap();
        let source = Arc::new(FileSource::open(&path).unwrap());
        let bundle = UntrustedBundle::open(source, &Limits::default()).unwrap();
        bundle.verify(&keyring, CheckTime::At(NOW)).unwrap()
    }

    /// Writes the bundle's only image into the second slot, with the first as the running one.
    fn install(&mut self, bundle: &VerifiedBundle, location: &str) -> Result<SlotProof, String> {
        let config = self.config.clone();
        let sources = DeltaSources::new("/", Box::new(HttpOptions::default));
        let mut slots = config.slots.values();
        let (running, target) = (slots.next().unwrap(), slots.next().unwrap());
        let data = self.path("data/slot.rootfs.1/hash-unknown");
        let image = bundle.manifest().images.first().unwrap();
        let stop = || None;
        let request = ImageRequest {
            config: &config,
            bundle,
            location,
            image,
            target,
            running: Some(running),
            target_data: Some(&data),
            running_data: None,
            stop: &stop,
        };
        let mut machine = HostMachine::new();
        let mut note = |text| self.notes.push(text);
        let opened = sources.open(&request, &mut machine, &mut note);
        let mut content = opened.map_err(|failure| failure.to_string())?;
        let OpenContent::Stream { size, digest, .. } = &content else { panic!("no stream") };
        let job = SlotJob {
            slot: target,
            image: SlotImage {
                image_type: image.image_type.unwrap(),
                filename: image.filename.clone().unwrap(),
                size: *size,
                digest: digest.clone(),
            },
            mount_prefix: Path::new("/nowhere"),
            stop: &stop,
        };
        let written = write_slot(&job, content.as_image(), &mut NoHooks, &mut machine, &mut |_| {});
        let written = written.map_err(|failure| {
            let mut text = failure.to_string();
            let mut cause = std::error::Error::source(&failure);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text
        })?;
        drop(content);
        sources.written(&request, &mut machine, &mut note).unwrap();
        Ok(written.proof)
    }

    fn target(&self, len: usize) -> Vec<u8> {
        let mut bytes = fs::read(&self.slot(1).device).unwrap();
        bytes.truncate(len);
        bytes
    }

    fn noted(&self, part: &str) -> bool {
        self.notes.iter().any(|note| note.contains(part))
    }
}

/// Devices of files, one of which is mounted.
struct Mounted(HostDevices, PathBuf, PathBuf);

impl Devices for Mounted {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        self.0.open(device, access)
    }

    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok((device == self.1).then(|| self.2.clone()))
    }
}

#[test]
fn trees_by_index_and_by_archive_are_unpacked_and_a_mounted_tree_is_a_seed() {
    let bench = Bench::new("");
    let (old, new) = (bench.path("old"), bench.path("new"));
    fs::create_dir_all(old.join("usr/lib")).unwrap();
    for number in 0..30 {
        fs::write(old.join(format!("usr/lib/f{number}")), noise(150_000, number)).unwrap();
    }
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run("cp", &["-a", &text(&old), &text(&new)]);
    fs::write(new.join("usr/lib/f7"), b"changed").unwrap();
    let (index, archive) = (bench.path("t.caidx"), bench.path("t.catar"));
    let store = format!("--store={}", text(&bench.path("x.castr")));
    run("casync", &["make", "--with=unix", &store, &text(&index), &text(&new)]);
    run("casync", &["make", "--with=unix", &text(&archive), &text(&new)]);
    for (name, file) in [("t.caidx", &index), ("t.catar", &archive)] {
        let files = BTreeMap::from([(name.to_owned(), fs::read(file).unwrap())]);
        let manifest = format!("[update]\ncompatible=x\n\n[image.rootfs]\nfilename={name}\n");
        let bundle = bench.bundle(&manifest, &files);
        let sources = DeltaSources::new("/", Box::new(HttpOptions::default));
        let location = text(&bench.path("x.raucb"));
        let stop = || None;
        let request = ImageRequest {
            config: &bench.config,
            bundle: &bundle,
            location: &location,
            image: bundle.manifest().images.first().unwrap(),
            target: bench.slot(1),
            running: Some(bench.slot(0)),
            target_data: None,
            running_data: None,
            stop: &stop,
        };
        let device = bench.slot(0).device.clone();
        let devices = Mounted(HostDevices::new("/"), device, old.clone());
        let mut machine = HostMachine::with_devices(Box::new(devices));
        let mut notes = Vec::new();
        let opened = sources.open(&request, &mut machine, &mut |text| notes.push(text));
        let OpenContent::Tree(mut tree) = opened.unwrap() else { panic!("no tree") };
        let out = bench.path(&format!("out-{name}"));
        fs::create_dir(&out).unwrap();
        tree.extract_into(&out, &stop).unwrap();
        run("diff", &["-r", &text(&new), &text(&out)]);
        sources.written(&request, &mut machine, &mut |text| notes.push(text)).unwrap();
        if name == "t.caidx" {
            // 4.5 MB, of which one file of 150 kB became another.
            let fetched = notes.iter().find(|note| note.contains("casync: fetched")).unwrap();
            let chunks = fetched.split(' ').nth(2).unwrap().parse::<u64>().unwrap();
            assert!((1..=12).contains(&chunks), "{notes:?}");
        }
        // Somebody wants it to end.
        let opened = sources.open(&request, &mut machine, &mut |_| {});
        let OpenContent::Tree(mut tree) = opened.unwrap() else { panic!("no tree") };
        let again = bench.path(&format!("stopped-{name}"));
        fs::create_dir(&again).unwrap();
        assert!(tree.extract_into(&again, &|| Some("a test")).is_err());
    }
}

const CAIBX: &str = "[update]\ncompatible=x\n\n[image.rootfs]\nfilename=r.img.caibx\n";
const ADAPTIVE: &str =
    "[update]\ncompatible=x\n\n[image.rootfs]\nfilename=r.img\nadaptive=block-hash-index\n";

#[test]
fn small_change_costs_no_more_than_two_percent_above_casync() {
    let mut bench = Bench::new("");
    bench.fill("a.img", &image());
    let (file, index) = (bench.path("new.img"), bench.path("r.img.caibx"));
    fs::write(&file, newer()).unwrap();
    let store = bench.path("x.castr");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run("casync", &["make", &format!("--store={}", text(&store)), &text(&index), &text(&file)]);
    let server = Server::start(bench.dir.path().to_owned());
    // casync, as RAUC calls it.
    let out = bench.path("theirs.img");
    let flags = [
        "extract".to_owned(),
        format!("--seed={}", text(&bench.path("a.img"))),
        format!("--store={}/x.castr", server.url),
        "--seed-output=no".to_owned(),
        text(&index),
        text(&out),
    ];
    run("casync", &flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(fs::read(&out).unwrap() == newer());
    let theirs = server.taken();
    let files = BTreeMap::from([("r.img.caibx".to_owned(), fs::read(&index).unwrap())]);
    let bundle = bench.bundle(CAIBX, &files);
    let proof = bench.install(&bundle, &format!("{}/x.raucb", server.url)).unwrap();
    assert_eq!(proof, SlotProof::ReadBack);
    assert!(bench.target(newer().len()) == newer());
    let ours = server.taken();
    assert!(ours.0 > 0 && ours.0 * 100 <= theirs.0 * 102, "ours {ours:?} theirs {theirs:?}");
    assert!(ours.1 <= theirs.1, "ours {ours:?} theirs {theirs:?}");
    assert!(bench.noted("casync: fetched"), "{:?}", bench.notes);
}

#[test]
fn store_that_lacks_or_fakes_chunks_fails_the_slot_and_names_the_chunk() {
    let mut bench = Bench::new("");
    let store = bundle::casync::LocalStore::new(&bench.path("x.castr"));
    let sizes = bundle::casync::ChunkSizes::DEFAULT;
    let (index, _) =
        bundle::casync::encode_image(&newer()[..], sizes, &store, &mut |_| true).unwrap();
    let files = BTreeMap::from([("r.img.caibx".to_owned(), index.encode())]);
    let bundle = bench.bundle(CAIBX, &files);
    let location = bench.path("x.raucb").display().to_string();
    assert_eq!(bench.install(&bundle, &location).unwrap(), SlotProof::ReadBack);
    assert!(bench.target(newer().len()) == newer());
    let chunk = index.chunks()[40].id;
    let other = bench.path("x.castr").join(index.chunks()[41].id.store_path(".cacnk"));
    let place = bench.path("x.castr").join(chunk.store_path(".cacnk"));
    fs::copy(&other, &place).unwrap();
    let failure = bench.install(&bundle, &location).unwrap_err();
    assert!(failure.contains(&chunk.to_string()) && failure.contains("wrong chunk"), "{failure}");
    fs::remove_file(&place).unwrap();
    let failure = bench.install(&bundle, &location).unwrap_err();
    assert!(failure.contains(&format!("chunk {chunk} is not in")), "{failure}");
}

#[test]
fn configured_store_is_used_in_place_of_the_one_beside_the_bundle() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("s.castr");
    let mut bench = Bench::new(&format!("[casync]\nstorepath={}", path.display()));
    let store = bundle::casync::LocalStore::new(&path);
    let sizes = bundle::casync::ChunkSizes::DEFAULT;
    let (index, _) =
        bundle::casync::encode_image(&image()[..], sizes, &store, &mut |_| true).unwrap();
    let files = BTreeMap::from([("r.img.caibx".to_owned(), index.encode())]);
    let bundle = bench.bundle(CAIBX, &files);
    bench.install(&bundle, "/nowhere/x.raucb").unwrap();
    assert!(bench.target(image().len()) == image());
}

#[test]
fn adaptive_image_takes_what_slots_hold_and_keeps_its_index() {
    let mut bench = Bench::new("");
    bench.fill("a.img", &image());
    let files = BTreeMap::from([("r.img".to_owned(), newer())]);
    let bundle = bench.bundle(ADAPTIVE, &files);
    assert_eq!(bench.install(&bundle, "x.raucb").unwrap(), SlotProof::ReadBack);
    assert!(bench.target(newer().len()) == newer());
    assert!(bench.noted("block-hash-index: fetching"), "{:?}", bench.notes);
    // Five places changed, one of them on the border of two blocks.
    assert!(
        bench.noted("5 from the bundle") || bench.noted("6 from the bundle"),
        "{:?}",
        bench.notes
    );
    let digest = bundle.manifest().images[0].sha256.unwrap();
    let kept = bench.path(&format!("data/slot.rootfs.1/hash-{digest}/block-hash-index"));
    let expected = index_of_stream(&mut &newer()[..], ByteLen::new(newer().len() as u64)).unwrap();
    assert!(fs::read(kept).unwrap() == expected);
}

#[test]
fn adaptive_errors_are_told_and_the_image_is_taken_whole() {
    let mut bench = Bench::new("");
    let files = BTreeMap::from([("r.img".to_owned(), newer())]);
    let bundle = bench.bundle(ADAPTIVE, &files);
    let target = fs::OpenOptions::new().write(true).open(bench.path("b.img")).unwrap();
    target.set_len((1 << 27) * 4096).unwrap();
    bench.install(&bundle, "x.raucb").unwrap();
    assert!(bench.noted(
        "Continuing after adaptive mode error: failed to open target slot hash index for rootfs.1: \
         image/partition size (549755813888) is too large"
    ), "{:?}", bench.notes);
    target.set_len(SLOT_BYTES as u64).unwrap();
    assert!(bench.target(newer().len()) == newer());
    // Nothing to reuse: the image is cheaper, and that is said.
    bench.notes.clear();
    bench.fill("a.img", &noise(SLOT_BYTES, 5));
    bench.fill("b.img", &noise(SLOT_BYTES, 6));
    bench.install(&bundle, "x.raucb").unwrap();
    assert!(bench.noted("taking the whole image"), "{:?}", bench.notes);
    assert!(bench.target(newer().len()) == newer());
}

#[test]
fn index_that_does_not_belong_to_its_image_never_passes() {
    let mut bench = Bench::new("");
    // The slot that runs has what the index wrongly names.
    bench.fill("a.img", &image());
    let lie = index_of_stream(&mut &image()[..], ByteLen::new(image().len() as u64)).unwrap();
    let manifest = ADAPTIVE.replace("adaptive=block-hash-index\n", "");
    let files =
        BTreeMap::from([("r.img".to_owned(), newer()), ("r.img.block-hash-index".to_owned(), lie)]);
    let mut bundle = bench.bundle(&manifest, &files);
    assert!(bench.install(&bundle, "x.raucb").is_ok());
    // The same with the method switched on, as only a careless maker would.
    let make = |_: &mut dyn Read, _| Ok(files["r.img.block-hash-index"].clone());
    bundle = lying_bundle(&bench, &make);
    let failure = bench.install(&bundle, "x.raucb").unwrap_err();
    assert!(failure.contains("r.img") || failure.contains("index"), "{failure}");
}

/// Fails when what the delta gave before it failed is not followed by the rest of the image.
#[test]
fn a_delta_that_fails_late_is_followed_by_the_rest_of_the_image() {
    let mut bench = Bench::new("");
    bench.fill("a.img", &image());
    let mut lie = index_of_stream(&mut &newer()[..], ByteLen::new(newer().len() as u64)).unwrap();
    *lie.last_mut().unwrap() ^= 1;
    let make = |_: &mut dyn Read, _| Ok(lie.clone());
    let bundle = lying_bundle(&bench, &make);
    bench.install(&bundle, "x.raucb").unwrap();
    assert!(bench.noted("Continuing after adaptive mode error"), "{:?}", bench.notes);
    assert!(bench.target(newer().len()) == newer());
}

/// Fails when as much of the image is written as an index covers that is too short, as RAUC does.
#[test]
fn an_index_of_another_length_costs_the_saving_and_nothing_else() {
    let whole = index_of_stream(&mut &newer()[..], ByteLen::new(newer().len() as u64)).unwrap();
    let short = whole[..whole.len() - 32].to_vec();
    let long = [&whole[..], &whole[..32]].concat();
    let torn = whole[..whole.len() - 1].to_vec();
    for index in [short, long, torn] {
        let mut bench = Bench::new("");
        bench.fill("a.img", &image());
        let make = |_: &mut dyn Read, _| Ok(index.clone());
        let bundle = lying_bundle(&bench, &make);
        bench.install(&bundle, "x.raucb").unwrap();
        assert!(bench.noted("Continuing after adaptive mode error"), "{:?}", bench.notes);
        assert!(bench.target(newer().len()) == newer());
    }
}

/// What makes the index of an image.
type MakeIndex<'a> = dyn Fn(&mut dyn Read, ByteLen) -> std::io::Result<Vec<u8>> + 'a;

fn lying_bundle(bench: &Bench, make: &MakeIndex<'_>) -> VerifiedBundle {
    let pki = DevelopmentPki::generate("deltas", &DevelopmentPkiOptions::new(NOW)).unwrap();
    let identity =
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
    let files = BTreeMap::from([("r.img".to_owned(), newer())]);
    let request = CreateRequest {
        content: BundleContent::Memory { manifest: ADAPTIVE, files: &files },
        format: Some(BundleFormat::Verity),
        compression: SquashfsCompression::Zstd,
        identity: &identity,
        salt: [7; 32],
        timestamp: NOW,
    };
    let extras = CreateExtras { block_hash_index: Some(make), ..CreateExtras::default() };
    let path = bench.path("lie.raucb");
    create_bundle_with(&request, &extras, &path, &mut |_| {}).unwrap();
    let keyring = Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default()).unwrap();
    let source = Arc::new(FileSource::open(&path).unwrap());
    let bundle = UntrustedBundle::open(source, &Limits::default()).unwrap();
    bundle.verify(&keyring, CheckTime::At(NOW)).unwrap()
}
