// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs of `atomix config` that speak with a device over its config API, from a laptop: what
//! is asked is decided in `config_api::client`, the connection is `bundle`'s, the signature
//! `ssh-keygen`'s.

mod apply;
mod diff;
mod error;
mod export;
pub(super) mod files;
mod follow;
mod job;
mod offline;
mod remote;
mod show;
mod signing;

pub use error::DeviceError;

use crate::config_cli::ConfigCommand;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Runs a verb that speaks with a device, or with none; nothing for those that are about the
/// device this runs on.
pub fn run(command: &ConfigCommand, out: &mut Output) -> Option<Result<(), Failure>> {
    match command {
        ConfigCommand::Export { device, out: file, tree } => {
            let address = device.device.as_deref()?;
            let places = export::Places { file: file.as_deref(), tree: tree.as_deref() };
            Some(export::from_device(address, device, &places, out))
        }
        ConfigCommand::RequestNonce { device } => Some(offline::request_nonce(device, out)),
        ConfigCommand::Sign(args) => Some(offline::sign(args, out)),
        ConfigCommand::Diff { file, after: Some(after), .. } => {
            Some(diff::of_files(file, after, out))
        }
        ConfigCommand::Diff { file, after: None, device } => {
            let address = device.device.as_deref()?;
            Some(diff::with_device(file, address, device, out))
        }
        ConfigCommand::Apply(args) => Some(apply::run(args, out)),
        ConfigCommand::Job { job, device } => Some(job::look(job, device, out)),
        ConfigCommand::Confirm { job, device, who } => Some(job::confirm(job, device, who, out)),
        ConfigCommand::Validate { .. }
        | ConfigCommand::Render { .. }
        | ConfigCommand::LanRange(_)
        | ConfigCommand::Audit => None,
    }
}

/// Runs a verb on the device this runs on.
///
/// # Errors
/// [`Failure`].
pub fn run_here(
    context: &Context,
    command: &ConfigCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Export { out: file, tree, .. } => {
            let places = export::Places { file: file.as_deref(), tree: tree.as_deref() };
            export::from_here(context, &places, out)
        }
        ConfigCommand::Diff { file, .. } => diff::with_here(file, context, out),
        ConfigCommand::RequestNonce { .. }
        | ConfigCommand::Apply(_)
        | ConfigCommand::Job { .. }
        | ConfigCommand::Confirm { .. }
        | ConfigCommand::Sign(_)
        | ConfigCommand::Validate { .. }
        | ConfigCommand::Render { .. }
        | ConfigCommand::LanRange(_)
        | ConfigCommand::Audit => Ok(()),
    }
}
