// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does text reach a terminal that may be a serial console? As in the initrd's program.

pub use atomix_repart::{Folded, Tame, fit, one_line};
