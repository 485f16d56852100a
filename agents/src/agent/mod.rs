// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop over all of it: ask, judge, look, judge again, install, restart, tell.

mod hands;

pub use hands::{HandError, Hands, InstallDone, InstallEnding, LookError, Stop, StoreDone, Watch};
