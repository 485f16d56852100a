// SPDX-License-Identifier: MIT OR Apache-2.0
//! One part of the configuration, changed. Everything that is wrong with the result is told at
//! once, before there is a job; the job then validates again.

use super::admit::{Unsigned, admit, confirm_within, if_match};
use super::described::{ChangeAnswers, RemovalAnswers, SignedChange, SignedRemoval};
use super::job_task::{Task, begin};
use super::routes_config::{accepted, not_busy, refuse};
use super::{ApiError, App, upload};
use crate::jobs::{JobId, ReportedFault};
use crate::protocol::{
    Change, ContainerBody, FirewallPatch, ItemName, NetworkBody, NetworkPatch, Reply,
    Request as Ask, Source, UserBody, VolumeBody,
};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;

/// Makes a change of a request's name and body.
type Make<'m> = &'m (dyn Fn(&[u8]) -> Result<Change, ApiError> + Send + Sync);

async fn change(app: App, request: Request, make: Make<'_>) -> Response {
    let (parts, mut body) = request.into_parts();
    match changed(&app, &parts, &mut body, make).await {
        Ok(job) => accepted(job),
        Err(error) => refuse(&app, &parts, body, error).await,
    }
}

async fn changed(
    app: &App,
    parts: &Parts,
    body: &mut Body,
    make: Make<'_>,
) -> Result<JobId, ApiError> {
    let admitted = admit(app, parts, Unsigned::Never).await?;
    let (if_match, confirm_secs) = (if_match(parts)?, confirm_within(parts)?);
    not_busy(app)?;
    let content = if parts.method == axum::http::Method::DELETE {
        Vec::new()
    } else {
        is_json(parts)?;
        upload::small(parts, body, &admitted).await?
    };
    let change = make(&content)?;
    // The helper reads the signed request itself; both must see the same change.
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if Change::of_request(parts.method.as_str(), target, &content).as_ref() != Some(&change) {
        let problem = "write the name in the path as it is, without escapes";
        return Err(ApiError::bad_request("target", problem));
    }
    let ask = Ask::Check { change: change.clone(), if_match: if_match.clone() };
    let reply = app.helper().ask(ask).await?;
    if !matches!(reply, Reply::Valid { .. }) {
        return Err(ApiError::from_reply(reply));
    }
    let body = String::from_utf8(content)
        .map_err(|_| ApiError::bad_request("not-json", "the body is no JSON"))?;
    let source = Source::Change { body };
    let grounds = admitted.grounds;
    begin(app, Task { source, grounds, if_match, confirm_secs, spooled: None }).await
}

fn is_json(parts: &Parts) -> Result<(), ApiError> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ApiError::new(status, "not-json", "send application/json"))
}

fn named(text: &str) -> Result<ItemName, ApiError> {
    ItemName::new(text).ok_or_else(|| {
        ApiError::invalid(vec![ReportedFault {
            path: "name".to_owned(),
            problem: "1 to 64 letters, digits, `_` and `-`".to_owned(),
            ..ReportedFault::default()
        }])
    })
}

fn parse_body<T: DeserializeOwned>(content: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(content).map_err(|error| {
        let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        if error.is_syntax() || error.is_eof() {
            return ApiError::bad_request("not-json", "the body is no JSON");
        }
        ApiError::invalid(vec![ReportedFault {
            line: place(error.line()),
            column: place(error.column()),
            problem: error.to_string(),
            ..ReportedFault::default()
        }])
    })
}

/// Set a user.
#[utoipa::path(
    put, path = "/api/config/users/{name}", operation_id = "configUsersPut", tag = "config",
    request_body = UserBody,
    params(("name" = String, Path, description = "Its name"), SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn put_user(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make =
        |content: &[u8]| Ok(Change::PutUser { name: named(&name)?, body: parse_body(content)? });
    change(app, request, &make).await
}

/// Remove a user.
#[utoipa::path(
    delete, path = "/api/config/users/{name}", operation_id = "configUsersDelete", tag = "config",
    params(("name" = String, Path, description = "Its name"), SignedRemoval),
    responses(RemovalAnswers)
)]
pub(super) async fn delete_user(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |_: &[u8]| Ok(Change::DeleteUser { name: named(&name)? });
    change(app, request, &make).await
}

