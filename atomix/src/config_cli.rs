// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix config`. No behaviour.

use clap::Subcommand;
use std::path::PathBuf;

/// Verbs of `atomix config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Answer whether a configuration is valid: exit 0 yes, 10 no
    ///
    /// With all that is wrong, line by line. FILE is a config.toml, or a bundle of it and files/: a
    /// tar compressed by gzip or zstd. It is read on this machine, and nothing is changed anywhere.
    Validate {
        /// The configuration or bundle.
        file: PathBuf,
    },
    /// Write the files that a configuration becomes
    ///
    /// As they would stand in /data/config. An invalid configuration writes nothing. Owners are those of whoever runs this; modes are
    /// the device's.
    Render {
        /// The configuration or bundle.
        file: PathBuf,
        /// The directory to make; must be absent or empty
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Show who was refused and who changed what: exit 4 when lines were tampered with
    ///
    /// Configurations, containers that were given the host, installs, marks and refused logins of
    /// this device, as they were recorded. Times are those of its clock.
    Audit,
}
