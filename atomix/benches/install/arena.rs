// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is measured: a tree below a root with the files of a device, slots that are plain files,
//! a bundle, and a second image of the same size for `dd`.
//!
//! `dd` and install write the same slot in turns, each other content, so neither finds its own
//! bytes there and both overwrite the same extents.

use crate::Outcome;
use crate::content::{Fill, write_file};
use crate::programs::{self, Ran, Watch};
use atomix::context::{Context, Now};
use board_rock64::{Board, ROCK64, Role};
use bootctl::{BootState, SlotId};
use bundle::{
    BundleContent, BundleFormat, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    SigningIdentity, SquashfsCompression, UnixTime, create_bundle,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use storage::{Access, ByteLen, FileStorage, Storage};
use tempfile::TempDir;

const BOARD: &Board = &ROCK64;

const BOOT_IMAGE_BYTES: u64 = 8 * 1024 * 1024;
const COMPARE_BYTES: usize = 1024 * 1024;

/// Seeds: the installed image, the one that `dd` writes, the boot image and what it replaces.
const IMAGE: u64 = 1;
const OTHER: u64 = 2;
const BOOT: u64 = 3;
const SOIL: u64 = 4;

/// What is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// Format verity, incompressible: what is judged.
    Verity,
    /// Format plain, incompressible.
    Plain,
    /// Format verity, an image that zstd shrinks.
    Compressible,
}

/// The place.
pub struct Arena {
    dir: TempDir,
    image_bytes: u64,
    identity: SigningIdentity,
    now: UnixTime,
    rootfs: PathBuf,
    boot: PathBuf,
}

impl Arena {
    /// Makes everything but the bundle.
    pub fn create(image_bytes: u64) -> Outcome<Self> {
        // Beside the build's output and not where temporary files go: that may be memory.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let now = UnixTime(i64::try_from(since_1970)?);
        let pki = DevelopmentPki::generate("bench", &DevelopmentPkiOptions::new(now))?;
        let identity = SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[])?;
        let root = dir.path().join("root");
        write_tree(&root, &pki)?;
        let place = |role| slot_file(&root, role);
        let (boot, rootfs) = (place(Role::Boot(SlotId::B))?, place(Role::Rootfs(SlotId::B))?);
        for slot in SlotId::ALL {
            write_file(&place(Role::Boot(slot))?, 2 * BOOT_IMAGE_BYTES, Fill::Noise(SOIL))?;
        }
        FileStorage::create_sparse(&place(Role::Rootfs(SlotId::A))?, ByteLen::new(image_bytes))?;
        write_file(&rootfs, image_bytes, Fill::Noise(OTHER))?;
        let arena = Self { dir, image_bytes, identity, now, rootfs, boot };
        write_file(&arena.other(), image_bytes, Fill::Noise(OTHER))?;
        arena.boot_from_a()?;
        Ok(arena)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn other(&self) -> PathBuf {
        self.dir.path().join("other.img")
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle.raucb")
    }

    /// The environment of a board whose slot A is good and runs.
    fn boot_from_a(&self) -> Outcome<()> {
        let context = Context::host(&self.root(), Now(self.now));
        let config = context.system_conf()?;
        let mut backend = context.backend(&config, Access::ReadWrite)?;
        let disk = "6f2b3c1e-5a77-4b6e-9d55-0c1d2e3f4a5b".parse()?;
        Ok(backend.store(&BootState::lost(), &BootState::factory(disk))?)
    }

    /// Makes the bundle that the next installs take, instead of the one before.
    pub fn make_bundle(&mut self, kind: BundleKind) -> Outcome<()> {
        let content = self.dir.path().join("content");
        fs::create_dir(&content)?;
        let fill = match kind {
            BundleKind::Verity | BundleKind::Plain => Fill::Noise(IMAGE),
            BundleKind::Compressible => Fill::Words(IMAGE),
        };
        write_file(&content.join("rootfs.img"), self.image_bytes, fill)?;
        write_file(&content.join("boot.vfat"), BOOT_IMAGE_BYTES, Fill::Noise(BOOT))?;
        let manifest = format!(
            "[update]\ncompatible={}\nversion=1\n\n[image.boot]\nfilename=boot.vfat\n\n\
             [image.rootfs]\nfilename=rootfs.img\n",
            BOARD.compatible
        );
        fs::write(content.join("manifest.raucm"), manifest)?;
        let format = match kind {
            BundleKind::Verity | BundleKind::Compressible => BundleFormat::Verity,
            BundleKind::Plain => BundleFormat::Plain,
        };
        let request = CreateRequest {
            content: BundleContent::Directory(&content),
            format: Some(format),
            compression: SquashfsCompression::default(),
            identity: &self.identity,
            salt: [7; 32],
            timestamp: self.now,
        };
        if self.bundle().exists() {
            fs::remove_file(self.bundle())?;
        }
        create_bundle(&request, &self.bundle(), &mut |_| {})?;
        fs::remove_dir_all(&content)?;
        Ok(fs::File::open(self.bundle())?.sync_all()?)
    }