/// Change keys of `[network]`: tables are merged, lists replaced, `null` removes a key.
#[utoipa::path(
    patch, path = "/api/config/network", operation_id = "configNetworkPatch", tag = "config",
    request_body = NetworkPatch,
    params(SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn patch_network(State(app): State<App>, request: Request) -> Response {
    let make = |content: &[u8]| Ok(Change::PatchNetwork { body: parse_body(content)? });
    change(app, request, &make).await
}

/// Set the open ports as a whole.
#[utoipa::path(
    put, path = "/api/config/firewall", operation_id = "configFirewallPut", tag = "config",
    request_body = FirewallPatch,
    params(SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn put_firewall(State(app): State<App>, request: Request) -> Response {
    let make = |content: &[u8]| Ok(Change::PutFirewall { body: parse_body(content)? });
    change(app, request, &make).await
}

/// Set a container.
#[utoipa::path(
    put, path = "/api/config/containers/{name}", operation_id = "configContainersPut", tag = "config",
    request_body = ContainerBody,
    params(("name" = String, Path, description = "Its name"), SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn put_container(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |content: &[u8]| {
        Ok(Change::PutContainer { name: named(&name)?, body: parse_body(content)? })
    };
    change(app, request, &make).await
}

/// Remove a container.
#[utoipa::path(
    delete, path = "/api/config/containers/{name}", operation_id = "configContainersDelete", tag = "config",
    params(("name" = String, Path, description = "Its name"), SignedRemoval),
    responses(RemovalAnswers)
)]
pub(super) async fn delete_container(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |_: &[u8]| Ok(Change::DeleteContainer { name: named(&name)? });
    change(app, request, &make).await
}

/// Set a network of containers.
#[utoipa::path(
    put, path = "/api/config/container-networks/{name}", operation_id = "configContainerNetworksPut", tag = "config",
    request_body = NetworkBody,
    params(("name" = String, Path, description = "Its name"), SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn put_container_network(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |content: &[u8]| {
        Ok(Change::PutContainerNetwork { name: named(&name)?, body: parse_body(content)? })
    };
    change(app, request, &make).await
}

/// Remove a network of containers.
#[utoipa::path(
    delete, path = "/api/config/container-networks/{name}", operation_id = "configContainerNetworksDelete", tag = "config",
    params(("name" = String, Path, description = "Its name"), SignedRemoval),
    responses(RemovalAnswers)
)]
pub(super) async fn delete_container_network(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |_: &[u8]| Ok(Change::DeleteContainerNetwork { name: named(&name)? });
    change(app, request, &make).await
}

/// Set a volume of containers.
#[utoipa::path(
    put, path = "/api/config/container-volumes/{name}", operation_id = "configContainerVolumesPut", tag = "config",
    request_body = VolumeBody,
    params(("name" = String, Path, description = "Its name"), SignedChange),
    responses(ChangeAnswers)
)]
pub(super) async fn put_container_volume(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |content: &[u8]| {
        Ok(Change::PutContainerVolume { name: named(&name)?, body: parse_body(content)? })
    };
    change(app, request, &make).await
}

/// Remove a volume of containers.
#[utoipa::path(
    delete, path = "/api/config/container-volumes/{name}", operation_id = "configContainerVolumesDelete", tag = "config",
    params(("name" = String, Path, description = "Its name"), SignedRemoval),
    responses(RemovalAnswers)
)]
pub(super) async fn delete_container_volume(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let make = |_: &[u8]| Ok(Change::DeleteContainerVolume { name: named(&name)? });
    change(app, request, &make).await
}
