// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do judges from Python come from? PyPI's wheels by pinned hashes, kept outside the checkout.

use crate::cache::{Inputs, part};
use crate::program::Program;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// The Python that has these packages, each pinned by its hash. It has copies, so that it may be moved.
///
/// # Errors
/// When a package cannot be fetched or is not the one that was pinned.
pub fn python_with(name: &str, pins: &str) -> Result<PathBuf> {
    let version = Program::new("python3").arg("--version").output()?;
    let inputs = Inputs::new("1").text(pins).text(&version);
    let dir = part(name, inputs, |dir| {
        let list = dir.join(format!("{name}.txt"));
        fs::write(&list, pins)?;
        Program::new("python3").args(["-m", "venv", "--copies"]).arg(dir.join("python")).run()?;
        Program::new(&dir.join("python/bin/python3").display().to_string())
            .args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"])
            .args(["--disable-pip-version-check", "-r"])
            .arg(&list)
            .run()
    })?;
    Ok(dir.join("python/bin/python3"))
}
