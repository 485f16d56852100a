// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a boot loader say about the bootnames of `system.conf`, and how is it told?
//!
//! [`crate::BootBackend`] keeps the whole state of our own protocol, for two slots. RAUC knows less
//! of more boot loaders: any number of bootnames, each good or bad, and one of them primary. Here
//! are its six backends, each through the programs that RAUC runs, and [`AtomixNamed`], which
//! answers the same questions on a board that has our own protocol and keeps its rules.

mod ask;
mod atomix;
mod barebox;
mod boot;
mod choose;
mod custom;
mod efi;
mod efi_entries;
mod error;
#[cfg(test)]
mod fake;
mod grub;
mod host;
mod noop;
mod numbers;
mod uboot;
mod warnings;

pub use crate::boot_programs::{ProgramEnd, ProgramOutput};
pub use atomix::{AtomixBoard, AtomixNamed, BoardCause};
pub use barebox::parse_state as parse_barebox_state;
pub use boot::{NamedBoot, NamedMark, NamedSlot};
pub use choose::{BoardKind, EnvRead, UbootChoice, choose_uboot};
pub use efi_entries::{EfiEntries, EfiEntry};
pub use error::{NamedError, NamedFailure};
pub use grub::parse_list as parse_grub_list;
pub use host::{NamedHost, PartitionDevice, RealHost};
pub use uboot::parse_printed as parse_fw_printenv;

use barebox::BareboxNamed;
use custom::CustomNamed;
use efi::EfiNamed;
use grub::GrubNamed;
use noop::NoopNamed;
use std::path::PathBuf;
use uboot::UbootNamed;

/// Boot attempts that RAUC's backends for U-Boot and barebox give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedAttempts {
    /// To a slot that is marked good.
    pub good: u64,
    /// To a slot that becomes primary.
    pub primary: u64,
}

/// Whether an EFI slot becomes primary for one boot, which has to prove itself, or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EfiActivation {
    /// By `BootNext`.
    BootNext,
    /// By the front of `BootOrder`.
    BootOrder,
}

/// A boot loader with its settings in `system.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedLoader {
    /// U-Boot, whose environment holds RAUC's variables only.
    Uboot(NamedAttempts),
    /// GRUB with the environment block in this file.
    Grub {
        /// The file.
        grubenv: PathBuf,
    },
    /// barebox.
    Barebox {
        /// Name of the state.
        state_name: Option<String>,
        /// Device tree file that describes it.
        dtb_path: Option<String>,
        /// Boot attempts.
        attempts: NamedAttempts,
        /// The kernel command line, by which barebox tells what it booted.
        cmdline: String,
    },
    /// UEFI firmware.
    Efi(EfiActivation),
    /// A script.
    Custom {
        /// The script.
        script: PathBuf,
    },
    /// None that could be told.
    Noop,
}

/// RAUC's backend for `loader`, with the slots that have a bootname, in their order.
#[must_use]
pub fn named_backend(
    loader: NamedLoader,
    slots: Vec<NamedSlot>,
    host: Box<dyn NamedHost>,
) -> Box<dyn NamedBoot> {
    match loader {
        NamedLoader::Uboot(attempts) => Box::new(UbootNamed::new(host, slots, attempts)),
        NamedLoader::Grub { grubenv } => Box::new(GrubNamed::new(host, slots, &grubenv)),
        NamedLoader::Barebox { state_name, dtb_path, attempts, cmdline } => {
            Box::new(BareboxNamed::new(host, slots, attempts, (state_name, dtb_path), &cmdline))
        }
        NamedLoader::Efi(activation) => Box::new(EfiNamed::new(host, slots, activation)),
        NamedLoader::Custom { script } => Box::new(CustomNamed::new(host, slots, &script)),
        NamedLoader::Noop => Box::new(NoopNamed::default()),
    }
}
