// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do stores that `casync` and `desync` made install, for no more bytes than their maker fetches? The
//! store is served over HTTP; the running slot holds the version before.

use crate::device::{COMPATIBLE, Device, Recipe, Setup, make_bundle};
use crate::keys::{Chain, Keys};
use crate::nginx::{Nginx, Sent};
use anyhow::{Context as _, Result, ensure};
use conformance::suite::Suite;
use e2e::program::Program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const IMAGE_BYTES: usize = 6 << 20;

const SLOT_BYTES: u64 = 16 << 20;

/// Most that an install may fetch, in percent of what the store's maker fetches.
const MOST_PERCENT: u64 = 102;

/// What a store is of, and how.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    maker: Maker,
    content: Content,
}

/// Who made the store, and how its chunks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// `casync` with this compression.
    Casync(&'static str),
    /// `desync`, which compresses with zstd.
    Desync,
    /// `desync`, told to keep chunks as they are.
    DesyncPlain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// An image of blocks.
    Blob,
    /// A tree of files, for an ext4 slot.
    Tree,
}

const KINDS: [Kind; 6] = [
    Kind { name: "blob-zstd", maker: Maker::Casync("zstd"), content: Content::Blob },
    Kind { name: "blob-xz", maker: Maker::Casync("xz"), content: Content::Blob },
    Kind { name: "blob-gzip", maker: Maker::Casync("gzip"), content: Content::Blob },
    Kind { name: "blob-desync", maker: Maker::Desync, content: Content::Blob },
    Kind { name: "blob-desync-plain", maker: Maker::DesyncPlain, content: Content::Blob },
    Kind { name: "tree-zstd", maker: Maker::Casync("zstd"), content: Content::Tree },
];

/// Plays all kinds.
///
/// # Errors
/// When an install does not end as it should, or fetches too much.
pub fn judge(real: &Path, rauc: &Path, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let keys = Keys::make(&scratch.join("store-keys"))?;
    for kind in KINDS {
        let rig = Rig { kind, keys: &keys, real, rauc, dir: scratch.join(kind.name) };
        let (reference, found) = rig.play().with_context(|| kind.name)?;
        writeln!(
            out,
            "  {}: {} bytes in {} answers, its maker {} in {}: {:.3}",
            kind.name,
            found.bytes,
            found.answers,
            reference.bytes,
            reference.answers,
            ratio(found.bytes, reference.bytes),
        )?;
        ensure!(
            found.bytes * 100 <= reference.bytes * MOST_PERCENT,
            "{}: more than {MOST_PERCENT} % of what the store's maker fetches",
            kind.name
        );
    }
    let [kind, ..] = KINDS;
    let rig = Rig { kind, keys: &keys, real, rauc, dir: scratch.join("lying-store") };
    rig.play_lies()?;
    writeln!(out, "  a store that serves other bytes: refused, nothing bootable")?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a ratio to be read")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}

struct Rig<'a> {
    kind: Kind,
    keys: &'a Keys,
    real: &'a Path,
    rauc: &'a Path,
    dir: PathBuf,
}

