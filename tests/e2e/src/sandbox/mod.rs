// SPDX-License-Identifier: MIT OR Apache-2.0
//! U-Boot's sandbox: the real U-Boot as a Linux program, with what the emulated board lacks, SPI
//! NOR flash and a watchdog. It starts no kernel.

mod board;
mod run;

pub use board::{SANDBOX, SANDBOX_FRAGMENT, WATCHDOG};
pub use run::{Fault, Hardware, Repeated, Reset, Sandbox};
