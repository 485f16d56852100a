// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of the `atomix` program: noun, then verb. No behaviour.

pub use crate::agent_cli::{AgentCommand, HawkbitArgs, PollArgs};
pub use crate::config_cli::ConfigCommand;
pub use crate::image_cli::{BootScriptArgs, BundleContentArgs, ImageBuildArgs, ImageCommand};
pub use crate::line_cli::{RescueArgs, SerialCommand};
pub use crate::release_cli::{PublishArgs, ReleaseCommand};
pub use crate::report_cli::ReportCommand;
pub use atomix_repart::cli::RepartArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Boot and update chain of A/B devices: install, choose, verify, confirm
#[derive(Debug, Parser)]
#[command(
    name = "atomix",
    version,
    propagate_version = true,
    max_term_width = 80,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused in this state, 4 not verified, \
                  5 busy, 10 the answer to a query is no."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Look for every file and device below this directory instead of /
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "board", display_order = 900)]
    pub root: Option<PathBuf>,
    /// Work on the virtual board kept in this directory (see `atomix demo --keep`)
    #[arg(long, global = true, value_name = "DIR", display_order = 901)]
    pub board: Option<PathBuf>,
    /// Print JSON: one object, or one event per line for long work
    #[arg(long, global = true, display_order = 902)]
    pub json: bool,
}

/// What of the flight recorder `atomix why` tells.
#[derive(Clone, Debug, Default, Args)]
pub struct WhyArgs {
    /// Tell so many records, newest first
    ///
    /// Without this, people are told 12, and programs at most 512.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub last: Option<u16>,
    /// Tell only records with a greater number than this one
    ///
    /// For agents that send what is new: the JSON then begins with the oldest of them, and `more`
    /// says that there are others after these.
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is booted, what boots next and why, and what failed last
    Status,
    /// Explain the last fallback: which bundle, how many attempts, which cause
    Why(WhyArgs),
    /// Find what would make the next update fail, before it does
    Doctor,
    /// Install a bundle into the inactive slots
    Install(InstallArgs),
    /// Boot the other slot next, if it is good
    Rollback {
        /// Mark the booted slot bad as well, so that it is not chosen again
        #[arg(long)]
        mark_bad: bool,
        /// Boot it even if it is not known to be good.
        #[arg(long)]
        force: bool,
    },
    /// Read and change the boot state
    Boot {
        /// What to do.
        #[command(subcommand)]
        command: BootCommand,
    },
    /// Look at the slots' content
    Slot {
        /// What to do.
        #[command(subcommand)]
        command: SlotCommand,
    },
    /// Inspect, create and extract bundles
    Bundle {
        /// What to do.
        #[command(subcommand)]
        command: BundleCommand,
    },
    /// Publish bundles by signed documents, and look at these
    Release {
        /// What to do.
        #[command(subcommand)]
        command: ReleaseCommand,
    },
    /// Read and change the U-Boot environment
    Uenv {
        /// What to do.
        #[command(subcommand)]
        command: UenvCommand,
    },
    /// Create the partitions that the definitions ask for and the disk lacks
    Repart(RepartArgs),
    /// Validate, compare, apply and export configurations, here or on a device
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask for updates, and install them when they are due
    Agent {
        /// What to do.
        #[command(subcommand)]
        command: AgentCommand,
    },
    /// Tell what this device is, in one signed document for its fleet
    Report {
        /// What to do.
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Verify that this boot is healthy
    Health {
        /// What to do.
        #[command(subcommand)]
        command: HealthCommand,
    },
    /// Repair this device by a menu on its console
    ///
    /// A menu for 24 lines of 80 columns: state, reasons and logs, the three marks, the rollback,
    /// an install from a USB stick, an empty data partition, doctor, a shell. Arrow keys and
    /// Return or plain numbers; without a terminal, or with TERM=dumb, numbers line by line.
    Rescue(RescueArgs),
    /// Record what serial lines say, or talk over one
    Serial {
        /// What to do.
        #[command(subcommand)]
        command: SerialCommand,
    },
    /// Build flashable images, and what bundles are made of
    Image {
        /// What to do.
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Write an image to a disk and read it back
    Flash {
        /// The image file.
        image: PathBuf,
        /// The disk, for example /dev/sdx; never a mounted one.
        device: PathBuf,
        /// The image may be without U-Boot: the board finds it elsewhere
        #[arg(long)]
        without_boot_loader: bool,
    },
    /// Tell the whole story on a virtual board: build, flash, install, fail, recover
    Demo(DemoArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory; it is made if missing.
        dir: PathBuf,
    },
    /// Answer in place of the program rauc: its arguments, its output, its exit codes
    ///
    /// A link to this program that is named `rauc` does the same. `atomix rauc --help` shows its
    /// own usage.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Rauc {
        /// Everything behind it, as for rauc.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
}

/// Arguments of `atomix install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The bundle: a file, or an http:// or https:// address.
    pub bundle: PathBuf,
    /// Check everything and say what would be written, without writing
    #[arg(long)]
    pub dry_run: bool,
    /// Install without making the written slot boot next
    #[arg(long)]
    pub stage: bool,
    /// Accept a bundle made for other hardware
    #[arg(long)]
    pub ignore_compatible: bool,
    /// Accept a bundle older than what runs
    #[arg(long)]
    pub allow_downgrade: bool,
    /// Accept a bundle that failed here before
    #[arg(long)]
    pub force: bool,
    /// How it comes from a server.
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// How a bundle comes from a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct TransferArgs {
    /// Another address of the same bundle, asked when the one before fails; may be repeated
    #[arg(long = "mirror", value_name = "URL")]
    pub mirrors: Vec<String>,
    /// Fetch at most so many KiB per second
    #[arg(long, value_name = "KIB")]
    pub limit_rate: Option<NonZeroU64>,
    /// Fetch at most so many MiB; refused before where more is needed
    #[arg(long, value_name = "MIB")]
    pub max_bytes: Option<u64>,
    /// Ask this proxy instead of the environment's; none asks no proxy
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Accept no plain http, neither from redirects nor mirrors
    #[arg(long)]
    pub https_only: bool,
    /// Fetch everything again, also what an interrupted install left in the slot
    #[arg(long)]
    pub no_resume: bool,
}

/// A slot as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SlotName {
    /// The slots of bootname A.
    #[value(name = "A", alias = "a")]
    A,
    /// The slots of bootname B.
    #[value(name = "B", alias = "b")]
    B,
    /// The slots that run now.
    Booted,
    /// The slots that do not run now.
    Other,
}

