// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which update is installed in the guest? A bundle of the next release, made and signed by the
//! `bundle` crate as `atomix bundle create` does it, with keys of this machine.

use crate::board::QEMU;
use crate::cache::{Inputs, part};
use crate::parts::{disk, rootfs};
use crate::program::Program;
use anyhow::{Context as _, Result, ensure};
use board_rock64::{BootTree, Role, build_boot_vfat};
use bootctl::SlotId;
use bundle::{
    BundleContent, BundleFormat, CreateRequest, SigningIdentity, SquashfsCompression, UnixTime,
    create_bundle,
};
use std::fs;
use std::path::{Path, PathBuf};
use storage::FileStorage;

/// Version of the update.
pub const UPDATE_VERSION: &str = "2.0";

/// Size of everything that is plugged in.
const STICK_BYTES: u64 = 256 << 20;

/// Days for which the keys are valid: a cache outlives a year seldom.
const KEY_DAYS: &str = "3650";

/// Development keys: `ca.pem`, `signer.pem`, `signer.key`.
///
/// # Errors
/// When they cannot be made.
pub fn keys() -> Result<PathBuf> {
    keys_of("keys", "keys 1", "/CN=e2e CA")
}

/// As [`keys`], of somebody whom no board trusts.
///
/// # Errors
/// As [`keys`].
pub fn foreign_keys() -> Result<PathBuf> {
    keys_of("foreign-keys", "foreign keys 1", "/CN=foreign CA")
}

fn keys_of(name: &str, recipe: &str, authority: &str) -> Result<PathBuf> {
    part(name, Inputs::new(recipe), |dir| {
        let openssl =
            |arguments: &[&str]| Program::new("openssl").args(arguments).current_dir(dir).run();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let ca = ["req", "-x509", "-days", KEY_DAYS, "-subj", authority];
        let out = ["-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&[&ca[..], &curve[..], &out[..]].concat())?;
        let request = ["req", "-subj", "/CN=e2e signer", "-keyout", "signer.key"];
        openssl(&[&request[..], &curve[..], &["-out", "signer.csr"][..]].concat())?;
        openssl(&[
            "x509",
            "-req",
            "-in",
            "signer.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            KEY_DAYS,
            "-CAcreateserial",
            "-out",
            "signer.pem",
        ])
    })
}

/// The file `update.raucb` of the next release, and `stick.squashfs`, which carries it.
///
/// # Errors
/// When it cannot be made.
pub fn update() -> Result<PathBuf> {
    let rootfs = rootfs::release(UPDATE_VERSION)?;
    let (keys, boot) = (keys()?, disk::boot_parts()?);
    let mut inputs = Inputs::new("bundle 4").part(&rootfs).part(&keys);
    inputs = inputs.text(&disk::recipe());
    for part in &boot {
        inputs = inputs.part(part);
    }
    part("bundle", inputs, |dir| {
        let release = Release {
            boot: &disk::boot_tree(&boot)?,
            rootfs: &rootfs.join("rootfs.squashfs"),
            compatible: QEMU.compatible,
            version: UPDATE_VERSION,
            keys: &keys,
        };
        release.write(&dir.join("update.raucb"))?;
        pack_stick(&[dir.join("update.raucb")], &dir.join("stick.squashfs"))
    })
}

/// What a bundle is made of.
pub(crate) struct Release<'a> {
    pub(crate) boot: &'a BootTree,
    pub(crate) rootfs: &'a Path,
    pub(crate) compatible: &'a str,
    pub(crate) version: &'a str,
    pub(crate) keys: &'a Path,
}

impl Release<'_> {
    /// Makes the bundle `out`.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let content = out.with_extension("content");
        fs::create_dir(&content)?;
        let facts = QEMU.partition(Role::Boot(SlotId::A)).context("no boot partition")?;
        let size = facts.size.context("a boot partition without size")?;
        let mut vfat = FileStorage::create_sparse(&content.join("boot.vfat"), size)?;
        build_boot_vfat(&QEMU, self.boot, self.version, disk::EPOCH.into(), &mut vfat)?;
        fs::hard_link(self.rootfs, content.join("rootfs.img"))?;
        let manifest = format!(
            "[update]\ncompatible={}\nversion={}\n\n[bundle]\nformat=verity\n\n\
             [image.boot]\nfilename=boot.vfat\n\n[image.rootfs]\nfilename=rootfs.img\n",
            self.compatible, self.version
        );
        fs::write(content.join("manifest.raucm"), manifest)?;
        sign(&content, self.keys, out)?;
        fs::remove_dir_all(&content)?;
        Ok(())
    }
}

/// Packs bundles into a file system that is plugged in.
pub(crate) fn pack_stick(bundles: &[PathBuf], out: &Path) -> Result<()> {
    Program::new("mksquashfs")
        .args(bundles)
        .arg(out)
        // The bundles are compressed already.
        .args(["-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX"])
        .run()?;
    // A guest that goes on from a saved state knows the size of what was plugged in then.
    let stick = fs::OpenOptions::new().write(true).open(out)?;
    ensure!(stick.metadata()?.len() <= STICK_BYTES, "{} is too large", out.display());
    stick.set_len(STICK_BYTES)?;
    Ok(())
}

fn sign(content: &Path, keys: &Path, out: &Path) -> Result<()> {
    let read = |name: &str| fs::read(keys.join(name)).with_context(|| name.to_owned());
    let identity = SigningIdentity::from_pem(&read("signer.pem")?, &read("signer.key")?, &[])?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let request = CreateRequest {
        content: BundleContent::Directory(content),
        format: Some(BundleFormat::Verity),
        compression: SquashfsCompression::Zstd,
        identity: &identity,
        salt: [7; 32],
        timestamp: UnixTime(i64::try_from(now.as_secs())?),
    };
    create_bundle(&request, out, &mut |_| {})?;
    Ok(())
}
