// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix agent`. No behaviour.

use clap::{Args, Subcommand};

/// Verbs of `atomix agent`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Ask the server that the settings name for updates, and install them
    ///
    /// Ends at once where the settings name another way. Without --once it goes on asking until it
    /// is stopped.
    Poll(PollArgs),
    /// Follow the hawkBit server that the settings name
    ///
    /// Ends at once where the settings name another way. Without --once it goes on until it is
    /// stopped.
    Hawkbit(HawkbitArgs),
    /// Run the agent that the settings name, until it is stopped
    Run,
    /// Confirm the action of hawkBit's that waits for a yes
    ///
    /// For `confirm = "operator"` in [os_upgrade.hawkbit]. The agent tells the server when it asks
    /// next; the last word before that counts.
    Confirm(ConfirmArgs),
    /// Answer no to the action of hawkBit's that waits for a yes
    Deny(DenyArgs),
    /// Show which agent the settings name, and what it remembers
    Status,
}

/// Arguments of `atomix agent poll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct PollArgs {
    /// Ask once, do what follows, and end
    #[arg(long)]
    pub once: bool,
    /// Ask once and explain what would be done; nothing is changed
    #[arg(long)]
    pub dry_run: bool,
    /// Install now: outside of windows and rollouts, on any link, also what failed here before
    #[arg(long)]
    pub insist: bool,
}

/// Arguments of `atomix agent confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ConfirmArgs {
    /// Number of the action, as `atomix agent status` shows it
    #[arg(value_name = "ACTION", allow_negative_numbers = true)]
    pub action: i64,
}

/// Arguments of `atomix agent deny`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DenyArgs {
    /// Number of the action, as `atomix agent status` shows it
    #[arg(value_name = "ACTION", allow_negative_numbers = true)]
    pub action: i64,
    /// Reason that the server is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// Arguments of `atomix agent hawkbit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct HawkbitArgs {
    /// Ask once, do what follows, and end
    #[arg(long)]
    pub once: bool,
    /// Ask once and explain what would be done; nothing is changed, and the server is told nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Install now: outside of windows, on any link, also what failed here before
    #[arg(long)]
    pub insist: bool,
}
