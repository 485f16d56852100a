// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration as a whole: taken, validated, handed out.

use super::admit::{Unsigned, admit, confirm_within, if_match};
use super::described::ConfirmWithin;
use super::described::Signed;
use super::job_task::{Task, begin};
use super::upload::Purpose;
use super::{ApiError, App, ErrorBody, upload};
use crate::jobs::JobId;
use crate::protocol::{Grounds, Reply, Request as Ask, Source};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A `config.toml` or an archive, as bytes: makers of clients know `binary`, not a list of numbers.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "stands for a body that is streamed")]
struct UploadBody(Vec<u8>);

/// A change was accepted.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmittedBody {
    /// The job that tells of it.
    #[schema(value_type = String, format = "uuid")]
    job_id: JobId,
    /// `submitted`.
    state: &'static str,
    /// Where the job is told of.
    job_url: String,
}

/// The configuration is valid.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidationBody {
    /// `true`.
    ok: bool,
    /// What may surprise.
    warnings: Vec<String>,
}

/// The configuration in force.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CurrentBody {
    /// Its tag, for `If-Match`.
    etag: String,
    /// The keys of its `config.toml`.
    #[schema(value_type = Object)]
    config: serde_json::Value,
}

/// The answer to an accepted change.
pub(super) fn accepted(job_id: JobId) -> Response {
    let job_url = format!("/api/jobs/{job_id}");
    let location = HeaderValue::from_str(&job_url);
    let body = SubmittedBody { job_id, state: "submitted", job_url };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Apply a configuration: a `config.toml`, or a tar archive with `files/`.
///
/// While the device has no configuration, whoever comes first may. Afterwards an administrator's
/// signature is needed. Whether the configuration is valid is told by the job.
#[utoipa::path(
    post, path = "/api/config", operation_id = "configSubmit", tag = "config",
    request_body(content = inline(UploadBody), content_type = "application/octet-stream"),
    params(
        ConfirmWithin,
        ("x-config-filename" = Option<String>, Header, description = "Tells the kind of file"),
        ("if-match" = Option<String>, Header, description = "Only if this is in force"),
        ("x-atomixos-nonce" = Option<String>, Header, description = "From /api/nonce"),
        ("x-atomixos-signature" = Option<String>, Header, description = "Armored, in base64"),
        ("x-atomixos-sha256" = Option<String>, Header, description = "The body's SHA-256"),
    ),
    responses(
        (status = 202, body = SubmittedBody, headers(("location" = String))),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 408, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 411, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 429, body = ErrorBody), (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn submit(State(app): State<App>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    match submitted(&app, &parts, &mut body).await {
        Ok(job) => accepted(job),
        Err(error) => refuse(&app, &parts, body, error).await,
    }
}

async fn submitted(app: &App, parts: &Parts, body: &mut Body) -> Result<JobId, ApiError> {
    let admitted = admit(app, parts, Unsigned::WhileUnclaimed).await?;
    let (if_match, confirm_secs) = (if_match(parts)?, confirm_within(parts)?);
    not_busy(app)?;
    let spooled = upload::spool(app, parts, body, &admitted, Purpose::Change).await?;
    let source = Source::Upload { upload: spooled.upload.clone() };
    let spooled = Some(spooled);
    let grounds = admitted.grounds;
    begin(app, Task { source, grounds, if_match, confirm_secs, spooled }).await
}

/// Whatever is under way: told before a body is read for nothing.
pub(super) fn not_busy(app: &App) -> Result<(), ApiError> {
    match app.running_job() {
        Some(running) => Err(crate::jobs::JobError::Busy { running }.into()),
        None => Ok(()),
    }
}

/// An error, once the rest of the body is read away.
pub(super) async fn refuse(app: &App, parts: &Parts, body: Body, error: ApiError) -> Response {
    upload::drain(app, parts, body).await;
    error.into_response()
}

/// Validate a configuration without applying it.
#[utoipa::path(
    post, path = "/api/validate", operation_id = "configValidate", tag = "config",
    request_body(content = inline(UploadBody), content_type = "application/octet-stream"),
    params(
        ("x-config-filename" = Option<String>, Header, description = "Tells the kind of file"),
        ("x-atomixos-nonce" = Option<String>, Header, description = "From /api/nonce"),
        ("x-atomixos-signature" = Option<String>, Header, description = "Armored, in base64"),
        ("x-atomixos-sha256" = Option<String>, Header, description = "The body's SHA-256"),
    ),
    responses(
        (status = 200, body = ValidationBody),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 408, body = ErrorBody),
        (status = 411, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "Everything that is wrong with it"),
        (status = 429, body = ErrorBody), (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn validate(State(app): State<App>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    match validated(&app, &parts, &mut body).await {
        Ok(body) => Json(body).into_response(),
        Err(error) => refuse(&app, &parts, body, error).await,
    }
}

async fn validated(app: &App, parts: &Parts, body: &mut Body) -> Result<ValidationBody, ApiError> {
    let admitted = admit(app, parts, Unsigned::WhileUnclaimed).await?;
    let spooled = upload::spool(app, parts, body, &admitted, Purpose::Validation).await?;
    let reply = app.helper().ask(Ask::Validate { upload: spooled.upload.clone() }).await?;
    if let Reply::Valid { warnings } = reply {
        return Ok(ValidationBody { ok: true, warnings });
    }
    Err(ApiError::from_reply(reply))
}

async fn exported(app: &App, grounds: Grounds) -> Result<(Vec<u8>, String), ApiError> {
    let answer = app.helper().export(Ask::Export { grounds }).await?;
    answer.map_err(ApiError::from_reply)
}

/// The tag as a header, where it can stand in one.
fn tagged(mut response: Response, etag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// Download the `config.toml` in force, byte for byte.
#[utoipa::path(
    get, path = "/api/config/export", operation_id = "configExport", tag = "config",
    params(Signed),
    responses(
        (status = 200, content_type = "application/toml", body = String,
         headers(("etag" = String))),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn export(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let admitted = admit(&app, &parts, Unsigned::Never).await?;
    let (text, etag) = exported(&app, admitted.grounds).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/toml"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"config.toml\""),
    ];
    Ok(tagged((headers, text).into_response(), &etag))
}

/// Read the configuration in force as JSON.
#[utoipa::path(
    get, path = "/api/config/current", operation_id = "configCurrent", tag = "config",
    params(Signed),
    responses(
        (status = 200, body = CurrentBody, headers(("etag" = String))),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn current(
    State(app): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let admitted = admit(&app, &parts, Unsigned::Never).await?;
    let (text, etag) = exported(&app, admitted.grounds).await?;
    let config = str::from_utf8(&text).ok().and_then(|text| toml::from_str(text).ok());
    let config = config.ok_or_else(|| ApiError::internal("the configuration cannot be read"))?;
    let body = CurrentBody { etag: etag.clone(), config };
    Ok(tagged(Json(body).into_response(), &etag))
}
