// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection: one request, its answers. Deadlines on both sides of the socket; a change that
//! has begun does not depend on anybody's listening.

use super::gate::Gate;
use super::{ApplyOrder, Desk, EditError, Input, JobFate, Pipeline, PipelineError, apply_change};
use crate::auth::{Denied, DeviceId};
use crate::jobs::{JobEvent, JobId, RollbackStatus, seconds};
use crate::protocol::{
    AuditEntry, Change, FailureCode, FrameError, Grounds, HostAddress, Origin, Outcome,
    PROTOCOL_VERSION, Proof, Reply, Request, RequestFrame, Source, Upload, decode_length,
    encode_frame, parse_frame,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use storage::chain;

/// How often a client hears that a change is still under way.
const ALIVE: Duration = Duration::from_secs(5);

/// Where spooled bodies are taken from.
pub trait Uploads: Send + Sync {
    /// Why one was not taken.
    type Error: std::error::Error + 'static;

    /// The body as a file that nobody else can change.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn take(&self, upload: &Upload) -> Result<File, Self::Error>;
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A program of root's: the search of the first boot.
    Root,
    /// The HTTP process, which may be somebody else's by now.
    Service,
}

/// Why a connection ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket.
    #[error("cannot speak with the client")]
    Io(#[from] io::Error),
    /// The message.
    #[error("cannot read or write a message")]
    Frame(#[from] FrameError),
}

/// The helper.
pub struct Helper<P, U> {
    pipeline: P,
    uploads: U,
    desk: Desk,
    gate: Gate,
    addresses: fn() -> Vec<HostAddress>,
}

impl<P: Pipeline, U: Uploads> Helper<P, U> {
    /// A helper without a change under way; signatures have to name `device`.
    pub fn new(pipeline: P, uploads: U, device: DeviceId) -> Self {
        let gate = Gate::new(device);
        Self { pipeline, uploads, desk: Desk::default(), gate, addresses: Vec::new }
    }

    /// The same helper, which tells the search where the device is reached.
    #[must_use]
    pub fn with_addresses(self, addresses: fn() -> Vec<HostAddress>) -> Self {
        Self { addresses, ..self }
    }

    /// Answers the one request of a connection whose peer was admitted as `asker`.
    ///
    /// # Errors
    /// [`ServeError`]; a change that had begun is over all the same.
    pub fn serve<S: Read + Write>(&self, stream: &mut S, asker: Asker) -> Result<(), ServeError> {
        let frame = match read_request(stream) {
            Ok(frame) => frame,
            Err(ServeError::Frame(error)) => {
                return send(stream, &failed(FailureCode::BadRequest, chain(&error)));
            }
            Err(error) => return Err(error),
        };
        if frame.version != PROTOCOL_VERSION {
            let message = format!("version {} of the protocol", frame.version);
            return send(stream, &failed(FailureCode::BadRequest, message));
        }
        if asker == Asker::Service && is_roots(&frame.request) {
            let message = "only the device itself may ask this".to_owned();
            return send(stream, &failed(FailureCode::Denied, message));
        }
        let done = match frame.request {
            Request::Apply { job, source, grounds, if_match, confirm_secs } => {
                let asked = Asked { job, source, grounds, if_match, confirm_secs };
                return self.apply(stream, asked);
            }
            Request::Export { grounds } => match self.admin(&grounds, Proof::is_for_export) {
                Ok(_) => return self.export(stream),
                Err(error) => Err(error),
            },
            Request::Nonce {} => match self.gate.issue() {
                Some(nonce) => Ok(Reply::Nonce { nonce: nonce.to_string() }),
                None => Err(refused(FailureCode::Internal, "no random numbers")),
            },
            Request::Current {} => self.pipeline.current().map(|mut current| {
                current.running = self.desk.running();
                if asker == Asker::Root && !current.provisioned {
                    current.addresses = (self.addresses)();
                }
                Reply::Current { current }
            }),
            Request::Validate { upload } => self.input(upload).and_then(|input| self.valid(input)),
            Request::Check { change, if_match } => {
                self.edited(&change, if_match.as_deref()).and_then(|input| self.valid(input))
            }
            Request::Recover { job } => self.recover(job),
            Request::Confirm { job, grounds } => self
                .admin(&grounds, |proof| proof.is_for_confirmation(job))
                .and_then(|origin| self.pipeline.confirm(job, &origin))
                .map(|()| Reply::Done),
            Request::Audit { entry } => self.pipeline.audit(&entry).map(|()| Reply::Done),
        };
        send(stream, &done.unwrap_or_else(reply_of))
    }

    /// The administrator who signed this, if it is about what is asked.
    fn admin(
        &self,
        grounds: &Grounds,
        is_about: impl FnOnce(&Proof) -> bool,
    ) -> Result<Origin, PipelineError> {
        let Grounds::Signed { proof } = grounds else {
            return Err(refused(FailureCode::NotProvisioned, "only an administrator may ask this"));
        };
        let signers = self.pipeline.current()?.admin_signers;
        let about = || refused(FailureCode::Denied, "the signature is for another request");
        let verdict = match self.gate.verify(proof, &signers) {
            Ok(origin) if is_about(proof) => return Ok(origin),
            Ok(_) => ("signed-for-another-request", about()),
            Err(error) => (error.code(), denied(&error)),
        };
        // The HTTP process lets nothing through that comes to this: it is worth a line.
        let (code, error) = verdict;
        let (client, code) = ("config API".to_owned(), code.to_owned());
        let entry = AuditEntry::Denied { client, target: proof.target.clone(), code };
        self.pipeline.audit(&entry).and(Err(error))
    }

    fn valid(&self, input: Input) -> Result<Reply, PipelineError> {
        self.pipeline.validate(input).map(|warnings| Reply::Valid { warnings })
    }

    fn recover(&self, job: JobId) -> Result<Reply, PipelineError> {
        match self.desk.fate(job) {
            JobFate::Running => Ok(Reply::Running),
            JobFate::Ended(outcome) => Ok(Reply::Finished { outcome }),
            JobFate::Unknown => {
                let found = self.pipeline.recover(job)?;
                Ok(found.map_or(Reply::Running, |rollback| Reply::Recovered { rollback }))
            }
        }
    }

    fn input(&self, upload: Upload) -> Result<Input, PipelineError> {
        let file = self
            .uploads
            .take(&upload)
            .map_err(|error| refused(FailureCode::BadUpload, &chain(&error)))?;
        Ok(Input::Upload { name: upload.file_name, file })
    }

    /// The configuration in force with `change` made, if it is still the one that was meant.
    fn edited(&self, change: &Change, if_match: Option<&str>) -> Result<Input, PipelineError> {
        let exported = self.pipeline.export()?;
        if if_match.is_some_and(|wanted| wanted != exported.etag) {
            return Err(changed());
        }
        let text = String::from_utf8(exported.text)
            .map_err(|_| refused(FailureCode::Internal, "the configuration is no text"))?;
        match apply_change(&text, change) {
            Ok(text) => Ok(Input::Edited { text }),
            Err(error @ EditError::Missing { .. }) => {
                Err(refused(FailureCode::NotFound, &chain(&error)))
            }
            Err(EditError::Invalid(fault)) => Err(PipelineError::Invalid(vec![fault])),
            Err(error @ EditError::Unreadable(_)) => {
                Err(refused(FailureCode::Internal, &chain(&error)))
            }
        }
    }

    fn export<S: Write>(&self, stream: &mut S) -> Result<(), ServeError> {
        match self.pipeline.export() {
            Ok(exported) => {
                let length = exported.text.len() as u64;
                send(stream, &Reply::Exported { length, etag: exported.etag })?;
                Ok(stream.write_all(&exported.text)?)
            }
            Err(error) => send(stream, &reply_of(error)),
        }
    }

    fn apply<S: Write>(&self, stream: &mut S, asked: Asked) -> Result<(), ServeError> {
        let job = asked.job;
        if let Err(running) = self.desk.begin(job) {
            return send(stream, &failed(FailureCode::Busy, format!("job {running} is under way")));
        }
        let begun = Instant::now();
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A panic below must not leave the desk taken for good.
                let _ending = Ending { desk: &self.desk, job };
                let outcome = self.run(asked, begun, &tell);
                self.desk.end(job, outcome);
                drop(tell);
            });
            watch(stream, &told);
        });
        match self.desk.fate(job) {
            JobFate::Ended(outcome) => send(stream, &Reply::Finished { outcome }),
            JobFate::Running | JobFate::Unknown => {
                send(stream, &failed(FailureCode::Internal, "the change was lost".to_owned()))
            }
        }
    }

    fn run(&self, asked: Asked, begun: Instant, tell: &Sender<JobEvent>) -> Outcome {
        let Asked { job, source, grounds, if_match, confirm_secs } = asked;
        let terms = Terms { if_match: if_match.as_deref(), confirm_secs };
        let input = match source {
            Source::Upload { upload } => self.uploaded(upload, &grounds, terms),
            Source::Change { body } => self.changed(&body, &grounds, terms),
        };
        let mut tell_with_time = |mut event: JobEvent| {
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            event.elapsed_seconds = seconds(millis);
            // Nobody listens any more: the change goes on.
            let _ = tell.send(event.bounded());
        };
        match input {
            Ok((input, origin)) => {
                let order = ApplyOrder { job, origin: &origin, confirm_secs };
                self.pipeline.apply(&order, input, &mut tell_with_time)
            }
            Err(error) => outcome_of(error),
        }
    }

    /// A whole configuration, and who wants it.
    fn uploaded(
        &self,
        upload: Upload,
        grounds: &Grounds,
        terms: Terms<'_>,
    ) -> Result<(Input, Origin), PipelineError> {
        let origin = match grounds {
            Grounds::FirstClaim => Origin::FirstClaim,
            Grounds::FirstBoot { place, asked } => {
                Origin::FirstBoot { place: place.clone(), asked: *asked }
            }
            Grounds::Signed { .. } => self.admin(grounds, |proof| {
                proof.is_for_upload(&upload) && terms.are_those_of(proof)
            })?,
        };
        self.permitted(&origin, terms.if_match)?;
        // What is hashed here is what was signed.
        Ok((self.input(upload)?, origin))
    }

    /// The configuration with the part changed that the signed request names, and who wants it.
    fn changed(
        &self,
        body: &str,
        grounds: &Grounds,
        terms: Terms<'_>,
    ) -> Result<(Input, Origin), PipelineError> {
        let mut change = None;
        let origin = self.admin(grounds, |proof| {
            change = proof.change(body).filter(|_| terms.are_those_of(proof));
            change.is_some()
        })?;
        let change = change.ok_or_else(|| refused(FailureCode::Denied, "no change"))?;
        Ok((self.edited(&change, terms.if_match)?, origin))
    }

    /// Whether a whole configuration may be put in force by `origin` now.
    fn permitted(&self, origin: &Origin, if_match: Option<&str>) -> Result<(), PipelineError> {
        let current = self.pipeline.current()?;
        match origin {
            Origin::FirstClaim | Origin::FirstBoot { .. } if current.provisioned => {
                let message = "the device has a configuration already";
                Err(refused(FailureCode::AlreadyProvisioned, message))
            }
            Origin::Admin { .. } if !current.provisioned => {
                Err(refused(FailureCode::NotProvisioned, "the device has no administrators"))
            }
            Origin::FirstClaim | Origin::FirstBoot { .. } | Origin::Admin { .. } => {
                match if_match {
                    Some(wanted) if current.etag.as_deref() != Some(wanted) => Err(changed()),
                    Some(_) | None => Ok(()),
                }
            }
        }
    }
}

