// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `atomix` program.

use atomix::cli::Cli;
use atomix::context::Now;
use bundle::UnixTime;
use clap::Parser;
use std::io::{stderr, stdout};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn main() -> ExitCode {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = Now(UnixTime(i64::try_from(since_1970).unwrap_or(i64::MAX)));
    atomix::run::run(&Cli::parse(), now, &mut stdout().lock(), &mut stderr().lock())
}
