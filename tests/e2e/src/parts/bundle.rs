// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which update is installed in the guest? A bundle of the next release, made and signed by the
//! `bundle` crate as `atomix bundle create` does it, with keys of this machine.

use crate::board::QEMU;
use crate::cache::{Inputs, part};
use crate::parts::{disk, rootfs};
use crate::program::Program;
use anyhow::{Context as _, Result};
use board_rock64::{Role, build_boot_vfat};
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

/// Days for which the keys are valid: a cache outlives a year seldom.
const KEY_DAYS: &str = "3650";

/// Development keys: `ca.pem`, `signer.pem`, `signer.key`.
///
/// # Errors
/// When they cannot be made.
pub fn keys() -> Result<PathBuf> {
    part("keys", Inputs::new("keys 1"), |dir| {
        let openssl =
            |arguments: &[&str]| Program::new("openssl").args(arguments).current_dir(dir).run();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let ca = ["req", "-x509", "-days", KEY_DAYS, "-subj", "/CN=e2e CA"];
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
    let mut inputs = Inputs::new("bundle 2").part(&rootfs).part(&keys);
    inputs = inputs.text(&disk::recipe());
    for part in &boot {
        inputs = inputs.part(part);
    }
    part("bundle", inputs, |dir| {
        let content = dir.join("content");
        fs::create_dir(&content)?;
        let facts = QEMU.partition(Role::Boot(SlotId::A)).context("no boot partition")?;
        let size = facts.size.context("a boot partition without size")?;
        let tree = disk::boot_tree(&boot)?;
        let mut vfat = FileStorage::create_sparse(&content.join("boot.vfat"), size)?;
        build_boot_vfat(&QEMU, &tree, UPDATE_VERSION, disk::EPOCH.into(), &mut vfat)?;
        fs::hard_link(rootfs.join("rootfs.squashfs"), content.join("rootfs.img"))?;
        fs::write(content.join("manifest.raucm"), manifest(UPDATE_VERSION))?;
        sign(&content, &keys, &dir.join("update.raucb"))?;
        fs::remove_dir_all(&content)?;
        Program::new("mksquashfs")
            .arg(dir.join("update.raucb"))
            .arg(dir.join("stick.squashfs"))
            // The bundle is compressed already.
            .args(["-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX"])
            .run()
    })
}

fn manifest(version: &str) -> String {
    format!(
        "[update]\ncompatible={}\nversion={version}\n\n[bundle]\nformat=verity\n\n\
         [image.boot]\nfilename=boot.vfat\n\n[image.rootfs]\nfilename=rootfs.img\n",
        QEMU.compatible
    )
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
