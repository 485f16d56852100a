// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask model`: explores the boot protocol and prints how many states there are.

use crate::error::TaskError;
use crate::program::Program;

/// What was asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModelArgs {
    /// Explore the size for releases instead of the one for CI
    #[arg(long)]
    exhaustive: bool,
}

/// Runs the checker; the size for releases with the optimizer's help.
pub fn run(args: &ModelArgs) -> Result<(), TaskError> {
    let program = ["run", "--quiet", "--package", "model"];
    let size: &[&str] = if args.exhaustive { &["--release", "--", "--exhaustive"] } else { &[] };
    Program::new("cargo", &[&program[..], size].concat()).run()
}
