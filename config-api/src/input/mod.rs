// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the operator hand over: a `config.toml`, or a bundle of it and of `files/`?

mod payload;

pub use payload::{Member, Payload};