/// Whether only a program of root's may ask this: what is found on the device, and is told of it in
/// the part of the audit log that no stranger can fill.
const fn is_roots(request: &Request) -> bool {
    matches!(
        request,
        Request::Apply { grounds: Grounds::FirstBoot { .. }, .. }
            | Request::Audit { entry: AuditEntry::SeedRefused { .. } }
    )
}

/// A change as it was asked for.
struct Asked {
    job: JobId,
    source: Source,
    grounds: Grounds,
    if_match: Option<String>,
    confirm_secs: Option<u32>,
}

/// On which terms a change is wanted.
#[derive(Clone, Copy)]
struct Terms<'t> {
    if_match: Option<&'t str>,
    confirm_secs: Option<u32>,
}

impl Terms<'_> {
    /// Whether the administrator signed these.
    fn are_those_of(self, proof: &Proof) -> bool {
        proof.is_for_tag(self.if_match) && proof.is_for_confirmation_within(self.confirm_secs)
    }
}

/// Ends a job whose thread is ended by a panic.
struct Ending<'d> {
    desk: &'d Desk,
    job: JobId,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.desk.running() == Some(self.job) {
            let error = "the helper failed in the middle of the change".to_owned();
            let rollback = RollbackStatus::Failed;
            self.desk.end(self.job, Outcome::Failed { error, faults: Vec::new(), rollback });
        }
    }
}

