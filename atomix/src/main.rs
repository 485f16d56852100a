// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `atomix` program.

use atomix::cli::Cli;
use atomix::context::Now;
use atomix::output::Style;
use atomix::rauc::RaucEnv;
use atomix::terminal::Folded;
use bundle::UnixTime;
use clap::Parser;
use std::env::args_os;
use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn main() -> ExitCode {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = Now(UnixTime(i64::try_from(since_1970).unwrap_or(i64::MAX)));
    if let Some(words) = atomix::rauc::words(args_os()) {
        let (mut data, mut people) = (stdout(), stderr());
        return atomix::rauc::run(&words, RaucEnv::of_process(), now.0, (&mut data, &mut people));
    }
    let mut people = Folded::new(stderr().lock(), stderr().is_terminal());
    match Cli::try_parse() {
        Ok(cli) => atomix::run::run(&cli, now, &mut stdout().lock(), &mut people),
        Err(usage) => {
            let json = args_os().any(|argument| argument == "--json");
            let style = if json { Style::Json } else { Style::Lines };
            atomix::run::refuse(&usage, style, &mut stdout().lock())
        }
    }
}
