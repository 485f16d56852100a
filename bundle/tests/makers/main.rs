// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makers of bundles do with them, with the real `rauc` and `openssl` as judges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod content;
mod crypt;
mod rewrite;
mod tokens;
mod workshop;
