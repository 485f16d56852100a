// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
//!
//! Tests that start programs run beside tests that write some: `World::script` says why that is safe.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod deltas;
mod failing_files;
mod install;
mod lost_environment;
mod plan;
mod polling;
mod power_cut;
mod programs;
mod rauc;
mod resume;
mod support;
mod system_conf;
mod system_install;
mod system_power_cut;
mod system_programs;
mod system_sealed;
mod system_sealed_deltas;
mod system_sealed_engine;
mod system_slot_status;
mod system_status;
mod system_trees;
mod system_view;
