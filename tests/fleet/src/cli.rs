// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of `cargo xtask fleet`.

use clap::Parser;

/// Run a fleet of virtual devices on virtual time, and judge what it does to its servers and itself
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask fleet")]
pub struct Cli {
    /// How many devices; bounds are judged from 2,000 on
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub devices: u32,
    /// What all chance follows from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this one; may be given several times
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Say which scenarios there are
    #[arg(long)]
    pub list: bool,
    /// Make known mistakes and say which bound finds each
    #[arg(long, conflicts_with_all = ["scenario", "json"])]
    pub teeth: bool,
    /// Print one JSON document instead of tables and pictures
    #[arg(long)]
    pub json: bool,
}
