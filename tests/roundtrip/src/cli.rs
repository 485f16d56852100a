// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of the program.

use clap::{Parser, ValueEnum};
use conformance::cli::Kernel;
use std::path::{Path, PathBuf};

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Judge {
    /// Our own client of hawkBit's interface and gooseBit complete an update, and report a fall back.
    Agent,
    /// The real `rauc-hawkbit-updater` and gooseBit complete an update, and report a refused one.
    Hawkbit,
    /// The real RAUC takes what this program made, and the other way round, with the same result.
    Matrix,
    /// Stores that `casync` made install for the bytes that `casync` fetches.
    Stores,
    /// Damaged bundles, servers that trick, endless hooks: refused with a reason, nothing boots.
    Hostile,
    /// Times, memory and bytes of either program in one run; it never fails by them.
    Measures,
    /// Of those, only a bundle from a file and over a link without a latency, in user-mode Linux.
    Streamed,
    /// Bytes that a small change in an image makes either program fetch and write, in one install each.
    Deltas,
}

impl Cli {
    /// The same for the program's second start, inside.
    #[must_use]
    pub fn again(&self, program: Option<&Path>, scratch: &Path) -> Vec<String> {
        let judges: Vec<&str> = self.judge.iter().map(|judge| judge.name()).collect();
        let mut words: Vec<String> =
            program.iter().map(|program| program.display().to_string()).collect();
        words.push(format!("--inside={}", scratch.display()));
        words.push(format!("--judge={}", judges.join(",")));
        words.push(format!("--kernel={}", self.kernel.name()));
        words.push(format!("--size={}", self.size));
        words.extend(self.exhaustive.then(|| "--exhaustive".to_owned()));
        words
    }

    /// Mebibytes of the image, where one is measured.
    #[must_use]
    pub fn measured(&self) -> Option<usize> {
        let measures =
            |judge: &Judge| matches!(judge, Judge::Measures | Judge::Streamed | Judge::Deltas);
        self.judge.iter().any(measures).then_some(self.size)
    }
}

impl Judge {
    /// All that can be discontent.
    pub const ALL: [Self; 5] =
        [Self::Agent, Self::Hawkbit, Self::Matrix, Self::Stores, Self::Hostile];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Hawkbit => "hawkbit",
            Self::Matrix => "matrix",
            Self::Stores => "stores",
            Self::Hostile => "hostile",
            Self::Measures => "measures",
            Self::Streamed => "streamed",
            Self::Deltas => "deltas",
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
    /// The kernel they work on: user-mode Linux has what the real RAUC needs for every format
    #[arg(long, value_enum, default_value = "host")]
    pub kernel: Kernel,
    /// All combinations of the matrix instead of those in which every pair of choices occurs
    #[arg(long)]
    pub exhaustive: bool,
    /// Keep the scratch files, with all logs, here
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Mebibytes of the image that is measured
    #[arg(long, default_value_t = 256)]
    pub size: usize,
    /// Already in the namespaces: the scratch directory
    #[arg(long, hide = true)]
    pub inside: Option<PathBuf>,
}
