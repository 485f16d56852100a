// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix report`. No behaviour.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `atomix report`.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Show the report of this device, and write it signed into a file
    ///
    /// Versions, digests and states of the slots, how the last update ended, what went wrong, and
    /// what the flight recorder says. Nothing is sent. `docs/agents-report.md` has every member.
    Make(MakeReportArgs),
    /// Verify a report that a device signed, and show it: exit 4 if not believed
    Verify {
        /// The signed report.
        file: PathBuf,
        /// The device's certificate, or the CA of the fleet's client certificates, PEM
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
    },
    /// Show the key that signs this device's reports, made now if there is none
    ///
    /// Its fingerprint, to be noted when the device is enrolled, and its certificate, by which
    /// `atomix report verify` and OpenSSL believe the device's reports.
    Key,
}

/// Arguments of `atomix report make`.
#[derive(Debug, Default, Args)]
pub struct MakeReportArgs {
    /// Write the signed report into this file; must not exist
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Sign with the key of this certificate instead of the device's own, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The private key of --cert, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The name of this device to servers; default: the address of its first network card
    #[arg(long, value_name = "NAME")]
    pub device_id: Option<String>,
}
