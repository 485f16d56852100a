// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod backends;
mod control;
mod dead_boots;
mod firmware_model;
mod flight_recorder;
#[path = "../../../uboot/tests/hush/mod.rs"]
#[allow(dead_code, reason = "the interpreter serves other tests too")]
mod hush;
mod leaving;
mod named_atomix;
mod named_tools;
mod selector_script;
mod transitions;
mod why;
