// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix rescue`: what does the technician at the serial line need?

use crate::cli::RescueArgs;
use crate::commands::status;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Serves the technician on this device.
///
/// # Errors
/// [`Failure`] of what was asked for.
pub fn run(context: &Context, _args: &RescueArgs, out: &mut Output) -> Result<(), Failure> {
    status::run(context, out)
}
