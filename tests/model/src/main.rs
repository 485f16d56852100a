// SPDX-License-Identifier: MIT OR Apache-2.0
//! Explores the boot protocol and prints how many states there are and what breaks in them.

use clap::Parser;
use model::{Size, run, scenarios, timeline};
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Instant;

/// Explore every state of the boot protocol
#[derive(Debug, Parser)]
struct Cli {
    /// Explore the size for releases instead of the one for CI
    #[arg(long)]
    exhaustive: bool,
    /// Explore on so many threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let size = if cli.exhaustive { Size::Exhaustive } else { Size::Ci };
    let begun = Instant::now();
    let told = |scenario: &model::Scenario, explored: &model::Explored| {
        let _ = writeln!(
            stdout(),
            "{:>9} states {:>9} transitions {:>3} deep {:>2} boots to rest  {scenario}",
            explored.states,
            explored.transitions,
            explored.depth,
            explored.boots_to_rest
        );
    };
    match run(&scenarios(size), cli.threads, &told) {
        Ok(report) => {
            let violations = &report.total.violations;
            for violation in violations {
                let _ = writeln!(stdout(), "\n{}", timeline(violation));
            }
            let _ = writeln!(stdout(), "{report}, {:.0} s", begun.elapsed().as_secs_f64());
            if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "model: {failure}");
            ExitCode::FAILURE
        }
    }
}
