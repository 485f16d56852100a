// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program behind `cargo xtask powercut`.

use clap::Parser;
use powercut::cli::Cli;
use powercut::run::run;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "powercut: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
