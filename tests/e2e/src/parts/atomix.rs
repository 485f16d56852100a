// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the program that ships run on the target? This checkout's `atomix` for arm64, built by
//! the target suite's compiler.

use crate::cache::{self, Inputs, part};
use crate::parts::rust_chroot;
use crate::program::Program;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What of the checkout the program is built from.
const SOURCES: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "storage",
    "uboot",
    "bundle",
    "bootctl",
    "repart",
    "verifier",
    "updater",
    "board-rock64",
    "atomix",
];

/// Files that the build needs from the machine: names, certificates.
const HOST_FILES: [&str; 3] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"];

/// The root of the checkout.
///
/// # Errors
/// When this crate does not lie in it any more.
pub fn checkout() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().with_context(|| format!("{} is gone", root.display()))
}

/// The directory with `atomix` for arm64.
///
/// # Errors
/// When it cannot be built, or its sources change meanwhile.
pub fn aarch64() -> Result<PathBuf> {
    let chroot = rust_chroot::chroot()?;
    let inputs = || sources().map(|inputs| inputs.part(&chroot));
    let digest = inputs()?.digest();
    part("atomix-aarch64", inputs()?, |dir| {
        build(&chroot, dir)?;
        ensure!(inputs()?.digest() == digest, "the sources changed while they were built: again");
        Ok(())
    })
}

fn sources() -> Result<Inputs> {
    let root = checkout()?;
    let listed = Program::new("git")
        .arg("-C")
        .arg(&root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--"])
        .args(SOURCES)
        .output()?;
    let mut inputs = Inputs::new("atomix 1");
    // Tests and benches do not end up in the program.
    let ours = |name: &&str| !name.contains("/tests/") && !name.contains("/benches/");
    for name in listed.lines().filter(ours).filter(|name| root.join(name).is_file()) {
        inputs = inputs.text(name).file(&root.join(name))?;
    }
    Ok(inputs)
}

fn build(chroot: &Path, dir: &Path) -> Result<()> {
    // Kept from build to build: most of it is other people's crates.
    let target = cache::root()?.join("target-aarch64");
    fs::create_dir_all(&target)?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    fs::create_dir_all(&home)?;
    let mut bwrap = Program::nice("bwrap");
    let checkout = checkout()?;
    let root = chroot.join("root");
    for (kind, from, to) in [
        ("--bind", root.as_path(), "/"),
        ("--ro-bind", checkout.as_path(), "/src"),
        ("--bind", target.as_path(), "/target"),
        ("--bind", home.as_path(), "/cargo"),
    ] {
        bwrap = bwrap.arg(kind).arg(from).arg(to);
    }
    for file in HOST_FILES {
        bwrap = bwrap.args(["--ro-bind-try", file, file]);
    }
    bwrap = bwrap.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
    bwrap = bwrap.args(["--chdir", "/src", "--clearenv"]);
    for (name, value) in [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/tmp"),
        ("CARGO_HOME", "/cargo"),
        ("CARGO_TARGET_DIR", "/target"),
        ("CARGO_TERM_COLOR", "never"),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
        ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc"),
        ("PKG_CONFIG_ALLOW_CROSS", "1"),
        (
            "PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu",
            "/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig",
        ),
    ] {
        bwrap = bwrap.args(["--setenv", name, value]);
    }
    bwrap
        .args(["cargo", "build", "--locked", "--release", "-p", "atomix", "--target", TARGET])
        .run()?;
    fs::copy(target.join(TARGET).join("release/atomix"), dir.join("atomix"))?;
    Ok(())
}
