// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask model`: explores the boot protocol and prints how many states there are.

use crate::cargo::{cargo, debug_run};
use crate::error::TaskError;

/// What was asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModelArgs {
    /// Explore the size for releases instead of the one for CI
    #[arg(long)]
    exhaustive: bool,
}

/// Runs the checker; the size for releases with the optimizer's help.
pub fn run(args: &ModelArgs) -> Result<(), TaskError> {
    if args.exhaustive {
        return cargo(&["run", "--quiet", "--package", "model", "--release", "--", "--exhaustive"]);
    }
    debug_run("model", &[])?.run()
}
