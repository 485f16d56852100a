// SPDX-License-Identifier: MIT OR Apache-2.0
//! The config API's program: the HTTP service, its privileged helper, and the interface's
//! description. A program of its own, so that the one that updates the device stays small and
//! carries no HTTP server.

#[cfg(target_os = "linux")]
mod boot;
mod cli;
mod first_boot;
#[cfg(target_os = "linux")]
mod helper;
mod run;

use clap::Parser;
use std::io::{Write, stderr};
use std::process::ExitCode;
use storage::chain;

fn main() -> ExitCode {
    match run::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "atomix-config-api: {}", chain(&failure));
            if let Some(hint) = failure.hint() {
                let _ = writeln!(stderr(), "hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}
