// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod bad_input_docs;
mod mutual_tls;
mod rendered_settings;
mod report;
mod report_agrees;
mod report_docs;
mod report_sent;
mod report_signed;
mod report_support;
