// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: what a maintainer runs.

mod book;
mod cargo;
mod cli;
mod crates;
mod docs;
mod e2e;
mod error;
mod judges;
mod linux_only;
mod model;
mod policy;
mod program;
mod suite;
mod test_modules;
mod workspace;

use clap::Parser;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run(&mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
