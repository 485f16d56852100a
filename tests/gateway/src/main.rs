// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a gateway that a configuration made, seen from outside? The program behind
//! `cargo xtask gateway`.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, and its programs are the judges"
)]

mod boots;
mod cli;
mod console;
mod host;
mod http;
mod live;
mod load;
mod machine;
mod network;
mod parts;
mod picture;
mod press;
mod rig;
mod run;
mod scan;
mod space;
mod strangers;
mod watch;

use clap::Parser;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run::run(&cli::Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "gateway: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
