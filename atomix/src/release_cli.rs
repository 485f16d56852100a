// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix release`. No behaviour.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `atomix release`.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Write the signed document that tells devices of a bundle
    ///
    /// The directory is one that any web server serves; the document in it is replaced in one act.
    /// A document that is there already gives the sequence: the new one has the next.
    #[command(
        override_usage = "atomix release publish [OPTIONS] --cert <FILE> --key <FILE>\n       \
                          <BUNDLE> <DIR>"
    )]
    Publish(Box<PublishArgs>),
    /// Verify a release and show what it says: exit 0 it counts, 10 it has expired
    Show {
        /// The document.
        release: PathBuf,
        /// CA certificates to trust, PEM; default: the keyring of system.conf.
        #[arg(long, value_name = "FILE")]
        keyring: Option<PathBuf>,
    },
}

/// Arguments of `atomix release publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The bundle file.
    pub bundle: PathBuf,
    /// The directory that the web server serves.
    pub dir: PathBuf,
    /// Certificate of the signer, PEM.
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Private key of the signer, PEM.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Intermediate certificates to include, PEM.
    #[arg(long, value_name = "FILE")]
    pub intermediate: Vec<PathBuf>,
    /// CA certificates that the devices trust, PEM; default: the keyring of system.conf.
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// Name of the document; default: the bundle's compatible and `.release`
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Number of the release; default: the next after the document that is there, else 1
    #[arg(long, value_name = "N")]
    pub sequence: Option<u64>,
    /// Copy the bundle into the directory
    #[arg(long)]
    pub copy: bool,
    /// Link the bundle into the directory, where that is on the same file system
    #[arg(long, conflicts_with = "copy")]
    pub link: bool,
    /// Where devices find the bundle, best first; default: beside the document
    ///
    /// An https:// URL, or a name relative to the document's own URL.
    #[arg(long, value_name = "URL")]
    pub url: Vec<String>,
    /// Days for which devices follow the document; publish again before
    #[arg(long, value_name = "DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub expires_days: u16,
    /// Roll out from then on, such as 2026-11-22T18:00:00Z; default: now
    #[arg(long, value_name = "TIME", requires = "ends")]
    pub begins: Option<String>,
    /// Everybody may take it from then on; before, ever more up to --percent
    #[arg(long, value_name = "TIME")]
    pub ends: Option<String>,
    /// Of a hundred devices, most that may take it before --ends; default: 100
    #[arg(long, value_name = "N", requires = "ends",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub percent: Option<u8>,
    /// Devices with an older version do not take it directly
    #[arg(long, value_name = "VERSION")]
    pub min_version: Option<String>,
    /// Devices take it at once, also those on which it failed before
    #[arg(long)]
    pub forced: bool,
}
