// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `atomix-repart` program: what the initrd needs of `atomix`, and no more.

use atomix_repart::cli::Cli;
use atomix_repart::{Folded, run};
use clap::Parser;
use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn main() -> ExitCode {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let unix_time = i64::try_from(since_1970).unwrap_or(i64::MAX);
    let mut people = Folded::new(stderr().lock(), stderr().is_terminal());
    run::run(&Cli::parse(), unix_time, &mut stdout().lock(), &mut people)
}
