// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of `cargo xtask powercut`.

use clap::Parser;

/// Cut the power at every act of every durable operation and judge what is left
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask powercut")]
pub struct Cli {
    /// Try every image of a cut that has at most 65,536, on small slots; for releases
    #[arg(long)]
    pub exhaustive: bool,
    /// Only this operation; may be given several times
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Say which operations there are
    #[arg(long)]
    pub list: bool,
    /// Make known mistakes and say which invariant finds each
    #[arg(long, conflicts_with_all = ["scenario", "exhaustive"])]
    pub teeth: bool,
    /// What chooses where not all is tried
    #[arg(long, default_value = "0x4174_6f6d", value_parser = parse_number)]
    pub seed: u64,
    /// Only this cut of the one operation named
    #[arg(long, requires_all = ["scenario", "image"])]
    pub cut: Option<usize>,
    /// Only this image of it
    #[arg(long, requires = "cut")]
    pub image: Option<u64>,
    /// Only this cut of its recovery
    #[arg(long, requires_all = ["cut", "then_image"])]
    pub then_cut: Option<usize>,
    /// Only this image of that
    #[arg(long, requires = "then_cut")]
    pub then_image: Option<u64>,
    /// How many threads; all processors without it
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Fail when fewer distinct images were judged
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub at_least: u64,
}

/// A number, in hexadecimal with `0x` before it; `_` may stand between digits.
fn parse_number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    parsed.map_err(|cause| cause.to_string())
}
