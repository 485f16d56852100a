// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who judges format and unused names? `nixfmt` and `deadnix`, which Debian does not have: they come
//! by name and version from the registry of crates, built once.

use anyhow::{Context as _, Result};
use e2e::cache::{Inputs, part};
use e2e::program::Program;
use std::env;
use std::fs;
use std::path::PathBuf;

/// Crate, version, program.
const TOOLS: [[&str; 3]; 2] = [["nixfmt_rs", "0.5.3", "nixfmt"], ["deadnix", "1.3.1", "deadnix"]];

/// Where the programs are.
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// Builds them unless they are there.
    ///
    /// # Errors
    /// When cargo cannot.
    pub fn new() -> Result<Self> {
        let mut inputs = Inputs::new("nix tools 1");
        for word in TOOLS.iter().flatten() {
            inputs = inputs.text(word);
        }
        let dir = part("nix-tools", inputs, |dir| {
            let scratch = dir.join("target");
            for [package, version, _] in TOOLS {
                let cargo = env::var_os("CARGO").context("run this by cargo")?;
                Program::nice(&cargo.to_string_lossy())
                    .args(["install", "--quiet", "--locked", "--version", version, package])
                    .arg("--root")
                    .arg(dir)
                    .env("PATH", env::var_os("PATH").unwrap_or_default())
                    .env("CARGO_TARGET_DIR", &scratch)
                    .run()?;
            }
            Ok(fs::remove_dir_all(&scratch)?)
        })?;
        Ok(Self { dir })
    }

    /// The program of this name.
    pub fn program(&self, name: &str) -> Program {
        Program::new(&self.dir.join("bin").join(name).to_string_lossy())
    }
}
