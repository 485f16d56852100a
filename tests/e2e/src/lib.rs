// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real chain in an emulator: real U-Boot, a real kernel and real systemd around `atomix`.
//!
//! [`parts`] builds what the chain is made of, each part once, in a cache outside the checkout
//! ([`cache`]). [`board`] holds the emulated board's facts, in the same shape as a real one's.
//! [`machine`] is what stays of it without power; [`qemu`] runs it, [`serial`] waits for what it
//! says, [`guest`] runs commands inside it. [`scenario`] gives a test such a board, ends it with
//! the same checks for all, and keeps its [`timeline`] and its [`measures`]; [`live`] is the board
//! in the test's hands.
//! Nothing here is shipped, and nothing here decides what a device does.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, its programs are its work, its clock only measures"
)]

pub mod agreement;
pub mod apt;
pub mod board;
pub mod cache;
pub mod components;
pub mod console;
pub mod crash_images;
pub mod guest;
pub mod live;
pub mod machine;
pub mod measures;
pub mod parts;
pub mod program;
pub mod progress;
pub mod python;
pub mod qemu;
pub mod sandbox;
pub mod scenario;
pub mod serial;
pub mod timeline;
pub mod vm;
pub mod wiring;
