// SPDX-License-Identifier: MIT OR Apache-2.0
//! The limits that `docs/parser-limits.md` states are kept by the inputs that were made to break
//! them: bombs, loops, lies about sizes, and as much as fits of whatever costs most.
//!
//! Memory is the most that the allocator had given out, beyond the input itself (and the copies of
//! it that a target makes). Time is the processor's, not the clock's, of an input and of one four
//! times as long: an effort that grows with the square would take sixteen times as much.

mod disks;
mod measure;
mod servers;
mod signatures;
mod squashfs;
mod texts;
