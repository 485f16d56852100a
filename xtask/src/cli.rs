// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of `cargo xtask`.

use crate::e2e::{self, E2eArgs};
use crate::error::TaskError;
use crate::model::{self, ModelArgs};
use crate::suite;
use clap::{Parser, Subcommand};
use std::io::Write;

/// What a maintainer runs.
#[derive(Parser)]
#[command(name = "cargo xtask")]
pub struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must be green: format, lints, rules, tests, documents, fuzz, real chain
    Test {
        /// Only the steps with one of these in their name; the suite is green when all were run
        #[arg(value_name = "STEP")]
        steps: Vec<String>,
    },
    /// Boot the real chain in an emulator and break it
    E2e(E2eArgs),
    /// Explore every state of the boot protocol and print how many there are
    Model(ModelArgs),
    /// Cut the power at every act of every durable operation; --help after it tells more
    #[command(disable_help_flag = true)]
    Powercut {
        /// Arguments of the harness
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run ten thousand virtual devices on virtual time; --help after it tells more
    #[command(disable_help_flag = true)]
    Fleet {
        /// Arguments of the simulator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run RAUC's own tests against the released program, or as the arguments say; --help tells more
    #[command(disable_help_flag = true)]
    Conformance {
        /// Arguments of the runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Hold the released program, or the one that the arguments name, against the real RAUC and its
    /// clients; --help tells more
    #[command(disable_help_flag = true)]
    Roundtrip {
        /// Arguments of the judges
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Judge a gateway that the config API makes, from its LAN, the world and its description, and over
    /// its boots; --help tells more
    #[command(disable_help_flag = true)]
    Gateway {
        /// Arguments of the judges
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure an install against dd and openssl on this machine and print the ratios
    Bench,
}

impl Cli {
    /// Does what the arguments say.
    pub fn run(self, out: &mut impl Write) -> Result<(), TaskError> {
        match self.task {
            Task::Test { steps } => suite::run(&steps, out),
            Task::E2e(args) => e2e::run(&args, out),
            Task::Model(args) => model::run(&args),
            Task::Powercut { arguments } => suite::powercut(&arguments),
            Task::Fleet { arguments } => suite::fleet(&arguments),
            Task::Conformance { arguments } => suite::judged_by("conformance", &arguments),
            Task::Roundtrip { arguments } => suite::judged_by("roundtrip", &arguments),
            Task::Gateway { arguments } => suite::gateway(&arguments),
            Task::Bench => suite::bench(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_power_cuts_reach_the_harness_as_they_are() {
        let line = ["xtask", "powercut", "--scenario", "mark-good", "--cut", "3", "--help"];
        let parsed = Cli::try_parse_from(line).map(|cli| cli.task);
        assert!(
            matches!(parsed, Ok(Task::Powercut { ref arguments }) if arguments[..] == line[2..]),
        );
    }
}
