// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which page is answered? Decided from what is in force and from what was sent.

use super::assets::asset;
use super::configured::{busy, configured, failure};
use super::console::{Came, Rejected, refused, rejected, start};
use super::job;
use super::layout::Page;
use super::receive::{Lost, Received, look, receive};
use crate::http::job_task::{Task, begin};
use crate::http::listen::Peer;
use crate::http::routes_config::not_busy;
use crate::http::routes_jobs::{find, take_place};
use crate::http::upload;
use crate::http::{ApiError, App, events};
use crate::jobs::{JobId, ReportedFault};
use crate::protocol::{Grounds, Reply, Request as Ask, Source};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The pages; none of them is part of the described interface.
pub(in crate::http) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(first))
        .route("/apply", get(back).post(apply))
        .route("/ui/jobs/{job_id}", get(follow))
        .route("/ui/jobs/{job_id}/events", get(follow_events))
        .route("/assets/{name}", get(load))
}

/// Whether people look at this path, not programs.
pub(in crate::http) fn is_page(path: &str) -> bool {
    path == "/" || path == "/apply" || path.starts_with("/ui/")
}

/// An error as a page.
pub(in crate::http) fn refusal(error: &ApiError) -> Response {
    failure(error).into_response()
}

/// What a device shows to whoever comes.
async fn first(State(app): State<App>) -> Page {
    let device = app.settings().device.to_string();
    match app.in_force().await {
        Err(error) => failure(&error.into()),
        Ok(in_force) if in_force.current.provisioned => configured(&device),
        Ok(_) if app.running_job().is_some() => busy(&device),
        Ok(_) => start(&device),
    }
}

/// Who reloads the answer to a form, or types its address, wants the form.
async fn back() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
}

/// Why a form was not taken.
enum Refused {
    /// The device has a configuration.
    Configured,
    /// What was sent is not valid.
    Invalid(Received, Vec<ReportedFault>),
    /// Anything else; the text may be sent again.
    Error(Lost),
}

impl From<Lost> for Refused {
    fn from(lost: Lost) -> Self {
        Self::Error(lost)
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Error(error.into())
    }
}

async fn apply(State(app): State<App>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let device = app.settings().device.to_string();
    // An answer may be twelve times the text, and waits for its reader.
    let Ok(place) = app.forms().try_acquire_owned() else {
        let error = ApiError::too_many("too-many-forms", "too many send forms at once");
        upload::drain(&app, &parts, body).await;
        return refused(&device, &error, "").into_response();
    };
    let refused_for = match applied(&app, &parts, &mut body).await {
        Ok(job) => {
            let target = format!("/ui/jobs/{job}");
            return (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response();
        }
        Err(refused_for) => refused_for,
    };
    upload::drain(&app, &parts, body).await;
    let mut page = match refused_for {
        Refused::Configured => configured(&device),
        Refused::Invalid(received, faults) => invalid(&device, received, &faults).await,
        Refused::Error(Lost { error, text }) => refused(&device, &error, &text),
    };
    page.place = Some(place);
    page.into_response()
}

async fn applied(app: &App, parts: &Parts, body: &mut Body) -> Result<JobId, Refused> {
    if app.in_force().await.map_err(ApiError::from)?.current.provisioned {
        app.note_denial(Peer::of(parts).ip(), parts.uri.path(), "already-provisioned");
        return Err(Refused::Configured);
    }
    not_busy(app)?;
    let received = receive(app, parts, body).await?;
    let upload = received.spooled.upload.clone();
    let lost = |error| Lost { error, text: received.pasted.clone().unwrap_or_default() };
    // A job would tell of faults too, but there the text is gone; the helper judges it again then.
    let reply = app.helper().ask(Ask::Validate { upload: upload.clone() }).await;
    let reply = reply.map_err(|error| lost(error.into()))?;
    if let Reply::Invalid { faults } = reply {
        return Err(Refused::Invalid(received, faults));
    }
    if !matches!(reply, Reply::Valid { .. }) {
        return Err(lost(ApiError::from_reply(reply)).into());
    }
    let Received { spooled, pasted } = received;
    let task = Task {
        source: Source::Upload { upload },
        grounds: Grounds::FirstClaim,
        if_match: None,
        confirm_secs: None,
        spooled: Some(spooled),
    };
    let text = pasted.unwrap_or_default();
    begin(app, task).await.map_err(|error| Lost { error, text }.into())
}

async fn invalid(device: &str, received: Received, faults: &[ReportedFault]) -> Page {
    let Received { spooled, pasted } = received;
    if let Some(text) = pasted {
        return rejected(device, Rejected { faults, text: &text, came: Came::Pasted });
    }
    let seen = look(&spooled).await;
    let name = spooled.upload.file_name.as_str();
    let came = if seen.whole { Came::File(name) } else { Came::Bundle(name) };
    rejected(device, Rejected { faults, text: &seen.text, came })
}

async fn follow(State(app): State<App>, Path(id): Path<String>) -> Page {
    find(&app, &id).map_or_else(|error| failure(&error), |job| job::page(&job))
}

async fn follow_events(State(app): State<App>, Path(id): Path<String>) -> Response {
    let followed = find(&app, &id).and_then(|job| Ok((job.id, take_place(&app)?)));
    match followed {
        Ok((id, place)) => events::stream(&app, id, place, job::events),
        Err(error) => error.into_response(),
    }
}

async fn load(Path(name): Path<String>) -> Response {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "no-route", "no such path");
    asset(&name).unwrap_or_else(|| unknown().into_response())
}
