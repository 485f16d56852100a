// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search's end of the helper's socket. What was found goes the way of an upload: into the
//! spool, from where the helper takes it by name, length and digest.

use crate::jobs::{JobEvent, JobId};
use crate::protocol::{
    AuditEntry, Current, FileName, FrameError, Grounds, Outcome, PROTOCOL_VERSION, Reply, Request,
    RequestFrame, Source, SpoolName, Upload, decode_length, encode_frame, parse_frame,
};
use crate::spool_file::SpoolFile;
use openssl::sha::sha256;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use storage::Digest;

/// Between two answers; the helper shows a sign of life every five seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// Why something could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Nobody is at the helper's socket, or it left.
    #[error("the helper cannot be reached")]
    Helper(#[source] io::Error),
    /// It is not understood.
    #[error("the helper is not understood")]
    Frame(#[from] FrameError),
    /// It answers something else.
    #[error("the helper answered something else")]
    Unexpected,
    /// It refuses.
    #[error("{0}")]
    Refused(String),
    /// There is no place for the file.
    #[error("cannot put the configuration into the spool")]
    Spool(#[source] io::Error),
}

/// Whoever puts configurations in force.
pub trait Door {
    /// What is in force.
    ///
    /// # Errors
    /// [`DoorError`].
    fn current(&mut self) -> Result<Current, DoorError>;

    /// Has a configuration put in force, telling the steps.
    ///
    /// # Errors
    /// [`DoorError`]; it may have been put in force all the same.
    fn apply(
        &mut self,
        name: &str,
        content: &[u8],
        grounds: Grounds,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Outcome, DoorError>;

    /// Has it written down that something was refused.
    ///
    /// # Errors
    /// [`DoorError`].
    fn note_refused(&mut self, place: &str, reason: &str) -> Result<(), DoorError>;
}

/// The helper of this device.
#[derive(Debug)]
pub struct HelperDoor {
    /// Its socket.
    pub socket: PathBuf,
    /// The spool that it takes bodies from.
    pub spool: PathBuf,
}

impl HelperDoor {
    fn send(&self, request: Request) -> Result<UnixStream, DoorError> {
        let frame = encode_frame(&RequestFrame { version: PROTOCOL_VERSION, request })?;
        let mut stream = UnixStream::connect(&self.socket).map_err(DoorError::Helper)?;
        let ready = stream
            .set_read_timeout(Some(SILENCE))
            .and_then(|()| stream.set_write_timeout(Some(SILENCE)))
            .and_then(|()| stream.write_all(&frame));
        ready.map_err(DoorError::Helper)?;
        Ok(stream)
    }

    fn ask(&self, request: Request) -> Result<Reply, DoorError> {
        let reply = receive(&mut self.send(request)?)?;
        if let Reply::Failed { message, .. } = reply {
            return Err(DoorError::Refused(message));
        }
        Ok(reply)
    }
}

impl Door for HelperDoor {
    fn current(&mut self) -> Result<Current, DoorError> {
        let Reply::Current { current } = self.ask(Request::Current {})? else {
            return Err(DoorError::Unexpected);
        };
        Ok(current)
    }

    fn apply(
        &mut self,
        name: &str,
        content: &[u8],
        grounds: Grounds,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Outcome, DoorError> {
        let spool = SpoolName::new(random()?);
        let file = SpoolFile::new(self.spool.join(spool.as_str()));
        SpoolFile::options()
            .open(file.path())
            .and_then(|mut open| open.write_all(content))
            .map_err(DoorError::Spool)?;
        let upload = Upload {
            spool,
            file_name: FileName::new(name),
            length: content.len() as u64,
            sha256: Digest::from_bytes(sha256(content)).to_string(),
        };
        let job = JobId::new(random()?);
        let source = Source::Upload { upload };
        let request = Request::Apply { job, source, grounds, if_match: None, confirm_secs: None };
        let mut stream = self.send(request)?;
        let outcome = loop {
            let reply = receive(&mut stream)?;
            if let Reply::Event { event } = reply {
                tell(event);
            } else if let Reply::Finished { outcome } = reply {
                break outcome;
            } else if let Reply::Failed { message, .. } = reply {
                return Err(DoorError::Refused(message));
            } else if !reply.more_follows() {
                return Err(DoorError::Unexpected);
            }
        };
        drop(file);
        Ok(outcome)
    }

    fn note_refused(&mut self, place: &str, reason: &str) -> Result<(), DoorError> {
        let cut = |text: &str| text.chars().take(400).collect();
        let entry = AuditEntry::SeedRefused { place: cut(place), reason: cut(reason) };
        self.ask(Request::Audit { entry }).map(drop)
    }
}

fn receive(stream: &mut UnixStream) -> Result<Reply, DoorError> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).map_err(DoorError::Helper)?;
    let mut content = vec![0; decode_length(header)?];
    stream.read_exact(&mut content).map_err(DoorError::Helper)?;
    Ok(parse_frame(&content)?)
}

fn random() -> Result<[u8; 16], DoorError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| DoorError::Spool(io::Error::other(error)))?;
    Ok(bytes)
}
