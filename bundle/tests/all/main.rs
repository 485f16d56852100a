// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
//!
//! Programs of their own are `makers`, which starts itself anew with a token in its environment, and
//! `squashfs`, since a stack that is too small for it ends the whole program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod authority;
mod casync;
#[path = "../crafted_squashfs/mod.rs"]
mod crafted_squashfs;
mod create;
mod create_round_trip;
mod hostile_signatures;
mod hostile_squashfs;
mod judged_by_rauc;
mod manifest;
mod plain_words;
mod squashfs_write;
