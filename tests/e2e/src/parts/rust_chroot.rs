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

/// For programs that want no library of a machine: the C library, of which one file is made, and the
/// sources of the standard library, which Debian has not built for it.
const STATIC_PACKAGES: &str = "rustc-web,cargo-web,rust-web-src,libunwind-19-dev,gcc,musl-tools,make,perl,pkgconf,ca-certificates";

/// Places that the build binds into the chroot.
pub(crate) const MOUNT_POINTS: [&str; 3] = ["src", "target", "cargo"];

/// The root file system with the compiler for the board.
///
/// # Errors
/// When it cannot be built.
pub fn chroot() -> Result<PathBuf> {
    made("rust-chroot", "amd64,arm64", PACKAGES)
}

/// The root file system with the compiler for static programs of this machine.
///
/// # Errors
/// When it cannot be built.
pub fn of_static_programs() -> Result<PathBuf> {
    made("rust-chroot-static", "amd64", STATIC_PACKAGES)
}

fn made(name: &str, architectures: &str, packages: &str) -> Result<PathBuf> {
    let inputs = Inputs::new("chroot 1").text(packages).text(SUITE);
    part(name, inputs, |dir| {
        let root = dir.join("root");
        Program::nice("mmdebstrap")
            .args(["--quiet", "--variant=apt"])
            .arg(format!("--architectures={architectures}"))
            .arg(format!("--include={packages}"))
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