/// Verbs of `atomix boot`.
#[derive(Debug, Subcommand)]
pub enum BootCommand {
    /// Show the boot state, variable by variable
    State,
    /// Answer whether the booted slot is confirmed: exit 0 yes, 10 no
    IsConfirmed,
    /// Confirm a slot
    MarkGood {
        /// Which.
        #[arg(default_value = "booted")]
        slot: SlotName,
    },
    /// Exclude a slot from booting
    MarkBad {
        /// Which.
        slot: SlotName,
        /// Do it even to the last good slot.
        #[arg(long)]
        force: bool,
    },
    /// Boot a slot next
    MarkActive {
        /// Which.
        slot: SlotName,
    },
    /// Record that Linux has started: run once, early in every boot
    Started,
    /// Give the booted good slot its attempts back
    ///
    /// Run it after 120 s of uptime and at every orderly shutdown.
    RestoreAttempts,
    /// Record that this system ended in a dead end; exit 3 reboots
    ///
    /// Does nothing when the kernel command line asked for a shell.
    GiveUp {
        /// What happened, in a word.
        cause: String,
        /// Wait so long before that unless the slot is on trial
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        pause: u64,
    },
    /// Record that a trying slot gave no verdict in time; exit 3 reboots
    Deadline,
    /// Serve a request for one root login on the serial console (`_RUT_OH_=1`)
    SerialRoot,
}

/// Verbs of `atomix slot`.
#[derive(Debug, Subcommand)]
pub enum SlotCommand {
    /// List the slots with devices and states
    List,
    /// Compare a slot's content with the digest recorded when it was installed
    Check {
        /// Which.
        #[arg(default_value = "booted")]
        slot: SlotName,
    },
}

/// The formats that `bundle create` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Signed manifest with a hash tree over the payload.
    Verity,
    /// One signature over the whole payload.
    Plain,
}

/// Verbs of `atomix bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Verify a bundle and show what it contains
    Info {
        /// The bundle file.
        bundle: PathBuf,
        /// CA certificates to trust, PEM; default: the keyring of system.conf.
        #[arg(long, value_name = "FILE", conflicts_with = "no_verify")]
        keyring: Option<PathBuf>,
        /// Show what the bundle says of itself without verifying it.
        #[arg(long)]
        no_verify: bool,
    },
    /// Create a signed bundle from a directory with manifest.raucm and images
    Create {
        /// The directory.
        dir: PathBuf,
        /// The bundle to make; must not exist.
        out: PathBuf,
        /// Certificate of the signer, PEM.
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// Private key of the signer, PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Intermediate certificates to include, PEM.
        #[arg(long, value_name = "FILE")]
        intermediate: Vec<PathBuf>,
        /// Bundle format.
        #[arg(long, value_enum, default_value = "verity")]
        format: FormatName,
    },
    /// Verify a bundle and write its content into a new directory
    Extract {
        /// The bundle file.
        bundle: PathBuf,
        /// The directory to make; must not exist.
        dir: PathBuf,
        /// CA certificates to trust, PEM; default: the keyring of system.conf.
        #[arg(long, value_name = "FILE")]
        keyring: Option<PathBuf>,
    },
}

/// Verbs of `atomix uenv`.
#[derive(Debug, Subcommand)]
pub enum UenvCommand {
    /// Print variables as name=value
    Print {
        /// Names; all when none is given.
        names: Vec<String>,
    },
    /// Set variables, all in one commit
    Set {
        /// Assignments; `NAME=` removes the variable.
        #[arg(required = true, value_name = "NAME=VALUE")]
        assignments: Vec<String>,
    },
    /// Show the copies: place, flag, checksum, which one is in force
    Check,
}

/// Verbs of `atomix health`.
#[derive(Debug, Subcommand)]
pub enum HealthCommand {
    /// Probe until healthy for the whole window, then mark good
    ///
    /// When the verdict is unhealthy, the reaction is the configured one.
    Run {
        /// Give the verdict without marking or rebooting.
        #[arg(long)]
        dry_run: bool,
    },
    /// Probe once and show each result: exit 0 all pass, 10 not
    Probe,
}

/// Arguments of `atomix demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Use this bundle, made by someone else, for the updates that are meant to work
    #[arg(long, value_name = "FILE", requires = "keyring")]
    pub bundle: Option<PathBuf>,
    /// CA certificates that verify --bundle, PEM
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub keyring: Option<PathBuf>,
    /// Leave the virtual board in this new directory
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Seed of the made-up programs, of identities and of the power cut
    ///
    /// Keys and the time of the run do not come from it, so two runs with one seed tell the same
    /// story with images and bundles that differ.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
