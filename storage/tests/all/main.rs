// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
//!
//! `past_the_cache` counts what its process fetched from media, and so has one of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod conformance;
mod crash;
mod cut_points;
mod files;
mod lock_file;
