// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real chain in an emulator: real U-Boot, a real kernel and real systemd around `atomix`.
//!
//! [`parts`] builds what the chain is made of, each part once, in a cache outside the checkout
//! ([`cache`]). [`board`] holds the emulated board's facts, in the same shape as a real one's.
//! [`qemu`] runs it, [`serial`] waits for what it says, [`guest`] runs commands inside it.
//! Nothing here is shipped, and nothing here decides what a device does.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, its programs are its work, its clock only measures"
)]

pub mod apt;
pub mod board;
pub mod cache;
pub mod crash_images;
pub mod guest;
pub mod machine;
pub mod parts;
pub mod program;
pub mod progress;
pub mod qemu;
pub mod serial;
pub mod wiring;
