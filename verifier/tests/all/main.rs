// SPDX-License-Identifier: MIT OR Apache-2.0
//! The judgement's tests from outside, in one program, which is linked once.
//!
//! `live` looks at processes and ports of the machine, and waits for them, in a program of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod judgement;
mod settings;
