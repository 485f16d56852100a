// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole files from a server: the chunks of a store, many and small; or one bundle, large.
//!
//! Chunks are fetched by several connections at once, since each costs a latency, and handed out in
//! the order they were asked for. A download goes on where it broke, if the server tells that the
//! file is still the same; else it begins anew.

use super::client::{Client, Target, Turn};
use super::error::{HttpError, TransferFault};
use super::faults::hopeless_for;
use super::head::ResponseHead;
use super::options::HttpOptions;
use super::source::HttpCounts;
use super::transfer::{Body, Expect, Fault, Identity};
use super::tries::Tries;
use super::url::HttpUrl;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use storage::ByteLen;

/// Connections to a store.
const HANDLES: usize = 8;
/// Files that are fetched or wait to be handed out.
const AHEAD: usize = 2 * HANDLES;
/// How often a download begins anew.
const MOST_ANEW: u32 = 2;

/// A file of a store: its bytes, or `None` if the server has no such file.
pub type Fetched = Result<Option<Vec<u8>>, HttpError>;

/// Small files below one URL.
pub struct HttpFiles {
    client: Client,
    base: Target,
}

impl std::fmt::Debug for HttpFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFiles").field("base", &self.base.url).finish_non_exhaustive()
    }
}

/// The shared state of [`HttpFiles::get_many`].
#[derive(Default)]
struct Queue {
    next: usize,
    delivered: usize,
    done: BTreeMap<usize, Fetched>,
    stop: bool,
}

impl HttpFiles {
    /// Files below `base`; nothing is asked for yet.
    ///
    /// # Errors
    /// [`HttpError::Url`] or [`HttpError::Option`].
    pub fn open(base: &str, options: &HttpOptions) -> Result<Self, HttpError> {
        let base = Target::new(HttpUrl::parse(base).map_err(HttpError::Url)?);
        Ok(Self { client: Client::new(options, HANDLES)?, base })
    }

