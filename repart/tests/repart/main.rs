// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crate from outside: real tools as judges, power cuts at every write, hostile bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod disk;
mod fat;
mod first_boot;
mod hostile;
mod judges;
mod kernel;
mod planner;
mod power_cut;
mod reset;
mod superblocks;
mod table;
