// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of `atomix image`. No behaviour.

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;

/// The boards that there are images for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoardName {
    /// Pine64's Rock64
    Rock64,
    /// What stands for it in an emulator
    Rock64Qemu,
}

/// Verbs of `atomix image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build the flashable image of a board from its parts or a recipe
    #[command(
        override_usage = "atomix image build [OPTIONS] --boot <DIR> --rootfs <FILE>\n       \
                          --image-version <VERSION> <OUT>\n       \
                          atomix image build [OPTIONS] --recipe <FILE> <OUT>"
    )]
    Build(ImageBuildArgs),
    /// Build what `bundle create` signs: manifest and images in a new directory
    #[command(
        override_usage = "atomix image content [OPTIONS] --boot <DIR> --rootfs <FILE>\n       \
                          --image-version <VERSION> <OUT>"
    )]
    Content(BundleContentArgs),
    /// Build the boot.scr of a slot alone; the other verbs bring theirs
    Script(BootScriptArgs),
}

/// What an image and a bundle are made of.
#[derive(Debug, Args)]
pub struct ImageParts {
    /// Directory with the boot partition's files (Image, initrd, dtbs/…); boot.scr is made
    #[arg(long, value_name = "DIR")]
    pub boot: PathBuf,
    /// The root file system image
    #[arg(long, value_name = "FILE")]
    pub rootfs: PathBuf,
    /// Product version; part of what the image's identifiers are derived from
    #[arg(long, value_name = "VERSION")]
    pub image_version: String,
    /// How the slot starts.
    #[command(flatten)]
    pub start: SlotStart,
}

/// What a slot's script says.
#[derive(Clone, Debug, Args)]
pub struct SlotStart {
    /// The board that it is for; default: rock64, or that of the recipe
    #[arg(long, value_enum, value_name = "BOARD")]
    pub board_name: Option<BoardName>,
    /// Absolute path of init inside the root file system; default: the one the board's script has
    #[arg(long, value_name = "PATH")]
    pub init: Option<String>,
    /// The kernel expects the watchdog that U-Boot has armed (docs/how-to-watchdog.md)
    #[arg(long)]
    pub watchdog: bool,
    /// Seconds since 1970 for every timestamp inside
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    pub source_date_epoch: u32,
}

/// Arguments of `atomix image build`.
#[derive(Debug, Args)]
pub struct ImageBuildArgs {
    /// The image to make; with a recipe or a series a directory with image, components and
    /// checksums. Must not exist
    pub out: PathBuf,
    /// A recipe: kernel and root file system come from Debian's packages
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Directory with the boot partition's files (Image, initrd, dtbs/…); boot.scr is made
    #[arg(long, value_name = "DIR", required_unless_present = "recipe", conflicts_with = "recipe")]
    pub boot: Option<PathBuf>,
    /// The root file system image
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "recipe",
        conflicts_with = "recipe"
    )]
    pub rootfs: Option<PathBuf>,
    /// Product version; part of what the image's identifiers are derived from
    #[arg(
        long,
        value_name = "VERSION",
        required_unless_present = "recipe",
        conflicts_with = "recipe"
    )]
    pub image_version: Option<String>,
    /// Make a directory with atomixos-SERIES.img, its list of components and checksums
    #[arg(long, value_name = "SERIES", requires = "components", conflicts_with = "recipe")]
    pub series: Option<String>,
    /// What is in the image, as JSON (docs/building.md); the list is CycloneDX
    #[arg(long, value_name = "FILE", requires = "series", conflicts_with = "recipe")]
    pub components: Option<PathBuf>,
    /// How the slot starts.
    #[command(flatten)]
    pub start: SlotStart,
    /// Rockchip idbloader.img, for sector 64
    #[arg(long, value_name = "FILE")]
    pub idbloader: Option<PathBuf>,
    /// u-boot.itb, for sector 16384
    #[arg(long, value_name = "FILE")]
    pub u_boot: Option<PathBuf>,
    /// The first configuration, for the boot partition: config.toml or a bundle. Every device
    /// that gets the image takes it, and who has the image can read it
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
}

/// Arguments of `atomix image content`.
#[derive(Debug, Args)]
pub struct BundleContentArgs {
    /// The directory to make; must not exist.
    pub out: PathBuf,
    /// What it is made of.
    #[command(flatten)]
    pub parts: ImageParts,
}

/// Arguments of `atomix image script`.
#[derive(Debug, Args)]
pub struct BootScriptArgs {
    /// The script to make; must not exist.
    pub out: PathBuf,
    /// How the slot starts.
    #[command(flatten)]
    pub start: SlotStart,
}
