// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program behind `cargo xtask conformance`.

use clap::Parser;
use conformance::cli::Cli;
use conformance::run::run;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "conformance: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
