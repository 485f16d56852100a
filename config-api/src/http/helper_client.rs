// SPDX-License-Identifier: MIT OR Apache-2.0
//! The HTTP process's end of the helper's socket, with a deadline for every answer.

use crate::jobs::JobEvent;
use crate::protocol::{
    FrameError, Outcome, PROTOCOL_VERSION, Reply, Request, RequestFrame, decode_length,
    encode_frame, parse_frame,
};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// For connecting and sending.
const SEND: Duration = Duration::from_secs(5);
/// For an answer, the validation of a large bundle included.
const ANSWER: Duration = Duration::from_secs(60);
/// Between two answers of a change; the helper shows a sign of life every five seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// Largest `config.toml` that is exported.
const MAX_EXPORT_BYTES: u64 = 32 << 20;

/// Why the helper did not answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Nobody is at its socket, or it left.
    #[error("the helper cannot be reached")]
    Io(#[from] io::Error),
    /// It does not answer in time.
    #[error("the helper does not answer")]
    Silent,
    /// It is not understood.
    #[error("the helper is not understood")]
    Frame(#[from] FrameError),
    /// It answers something else.
    #[error("the helper answered something else")]
    Unexpected,
}

/// Asks the helper; each request on a connection of its own.
#[derive(Clone, Debug)]
pub struct HelperClient {
    socket: PathBuf,
}

impl HelperClient {
    /// Asks at this socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The one answer to a request.
    ///
    /// # Errors
    /// [`HelperError`].
    pub async fn ask(&self, request: Request) -> Result<Reply, HelperError> {
        let mut stream = self.send(request).await?;
        within(ANSWER, receive(&mut stream)).await
    }

    /// The configuration in force and its tag, or the helper's refusal.
    ///
    /// # Errors
    /// [`HelperError`].
    pub async fn export(
        &self,
        request: Request,
    ) -> Result<Result<(Vec<u8>, String), Reply>, HelperError> {
        let mut stream = self.send(request).await?;
        let reply = within(ANSWER, receive(&mut stream)).await?;
        let Reply::Exported { length, etag } = reply else { return Ok(Err(reply)) };
        if length > MAX_EXPORT_BYTES {
            return Err(HelperError::Unexpected);
        }
        let mut text = Vec::new();
        let mut bounded = stream.take(length);
        let read = within(ANSWER, async { Ok(bounded.read_to_end(&mut text).await?) });
        if read.await? as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(Ok((text, etag)))
    }

    /// Has a change done, telling its steps.
    ///
    /// # Errors
    /// [`HelperError`]; the change may have been done all the same.
    pub async fn apply(
        &self,
        request: Request,
        mut tell: impl FnMut(JobEvent),
    ) -> Result<Result<Outcome, Reply>, HelperError> {
        let mut stream = self.send(request).await?;
        loop {
            let reply = within(SILENCE, receive(&mut stream)).await?;
            if let Reply::Event { event } = reply {
                tell(event);
            } else if let Reply::Finished { outcome } = reply {
                return Ok(Ok(outcome));
            } else if !reply.more_follows() {
                return Ok(Err(reply));
            }
        }
    }

    async fn send(&self, request: Request) -> Result<UnixStream, HelperError> {
        let frame = encode_frame(&RequestFrame { version: PROTOCOL_VERSION, request })?;
        within(SEND, async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(&frame).await?;
            Ok(stream)
        })
        .await
    }
}

async fn within<T>(
    limit: Duration,
    act: impl Future<Output = Result<T, HelperError>>,
) -> Result<T, HelperError> {
    timeout(limit, act).await.map_err(|_| HelperError::Silent)?
}

async fn receive(stream: &mut UnixStream) -> Result<Reply, HelperError> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let mut content = vec![0; decode_length(header)?];
    stream.read_exact(&mut content).await?;
    Ok(parse_frame(&content)?)
}
