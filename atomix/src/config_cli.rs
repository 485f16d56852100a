// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix config`. No behaviour.

use crate::commands::config_lan::{LanAddress, Pool};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `atomix config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Answer whether a configuration is valid: exit 0 yes, 10 no
    ///
    /// With all that is wrong, line by line. FILE is a config.toml, or a bundle of it and files/: a
    /// tar compressed by gzip or zstd. It is read on this machine, and nothing is changed anywhere.
    Validate {
        /// The configuration or bundle; - for standard input
        file: PathBuf,
    },
    /// Write the files that a configuration becomes
    ///
    /// As they would stand in /data/config. An invalid configuration writes nothing. Owners are those
    /// of whoever runs this; modes are the device's.
    Render {
        /// The configuration or bundle; - for standard input
        file: PathBuf,
        /// The directory to make, and those above it; must be absent or empty
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Show which addresses a configuration gives to the LAN, or set them
    ///
    /// With an address the device gets it there, and the pool becomes what is left beside it,
    /// or --pool. FILE is written only when it is valid then; everything else in it stays as it is.
    LanRange(LanRangeArgs),
    /// Show who was refused and who changed what: exit 4 when lines were tampered with
    ///
    /// Configurations, containers that were given the host, installs, marks and refused logins of
    /// this device, as they were recorded. Times are those of its clock.
    Audit,
    /// Write the configuration in force into a file, from this device or over its API
    ///
    /// Byte for byte, in a new file that only you can read: it may hold secrets. What a bundle
    /// brought in files/ is not part of it. Without --out it is printed.
    Export {
        /// The file to make; must not exist
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The directory to make, with the files that this configuration becomes
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// The device that is asked; this one without it.
        #[command(flatten)]
        device: SomeDeviceArgs,
    },
    /// Print a nonce of a device, for one signature that is made on another machine
    ///
    /// It is good for one request and for five minutes. Compare the device's name with its label.
    RequestNonce {
        /// The device.
        #[command(flatten)]
        device: PlaceArgs,
    },
    /// Print the headers of a signed request, where the key is and no device
    ///
    /// Three steps: `config request-nonce --device URL > request` beside the device, `config sign
    /// FILE --request request --ssh-key KEY > signed` where the key is, and `config apply FILE
    /// --device URL --signed signed` beside the device again, within five minutes. A line is a
    /// header, so `curl -H @signed` takes them too.
    Sign(SignArgs),
    /// Show what a configuration would change and restart: exit 0 nothing, 10 something
    ///
    /// FILE against what the device has in force, or with two files the second against the first.
    /// Only names are shown, for contents may be secrets. A device does not give out its files/.
    Diff {
        /// The configuration or bundle that would be applied; with two the one before.
        file: PathBuf,
        /// The configuration or bundle after it
        #[arg(conflicts_with = "device")]
        after: Option<PathBuf>,
        /// The device; this one without it.
        #[command(flatten)]
        device: SomeDeviceArgs,
    },
    /// Give a device a configuration, and follow it until its services are healthy
    ///
    /// It is validated here first, with all that is wrong. A device without a configuration takes
    /// the first one without a key. When the services do not become healthy the device goes back
    /// to the one before by itself. Ctrl-C ends the following, not the change.
    Apply(ApplyArgs),
    /// Tell how far a change on a device is, until its end
    ///
    /// Whoever knows its name may look.
    Job {
        /// The job, as `config apply` named it.
        job: String,
        /// The device.
        #[command(flatten)]
        device: PlaceArgs,
    },
    /// Confirm that a device is reached after a change that waits for it
    Confirm {
        /// The job, as `config apply` named it.
        job: String,
        /// The device.
        #[command(flatten)]
        device: PlaceArgs,
        /// Who confirms.
        #[command(flatten)]
        who: WhoArgs,
    },
}

