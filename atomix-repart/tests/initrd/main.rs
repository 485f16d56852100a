// SPDX-License-Identifier: MIT OR Apache-2.0
//! The initrd's program over a board in memory: both halves of the first boot, resets of data,
//! power cuts in each of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod first_boot;
mod program;
mod reset;
mod rig;
