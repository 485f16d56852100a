// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a body go? Into a file of the spool, piece by piece, hashed on its way: 32 MiB of a
//! stranger's never stand in memory. A few at once; one that is too slow loses its place.

use super::admit::Admitted;
use super::app::{below, random};
use super::{ApiError, App, StartError};
use crate::auth::FILE_NAME_HEADER;
use crate::protocol::{FileName, MAX_UPLOAD_BYTES, SpoolName, Upload};
use crate::spool_file::SpoolFile;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt;
use openssl::sha::Sha256;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use storage::Digest;
use tokio::fs::{File, OpenOptions};
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
        match fs::remove_file(entry.map_err(failed)?.path()) {
            // A service that is still ending removes its own.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(failed)?,
        }
    }
    Ok(())
}

/// A body in the spool, and the right to have one there. Gone when dropped.
pub(super) struct Spooled {
    pub(super) upload: Upload,
    digest: Digest,
    file: SpoolFile,
    _place: OwnedSemaphorePermit,
}

impl Spooled {
    /// Where the body is, for as long as this is held.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

/// A body on its way into the spool.
pub(super) struct Spooling {
    name: SpoolName,
    kept: SpoolFile,
    place: OwnedSemaphorePermit,
    file: File,
    hash: Sha256,
    length: u64,
    limit: u64,
}

/// What an upload is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// To be applied.
    Change,
    /// To be judged only.
    Validation,
}

/// One of the few places in the spool.
pub(super) fn take_place(app: &App, purpose: Purpose) -> Result<OwnedSemaphorePermit, ApiError> {
    app.uploads(purpose)
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many("too-many-uploads", "too many uploads are under way"))
}

impl Spooling {
    /// Begins a file of at most `limit` bytes.
    pub(super) async fn begin(
        app: &App,
        place: OwnedSemaphorePermit,
        limit: u64,
    ) -> Result<Self, ApiError> {
        let name = SpoolName::new(random()?);
        let kept = SpoolFile::new(app.spool().join(name.as_str()));
        let options = OpenOptions::from(SpoolFile::options());
        let file = options.open(kept.path()).await.map_err(|_| unspooled())?;
        Ok(Self { name, kept, place, file, hash: Sha256::new(), length: 0, limit })
    }

    /// Appends a piece.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.length += piece.len() as u64;
        if self.length > self.limit {
            return Err(too_large());
        }
        self.hash.update(piece);
        self.file.write_all(piece).await.map_err(|_| unspooled())
    }

    /// The whole, as the helper is told of it.
    pub(super) async fn finish(mut self, file_name: FileName) -> Result<Spooled, ApiError> {
        self.file.flush().await.map_err(|_| unspooled())?;
        let digest = Digest::from_bytes(self.hash.finish());
        let upload =
            Upload { spool: self.name, file_name, length: self.length, sha256: digest.to_string() };
        Ok(Spooled { upload, digest, file: self.kept, _place: self.place })
    }
}

fn unspooled() -> ApiError {
    ApiError::internal("cannot spool the body")
}

/// Spools the body of a request that was admitted.
pub(super) async fn spool(
    app: &App,
    parts: &Parts,
    body: &mut Body,
    admitted: &Admitted,
    purpose: Purpose,
) -> Result<Spooled, ApiError> {
    let announced = announced_length(parts)?;
    if announced > MAX_UPLOAD_BYTES {
        return Err(too_large());
    }
    if announced == 0 {
        return Err(ApiError::bad_request("empty-body", "there is no configuration in the body"));
    }
    let mut spooling = Spooling::begin(app, take_place(app, purpose)?, announced).await?;
    let end = Deadline::begin();
    while let Some(piece) = next_piece(body, end).await? {
        spooling.push(&piece).await?;
    }
    let file_name = parts.headers.get(FILE_NAME_HEADER).and_then(|value| value.to_str().ok());
    let spooled = spooling.finish(FileName::new(file_name.unwrap_or_default())).await?;
    if spooled.upload.length != announced {
        return Err(ApiError::bad_request("body-length", "the body ends early"));
    }
    check_promise(admitted, spooled.digest)?;
    Ok(spooled)
}

pub(super) fn announced_length(parts: &Parts) -> Result<u64, ApiError> {
    // Without either header a request has no body.
    if !parts.headers.contains_key(header::TRANSFER_ENCODING)
        && !parts.headers.contains_key(header::CONTENT_LENGTH)
    {
        return Ok(0);
    }
    let text = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let status = StatusCode::LENGTH_REQUIRED;
        ApiError::new(status, "length-required", "say the body's length in Content-Length")
    })
}

pub(super) fn too_large() -> ApiError {
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

/// When a whole body has to be here.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn begin() -> Self {
        Self(Instant::now() + BODY)
    }
}

/// The next piece of a body, before `end` and not too long after the last one.
pub(super) async fn next_piece(body: &mut Body, end: Deadline) -> Result<Option<Bytes>, ApiError> {
    loop {
        let by = end.0.min(Instant::now() + PIECE);
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
    let end = Deadline::begin();
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
