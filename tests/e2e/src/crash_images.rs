// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a board hold after a power cut at any moment of a recorded run?
//!
//! A killed emulator loses no write that it has completed, so cutting it off shows less than a
//! real power cut. Here a run is recorded instead: [`WriteLog`] is what the emulator logged of
//! disk and card together, [`plan_cuts`] chooses moments, [`CrashImages`] makes of each what may
//! be left, and [`Judge`] looks at it with our own readers. All of it works on bytes at offsets;
//! no image is copied before it is booted.
//!
//! The disk has a write cache: what was written since its last flush may be lost or torn at a
//! sector's edge, each write for itself. The card has none: its sectors are there one by one, in
//! the order in which they were written.

mod content;
mod cuts;
mod extents;
mod image;
mod judge;
mod write_log;

pub use content::{Content, LateBlock};
pub use cuts::{CrashImages, Cut, Effort, plan_cuts};
pub use image::{CrashImage, join};
pub use judge::{Judge, Verdict};
pub use write_log::{Act, LogCounts, WriteLog};
