// SPDX-License-Identifier: MIT OR Apache-2.0
//! A job as it goes, as server-sent events whenever it changed, until it is over. A reader that
//! reconnects misses nothing, since it is told the whole at once.

use super::App;
use crate::jobs::{Job, JobId};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A line without meaning, so that a reader knows that we are there and we notice that it left.
const BEAT: Duration = Duration::from_secs(15);
/// Changes closer together than this are told as one.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes the events of a job, given how it was told last; nothing ends the stream.
pub(super) type Encode = fn(Option<&Job>, &Job) -> Option<String>;

/// The answer that tells of a job until it is over.
pub(super) fn stream(
    app: &App,
    id: JobId,
    place: OwnedSemaphorePermit,
    encode: Encode,
) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let app = app.clone();
    tokio::spawn(async move {
        let _place = place;
        tell(&app, id, &sender, encode).await;
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// One event with the whole job: `job`, or `done` for the last.
pub(super) fn whole_job(_: Option<&Job>, job: &Job) -> Option<String> {
    let name = if job.state.is_final() { "done" } else { "job" };
    let json = serde_json::to_string(job).ok()?;
    Some(format!("event: {name}\ndata: {json}\n\n"))
}

async fn tell(app: &App, id: JobId, sender: &mpsc::Sender<Bytes>, encode: Encode) {
    let mut changes = app.changes();
    let mut last = None;
    loop {
        changes.mark_unchanged();
        let Some(job) = app.job(&id) else { return };
        if last.as_ref() != Some(&job) {
            let Some(events) = encode(last.as_ref(), &job) else { return };
            if sender.send(events.into()).await.is_err() {
                return;
            }
            if job.state.is_final() {
                return;
            }
            last = Some(job);
        }
        tokio::time::sleep(PAUSE).await;
        match tokio::time::timeout(BEAT, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                if sender.send(Bytes::from_static(b": still here\n\n")).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What arrives in a channel, as a body.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
