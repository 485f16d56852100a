// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config request-nonce` and `sign`: the two halves of a signature when the key is on a
//! machine without a device, and the device beside one without a key.

use super::files::{read_text, read_upload};
use super::remote::{Credential, Remote, device_id_of};
use super::{DeviceError, signing};
use crate::config_cli::{PlaceArgs, SignArgs};
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::signals::StopRequest;
use config_api::client::{Call, IssuedNonce, Method, parse_request_file};
use serde::Serialize;
use serde_json::json;

/// A nonce, version 1.
#[derive(Serialize)]
struct NonceView<'v> {
    version: u8,
    nonce: &'v str,
    device: &'v str,
    expires_in_seconds: u64,
}

pub(super) fn request_nonce(args: &PlaceArgs, out: &mut Output) -> Result<(), Failure> {
    let remote = Remote::new(&args.device, args.device_id.as_deref(), Credential::Nobody)?;
    let issued = remote.nonce()?;
    let view = NonceView {
        version: 1,
        nonce: &issued.nonce,
        device: issued.device.as_str(),
        expires_in_seconds: issued.expires_in_seconds,
    };
    out.answer(&view, |lines, view| {
        writeln!(lines, "nonce: {}", view.nonce)?;
        writeln!(lines, "device: {}", view.device)?;
        writeln!(lines, "expires-in-seconds: {}", view.expires_in_seconds)
    })
}

pub(super) fn sign(args: &SignArgs, out: &mut Output) -> Result<(), Failure> {
    let issued = issued(args)?;
    let call = call_of(args)?;
    let message = call.message(&issued.device, &issued.nonce).ok_or(DeviceError::Unsignable)?;
    let stop = StopRequest::listen();
    let armored = signing::sign(&args.ssh_key, &message, out.people, &|| stop.by())?;
    let signed = call.signed(&issued.nonce, &armored);
    let headers: serde_json::Map<_, _> =
        signed.headers().iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let view = json!({
        "version": 1,
        "method": call.method.name(),
        "target": call.target,
        "device": issued.device.as_str(),
        "headers": headers,
    });
    if out.style == Style::Lines {
        let (method, target) = (call.method.name(), &call.target);
        writeln!(out.people, "signed for device {}: {method} {target}", issued.device)?;
    }
    out.answer(&view, |lines, _| write!(lines, "{signed}"))
}

fn issued(args: &SignArgs) -> Result<IssuedNonce, Failure> {
    if let Some(path) = &args.request {
        let text = read_text(path)?;
        let failed = |source| DeviceError::Request { path: path.clone(), source };
        return Ok(parse_request_file(&text).map_err(failed)?);
    }
    // The grammar wants both where there is no file.
    let nonce = args.nonce.clone().unwrap_or_default();
    let device = device_id_of(args.device_id.as_deref().unwrap_or_default())?;
    let text = format!("nonce: {nonce}\ndevice: {device}\n");
    Ok(parse_request_file(&text).map_err(|_| DeviceError::Nonce)?)
}

fn call_of(args: &SignArgs) -> Result<Call, Failure> {
    let target = args.target.as_deref();
    let mut call = match &args.file {
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Call::with_file(target.unwrap_or("/api/config"), &name, read_upload(path)?)
        }
        None => {
            let target = target.unwrap_or_default();
            let changes = target.ends_with("/confirm");
            Call::new(if changes { Method::Post } else { Method::Get }, target)
        }
    };
    match args.method.as_deref() {
        Some("GET") => call.method = Method::Get,
        Some("POST") => call.method = Method::Post,
        Some(_) | None => {}
    }
    call.if_match = args.if_match.as_ref().map(|tag| format!("\"{}\"", tag.trim_matches('"')));
    Ok(call)
}
