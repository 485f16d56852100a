// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of the program.

use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Judge {
    /// A whole device under real systemd, seen from the LAN and from the world
    Network,
    /// The same over its boots: in which order it comes up, what it knows afterwards, and the search
    /// for its first configuration
    Boots,
    /// What is made of the API's description alone: requests of schemathesis, and a client
    Strangers,
    /// What two hundred uploads at once cost an apply; by hand, since it measures time
    Load,
}

impl Judge {
    /// All that a busy machine does not deceive.
    pub const ALL: [Self; 3] = [Self::Network, Self::Boots, Self::Strangers];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Boots => "boots",
            Self::Strangers => "strangers",
            Self::Load => "load",
        }
    }
}

/// Judges a gateway that a configuration made.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask gateway")]
pub struct Cli {
    /// The program `atomix-config-api` under test
    pub program: PathBuf,
    /// Only these judges
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Judge::ALL)]
    pub judge: Vec<Judge>,
    /// Already in the namespaces: the scratch directory
    #[arg(long, hide = true)]
    pub inside: Option<PathBuf>,
    /// Be the clients of the judge of loads: the service they press upon
    #[arg(long, hide = true, requires = "inside")]
    pub press: Option<SocketAddr>,
    /// How many of them sign
    #[arg(long, hide = true, default_value_t = 0)]
    pub signers: usize,
}
