// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does our program do what RAUC's own tests ask of RAUC?
//!
//! RAUC's pytest suite comes from Debian's source package ([`suite`]), runs in namespaces of its
//! own against any program that takes RAUC's place ([`shard`]), and what passed is compared with
//! what the real program of that version passes on the same machine ([`verdict`]). Which tests the
//! real one fails only for lack of the device mapper and of network block devices is known from
//! a run in user-mode Linux, which has both ([`uml`]).
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, and those of the checkout that it makes anew"
)]

pub mod cli;
pub mod outcome;
pub mod run;
pub mod shard;
pub mod suite;
pub mod uml;
pub mod verdict;