    /// Empties the page cache of everything that is read or written.
    pub fn forget_caches(&self) -> Outcome<()> {
        for path in [&self.rootfs, &self.boot, &self.other(), &self.bundle()] {
            forget(path)?;
        }
        Ok(())
    }

    /// The reference's first half.
    pub fn dd_other_into_slot(&self) -> Outcome<Duration> {
        programs::dd(&self.other(), &self.rootfs)
    }

    /// The reference's second half: what was written, from the medium, against its source.
    pub fn compare_slot_with_other(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        forget(&self.rootfs)?;
        let slot = FileStorage::open(&self.rootfs, Access::ReadOnly)?;
        let other = FileStorage::open(&self.other(), Access::ReadOnly)?;
        let (mut found, mut expected) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
        for offset in (0..self.image_bytes).step_by(COMPARE_BYTES) {
            slot.read_at(offset, &mut found)?;
            other.read_at(offset, &mut expected)?;
            if found != expected {
                return Err(format!("the slot differs at {offset} after dd").into());
            }
        }
        Ok(begun.elapsed())
    }

    /// The other reference.
    pub fn openssl_digest(&self) -> Outcome<Duration> {
        programs::openssl_digest(&self.bundle())
    }

    /// Puts other content into the boot slot, so that no install finds its own there.
    pub fn soil_boot_slot(&self) -> Outcome<()> {
        Ok(write_file(&self.boot, 2 * BOOT_IMAGE_BYTES, Fill::Noise(SOIL))?)
    }

    /// Installs the bundle into slot B.
    pub fn install(&self, watch: Watch) -> Outcome<Ran> {
        let bundle = self.bundle().display().to_string();
        programs::atomix(&self.root(), &["install", &bundle], watch)
    }

    /// Asks for the status.
    pub fn status(&self) -> Outcome<Duration> {
        Ok(programs::atomix(&self.root(), &["status"], Watch::Time)?.wall)
    }
}

/// Drops the file's clean pages; everything here was synced when it was written.
fn forget(path: &Path) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut file = FileStorage::open(path, Access::ReadOnly)?;
    let len = file.len().get();
    Ok(file.forget_cached(0, len)?)
}

fn slot_file(root: &Path, role: Role) -> Outcome<PathBuf> {
    let partition = BOARD.partition(role).ok_or("the board has no such partition")?;
    let device = PathBuf::from(BOARD.partition_device(partition));
    Ok(root.join(device.strip_prefix("/")?))
}

/// The files of a device that runs slot A.
fn write_tree(root: &Path, pki: &DevelopmentPki) -> Outcome<()> {
    for dir in ["dev", "etc/atomix", "etc/rauc", "data/rauc", "proc", "run"] {
        fs::create_dir_all(root.join(dir))?;
    }
    // The board refuses plain bundles; measured are both.
    let config = BOARD.system_conf().replace("bundle-formats=-plain +verity\n", "");
    fs::write(root.join("etc/rauc/system.conf"), config)?;
    fs::write(root.join("etc/rauc/ca.cert.pem"), &pki.ca_cert_pem)?;
    fs::write(root.join("etc/atomix/atomix.toml"), BOARD.atomix_toml())?;
    fs::write(root.join("etc/fw_env.config"), BOARD.fw_env_config().encode())?;
    fs::write(root.join("etc/u-boot-initial-env"), BOARD.selector())?;
    fs::write(root.join("proc/cmdline"), "root=/dev/ram0 rauc.slot=A\n")?;
    let flash = Path::new(BOARD.flash.device).strip_prefix("/")?;
    write_file(&root.join(flash), BOARD.flash.size.get(), Fill::Erased)?;
    FileStorage::create_sparse(
        &root.join(Path::new(BOARD.disk.device).strip_prefix("/")?),
        ByteLen::mib(1),
    )?;
    Ok(())
}
