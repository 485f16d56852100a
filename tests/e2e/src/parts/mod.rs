// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the chain made of, and how is each part built? One module per part; each is built once
//! for its inputs and found again afterwards ([`crate::cache`]).

pub mod atomix;
pub mod bundle;
pub mod disk;
pub mod initrd;
pub mod kernel;
pub mod provisioned;
pub mod rootfs;
pub mod rust_chroot;
pub mod uboot;

use crate::progress::say;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// A part by its name.
type Part = (&'static str, fn() -> Result<PathBuf>);

/// Every part, in an order in which they can be built.
const PARTS: [Part; 11] = [
    ("uboot-source", uboot::source),
    ("uboot-qemu", uboot::qemu),
    ("uboot-rock64", uboot::rock64),
    ("rust-chroot", rust_chroot::chroot),
    ("atomix-aarch64", atomix::aarch64),
    ("kernel", kernel::kernel),
    ("rootfs", rootfs::rootfs),
    ("initrd", initrd::initrd),
    ("disk", disk::disk),
    ("bundle", bundle::update),
    ("provisioned", provisioned::provisioned),
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
