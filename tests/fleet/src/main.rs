// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program behind `cargo xtask fleet`.

use clap::Parser;
use fleet::cli::Cli;
use fleet::run::run;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "fleet: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
