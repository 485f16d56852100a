// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the chain made of, and how is each part built? One module per part; each is built once
//! for its inputs and found again afterwards ([`crate::cache`]).

pub mod atomix;
pub mod bundle;
pub mod disk;
pub mod initrd;
pub mod kernel;
pub mod provisioned;
pub mod recipe;
pub mod rock64;
pub mod rootfs;
pub mod rust_chroot;
pub mod sandbox;
pub mod static_program;
pub mod stock;
pub mod uboot;
pub mod variants;

use crate::apt::files_ending;
use crate::program::Program;
use crate::progress::say;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::PathBuf;

/// A part by its name.
type Part = (&'static str, fn() -> Result<PathBuf>);

/// Every part, in an order in which they can be built.
const PARTS: [Part; 19] = [
    ("uboot-source", uboot::source),
    ("uboot-qemu", uboot::qemu),
    ("uboot-rock64", uboot::rock64),
    ("uboot-sandbox", sandbox::sandbox),
    ("uboot-stock", stock::stock),
    ("rust-chroot", rust_chroot::chroot),
    ("atomix-aarch64", atomix::aarch64),
    ("atomix-static", static_program::atomix),
    ("kernel", kernel::kernel),
    ("rootfs", rootfs::rootfs),
    ("initrd", initrd::initrd),
    ("disk", disk::disk),
    ("bundle", bundle::update),
    ("variants", variants::stick),
    ("recipe", recipe::image),
    ("initrd-rock64", rock64::initrd),
    ("recipe-rock64", rock64::image),
    ("provisioned", provisioned::provisioned),
    ("running", provisioned::running),
];

/// Builds the named parts, or all of them, and says where they are.
///
/// # Errors
/// When a name is unknown or a part cannot be built.
pub fn build(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|part| part.0 == **name)) {
        let known: Vec<&str> = PARTS.iter().map(|part| part.0).collect();
        bail!("no part is called {unknown}; there are {}", known.join(", "));
    }
    for (name, make) in PARTS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let path = make()?;
            say(&format!("{name}: {}", path.display()));
        }
    }
    Ok(())
}

/// Names and versions of what is not ours.
///
/// # Errors
/// When a part cannot be built.
pub fn versions() -> Result<Vec<(&'static str, String)>> {
    let uboot = fs::read_to_string(uboot::qemu()?.join("config"))?;
    // "# U-Boot 2025.01 Configuration"
    let title = uboot.lines().find_map(|line| line.strip_prefix("# U-Boot "));
    let uboot = title.unwrap_or_default().trim_end_matches(" Configuration").to_owned();
    let base = rootfs::base()?.join("root/usr/lib/aarch64-linux-gnu/systemd");
    let systemd = files_ending(&base, ".so")?.into_iter().find_map(|path| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        name.strip_prefix("libsystemd-shared-").map(str::to_owned)
    });
    let qemu = Program::new("qemu-system-aarch64").arg("--version").output()?;
    let qemu = qemu.lines().next().unwrap_or_default().to_owned();
    Ok(vec![
        ("U-Boot", uboot),
        ("Linux", kernel::version(&kernel::kernel()?)?),
        ("systemd", systemd.context("no systemd in the root file system")?),
        ("QEMU", qemu.trim_start_matches("QEMU emulator version ").to_owned()),
    ])
}
