// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this request go on? Decided from its head.

use super::listen::Peer;
use super::{ApiError, App};
use crate::auth::{
    Body, Claim, DIGEST_HEADER, Denied, FILE_NAME_HEADER, NONCE_HEADER, SIGNATURE_HEADER,
    authenticate,
};
use crate::protocol::{Grounds, Proof, parse_confirm_within};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode, header};
use storage::Digest;

/// Who may ask without a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// Nobody.
    Never,
    /// Anybody, while the device has no configuration.
    WhileUnclaimed,
}

/// A request that may go on.
pub(super) struct Admitted {
    /// Why it may; the helper judges it again.
    pub grounds: Grounds,
    /// What the body has to be, when that was signed.
    pub promised: Option<Digest>,
}

/// Judges a head.
pub(super) async fn admit(
    app: &App,
    parts: &Parts,
    unsigned: Unsigned,
) -> Result<Admitted, ApiError> {
    let verdict = judge(app, parts, unsigned).await;
    if let Err(Refusal::Denied(denied)) = &verdict {
        app.note_denial(Peer::of(parts).ip(), parts.uri.path(), denied.code());
    }
    verdict.map_err(|refusal| match refusal {
        Refusal::Denied(denied) => denied.into(),
        Refusal::Other(error) => error,
    })
}

enum Refusal {
    Denied(Denied),
    Other(ApiError),
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

async fn judge(app: &App, parts: &Parts, unsigned: Unsigned) -> Result<Admitted, Refusal> {
    let in_force = app.in_force().await.map_err(ApiError::from)?;
    if !in_force.current.provisioned {
        return match unsigned {
            Unsigned::WhileUnclaimed => {
                Ok(Admitted { grounds: Grounds::FirstClaim, promised: None })
            }
            Unsigned::Never => Err(Denied::NoSigners.into()),
        };
    }
    let claim = Claim {
        method: parts.method.as_str(),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        content_type: one(parts, header::CONTENT_TYPE.as_str())?,
        file_name: one(parts, FILE_NAME_HEADER)?,
        if_match: one(parts, header::IF_MATCH.as_str())?,
        nonce: one(parts, NONCE_HEADER)?,
        signature: one(parts, SIGNATURE_HEADER)?,
        sha256: one(parts, DIGEST_HEADER)?,
        body: if has_body(parts) { Body::Announced } else { Body::Absent },
    };
    let verified = authenticate(
        &claim,
        &app.settings().device,
        &in_force.signers,
        &mut app.nonces(),
        app.now(),
    )?;
    let grounds = Grounds::Signed { proof: Box::new(proof(&claim, verified.body_sha256())) };
    Ok(Admitted { grounds, promised: Some(verified.body_sha256()) })
}

/// What was signed, for the helper.
fn proof(claim: &Claim<'_>, promised: Digest) -> Proof {
    let text = |header: Option<&str>| header.unwrap_or_default().to_owned();
    Proof {
        method: claim.method.to_owned(),
        target: claim.target.to_owned(),
        content_type: text(claim.content_type),
        file_name: text(claim.file_name),
        if_match: text(claim.if_match),
        nonce: text(claim.nonce),
        signature: text(claim.signature),
        sha256: claim.sha256.map_or_else(|| promised.to_string(), str::to_owned),
    }
}

fn has_body(parts: &Parts) -> bool {
    let length = parts.headers.get(header::CONTENT_LENGTH);
    length.is_some_and(|length| length != "0")
        || parts.headers.contains_key(header::TRANSFER_ENCODING)
}

/// The value of a header that may be there once.
fn one<'p>(parts: &'p Parts, name: &'static str) -> Result<Option<&'p str>, Denied> {
    let mut values = parts.headers.get_all(HeaderName::from_static(name)).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        (Ok(_), Some(_)) | (Err(_), _) => Err(Denied::Malformed { name }),
    }
}

/// Host and origin, for every request.
pub(super) async fn admit_host(app: &App, parts: &Parts) -> Result<(), ApiError> {
    let in_force = app.in_force().await?;
    // One that cannot be read is there all the same, and nobody's.
    let text = |name: HeaderName| {
        parts.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
    };
    let host = parts.uri.authority().map(|authority| authority.as_str());
    // What may only look needs no origin: another site's page cannot read the answer.
    let changes = !matches!(parts.method, Method::GET | Method::HEAD);
    let (origin, referer, site) = if changes {
        let site = text(HeaderName::from_static("sec-fetch-site"));
        (text(header::ORIGIN), text(header::REFERER), site)
    } else {
        (None, None, None)
    };
    in_force.hosts.admit(host.or_else(|| text(header::HOST)), origin, referer, site).map_err(
        |refused| {
            let target = parts.uri.path();
            app.note_denial(Peer::of(parts).ip(), target, "host-or-origin");
            ApiError::new(StatusCode::FORBIDDEN, "host-or-origin", refused.to_string())
        },
    )
}

/// How long the operator wants to have for his confirmation.
pub(super) fn confirm_within(parts: &Parts) -> Result<Option<u32>, ApiError> {
    parse_confirm_within(parts.uri.query())
        .map_err(|error| ApiError::bad_request("query", error.to_string()))
}

/// The configuration that a change was made for: the one tag in `If-Match`, if there is any. What
/// is no tag at all is a mistake in the request; a weak one, which says that something may have
/// changed, is a tag that never fits (RFC 9110, section 13.1.1).
pub(super) fn if_match(parts: &Parts) -> Result<Option<String>, ApiError> {
    let value = one(parts, header::IF_MATCH.as_str()).map_err(ApiError::from)?;
    let Some(value) = value.map(str::trim).filter(|value| *value != "*") else { return Ok(None) };
    let (weak, quoted) = match value.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, value),
    };
    let tag = quoted.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    match tag.filter(|tag| !tag.contains(['"', ' '])) {
        Some(tag) if !weak => Ok(Some(tag.to_owned())),
        Some(_) => Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "config-changed",
            "a weak tag fits no configuration",
        )),
        None => Err(ApiError::bad_request("if-match", "If-Match takes one tag in quotes, or *")),
    }
}