    /// Requests and bytes so far.
    #[cfg(test)]
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        HttpCounts {
            requests: self.client.counters.requests.load(Ordering::Relaxed),
            bytes: self.client.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// The file `relative`, whole; `None` if the server has none (404, 410).
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpError::TooLarge`] beyond `limit`.
    pub fn get(&self, relative: &str, limit: ByteLen) -> Fetched {
        let url = self.base.url.file(relative).map_err(HttpError::Url)?;
        let target = self.base.with_url(url);
        let expect = Expect::Whole { limit: limit.get() };
        let mut tries = Tries::new(&self.client, Turn::Later);
        loop {
            let body = Body::Memory(Vec::new());
            let got = self.client.get(&target, Turn::Later, &expect, body);
            match got.outcome {
                Ok(_) => return Ok(Some(got.body.into_memory())),
                Err(Fault::Fatal(
                    HttpError::NotFound { .. } | HttpError::Status { status: 410, .. },
                )) => return Ok(None),
                Err(fault) => tries.failed((fault, &target, 0), &|| false)?,
            }
        }
    }

    /// Each file of `relatives`, at most as long as it says, handed to `each` with its number, in order, while the next ones
    /// are fetched. Ends early when `each` breaks.
    pub fn get_many(
        &self,
        relatives: &[(String, ByteLen)],
        each: &mut dyn FnMut(usize, Fetched) -> ControlFlow<()>,
    ) {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        let many = Many { files: self, relatives, queue, changed };
        std::thread::scope(|scope| {
            let start = |_: &usize| {
                let thread = std::thread::Builder::new().name("http-files".to_owned());
                thread.spawn_scoped(scope, || many.work()).is_ok()
            };
            let started = (0..HANDLES.min(relatives.len())).filter(start).count();
            for number in 0..relatives.len() {
                // Without threads one after the other: slower, not wrong.
                let found = if started == 0 { many.fetch(number) } else { many.wait_for(number) };
                let flow = each(number, found);
                many.delivered(number, flow);
                if flow.is_break() {
                    return;
                }
            }
        });
    }
}

/// One call of [`HttpFiles::get_many`], seen by its threads.
struct Many<'a> {
    files: &'a HttpFiles,
    relatives: &'a [(String, ByteLen)],
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Many<'_> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Numbers and results only, whoever panicked since.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, number: usize) -> Fetched {
        let relative = self.relatives.get(number);
        relative.map_or(Ok(None), |(relative, limit)| self.files.get(relative, *limit))
    }

    fn work(&self) {
        let mut queue = self.lock();
        while !queue.stop && queue.next < self.relatives.len() {
            if queue.next >= queue.delivered + AHEAD {
                queue = self.wait(queue);
                continue;
            }
            let number = queue.next;
            queue.next += 1;
            drop(queue);
            let found = self.fetch(number);
            queue = self.lock();
            queue.done.insert(number, found);
            self.changed.notify_all();
        }
    }

    fn wait_for(&self, number: usize) -> Fetched {
        let mut queue = self.lock();
        loop {
            match queue.done.remove(&number) {
                Some(found) => return found,
                None => queue = self.wait(queue),
            }
        }
    }

    fn delivered(&self, number: usize, flow: ControlFlow<()>) {
        let mut queue = self.lock();
        queue.delivered = number + 1;
        queue.stop = flow.is_break();
        self.changed.notify_all();
    }
}

/// What a download brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Length of the file.
    pub len: ByteLen,
    /// Its entity tag.
    pub etag: Option<String>,
    /// By what its server tells it from another version, where it does.
    pub mark: Option<String>,
    /// Where it was found after all redirects.
    pub effective_url: String,
    /// What that cost.
    pub counts: HttpCounts,
}

/// Fetches the whole of `url` into `file` from its beginning, at most `limit` bytes. Whoever
/// opened the file makes it durable.
///
/// # Errors
/// [`HttpError`]; the file then holds a part.
pub fn download(
    url: &str,
    options: &HttpOptions,
    file: &File,
    limit: ByteLen,
) -> Result<Downloaded, HttpError> {
    let mut target = Target::new(HttpUrl::parse(url).map_err(HttpError::Url)?);
    let client = Client::new(options, 1)?;
    let mut tries = Tries::new(&client, Turn::First);
    let mut turn = Turn::First;
    let mut part = Part { at: 0, known: None, ranges: true, anew: 0 };
    let answer = loop {
        let expect = part.ask(limit);
        let body = Body::File(placed(file, part.at, &target)?);
        let got = client.get(&target, turn, &expect, body);
        turn = Turn::Later;
        part.at = part.at.saturating_add(got.received);
        let fault = match got.outcome {
            Ok(answer) => break answer,
            Err(fault) => fault,
        };
        if let Some(broken) = got.broken.filter(|_| part.known.is_none() && part.ranges) {
            part.known = resumable(&broken.head, part.at).map(Arc::new);
            target = broken.target;
        }
        let fault = part.judge(fault);
        if part.known.is_some() {
            tries.gain(got.received);
        }
        tries.failed((fault, &target, part.at), &|| false)?;
    };
    let counts = HttpCounts {
        requests: client.counters.requests.load(Ordering::Relaxed),
        bytes: client.counters.bytes.load(Ordering::Relaxed),
    };
    Ok(Downloaded {
        len: ByteLen::new(part.at),
        mark: answer.head.mark(),
        etag: answer.head.etag,
        effective_url: answer.target.url.without_user(),
        counts,
    })
}

/// How far a download has come.
struct Part {
    at: u64,
    /// The file that a part is here of, if the rest can be asked for.
    known: Option<Arc<Identity>>,
    /// The server has not yet broken its word that it serves ranges.
    ranges: bool,
    /// How often it began anew behind a beginning.
    anew: u32,
}

impl Part {
    /// What to ask for: the rest, or all of it anew.
    fn ask(&mut self, limit: ByteLen) -> Expect {
        match &self.known {
            Some(identity) => Expect::Range {
                first: self.at,
                last: identity.total - 1,
                identity: Some(Arc::clone(identity)),
            },
            None => {
                self.at = 0;
                Expect::Whole { limit: limit.get() }
            }
        }
    }

    /// Where going on is impossible or wrong, beginning anew may help.
    fn judge(&mut self, fault: Fault) -> Fault {
        match fault {
            Fault::Fatal(HttpError::RangesUnsupported { .. }) => {
                (self.known, self.ranges) = (None, false);
                self.begin_anew("the server cannot go on where it ended")
            }
            Fault::Fatal(HttpError::Changed { .. }) => {
                self.known = None;
                self.begin_anew("the file changed")
            }
            Fault::Fatal(_) | Fault::Again { .. } | Fault::Unwanted => fault,
        }
    }

    /// A few times: what came before counts as progress each time, and a server whose file never stays
    /// the same would have it written for ever.
    fn begin_anew(&mut self, cause: &str) -> Fault {
        self.anew += 1;
        let cause = TransferFault(cause.to_owned());
        if self.anew > MOST_ANEW {
            hopeless_for(cause)
        } else {
            Fault::Again { cause, after: None }
        }
    }
}

/// What is needed to ask for the rest: ranges, the length, and a mark to know the file by.
fn resumable(head: &ResponseHead, at: u64) -> Option<Identity> {
    let total = head.content_length.filter(|total| *total > at && head.status == 200)?;
    let marked = head.etag.is_some() || head.last_modified.is_some();
    (head.accepts_ranges && marked && at > 0).then(|| Identity::of(head, total))
}

/// Another handle of the file, emptied from byte `at` on and standing there.
fn placed(file: &File, at: u64, target: &Target) -> Result<File, HttpError> {
    let place = || {
        let mut file = file.try_clone()?;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        Ok::<_, std::io::Error>(file)
    };
    place().map_err(|failure| HttpError::Store {
        url: target.url.to_string(),
        reason: failure.to_string(),
    })
}
