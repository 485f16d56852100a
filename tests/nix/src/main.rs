// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the flake right, as far as a machine without nixpkgs can tell?
//!
//! Debian's nix evaluates every output and every system against `stub-nixpkgs` and really builds what
//! needs no nixpkgs, with the program under test as the builder. What cannot be run is a failure
//! here, never a pass; what was never run at all stands in docs/building.md.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, and its programs are the judges"
)]

mod compared;
mod faults;
mod filters;
mod flashed;
mod initrd;
mod pages;
mod project;
mod root;
mod scores;
mod scripts;
mod stages;
mod tools;
mod verbs;

use anyhow::{Context as _, Result};
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    match check(&mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "nix: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(out: &mut dyn Write) -> Result<()> {
    let program = std::env::args_os().nth(1).map(PathBuf::from);
    let program = program.context("usage: nix-checks PROGRAM, where PROGRAM is atomix")?;
    let checker = stages::Checker {
        project: project::Project::copy()?,
        nix: root::Nix::new(&program)?,
        tools: tools::Tools::new()?,
    };
    for stage in stages::STAGES {
        let begun = Instant::now();
        checker.ask(stage).with_context(|| format!("{stage:?}"))?;
        writeln!(out, "nix: {stage:?}: {:.1} s", begun.elapsed().as_secs_f64())?;
    }
    let begun = Instant::now();
    compared::check(&checker, &program).context("compared with the program outside of Nix")?;
    writeln!(out, "nix: the same bytes outside: {:.1} s", begun.elapsed().as_secs_f64())?;
    let begun = Instant::now();
    let found = faults::check(&checker)?;
    writeln!(out, "nix: {found} planted faults found: {:.1} s", begun.elapsed().as_secs_f64())?;
    Ok(())
}
