// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of the `atomix-repart` program. No behaviour.

use clap::{Args, Parser};
use std::path::PathBuf;

/// Create the partitions that the definitions ask for and the disk lacks
///
/// For the initrd: run it before /data is mounted, and once more after that. Both runs may be cut
/// and repeated.
#[derive(Debug, Parser)]
#[command(
    name = "atomix-repart",
    version,
    max_term_width = 80,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused in this state, 5 busy."
)]
pub struct Cli {
    /// Look for every file and device below this directory instead of /
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to do with which disk
    #[command(flatten)]
    pub repart: RepartArgs,
}

/// What this program and `atomix repart` take.
#[derive(Clone, Debug, Args)]
pub struct RepartArgs {
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Ask for an empty data partition at the next boot
    ///
    /// Everything on /data is lost then: the initrd wipes the partition and makes a new file
    /// system. Nothing happens before the next boot, and --keep-data takes the request back.
    #[arg(long, conflicts_with_all = ["dry_run", "disk", "keep_data"])]
    pub reset_data: bool,
    /// Take back a request for an empty data partition
    #[arg(long, conflicts_with_all = ["dry_run", "disk"])]
    pub keep_data: bool,
    /// The disk; default: the one of the board
    #[arg(long, value_name = "DEVICE")]
    pub disk: Option<PathBuf>,
    /// Directory of the *.conf definitions
    #[arg(long, value_name = "DIR", default_value = "/etc/repart.d")]
    pub definitions: PathBuf,
}
