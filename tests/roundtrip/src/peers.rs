// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do the peers come from? Debian's packages and Python's, by name, kept outside the checkout.

use anyhow::{Context as _, Result};
use conformance::suite::Suite;
use e2e::program::Program;
use e2e::python::python_with;
use std::fs;
use std::path::{Path, PathBuf};

const GOOSEBIT: &str = include_str!("../goosebit.txt");

/// The newest RAUC that Debian has.
pub const REAL: Suite = Suite::Sid;

/// The real `rauc-hawkbit-updater` with its own libraries beside it.
///
/// # Errors
/// When it cannot be fetched.
pub fn hawkbit_updater() -> Result<PathBuf> {
    let name = "rauc-hawkbit-updater";
    Ok(Suite::program_of_sid(name)?.join(name))
}

/// The Python that has gooseBit.
///
/// # Errors
/// When a package cannot be fetched or is not the one that was pinned.
pub fn goosebit_python() -> Result<PathBuf> {
    python_with("goosebit", GOOSEBIT)
}

/// A copy of the real `rauc` that needs no script and no loader in front of it: those would be
/// measured with it, and its server of network block devices starts itself again.
///
/// # Errors
/// When it cannot be fetched or patched.
pub fn real_alone(dir: &Path) -> Result<PathBuf> {
    let root = REAL.real_rauc()?.with_file_name("root");
    let copy = as_rauc(&root.join("usr/bin/rauc"), dir)?;
    // Its server runs as another user, who cannot look into root's home.
    let libraries = dir.join("lib");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    Program::new("cp")
        .arg("-rL")
        .arg(root.join("usr/lib/x86_64-linux-gnu"))
        .arg(&libraries)
        .run()?;
    Program::new("patchelf")
        .args(["--force-rpath", "--set-interpreter"])
        .arg(&loader)
        .arg("--set-rpath")
        .arg(&libraries)
        .arg(&copy)
        .run()?;
    Ok(copy)
}

/// RAUC's own test keys and bundles.
///
/// # Errors
/// When its source package cannot be fetched.
pub fn rauc_tests() -> Result<PathBuf> {
    Ok(REAL.source()?.join("tree/test"))
}

/// A program that is called `rauc` and is the given one.
///
/// # Errors
/// When it cannot be copied.
pub fn as_rauc(program: &Path, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let copy = dir.join("rauc");
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(copy)
}
