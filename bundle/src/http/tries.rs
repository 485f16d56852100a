// SPDX-License-Identifier: MIT OR Apache-2.0
//! When is a broken transfer worth another try? And the fetch of one range, tried that long.

use super::client::{Answer, Client, Target, Turn};
use super::error::{HttpError, TransferFault};
use super::head::ResponseHead;
use super::multipart::{Part, parse_parts};
use super::options::HttpNotice;
use super::transfer::{Body, Expect, Fault, Identity};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many bytes make a new count of tries. One byte per try must not: a server that drips would
/// be asked for ever.
const PROGRESS_BYTES: u64 = 64 * 1024;
/// The longest pause that is made at a server's word. Asked for more, the fetch ends with it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// What the head of one part may take on average.
const PART_HEAD_BYTES: u64 = 1024;
/// How often a pause looks up.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The tries of one fetch.
pub(super) struct Tries<'a> {
    client: &'a Client,
    limit: u32,
    made: u32,
    gained: u64,
    pause: Duration,
    longest: Duration,
}

impl<'a> Tries<'a> {
    pub fn new(client: &'a Client, turn: Turn) -> Self {
        let patience = &client.options.patience;
        // Somebody waits for the first answer, and a wrong name stays wrong: as short as RAUC's.
        let (limit, longest) = match turn {
            Turn::First => (patience.first_tries, patience.pause),
            Turn::Later => (patience.tries, patience.longest_pause),
        };
        Self { client, limit, made: 0, gained: 0, pause: patience.pause, longest }
    }

    /// Bytes arrived.
    pub fn gain(&mut self, bytes: u64) {
        self.gained = self.gained.saturating_add(bytes);
        if self.gained >= PROGRESS_BYTES {
            (self.made, self.gained) = (0, 0);
            self.pause = self.client.options.patience.pause;
        }
    }

    /// Pauses if another try is due; else says why not. `unwanted` ends the pause early.
    pub fn failed(
        &mut self,
        (fault, target, offset): (Fault, &Target, u64),
        unwanted: &dyn Fn() -> bool,
    ) -> Result<(), HttpError> {
        let url = target.url.to_string();
        let (cause, after) = match fault {
            Fault::Again { cause, after } => (cause, after),
            Fault::Fatal(HttpError::Transfer { source, .. }) => {
                let tries = self.made + 1;
                return Err(HttpError::Transfer { url, offset, tries, retry_after: None, source });
            }
            Fault::Fatal(failure) => return Err(failure),
            Fault::Unwanted => return Err(self.gone(url, offset)),
        };
        self.made += 1;
        // Who wants to be left alone for longer is asked again by whoever wants the file, later.
        let is_put_off = after.is_some_and(|after| after > MAX_RETRY_AFTER);
        if self.made > self.limit || self.client.is_late() || is_put_off {
            let (tries, retry_after) = (self.made, after);
            return Err(HttpError::Transfer { url, offset, tries, retry_after, source: cause });
        }
        let pause = after.map_or(self.pause, |after| after.max(self.pause));
        self.pause = self.pause.saturating_mul(2).min(self.longest);
        let notice = HttpNotice::Retry { url: url.clone(), offset, cause: cause.0, pause };
        self.client.options.notice(&notice);
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if unwanted() {
                return Err(self.gone(url, offset));
            }
            if let Some(reason) = self.client.options.stop_reason() {
                return Err(HttpError::Stopped { reason });
            }
            std::thread::sleep(left.min(LOOK_UP));
        }
        // A server that breaks off and wants a pause each time is as slow as one that drips.
        self.client.counters.average().note(Instant::now(), (pause, 0));
        Ok(())
    }

    fn gone(&self, url: String, offset: u64) -> HttpError {
        let source = TransferFault("nobody wants the rest".to_owned());
        HttpError::Transfer { url, offset, tries: self.made, retry_after: None, source }
    }
}

/// The bytes `first..=last`, and the answer that began them.
pub(super) fn fetch_range(
    client: &Client,
    target: &Target,
    turn: Turn,
    (first, last): (u64, u64),
    identity: Option<&Arc<Identity>>,
) -> Result<(Vec<u8>, Answer), HttpError> {
    let mut tries = Tries::new(client, turn);
    let wanted = last.saturating_sub(first).saturating_add(1);
    // Ranges in memory are small; the length is the caller's, not the server's.
    let mut memory = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
    loop {
        let at = first.saturating_add(memory.len() as u64);
        let expect = Expect::Range { first: at, last, identity: identity.map(Arc::clone) };
        let got = client.get(target, turn, &expect, Body::Memory(memory));
        memory = got.body.into_memory();
        match got.outcome {
            Ok(answer) => return Ok((memory, answer)),
            Err(fault) => {
                // The first request has no identity to go on with.
                if identity.is_none() {
                    memory.clear();
                } else {
                    tries.gain(got.received);
                }
                let at = first.saturating_add(memory.len() as u64);
                tries.failed((fault, target, at), &|| false)?;
            }
        }
    }
}

/// What became of a request for several ranges.
pub(super) enum Batch {
    Got(Vec<Vec<u8>>),
    /// This server does not answer such requests as hoped.
    Refused,
    /// The line broke, or this server breaks it at such requests.
    Broken,
}

/// Each of `ranges` (first, end), by one request for all of them, tried once: asking for each on
/// its own is always possible.
pub(super) fn fetch_ranges(
    client: &Client,
    target: &Target,
    ranges: &[(u64, u64)],
    identity: &Arc<Identity>,
) -> Result<Batch, HttpError> {
    let bytes: u64 = ranges.iter().map(|(first, end)| end - first).sum();
    let heads = PART_HEAD_BYTES.saturating_mul(ranges.len() as u64 + 1);
    let limit = bytes.saturating_add(heads);
    let expect = Expect::Ranges { ranges: ranges.into(), limit, identity: Arc::clone(identity) };
    let got = client.get(target, Turn::Later, &expect, Body::Memory(Vec::new()));
    match got.outcome {
        Ok(answer) => {
            let body = got.body.into_memory();
            let picked = pick(ranges, &answer.head, &body, identity.total);
            Ok(picked.map_or(Batch::Refused, Batch::Got))
        }
        Err(Fault::Fatal(failure @ (HttpError::Changed { .. } | HttpError::Stopped { .. }))) => {
            Err(failure)
        }
        Err(Fault::Fatal(_)) => Ok(Batch::Refused),
        Err(Fault::Again { .. } | Fault::Unwanted) => Ok(Batch::Broken),
    }
}

/// The bytes of each range out of the parts of an answer; none if one is missing.
fn pick(
    ranges: &[(u64, u64)],
    head: &ResponseHead,
    body: &[u8],
    total: u64,
) -> Option<Vec<Vec<u8>>> {
    let parts = match (&head.content_range, &head.content_type) {
        // All ranges joined into one.
        (Some(range), _) => vec![Part { first: range.first, start: 0, end: body.len() }],
        (None, content_type) => parse_parts(content_type.as_deref()?, body, total).ok()?,
    };
    let find = |(first, end): &(u64, u64)| {
        parts.iter().find_map(|part| {
            let skip = usize::try_from(first.checked_sub(part.first)?).ok()?;
            let from = part.start.checked_add(skip)?;
            let to = from.checked_add(usize::try_from(end - first).ok()?)?;
            body.get(from..to.min(part.end)).filter(|bytes| from + bytes.len() == to)
        })
    };
    ranges.iter().map(|range| find(range).map(<[u8]>::to_vec)).collect()
}