impl Rig<'_> {
    /// What `casync` fetched and what the install did.
    fn play(&self) -> Result<(Sent, Sent)> {
        let (index, device, bundle) = self.prepare()?;
        let reference = self.reference(&index, &device)?;
        let server = self.serve("server")?;
        let service = device.serve(self.rauc)?;
        service.client(self.rauc, &["install", &bundle.display().to_string()])?;
        let error = service.property("LastError")?;
        ensure!(error.is_empty(), "last error after it: {error}");
        drop(service);
        ensure!(device.primary()? == "B", "the new slot does not boot");
        self.check(&device)?;
        Ok((reference, server.stop()?))
    }

    fn play_lies(&self) -> Result<()> {
        let (_, device, bundle) = self.prepare()?;
        // Each chunk is whole, only not the one that was asked for.
        let chunks = chunks(&self.files().join("store.castr"))?;
        let bytes: Vec<Vec<u8>> = chunks.iter().map(fs::read).collect::<Result<_, _>>()?;
        for (chunk, other) in chunks.iter().zip(bytes.iter().cycle().skip(1)) {
            fs::write(chunk, other)?;
        }
        let server = self.serve("server")?;
        let service = device.serve(self.rauc)?;
        let installed = service.client(self.rauc, &["install", &bundle.display().to_string()]);
        ensure!(installed.is_err(), "installed from a store that lies");
        ensure!(!service.property("LastError")?.is_empty(), "no last error after it");
        ensure!(device.primary()? == "A" && device.state("B")? == "bad", "the slot may boot");
        server.stop().map(drop)
    }

    fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    fn serve(&self, name: &str) -> Result<Nginx> {
        Nginx::start(&self.files(), &self.dir.join(name))
    }

    /// Both versions, the newer one's index and store, a device that runs the older, a bundle.
    fn prepare(&self) -> Result<(PathBuf, Device, PathBuf)> {
        fs::create_dir_all(self.files())?;
        let (index, slot_type) = match self.kind.content {
            Content::Blob => ("rootfs.img.caibx", "raw"),
            Content::Tree => ("rootfs.caidx", "ext4"),
        };
        let setup = Setup {
            store: Some(format!("{}/store.castr", Nginx::url())),
            slot_type,
            ..self.keys.trust(Chain::Root, SLOT_BYTES)
        };
        let device = Device::make(&self.dir.join("device"), &setup)?;
        self.write_versions(&device)?;
        let index = self.files().join(index);
        let store = self.files().join("store.castr");
        self.make_store(&store.display().to_string(), &index, &self.new_version())?;
        let name = index.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = format!(
            "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat=plain\n\
             [image.rootfs]\nfilename={name}\n"
        );
        let bytes = fs::read(&index)?;
        let recipe = Recipe {
            manifest: &manifest,
            files: &[(&name, &bytes)],
            hook: None,
            arguments: &self.keys.signing(Chain::Root),
        };
        let bundle = self.dir.join("update.raucb");
        make_bundle(self.real, &recipe, &bundle)?;
        Ok((index, device, bundle))
    }

    fn make_store(&self, store: &str, index: &Path, image: &Path) -> Result<()> {
        match self.kind.maker {
            Maker::Casync(compression) => Program::new("casync")
                .args(["make", "--with=unix"])
                .args([format!("--compression={compression}"), format!("--store={store}")])
                .args([index, image])
                .run(),
            Maker::Desync | Maker::DesyncPlain => {
                fs::create_dir_all(store)?;
                self.desync("make", store)?.args([index, image]).run()
            }
        }
    }

    /// `desync`, told how chunks are kept in a store.
    fn desync(&self, command: &str, store: &str) -> Result<Program> {
        let config = self.dir.join("desync.json");
        let plain = self.kind.maker == Maker::DesyncPlain;
        let text = serde_json::json!({ "store-options": { store: { "uncompressed": plain } } });
        fs::write(&config, text.to_string())?;
        let desync = Program::new(&Suite::desync()?.display().to_string());
        Ok(desync.arg(command).arg("--config").arg(config).args(["--store", store]))
    }

    fn new_version(&self) -> PathBuf {
        self.dir.join("new")
    }

    fn write_versions(&self, device: &Device) -> Result<()> {
        let old = noise(1, IMAGE_BYTES);
        let mut new = old.clone();
        // A change in the middle, bytes inserted, and an end of its own.
        new.splice((2 << 20)..(2 << 20) + 50_000, noise(2, 60_000));
        new.truncate(IMAGE_BYTES - (256 << 10));
        new.extend(noise(3, 256 << 10));
        match self.kind.content {
            Content::Blob => {
                let mut slot = old;
                slot.resize(usize::try_from(SLOT_BYTES)?, 0);
                fs::write(device.running(), slot)?;
                fs::write(self.new_version(), new)?;
            }
            Content::Tree => {
                let before = self.dir.join("old");
                write_tree(&before, &old)?;
                write_tree(&self.new_version(), &new)?;
                Program::new("mkfs.ext4")
                    .args(["-q", "-F", "-d"])
                    .arg(&before)
                    .arg(device.running())
                    .run()?;
            }
        }
        Ok(())
    }

    /// What the store's maker itself fetches with the same seed.
    fn reference(&self, index: &Path, device: &Device) -> Result<Sent> {
        let server = self.serve("reference-server")?;
        let store = format!("{}/store.castr", Nginx::url());
        let extracted = self.dir.join("extracted");
        if self.kind.maker == Maker::Desync || self.kind.maker == Maker::DesyncPlain {
            // A seed of desync's is an image with an index beside it.
            let seed = self.dir.join("seed.img");
            fs::copy(device.running(), &seed)?;
            let seed_index = self.dir.join("seed.img.caibx");
            let unused = self.dir.join("seed.castr");
            self.make_store(&unused.display().to_string(), &seed_index, &seed)?;
            let extract = self.desync("extract", &store)?.arg("--seed").arg(&seed_index);
            extract.args([index, &extracted]).run()?;
            return server.stop();
        }
        let seed = match self.kind.content {
            Content::Blob => device.running(),
            Content::Tree => self.dir.join("old"),
        };
        Program::new("casync")
            .args(["extract", "--seed-output=no"])
            .arg(format!("--seed={}", seed.display()))
            .arg(format!("--store={store}"))
            .args([index, &extracted])
            .run()?;
        server.stop()
    }

    fn check(&self, device: &Device) -> Result<()> {
        match self.kind.content {
            Content::Blob => {
                ensure!(device.holds(&fs::read(self.new_version())?)?, "other bytes in the slot");
            }
            Content::Tree => {
                let mounted = self.dir.join("mounted");
                fs::create_dir_all(&mounted)?;
                Program::new("mount")
                    .args(["-o", "loop,ro"])
                    .arg(device.target())
                    .arg(&mounted)
                    .run()?;
                let same = Program::new("diff")
                    .args(["-r", "--no-dereference", "-x", "lost+found", "-x", "slot.raucs"])
                    .arg(self.new_version())
                    .arg(&mounted)
                    .run();
                Program::new("umount").arg(&mounted).run()?;
                same.context("another tree in the slot")?;
            }
        }
        Ok(())
    }
}

/// Files of 100 kB and more, in directories, and a link.
fn write_tree(dir: &Path, bytes: &[u8]) -> Result<()> {
    for (number, part) in bytes.chunks(300_000).enumerate() {
        let place = dir.join(format!("d{}", number % 3));
        fs::create_dir_all(&place)?;
        fs::write(place.join(format!("f{number}")), part)?;
    }
    Ok(std::os::unix::fs::symlink("d0/f0", dir.join("link"))?)
}

/// Bytes that cannot be compressed, the same for each seed: xorshift.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The chunk files of a store, ordered.
fn chunks(store: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in fs::read_dir(store)? {
        for chunk in fs::read_dir(dir?.path())? {
            found.push(chunk?.path());
        }
    }
    found.sort();
    Ok(found)
}