impl ConfigCommand {
    /// Whether it is about a device somewhere else.
    #[must_use]
    pub const fn names_device(&self) -> bool {
        match self {
            Self::Export { device, .. } | Self::Diff { device, .. } => device.device.is_some(),
            Self::RequestNonce { .. }
            | Self::Apply(_)
            | Self::Job { .. }
            | Self::Confirm { .. } => true,
            Self::Validate { .. }
            | Self::Render { .. }
            | Self::LanRange(_)
            | Self::Audit
            | Self::Sign(_) => false,
        }
    }
}

/// Arguments of `atomix config lan-range`.
#[derive(Clone, Debug, Args)]
pub struct LanRangeArgs {
    /// The config.toml
    pub file: PathBuf,
    /// The device's address in the LAN, and the prefix: 10.20.0.1/24
    #[arg(value_name = "ADDRESS/PREFIX", value_parser = LanAddress::of)]
    pub address: Option<LanAddress>,
    /// The addresses that machines get: 10.20.0.10-10.20.0.99
    #[arg(long, value_name = "FIRST-LAST", value_parser = Pool::of)]
    pub pool: Option<Pool>,
}

/// A device's address.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The device: http://ADDRESS:PORT, or an address or a name alone (port 8080)
    #[arg(long, value_name = "URL")]
    pub device: String,
    /// Speak with no device but the one of this name
    #[arg(long, value_name = "ID")]
    pub device_id: Option<String>,
}

/// A device's address, or this device.
#[derive(Clone, Debug, Default, Args)]
pub struct SomeDeviceArgs {
    /// The device: http://ADDRESS:PORT, or an address or a name alone (port 8080)
    #[arg(long, value_name = "URL")]
    pub device: Option<String>,
    /// Speak with no device but the one of this name
    #[arg(long, value_name = "ID", requires = "device")]
    pub device_id: Option<String>,
    /// Who asks.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// Who asks.
#[derive(Clone, Debug, Default, Args)]
pub struct WhoArgs {
    /// An administrator's SSH key: the private file, or the public one where an agent has the key
    #[arg(long, value_name = "KEY", requires = "device", conflicts_with = "signed")]
    pub ssh_key: Option<PathBuf>,
    /// Headers that `config sign` printed, instead of a key
    #[arg(long, value_name = "FILE", requires = "device")]
    pub signed: Option<PathBuf>,
}

/// Arguments of `atomix config sign`.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// The configuration or bundle to apply; none for requests without a body
    #[arg(required_unless_present = "target")]
    pub file: Option<PathBuf>,
    /// An administrator's SSH key: the private file, or the public one where an agent has the key
    #[arg(long, value_name = "KEY")]
    pub ssh_key: PathBuf,
    /// What `config request-nonce` printed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nonce", "device_id"],
          required_unless_present_all = ["nonce", "device_id"])]
    pub request: Option<PathBuf>,
    /// The nonce, instead of --request
    #[arg(long, value_name = "NONCE", requires = "device_id")]
    pub nonce: Option<String>,
    /// The device's name, instead of --request
    #[arg(long, value_name = "ID", requires = "nonce")]
    pub device_id: Option<String>,
    /// Path and query of the request; with a file /api/config
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// The request's method; POST with a file, else GET unless the target ends in /confirm
    #[arg(long, value_name = "METHOD", value_parser = ["GET", "POST"])]
    pub method: Option<String>,
    /// Only if the configuration in force has this tag
    #[arg(long, value_name = "TAG", requires = "file")]
    pub if_match: Option<String>,
}

/// Arguments of `atomix config apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// The configuration or bundle.
    pub file: PathBuf,
    /// The device.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Who asks.
    #[command(flatten)]
    pub who: WhoArgs,
    /// Go back unless the device is reached, and told so, within this time once its services run
    ///
    /// It is told by itself, with --ssh-key, over the address that the device has then.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=3600))]
    pub confirm_within: Option<u32>,
    /// Where the device answers afterwards; its LAN address in FILE without this
    #[arg(long, value_name = "URL")]
    pub moves_to: Option<String>,
    /// Only if the configuration in force has this tag (`config export --json`)
    #[arg(long, value_name = "TAG")]
    pub if_match: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub no_wait: bool,
}
