// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config apply`: validated here, sent, and followed until the device's services are
//! healthy or the configuration before is back.

use super::DeviceError;
use super::files::read_upload;
use super::follow::{Following, conclude, follow};
use super::remote::{Credential, Remote};
use super::show::Show;
use crate::commands::config::{demand_valid, judge};
use crate::config_cli::ApplyArgs;
use crate::failure::Failure;
use crate::output::{Output, Style};
use config_api::client::{Call, DeviceAddress, parse_accepted};
use config_api::input::Discard;
use config_api::model::Config;
use std::net::IpAddr;
use std::time::Duration;

/// On top of what the configuration itself allows: going back takes as long as going there.
const MORE: Duration = Duration::from_secs(120);

pub(super) fn run(args: &ApplyArgs, out: &mut Output) -> Result<(), Failure> {
    let body = read_upload(&args.file)?;
    let read = judge(&args.file, &*body, &mut Discard::default())?;
    let (_, checked) = demand_valid(&args.file, read, "nothing was sent", out)?;
    if out.style == Style::Lines {
        out.warn_in_columns(&checked.warnings)?;
        out.warn_in_columns(&checked.notes)?;
    }
    let credential = Credential::of(&args.who)?;
    if args.confirm_within.is_some() && matches!(credential, Credential::Nobody) {
        return Err(DeviceError::ConfirmKey.into());
    }
    let id = args.place.device_id.as_deref();
    let mut remote = Remote::new(&args.place.device, id, credential)?;
    let moved = moved_to(args, &checked.config, &remote.address)?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let mut call = Call::submit(&name, body, args.confirm_within);
    call.if_match = args.if_match.as_ref().map(|tag| format!("\"{}\"", tag.trim_matches('"')));

    let mut show = Show::new(out);
    show.say("sending", &format!("sending {} bytes to {}", call.body.len(), remote.address));
    let answer = remote.ask(&call, 202, show.out.people)?;
    let accepted =
        parse_accepted(&answer.body).ok_or_else(|| remote.not_understood("a job", &answer))?;
    show.accepted(&accepted.job, &remote.address);
    if args.no_wait {
        show.finish();
        return Ok(());
    }
    let mut places = vec![remote.address.clone()];
    places.extend(moved.clone().filter(|place| *place != remote.address));
    let allowed = u64::from(checked.config.activation.timeout_seconds) * 2
        + u64::from(args.confirm_within.unwrap_or_default());
    let following = Following {
        job: accepted.job,
        places,
        confirm_at: moved,
        patience: Duration::from_secs(allowed) + MORE,
    };
    let ended = follow(&mut remote, &following, &mut show);
    show.finish();
    conclude(&ended?, &remote, out)
}

/// Where the device answers afterwards: as the operator says, or on its LAN. Who reaches it by a
/// name or through a tunnel goes on to do so, as far as we can know.
fn moved_to(
    args: &ApplyArgs,
    config: &Config,
    now: &DeviceAddress,
) -> Result<Option<DeviceAddress>, Failure> {
    if let Some(text) = &args.moves_to {
        let failed = |source| DeviceError::Address { text: text.clone(), source };
        return Ok(Some(DeviceAddress::parse(text).map_err(failed)?));
    }
    if !now.is_of_a_network() {
        return Ok(None);
    }
    let address = IpAddr::V4(config.lan.gateway.address());
    let text = address.to_string();
    let failed = |source| DeviceError::Address { text, source };
    Ok(Some(now.moved_to(address).map_err(failed)?))
}
