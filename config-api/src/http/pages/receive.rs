// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was sent with the form? A chosen file goes to the spool as it arrives, as every body does;
//! the text of the form is kept, since it is shown again when something is wrong with it.

use crate::http::upload::{self, Deadline, Purpose, Spooled, Spooling};
use crate::http::{ApiError, App};
use crate::input::{Discard, FormPiece, FormReader, Limits, Origin, read_input};
use crate::model::MAX_CONFIG_BYTES;
use crate::protocol::{FileName, MAX_UPLOAD_BYTES};
use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use std::fs::File;
use tokio::sync::OwnedSemaphorePermit;

/// Room for the text and the heads beside a file.
const FORM_BYTES: u64 = 2 << 20;
/// Most of a text: browsers send two bytes for the end of a line.
const MAX_TEXT_BYTES: usize = 2 * MAX_CONFIG_BYTES;

/// What was sent.
pub(super) struct Received {
    pub(super) spooled: Spooled,
    /// The text of the form, when that is what was sent.
    pub(super) pasted: Option<String>,
}

/// Why nothing was taken, and the text that was on its way.
pub(super) struct Lost {
    pub(super) error: ApiError,
    pub(super) text: String,
}

impl From<ApiError> for Lost {
    fn from(error: ApiError) -> Self {
        Self { error, text: String::new() }
    }
}

/// Takes the form.
pub(super) async fn receive(app: &App, parts: &Parts, body: &mut Body) -> Result<Received, Lost> {
    if upload::announced_length(parts)? > MAX_UPLOAD_BYTES + FORM_BYTES {
        return Err(upload::too_large().into());
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut reader = FormReader::new(kind.unwrap_or_default()).map_err(|error| refuse(&error))?;
    let mut fields = Fields::new(upload::take_place(app, Purpose::Change)?);
    match take(app, body, &mut reader, &mut fields).await {
        Ok(()) => fields.finish(app).await,
        Err(error) => Err(Lost { error, text: fields.text() }),
    }
}

fn refuse(error: &crate::input::FormError) -> ApiError {
    ApiError::bad_request("not-a-form", error.to_string())
}

async fn take(
    app: &App,
    body: &mut Body,
    reader: &mut FormReader,
    fields: &mut Fields,
) -> Result<(), ApiError> {
    let end = Deadline::begin();
    while let Some(bytes) = upload::next_piece(body, end).await? {
        for piece in reader.push(&bytes).map_err(|error| refuse(&error))? {
            fields.take(app, piece).await?;
        }
    }
    reader.finish().map_err(|error| refuse(&error))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Text,
    File,
    Other,
}

struct Fields {
    at: Field,
    text: Vec<u8>,
    file_name: String,
    file: Option<Spooling>,
    /// Until it is the file's.
    place: Option<OwnedSemaphorePermit>,
}

impl Fields {
    fn new(place: OwnedSemaphorePermit) -> Self {
        let (text, file_name) = (Vec::new(), String::new());
        Self { at: Field::Other, text, file_name, file: None, place: Some(place) }
    }

    async fn take(&mut self, app: &App, piece: FormPiece) -> Result<(), ApiError> {
        match piece {
            FormPiece::Field { name, file_name } => {
                self.at = match (name.as_str(), file_name) {
                    ("config", None) => Field::Text,
                    ("file", Some(file_name)) if self.file.is_none() => {
                        self.file_name = file_name;
                        Field::File
                    }
                    (_, _) => Field::Other,
                };
                Ok(())
            }
            FormPiece::Content(content) => self.content(app, &content).await,
        }
    }

    async fn content(&mut self, app: &App, content: &[u8]) -> Result<(), ApiError> {
        match self.at {
            Field::Other => Ok(()),
            Field::Text if self.text.len() + content.len() > MAX_TEXT_BYTES => {
                let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
                Err(ApiError::new(status, "too-large", "the text is longer than 256 KiB"))
            }
            Field::Text => {
                self.text.extend_from_slice(content);
                Ok(())
            }
            Field::File => {
                if let Some(place) = self.place.take() {
                    self.file = Some(Spooling::begin(app, place, MAX_UPLOAD_BYTES).await?);
                }
                match &mut self.file {
                    Some(file) => file.push(content).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// The text as it was entered, with the line ends of a file.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).replace("\r\n", "\n")
    }

    async fn finish(mut self, app: &App) -> Result<Received, Lost> {
        let text = self.text();
        let lost = |error| Lost { error, text: text.clone() };
        if let Some(file) = self.file.take() {
            let spooled = file.finish(FileName::new(&self.file_name)).await.map_err(lost)?;
            return Ok(Received { spooled, pasted: None });
        }
        let Some(place) = self.place.take().filter(|_| !text.trim().is_empty()) else {
            let nothing = "paste a configuration or choose a file";
            return Err(lost(ApiError::bad_request("nothing-sent", nothing)));
        };
        let mut file = Spooling::begin(app, place, MAX_UPLOAD_BYTES).await.map_err(lost)?;
        file.push(text.as_bytes()).await.map_err(lost)?;
        let spooled = file.finish(FileName::new("")).await.map_err(lost)?;
        Ok(Received { spooled, pasted: Some(text) })
    }
}

/// The `config.toml` of an upload, for showing, and whether it is the whole of it.
pub(super) struct Seen {
    pub(super) text: String,
    pub(super) whole: bool,
}

/// Looks into an upload that is not valid; nothing is seen of what cannot be read.
pub(super) async fn look(spooled: &Spooled) -> Seen {
    let path = spooled.path().to_owned();
    let name = spooled.upload.file_name.as_str().to_owned();
    let length = spooled.upload.length;
    let seen = tokio::task::spawn_blocking(move || {
        let file = File::open(path).ok()?;
        let mut sink = Discard::default();
        let input = read_input(Origin::Upload(&name), file, &Limits::default(), &mut sink).ok()?;
        let whole = input.config_toml.len() as u64 == length;
        let text = String::from_utf8_lossy(&input.config_toml).replace("\r\n", "\n");
        Some(Seen { text, whole })
    });
    let nothing = Seen { text: String::new(), whole: false };
    seen.await.ok().flatten().unwrap_or(nothing)
}
