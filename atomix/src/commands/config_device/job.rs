// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config job` and `confirm`: a change that was begun earlier, or by somebody else.

use super::DeviceError;
use super::follow::{Following, conclude, follow};
use super::remote::{Credential, Remote};
use super::show::Show;
use crate::config_cli::{PlaceArgs, WhoArgs};
use crate::failure::Failure;
use crate::output::Output;
use config_api::client::Call;
use config_api::jobs::JobId;
use std::time::Duration;

/// A device that is looked for on its own is looked for this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn job_of(text: &str) -> Result<JobId, DeviceError> {
    JobId::parse(text).ok_or_else(|| DeviceError::Job { text: text.to_owned() })
}

pub(super) fn look(job: &str, device: &PlaceArgs, out: &mut Output) -> Result<(), Failure> {
    let job = job_of(job)?;
    let id = device.device_id.as_deref();
    let mut remote = Remote::new(&device.device, id, Credential::Nobody)?;
    let places = vec![remote.address.clone()];
    let following = Following { job, places, confirm_at: None, patience: PATIENCE };
    let mut show = Show::new(out);
    let ended = follow(&mut remote, &following, &mut show);
    show.finish();
    conclude(&ended?, &remote, out)
}

pub(super) fn confirm(
    job: &str,
    device: &PlaceArgs,
    who: &WhoArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let job = job_of(job)?;
    let id = device.device_id.as_deref();
    let remote = Remote::new(&device.device, id, Credential::of(who)?)?;
    remote.ask(&Call::confirm(&job), 200, out.people)?;
    out.done(&format!("job {job} is confirmed"))
}
