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
            for (actor, steps) in report.total.tally.rows() {
                let _ = writeln!(stdout(), "{steps:>9} steps by {actor}");
            }
            let deep = report.total.updated_back;
            let _ = writeln!(stdout(), "{deep:>9} states two updates deep, from A to B and back");
            let violations = &report.total.violations;
            for violation in violations {
                let _ = writeln!(stdout(), "\n{}", timeline(violation));
            }
            let _ = writeln!(stdout(), "{report}, {:.0} s", begun.elapsed().as_secs_f64());
            if report.total.states < size.least_states() {
                // A search that stops early finds nothing either.
                let least = size.least_states();
                let _ = writeln!(stdout(), "model: fewer than {least} states are no whole search");
                return ExitCode::FAILURE;
            }
            if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "model: {failure}");
            ExitCode::FAILURE
        }
    }
}
