// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one form in which this API says no.

use super::HelperError;
use crate::auth::{Denied, NonceRefused};
use crate::jobs::{JobError, ReportedFault};
use crate::protocol::{FailureCode, Reply};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// What went wrong, for people.
    pub error: String,
    /// What went wrong, as a stable word for programs.
    pub code: String,
    /// Everything that is wrong with the configuration, when that is why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub faults: Vec<ReportedFault>,
}

/// An error with its status.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    /// An error without faults.
    pub(super) fn new(status: StatusCode, code: &str, error: impl Into<String>) -> Self {
        let body = ErrorBody { error: error.into(), code: code.to_owned(), faults: Vec::new() };
        Self { status, body }
    }

    pub(super) fn invalid(faults: Vec<ReportedFault>) -> Self {
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "config-invalid",
            "the configuration is not valid",
        );
        error.body.faults = faults;
        error
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn body(&self) -> &ErrorBody {
        &self.body
    }

    pub(super) fn bad_request(code: &str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, error)
    }

    pub(super) fn too_many(code: &str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, error)
    }

    pub(super) fn internal(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error)
    }

    /// An answer of the helper's that is none to what was asked.
    pub(super) fn from_reply(reply: Reply) -> Self {
        match reply {
            Reply::Invalid { faults } => Self::invalid(faults),
            Reply::Failed { code, message } => Self::from_failure(code, message),
            Reply::Current { .. }
            | Reply::Nonce { .. }
            | Reply::Valid { .. }
            | Reply::Event { .. }
            | Reply::Alive
            | Reply::Finished { .. }
            | Reply::Exported { .. }
            | Reply::Running
            | Reply::Recovered { .. }
            | Reply::Done => Self::internal("the helper answered something else"),
        }
    }

    fn from_failure(code: FailureCode, message: String) -> Self {
        let (status, word) = match code {
            FailureCode::Busy => (StatusCode::CONFLICT, "busy"),
            FailureCode::NotProvisioned => (StatusCode::CONFLICT, "not-provisioned"),
            FailureCode::AlreadyProvisioned => (StatusCode::CONFLICT, "already-provisioned"),
            FailureCode::Denied => (StatusCode::UNAUTHORIZED, "denied"),
            FailureCode::SeedTaken => (StatusCode::CONFLICT, "seed-taken"),
            FailureCode::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            FailureCode::ConfigChanged => (StatusCode::PRECONDITION_FAILED, "config-changed"),
            FailureCode::BadUpload => (StatusCode::BAD_REQUEST, "bad-upload"),
            FailureCode::BadRequest | FailureCode::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self::new(status, word, message)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, denied.code(), denied.to_string())
    }
}

impl From<NonceRefused> for ApiError {
    fn from(refused: NonceRefused) -> Self {
        Self::too_many("too-many-nonces", refused.to_string())
    }
}

impl From<HelperError> for ApiError {
    fn from(error: HelperError) -> Self {
        // The chain holds paths of sockets, which are nobody's business outside.
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "helper-unavailable", error.to_string())
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Busy { .. } => Self::new(StatusCode::CONFLICT, "busy", error.to_string()),
            JobError::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, "job-unknown", error.to_string())
            }
            JobError::OutOfTurn { .. } | JobError::Encode { .. } | JobError::Files(_) => {
                Self::internal("the job cannot be kept")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("AtomixOS-SSH-Signature");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
