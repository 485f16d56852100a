// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a body go? Into a file of the spool, piece by piece, hashed on its way: 32 MiB of a
//! stranger's never stand in memory. A few at once; one that is too slow loses its place.

use super::admit::Admitted;
use super::app::{below, random};
use super::{ApiError, App, StartError};
use crate::auth::FILE_NAME_HEADER;
use crate::protocol::{FileName, MAX_UPLOAD_BYTES, SpoolName, Upload};
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt;
use openssl::sha::Sha256;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::Digest;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// For a whole body.
const BODY: Duration = Duration::from_secs(120);
/// Between two pieces of it.
const PIECE: Duration = Duration::from_secs(15);
/// For reading away what was refused.
const DRAIN: Duration = Duration::from_secs(3);
/// Largest body of a typed change.
const MAX_JSON_BYTES: u64 = 256 * 1024;

pub(super) fn spool_dir(state: &Path) -> PathBuf {
    below(state, "spool")
}

/// Makes the spool, and removes what the last service left there.
#[expect(clippy::disallowed_methods, reason = "the spool is no state: it is emptied at each start")]
pub(super) fn empty_spool(state: &Path) -> Result<(), StartError> {
    let path = spool_dir(state);
    let failed = |source| StartError::Spool { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(failed)?;
    for entry in fs::read_dir(&path).map_err(failed)? {
        fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
    }
    Ok(())
}

/// A body in the spool, and the right to have one there. Gone when dropped.
pub(super) struct Spooled {
    pub(super) upload: Upload,
    _file: SpoolFile,
    _place: OwnedSemaphorePermit,
}

struct SpoolFile(PathBuf);

impl Drop for SpoolFile {
    #[expect(clippy::disallowed_methods, reason = "a spooled body need not survive, nor its end")]
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Spools the body of a request that was admitted.
pub(super) async fn spool(
    app: &App,
    parts: &Parts,
    body: &mut Body,
    admitted: &Admitted,
) -> Result<Spooled, ApiError> {
    let announced = announced_length(parts)?;
    if announced > MAX_UPLOAD_BYTES {
        return Err(too_large());
    }
    let place = app
        .uploads()
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many("too-many-uploads", "too many uploads are under way"))?;
    let name = SpoolName::new(random()?);
    let path = app.spool().join(name.as_str());
    let file = SpoolFile(path.clone());
    let (length, digest) = write(body, &path, announced).await?;
    if length != announced {
        return Err(ApiError::bad_request("body-length", "the body ends early"));
    }
    check_promise(admitted, digest)?;
    let file_name = parts.headers.get(FILE_NAME_HEADER).and_then(|value| value.to_str().ok());
    let upload = Upload {
        spool: name,
        file_name: FileName::new(file_name.unwrap_or_default()),
        length,
        sha256: digest.to_string(),
    };
    Ok(Spooled { upload, _file: file, _place: place })
}

fn announced_length(parts: &Parts) -> Result<u64, ApiError> {
    let text = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let status = StatusCode::LENGTH_REQUIRED;
        ApiError::new(status, "length-required", "say the body's length in Content-Length")
    })
}

fn too_large() -> ApiError {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    ApiError::new(status, "too-large", format!("the limit is {MAX_UPLOAD_BYTES} bytes"))
}

fn check_promise(admitted: &Admitted, digest: Digest) -> Result<(), ApiError> {
    match admitted.promised {
        Some(promised) if promised != digest => {
            Err(ApiError::bad_request("body-digest", "the body is not the one that was signed"))
        }
        Some(_) | None => Ok(()),
    }
}

async fn write(body: &mut Body, path: &Path, limit: u64) -> Result<(u64, Digest), ApiError> {
    let failed = |_| ApiError::internal("cannot spool the body");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    let mut file = options.open(path).await.map_err(failed)?;
    let mut hash = Sha256::new();
    let mut length = 0;
    let end = Instant::now() + BODY;
    while let Some(piece) = next_piece(body, end).await? {
        length += piece.len() as u64;
        if length > limit {
            return Err(too_large());
        }
        hash.update(&piece);
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok((length, Digest::from_bytes(hash.finish())))
}

/// The next piece of a body, before `end` and not too long after the last one.
async fn next_piece(body: &mut Body, end: Instant) -> Result<Option<Bytes>, ApiError> {
    loop {
        let by = end.min(Instant::now() + PIECE);
        let frame = timeout_at(by, body.frame()).await.map_err(|_| {
            let status = StatusCode::REQUEST_TIMEOUT;
            ApiError::new(status, "too-slow", "the body came too slowly")
        })?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|_| ApiError::bad_request("body", "the body cannot be read"))?;
        // Trailers are read past: nothing here has a use for them.
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

/// The body of a typed change.
pub(super) async fn small(
    parts: &Parts,
    body: &mut Body,
    admitted: &Admitted,
) -> Result<Vec<u8>, ApiError> {
    let announced = announced_length(parts)?;
    if announced > MAX_JSON_BYTES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the limit is {MAX_JSON_BYTES} bytes"),
        ));
    }
    let end = Instant::now() + BODY;
    let mut content = Vec::new();
    while let Some(piece) = next_piece(body, end).await? {
        content.extend_from_slice(&piece);
    }
    check_promise(admitted, Digest::from_bytes(openssl::sha::sha256(&content)))?;
    Ok(content)
}

/// Reads a refused body away for a moment, so that its sender comes to read the refusal. One that
/// waits to be asked for its body is not asked.
pub(super) async fn drain(app: &App, parts: &Parts, mut body: Body) {
    if parts.headers.contains_key(header::EXPECT) {
        return;
    }
    let Ok(_place) = app.drains().try_acquire() else { return };
    let end = Instant::now() + DRAIN;
    let mut length = 0;
    while length <= MAX_UPLOAD_BYTES {
        match timeout_at(end, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                length += frame.into_data().map_or(0, |piece| piece.len() as u64);
            }
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}
