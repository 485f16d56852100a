// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole story on a virtual board.

use crate::cli::DemoArgs;
use crate::context::Now;
use crate::failure::Failure;
use crate::output::Output;

/// Tells the story.
///
/// # Errors
/// [`Failure`].
pub fn run(_args: &DemoArgs, _now: Now, _out: &mut Output) -> Result<(), Failure> {
    Ok(())
}
