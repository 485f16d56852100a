// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which compiler builds `atomix` for the target? Debian's own, of the target's suite, with the
//! target's C library and OpenSSL beside it: what it builds runs on that suite.

use crate::apt::{SUITE, source_line};
use crate::cache::{Inputs, part};
use crate::program::Program;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

const PACKAGES: &str = "rustc-web,cargo-web,libstd-rust-web-dev:arm64,gcc,gcc-aarch64-linux-gnu,\
    libc6-dev-arm64-cross,libc6-dev:arm64,libssl-dev:arm64,pkgconf,ca-certificates";

/// Places that the build binds into the chroot.
pub(crate) const MOUNT_POINTS: [&str; 3] = ["src", "target", "cargo"];

/// The root file system with the compiler.
///
/// # Errors
/// When it cannot be built.
pub fn chroot() -> Result<PathBuf> {
    let inputs = Inputs::new("chroot 1").text(PACKAGES).text(SUITE);
    part("rust-chroot", inputs, |dir| {
        let root = dir.join("root");
        Program::nice("mmdebstrap")
            .args(["--quiet", "--variant=apt", "--architectures=amd64,arm64"])
            .arg(format!("--include={PACKAGES}"))
            .arg(SUITE)
            .arg(&root)
            .arg(source_line()?)
            .run()?;
        for name in MOUNT_POINTS {
            fs::create_dir(root.join(name))?;
        }
        Ok(())
    })
}
