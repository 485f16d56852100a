// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of `cargo xtask`.

use crate::docs::{self, DocsCommand};
use crate::e2e::{self, E2eArgs};
use crate::error::TaskError;
use crate::model::{self, ModelArgs};
use crate::suite;
use clap::{Parser, Subcommand};
use std::io::Write;

/// What a maintainer runs.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 80)]
pub struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must be green
    ///
    /// Format, lints, rules, tests, documents, fuzz targets, judges and the real chain, step by step,
    /// until one fails. The suite is green when all were run.
    #[command(visible_alias = "check")]
    Test {
        /// Only the steps with one of these in their name
        #[arg(value_name = "STEP")]
        steps: Vec<String>,
    },
    /// Boot the real chain in an emulator and break it
    E2e(E2eArgs),
    /// Boot an image by real U-Boot in an emulator, at its serial line; --help tells more
    #[command(disable_help_flag = true)]
    Rock64QemuVm {
        /// Arguments of the emulated board
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build or serve the book
    Docs {
        #[command(subcommand)]
        command: DocsCommand,
    },
    /// Explore every state of the boot protocol and print how many there are
    Model(ModelArgs),
    /// Cut the power at every act of durable operations; --help tells more
    #[command(disable_help_flag = true)]
    Powercut {
        /// Arguments of the harness
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run ten thousand devices on virtual time; --help tells more
    #[command(disable_help_flag = true)]
    Fleet {
        /// Arguments of the simulator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run RAUC's own tests against the program; --help tells more
    ///
    /// The released one, or as the arguments say.
    #[command(disable_help_flag = true)]
    Conformance {
        /// Arguments of the runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Hold the program against RAUC and its clients; --help tells more
    ///
    /// The released one, or that which the arguments name.
    #[command(disable_help_flag = true)]
    Roundtrip {
        /// Arguments of the judges
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Judge a gateway that the config API makes; --help tells more
    ///
    /// From its LAN, the world and its description, and over its boots.
    #[command(disable_help_flag = true)]
    Gateway {
        /// Arguments of the judges
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure an install against dd and openssl on this machine
    Bench,
}

impl Cli {
    /// Does what the arguments say.
    pub fn run(self, out: &mut impl Write) -> Result<(), TaskError> {
        match self.task {
            Task::Test { steps } => suite::run(&steps, out),
            Task::E2e(args) => e2e::run(&args, out),
            Task::Rock64QemuVm { arguments } => e2e::vm(&arguments),
            Task::Docs { command } => docs::run(&command),
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
    use clap::{Command, CommandFactory};

    const COLUMNS: usize = 80;

    fn wide(command: &mut Command) -> Vec<String> {
        command.set_bin_name(format!("cargo xtask {}", command.get_name()));
        let helps =
            [command.render_help(), command.render_long_help()].map(|help| help.to_string());
        let lines = helps.iter().flat_map(|help| help.lines());
        let mut found: Vec<String> =
            lines.filter(|line| line.chars().count() > COLUMNS).map(str::to_owned).collect();
        for verb in command.get_subcommands_mut() {
            found.extend(wide(verb));
        }
        found
    }

    #[test]
    fn every_help_fits_a_serial_console() {
        // As wide as a help ever is, whatever the terminal.
        let mut root = Cli::command().term_width(COLUMNS);
        assert_eq!(wide(&mut root), Vec::<String>::new());
    }

    #[test]
    fn the_verbs_of_the_original_are_understood() {
        for line in [
            &["check"][..],
            &["check", "book"],
            &["e2e", "--list"],
            &["e2e", "rollback", "--debug"],
            &["rock64-qemu-vm"],
            &["rock64-qemu-vm", "atomixos-25.11.img", "--keep", "board"],
            &["docs", "build", "--dest", "pages"],
            &["docs", "serve", "--port", "8000"],
        ] {
            let parsed = Cli::try_parse_from([&["xtask"], line].concat());
            assert!(parsed.is_ok(), "{line:?}: {:?}", parsed.err());
        }
        assert!(Cli::try_parse_from(["xtask", "e2e", "--debug"]).is_err(), "of which board?");
    }

    #[test]
    fn arguments_of_the_power_cuts_reach_the_harness_as_they_are() {
        let line = ["xtask", "powercut", "--scenario", "mark-good", "--cut", "3", "--help"];
        let parsed = Cli::try_parse_from(line).map(|cli| cli.task);
        assert!(
            matches!(parsed, Ok(Task::Powercut { ref arguments }) if arguments[..] == line[2..]),
        );
    }
}
