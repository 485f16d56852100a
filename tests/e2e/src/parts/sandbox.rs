// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does real U-Boot work with the Rock64's flash? Its sandbox, built for the machine that runs
//! the tests, from the same source with a patch for the emulated chip.

use crate::cache::{Inputs, part};
use crate::parts::uboot::{self, Build};
use crate::program::Program;
use crate::sandbox::{SANDBOX, SANDBOX_FRAGMENT};
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// Breaks the emulated chip where a test wants it.
const PATCH: &str = include_str!("sandbox.patch");

/// The source tree with the patch.
fn source() -> Result<PathBuf> {
    let original = uboot::source()?;
    let inputs = Inputs::new("sandbox source 1").part(&original).text(PATCH);
    part("uboot-sandbox-source", inputs, |dir| {
        let tree = dir.join("tree");
        Program::new("cp").arg("-a").arg(original.join("tree")).arg(&tree).run()?;
        let patch = dir.join("sandbox.patch");
        fs::write(&patch, PATCH)?;
        Program::new("patch").args(["-p1", "-s", "-i"]).arg(&patch).current_dir(&tree).run()
    })
}

/// The sandbox: `u-boot`, a program.
///
/// # Errors
/// When it cannot be built.
pub fn sandbox() -> Result<PathBuf> {
    let build = Build {
        name: "uboot-sandbox",
        defconfig: "sandbox_defconfig",
        fragment: SANDBOX.uboot_fragment() + SANDBOX_FRAGMENT,
        selector: SANDBOX.selector(),
        goals: &["NO_SDL=1", "u-boot"],
        results: &["u-boot"],
    };
    build.part_from(&source()?, &|make| Ok(make.env("CROSS_COMPILE", "").env("ARCH", "sandbox")))
}
