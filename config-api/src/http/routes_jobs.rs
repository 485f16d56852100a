// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of a change? Whoever knows a job's name may look: it cannot be guessed, and the
//! page that sent the change has no key.

use super::admit::{Unsigned, admit};
use super::described::Signed;
use super::{ApiError, App, ErrorBody, events};
use crate::jobs::{Job, JobId};
use crate::protocol::{Reply, Request as Ask};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

/// It is done.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DoneBody {
    /// `true`.
    ok: bool,
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "job-unknown", "no such job")
}

pub(super) fn find(app: &App, id: &str) -> Result<Job, ApiError> {
    JobId::parse(id).and_then(|id| app.job(&id)).ok_or_else(unknown)
}

/// One of the few places of those who follow a job.
pub(super) fn take_place(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    app.watchers()
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many("too-many-watchers", "too many follow jobs already"))
}

/// Look at a job.
#[utoipa::path(
    get, path = "/api/jobs/{job_id}", operation_id = "jobsGet", tag = "jobs",
    params(("job_id" = String, Path, format = "uuid", description = "The job")),
    responses(
        (status = 200, body = Job), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(find(&app, &id)?))
}

/// Follow a job: an event `job` with the whole job at each change, and a last one, `done`.
#[utoipa::path(
    get, path = "/api/jobs/{job_id}/events", operation_id = "jobsEvents", tag = "jobs",
    params(("job_id" = String, Path, format = "uuid", description = "The job")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 429, body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&app, &id)?;
    let place = take_place(&app)?;
    Ok(events::stream(&app, job.id, place, events::whole_job))
}

/// Confirm that the device can be reached after a change that waits for it.
#[utoipa::path(
    post, path = "/api/jobs/{job_id}/confirm", operation_id = "jobsConfirm", tag = "jobs",
    params(("job_id" = String, Path, format = "uuid", description = "The job"), Signed),
    responses(
        (status = 200, body = DoneBody), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn confirm(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<DoneBody>, ApiError> {
    let (parts, _) = request.into_parts();
    let admitted = admit(&app, &parts, Unsigned::Never).await?;
    let job = find(&app, &id)?.id;
    let reply = app.helper().ask(Ask::Confirm { job, grounds: admitted.grounds }).await?;
    if reply == Reply::Done {
        Ok(Json(DoneBody { ok: true }))
    } else {
        Err(ApiError::from_reply(reply))
    }
}
