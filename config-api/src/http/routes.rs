// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which paths are there? Each route stands here once, with its handler, and its description comes
//! from the handler: one without a description does not compile.

use super::admit::admit_host;
use super::listen::Peer;
use super::{ApiError, App, pages, routes_change, routes_config, routes_jobs, upload};
use crate::auth::{ClientKey, NONCE_TTL_SECS, Nonce};
use crate::protocol::{Reply, Request as Ask};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// That the service answers.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthBody {
    /// `ok`.
    status: &'static str,
}

/// A nonce for one request.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NonceBody {
    /// The nonce.
    nonce: String,
    /// The device that the signature has to name.
    device: String,
    /// How long the nonce is good for.
    expires_in_seconds: u64,
}

/// The service answers.
#[utoipa::path(
    get, path = "/api/health", operation_id = "systemHealth", tag = "system",
    responses((status = 200, body = HealthBody))
)]
async fn health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Get a nonce, which one signed request uses up.
#[utoipa::path(
    get, path = "/api/nonce", operation_id = "authIssueNonce", tag = "auth",
    responses(
        (status = 200, body = NonceBody),
        (status = 429, body = super::ErrorBody, description = "Too many are pending"),
        (status = 500, body = super::ErrorBody), (status = 503, body = super::ErrorBody),
    )
)]
async fn nonce(State(app): State<App>, request: Request) -> Result<Json<NonceBody>, ApiError> {
    let (parts, _) = request.into_parts();
    let client = ClientKey::of(Peer::of(&parts).ip());
    // The helper is asked only for a client that may have one: nobody floods root's process.
    app.nonces().admit(client, app.now())?;
    let Reply::Nonce { nonce } = app.helper().ask(Ask::Nonce {}).await? else {
        return Err(ApiError::internal("the helper answered something else"));
    };
    let nonce = Nonce::parse(&nonce).ok_or_else(|| ApiError::internal("no nonce"))?;
    let nonce = app.nonces().issue(client, nonce.bytes(), app.now())?;
    Ok(Json(NonceBody {
        nonce: nonce.to_string(),
        device: app.settings().device.to_string(),
        expires_in_seconds: NONCE_TTL_SECS,
    }))
}

/// The paths with their descriptions.
pub(super) fn described() -> (Router<App>, OpenApi) {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(nonce))
        .routes(routes!(routes_config::submit))
        .routes(routes!(routes_config::validate))
        .routes(routes!(routes_config::export))
        .routes(routes!(routes_config::current))
        .routes(routes!(routes_change::put_user, routes_change::delete_user))
        .routes(routes!(routes_change::patch_network))
        .routes(routes!(routes_change::put_firewall))
        .routes(routes!(routes_change::put_container, routes_change::delete_container))
        .routes(routes!(
            routes_change::put_container_network,
            routes_change::delete_container_network
        ))
        .routes(routes!(
            routes_change::put_container_volume,
            routes_change::delete_container_volume
        ))
        .routes(routes!(routes_jobs::get))
        .routes(routes!(routes_jobs::events))
        .routes(routes!(routes_jobs::confirm))
        .routes(routes!(openapi))
        .split_for_parts()
}

/// The description of this interface.
#[utoipa::path(
    get, path = "/schema/openapi.json", operation_id = "openapi", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn openapi() -> Response {
    let mut response = super::openapi_json().into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The service.
pub fn router(app: App) -> Router {
    let (router, _) = described();
    router
        .merge(pages::routes())
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "no-route", "no such path") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            ApiError::new(status, "no-method", "this path does not take this method")
        })
        .layer(from_fn_with_state(app.clone(), at_the_door))
        .with_state(app)
}

/// What holds for every request and every answer.
async fn at_the_door(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match admit_host(&app, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => {
            upload::drain(&app, &parts, body).await;
            if pages::is_page(parts.uri.path()) {
                pages::refusal(&error)
            } else {
                error.into_response()
            }
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
