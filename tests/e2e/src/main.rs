// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the parts of the real chain and boots them.

use clap::{Parser, Subcommand};
use std::io::Write as _;

/// Build and boot the real chain in an emulator
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the named parts, or all of them, into the cache
    Parts {
        /// Names of parts.
        names: Vec<String>,
    },
    /// Print names and versions of what runs, each with a tab between
    Versions,
    /// Boot a freshly flashed board once and show what it says of itself
    Boot,
    /// Boot an image by real U-Boot in the emulator, with its serial line on this terminal
    Vm(e2e::vm::VmArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Parts { names } => e2e::parts::build(&names),
        Command::Versions => {
            for (name, version) in e2e::parts::versions()? {
                writeln!(std::io::stdout(), "{name}\t{version}")?;
            }
            Ok(())
        }
        Command::Vm(args) => e2e::vm::run(&args),
        Command::Boot => e2e::machine::show_first_boot(),
    }
}
