// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a Rock64, in numbers?
//!
//! [`ROCK64`] is the only place that knows its offsets, sizes, addresses and names. Every file
//! that repeats one of them is generated from it ([`Board::generated_files`]) and kept under
//! `generated/`, where people read it and a test compares it. Images are assembled from the same
//! facts ([`build_image`]). [`ROCK64_QEMU`] stands for it in an emulator. Nothing here runs on the board or decides anything there.

mod autoboot;
mod board;
mod boot_tree;
mod conf;
mod emulated;
mod firmware;
mod image;
mod image_error;
mod kernel_image;
mod layout;
mod rock64;
mod watchdog;

pub use autoboot::{Autoboot, StopTextError};
pub use board::{
    Board, BootLoader, Disk, Flash, FlashMedium, LoadAddresses, Network, PartitionFacts, Recovery,
    Role, SpiRegion,
};
pub use boot_tree::{BootFiles, BootTree, boot_script, build_boot_vfat};
pub use emulated::ROCK64_QEMU;
pub use firmware::{InitPath, InitPathError, UBOOT_PATCHES};
pub use image::{BuiltImage, ImageEvent, ImagePart, ImageRequest, build_image};
pub use image_error::ImageError;
pub use layout::LayoutError;
pub use rock64::{ROCK64, ROCK64_WATCHDOG};
pub use watchdog::{Watchdog, WatchdogError, WatchdogTimes};
