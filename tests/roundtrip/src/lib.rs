// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does what one program makes work in the other, and do RAUC's clients and stores work with ours?
//!
//! Each judge runs against any program that takes RAUC's place; without one the real RAUC is its
//! own peer, which proves the rig. All of it happens in namespaces of its own ([`space`]), on a
//! device ([`device`]) whose slots are files.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, and its programs are the judges"
)]

pub mod agent;
pub mod cases;
pub mod cli;
#[path = "../../../atomix/tests/cli_board/mod.rs"]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the board of other tests: it may end where it stands"
)]
mod cli_board;
pub mod daemon;
pub mod deltas;
pub mod device;
pub mod floor;
pub mod goosebit;
pub mod hawkbit;
pub mod hostile;
pub mod house;
pub mod keys;
pub mod matrix;
pub mod measures;
pub mod nginx;
pub mod peers;
pub mod run;
pub mod slots;
pub mod space;
pub mod stores;
pub mod tricks;
pub mod usage;
