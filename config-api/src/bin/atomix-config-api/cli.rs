// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arguments; see `docs/config-api.md`.

use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Serve the config API of this device
#[derive(Debug, Parser)]
#[command(version, max_term_width = 80)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP, without any right but to ask the helper
    Serve(ServeArgs),
    /// Do what needs root for the HTTP service, and nothing else
    Helper(HelperArgs),
    /// Bring the configurations in order, whatever a power cut left; before anything reads them
    Recover(HelperArgs),
    /// Apply parts of the configuration that counts, as each boot has to
    Apply(ApplyArgs),
    /// Search for the first configuration of a device that has none
    FirstBoot(FirstBootArgs),
    /// Print the description of the interface, OpenAPI 3.1
    Openapi,
}

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The helper's socket
    #[arg(long, value_name = "PATH", default_value = "/run/atomix-config/helper.sock")]
    pub helper: PathBuf,
    /// Where jobs are kept and bodies spooled
    #[arg(long, value_name = "DIR", default_value = "/data/atomix/config-api")]
    pub state: PathBuf,
    /// The port
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Where a device without a configuration listens; one with a configuration listens on its
    /// LAN address alone
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub unclaimed: IpAddr,
    /// The device's name, which signatures are bound to; by default the hardware address of eth0
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
}

/// A part of a configuration.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Part {
    /// Accounts and keys
    Accounts,
    /// Addresses, names, time
    Network,
    /// Open ports
    Firewall,
    /// Containers
    Units,
    /// The agent that is told of updates
    Updates,
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The parts, in their order
    #[arg(value_enum, required = true)]
    pub parts: Vec<Part>,
    /// Seconds that each may take
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub limit: u64,
    /// The device.
    #[command(flatten)]
    pub device: HelperArgs,
}

/// Arguments of `first-boot`.
#[derive(Args, Debug)]
pub struct FirstBootArgs {
    /// The helper's socket
    #[arg(long, value_name = "PATH", default_value = "/run/atomix-config/helper.sock")]
    pub helper: PathBuf,
    /// Where bodies are spooled for it
    #[arg(long, value_name = "DIR", default_value = "/data/atomix/config-api/spool")]
    pub spool: PathBuf,
    /// The boot partition of the running slot, where it is mounted
    #[arg(long, value_name = "DIR", default_value = "/boot")]
    pub boot: PathBuf,
}

/// Arguments of `helper`.
#[derive(Args, Debug)]
pub struct HelperArgs {
    /// The socket; its directory is there already
    #[arg(long, value_name = "PATH", default_value = "/run/atomix-config/helper.sock")]
    pub socket: PathBuf,
    /// Where the HTTP service spools bodies
    #[arg(long, value_name = "DIR", default_value = "/data/atomix/config-api/spool")]
    pub spool: PathBuf,
    /// Where they are copied to; nobody else may write there
    #[arg(long, value_name = "DIR", default_value = "/data/atomix/config-helper")]
    pub own: PathBuf,
    /// The device's name in signatures, as `serve` has it; without, the hardware address of eth0
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// The account of the HTTP service
    #[arg(long, value_name = "NAME", default_value = "atomix-config")]
    pub service_user: String,
    /// The account that rootless containers belong to
    #[arg(long, value_name = "NAME", default_value = config_api::APP_USER)]
    pub app_user: String,
    /// How many seconds the operator has to confirm a change; without, none is asked for
    #[arg(long, value_name = "SECONDS")]
    pub confirm: Option<u64>,
    /// The interface towards the world
    #[arg(long, value_name = "INTERFACE", default_value = "eth0")]
    pub wan: String,
    /// The interface of the LAN
    #[arg(long, value_name = "INTERFACE", default_value = "eth1")]
    pub lan: String,
    /// Where programs are looked for
    #[arg(
        long,
        value_name = "DIRS",
        default_value = "/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    )]
    pub path: String,
    /// The directory of login shells
    #[arg(long, value_name = "DIR", default_value = "/run/current-system/sw/bin")]
    pub shells: String,
}
