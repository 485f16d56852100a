// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
//!
//! Programs of their own are `address`, which listens on a port that was free a moment ago, `load`,
//! which measures the memory of its process, and `browser`, a step of the suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[cfg(target_os = "linux")]
mod bench;
mod bundles;
#[path = "../../../verifier/tests/bus/mod.rs"]
mod bus;
mod deviations;
mod device;
#[cfg(all(target_os = "linux", feature = "server"))]
#[path = "../door/mod.rs"]
mod door;
#[cfg(target_os = "linux")]
#[path = "../fake/mod.rs"]
mod fake;
mod fixtures;
mod generated;
mod harmless;
mod helper;
mod helper_attacks;
mod http;
mod jobs;
mod live;
mod one_model;
mod openapi;
mod os_upgrade;
mod pages;
mod properties;
mod quadlet_attacks;
mod site;
#[path = "../ssh/mod.rs"]
mod ssh;
mod ssh_signatures;
mod stand_in;
mod sticks;
mod typed_changes;
mod units;
