// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of the program.

use crate::suite::Suite;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Which kernel the tests run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// This machine's own.
    #[default]
    Host,
    /// User-mode Linux, which has the device mapper and network block devices.
    Uml,
}

impl Kernel {
    /// The word in the name of a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Uml => "uml",
        }
    }
}

/// Runs RAUC's own pytest suite against a program that takes RAUC's place.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask conformance")]
pub struct Cli {
    /// The program under test; without it the real RAUC of the suite is
    pub program: Option<PathBuf>,
    /// Debian's suites whose source package brings the tests
    #[arg(long, value_enum, default_values_t = Suite::ALL)]
    pub suite: Vec<Suite>,
    /// A source tree of RAUC to take the tests from instead, for versions that Debian has not; there
    /// is no list for it, so nothing may fail
    #[arg(long, value_name = "DIR", requires = "program", conflicts_with_all = ["suite", "record"])]
    pub tree: Option<PathBuf>,
    /// The kernel the tests run on
    #[arg(long, value_enum, default_value = "host")]
    pub kernel: Kernel,
    /// Only these modules, such as info,bundle
    #[arg(long, value_delimiter = ',')]
    pub modules: Vec<String>,
    /// Only tests that match this pytest expression
    #[arg(short = 'k', long)]
    pub only: Option<String>,
    /// Write what passes to the list of the suite and the kernel; for the real RAUC
    #[arg(long, conflicts_with_all = ["program", "modules", "only"])]
    pub record: bool,
    /// Keep the logs of pytest here
    #[arg(long)]
    pub logs: Option<PathBuf>,
    /// Seconds after which a half of the suite is ended
    #[arg(long, default_value_t = 570)]
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_ones_own_needs_a_program_and_has_no_lists() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("x ours --tree t --modules polling").is_ok());
        for line in ["x --tree t", "x ours --tree t --suite sid", "x --tree t --record"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
