// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc status`, and its verbs that mark slots: everything through the service.

use crate::rauc::client::Client;
use crate::rauc::error::RaucError;
use crate::rauc::output::Streams;
use crate::rauc::session::Session;
use crate::rauc::status_text::{Detail, StatusFormat, render};
use std::ffi::OsString;

/// Shows the system or marks a slot.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn run(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let retrieving =
        |cause| RaucError::refused(format!("Error retrieving slot status via D-Bus: {cause}"));
    let words = &session.request.words;
    let client = match words.first() {
        None => Client::connect(&session.env),
        Some(_) => Client::connect_to_mark(&session.env),
    };
    let client = client.map_err(|cause| retrieving(format!("error creating proxy: {cause}")))?;
    // RAUC asks for the whole status before it marks; a mark needs none of it.
    let Some(verb) = words.first() else {
        let view = client.status(&mut |line| out.warn(line)).map_err(retrieving)?;
        return show(session, &view, out);
    };
    let identifier = match words.get(1..).unwrap_or_default() {
        [] => "booted".to_owned(),
        [identifier] => identifier.to_string_lossy().into_owned(),
        _ => return Err(RaucError::refused("Too many arguments")),
    };
    let state = state_of(verb).ok_or_else(|| {
        RaucError::refused(format!("unknown subcommand {}", verb.to_string_lossy()))
    })?;
    let marked = client.call("Mark", &(state, identifier));
    // No line more than RAUC's: who marks slots is mostly a script, and compares all of it. The way
    // out stands in the service's log, and in its property.
    let (_, message): (String, String) =
        marked.map_err(|cause| RaucError::refused(format!("rauc mark: {cause}")))?;
    out.print(&format!("rauc status: {message}"));
    Ok(())
}

fn state_of(verb: &OsString) -> Option<&'static str> {
    match verb.to_str()? {
        "mark-good" => Some("good"),
        "mark-bad" => Some("bad"),
        "mark-active" => Some("active"),
        _ => None,
    }
}

fn show(
    session: &Session,
    view: &crate::rauc::status_view::StatusView,
    out: &mut Streams<'_>,
) -> Result<(), RaucError> {
    let given = &session.request.given;
    let name = given.text("output-format").unwrap_or_else(|| "readable".to_owned());
    let format = StatusFormat::from_name(&name)
        .ok_or_else(|| RaucError::refused(format!("Unknown output format: '{name}'")))?;
    let detail = if given.has("detailed") { Detail::Full } else { Detail::Short };
    out.print(&render(view, format, detail, session.env.is_utf8));
    Ok(())
}