/// Tells the client what is told, until the change is over. A client that is gone or too slow is
/// told no more.
fn watch<S: Write>(stream: &mut S, told: &Receiver<JobEvent>) {
    let mut is_there = true;
    loop {
        let reply = match told.recv_timeout(ALIVE) {
            Ok(event) => Reply::Event { event },
            Err(RecvTimeoutError::Timeout) => Reply::Alive,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        is_there = is_there && send(stream, &reply).is_ok();
    }
}

fn read_request<S: Read>(stream: &mut S) -> Result<RequestFrame, ServeError> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let mut content = vec![0; decode_length(header)?];
    stream.read_exact(&mut content)?;
    Ok(parse_frame(&content)?)
}

fn send<S: Write>(stream: &mut S, reply: &Reply) -> Result<(), ServeError> {
    let frame = match encode_frame(reply) {
        Ok(frame) => frame,
        // Only faults can be too many for a frame, and the model bounds them; still, an answer.
        Err(error) => encode_frame(&failed(FailureCode::Internal, chain(&error)))?,
    };
    stream.write_all(&frame)?;
    Ok(stream.flush()?)
}

fn denied(error: &Denied) -> PipelineError {
    PipelineError::Refused { code: FailureCode::Denied, message: chain(error) }
}

fn changed() -> PipelineError {
    refused(FailureCode::ConfigChanged, "the configuration is another one by now")
}

fn refused(code: FailureCode, message: &str) -> PipelineError {
    PipelineError::Refused { code, message: message.to_owned() }
}

const fn failed(code: FailureCode, message: String) -> Reply {
    Reply::Failed { code, message }
}

fn reply_of(error: PipelineError) -> Reply {
    match error {
        PipelineError::Invalid(faults) => Reply::Invalid { faults },
        PipelineError::Refused { code, message } => Reply::Failed { code, message },
    }
}

/// The outcome of a change that was never begun.
fn outcome_of(error: PipelineError) -> Outcome {
    let (error, faults) = match error {
        PipelineError::Invalid(faults) => ("the configuration is not valid".to_owned(), faults),
        PipelineError::Refused { message, .. } => (message, Vec::new()),
    };
    Outcome::Failed { error, faults, rollback: RollbackStatus::Skipped }
}
