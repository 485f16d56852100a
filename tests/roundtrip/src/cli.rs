// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of the program.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Judge {
    /// The real `rauc-hawkbit-updater` and gooseBit complete an update, and report a refused one.
    Hawkbit,
    /// The real RAUC takes what this program made, and the other way round, with the same result.
    Matrix,
    /// Stores that `casync` made install for the bytes that `casync` fetches.
    Stores,
}

impl Judge {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hawkbit, Self::Matrix, Self::Stores];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hawkbit => "hawkbit",
            Self::Matrix => "matrix",
            Self::Stores => "stores",
        }
    }
}

/// Holds a program that takes RAUC's place against the real one, its clients and its stores.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask roundtrip")]
pub struct Cli {
    /// The program under test; without it the real RAUC is
    pub program: Option<PathBuf>,
    /// Only these judges
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Judge::ALL)]
    pub judge: Vec<Judge>,
    /// All combinations of the matrix instead of those in which every pair of choices occurs
    #[arg(long)]
    pub exhaustive: bool,
    /// Keep the scratch files, with all logs, here
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Already in the namespaces: the scratch directory
    #[arg(long, hide = true)]
    pub inside: Option<PathBuf>,
}
