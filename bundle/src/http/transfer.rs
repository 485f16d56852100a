// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request's answer on its way in: is its head what was asked for, where do its bytes go, and
//! when is waiting no longer worth it?
//!
//! These are libcurl's callbacks. The pace is measured here and not by libcurl, since a transfer
//! that waits for its own reader is not slow.

use super::average::floor;
use super::counters::Counters;
use super::error::{HttpError, TOO_SLOW, TransferFault};
use super::head::{HeadError, MAX_HEAD_BYTES, ResponseHead};
use super::limits::Bounds;
use super::options::Patience;
use super::window::Window;
use curl::easy::{Handler, WriteError};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes of an error page or redirect that are read to keep the connection.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;

/// How often somebody who waits for the rate limit looks whether he still should.
const LOOK_UP: Duration = Duration::from_millis(100);

/// No request may last longer than a week, however large.
const MAX_REQUEST_SECS: u64 = 7 * 24 * 3600;

/// Marks by which a file is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub total: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

impl Identity {
    pub fn of(head: &ResponseHead, total: u64) -> Self {
        Self { total, etag: head.etag.clone(), last_modified: head.last_modified.clone() }
    }

    /// What differs: name, before, now. A mark that is missing now cannot be compared.
    fn differs(&self, head: &ResponseHead, total: u64) -> Option<(&'static str, String, String)> {
        if total != self.total {
            return Some(("length", self.total.to_string(), total.to_string()));
        }
        for (what, before, now) in [
            ("ETag", &self.etag, &head.etag),
            ("Last-Modified", &self.last_modified, &head.last_modified),
        ] {
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                return Some((what, before.clone(), now.clone()));
            }
        }
        None
    }
}

/// Which answer is the one asked for.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// 206 with exactly these bytes, of the file that is known.
    Range { first: u64, last: u64, identity: Option<Arc<Identity>> },
    /// 206 with some of these ranges (first, end), of the file that is known; the body is in
    /// parts, and at most `limit` bytes long.
    Ranges { ranges: Arc<[(u64, u64)]>, limit: u64, identity: Arc<Identity> },
    /// 200 with at most so many bytes.
    Whole { limit: u64 },
}

impl Expect {
    /// Most bytes that the body may have.
    fn most(&self) -> u64 {
        match self {
            Self::Range { first, last, .. } => last.saturating_sub(*first).saturating_add(1),
            Self::Ranges { limit, .. } | Self::Whole { limit } => *limit,
        }
    }

    /// Length of the file, or the most it may have; nothing while nobody knows.
    fn total(&self) -> u64 {
        match self {
            Self::Range { identity, .. } => identity.as_ref().map_or(0, |known| known.total),
            Self::Ranges { identity, .. } => identity.total,
            Self::Whole { limit } => *limit,
        }
    }
}

/// Where the bytes go.
pub(super) enum Body {
    Memory(Vec<u8>),
    Window(Arc<Window>),
    File(File),
}

impl Body {
    /// The bytes that were kept in memory.
    pub fn into_memory(self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Window(_) | Self::File(_) => Vec::new(),
        }
    }
}

/// Why a transfer ended early.
pub(super) enum Fault {
    /// Nothing to gain from a repetition.
    Fatal(HttpError),
    /// Another try may help; the server may have said when.
    Again { cause: TransferFault, after: Option<Duration> },
    /// The reader of the window is gone.
    Unwanted,
}

impl From<HttpError> for Fault {
    fn from(failure: HttpError) -> Self {
        Self::Fatal(failure)
    }
}

/// How fast it goes.
pub(super) struct Pace {
    stall: Duration,
    rate: u64,
    deadline: Instant,
    checked: Instant,
    since: u64,
    /// Below this another place is asked, measured over so much time.
    floor: Option<(Duration, u64)>,
    /// Up to here time is in the average, and these bytes are not.
    noted: Instant,
    fresh: u64,
}

impl Pace {
    /// The pace for one exchange of a request, which ends at `deadline`.
    pub fn new(patience: &Patience, expect: &Expect, deadline: Instant) -> Self {
        let rate = patience.min_bytes_per_sec.max(1);
        let floor = floor(patience, expect.total()).map(|floor| (patience.average, floor));
        let now = Instant::now();
        let (stall, checked, since) = (patience.stall, now, 0);
        Self { stall, rate, deadline, checked, since, floor, noted: now, fresh: 0 }
    }

    /// When a request that begins now must have ended, with all its redirects; `end` is the end
    /// of all patience.
    pub fn deadline(patience: &Patience, expect: &Expect, end: Option<Instant>) -> Instant {
        let secs = (expect.most() / patience.min_bytes_per_sec.max(1)).min(MAX_REQUEST_SECS);
        let deadline = Instant::now() + patience.stall + Duration::from_secs(secs);
        end.map_or(deadline, |end| deadline.min(end))
    }

    fn waited(&mut self, time: Duration) {
        self.deadline += time;
        self.checked += time;
        self.noted += time;
    }

    /// Adds what is new to the average of the source. Why another place is to be asked, where it is.
    fn measure(&mut self, counters: &Counters) -> Option<TransferFault> {
        let (over, floor) = self.floor?;
        let now = Instant::now();
        let busy = now.saturating_duration_since(self.noted);
        let mut average = counters.average();
        average.note(now, (busy, std::mem::take(&mut self.fresh)));
        self.noted = self.noted.max(now);
        let rate = average.judge(over, floor)?;
        Some(TransferFault(format!("only {rate} {TOO_SLOW} {floor}")))
    }

    fn judge(&mut self) -> Option<TransferFault> {
        let now = Instant::now();
        if now >= self.deadline {
            return Some(TransferFault("the server is too slow".to_owned()));
        }
        if now.saturating_duration_since(self.checked) >= self.stall {
            if self.since < self.rate.saturating_mul(self.stall.as_secs().max(1)) {
                let secs = self.stall.as_secs_f32();
                return Some(TransferFault(format!("no progress for {secs:.0} seconds")));
            }
            (self.checked, self.since) = (now, 0);
        }
        None
    }
}

/// How far the newest head is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not all of its lines are there.
    Coming,
    /// It is whole; another one may follow.
    Whole,
    /// It is the last, and was judged.
    Judged,
}

/// libcurl's callbacks for one request.
pub(super) struct Receiver {
    url: String,
    expect: Expect,
    pub body: Body,
    /// Lines of the newest head. A proxy that makes a tunnel has one of its own before: which is
    /// the server's is known once its body begins, or the transfer has ended.
    lines: Vec<u8>,
    /// Where the newest head stands.
    phase: Phase,
    pub head: Option<ResponseHead>,
    accepted: bool,
    /// Bytes of the body, wherever they went.
    pub received: u64,
    pub fault: Option<Fault>,
    pace: Pace,
    bounds: Bounds,
    counters: Arc<Counters>,
}

impl Receiver {
    pub fn new(
        url: String,
        (expect, body): (Expect, Body),
        pace: Pace,
        bounds: Bounds,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            url,
            expect,
            body,
            lines: Vec::new(),
            phase: Phase::Coming,
            head: None,
            accepted: false,
            received: 0,
            fault: None,
            pace,
            bounds,
            counters,
        }
    }

    /// No other head follows: the body begins, or the transfer has ended. False: it is not what
    /// was asked for.
    pub fn settle(&mut self) -> bool {
        if self.phase != Phase::Whole {
            return self.fault.is_none();
        }
        let head = match ResponseHead::parse(&self.lines) {
            // Nothing came after an interim answer.
            Ok(head) if head.status < 200 => return self.fault.is_none(),
            Ok(head) => head,
            Err(source) => return self.head_error(source),
        };
        self.phase = Phase::Judged;
        match self.judge_head(&head) {
            Ok(accepted) => self.accepted = accepted,
            Err(refused) => {
                self.end(refused);
            }
        }
        self.head = Some(head);
        self.fault.is_none()
    }

    /// After the transfer: also what came since the last look is in the average.
    pub fn measure(&mut self) {
        self.pace.measure(&self.counters);
    }

    /// How many bytes of the body were kept.
    pub fn accepted_bytes(&self) -> u64 {
        if self.accepted { self.received } else { 0 }
    }

    /// After the transfer: is anything missing that libcurl did not notice?
    pub fn complete(&self) -> bool {
        match &self.expect {
            Expect::Range { first, last, .. } if self.accepted => {
                self.received == last.saturating_sub(*first) + 1
            }
            // Parts say themselves whether they are whole.
            Expect::Range { .. } | Expect::Ranges { .. } | Expect::Whole { .. } => true,
        }
    }

    fn end(&mut self, fault: impl Into<Fault>) -> bool {
        self.fault.get_or_insert(fault.into());
        false
    }

    fn head_error(&mut self, source: HeadError) -> bool {
        let url = self.url.clone();
        self.end(HttpError::Head { url, source })
    }

    /// The head is complete: may its body be kept?
    fn judge_head(&mut self, head: &ResponseHead) -> Result<bool, HttpError> {
        let url = || self.url.clone();
        match (&self.expect, head.status) {
            (Expect::Range { first, last, identity }, 206) => {
                let range = head.content_range.ok_or_else(|| HttpError::NoRange { url: url() })?;
                if let Some(identity) = identity
                    && let Some((what, before, now)) = identity.differs(head, range.total)
                {
                    let offset = *first;
                    return Err(HttpError::Changed { url: url(), offset, what, before, now });
                }
                let length = range.last - range.first + 1;
                let framed = head.content_length.is_none_or(|found| found == length);
                if range.first != *first || range.last != *last || !framed {
                    return Err(HttpError::WrongRange {
                        url: url(),
                        wanted: format!("{first}-{last}"),
                        found: format!("{}-{}/{}", range.first, range.last, range.total),
                    });
                }
                Ok(true)
            }
            (Expect::Ranges { ranges, identity, .. }, 206) => {
                let total = head.content_range.map_or(identity.total, |range| range.total);
                if let Some((what, before, now)) = identity.differs(head, total) {
                    let offset = ranges.first().map_or(0, |range| range.0);
                    return Err(HttpError::Changed { url: url(), offset, what, before, now });
                }
                Ok(true)
            }
            (Expect::Range { .. } | Expect::Ranges { .. }, 200) => {
                Err(HttpError::RangesUnsupported { url: url(), mark: head.mark() })
            }
            (Expect::Whole { limit }, 200) => {
                if head.content_length.is_some_and(|found| found > *limit) {
                    return Err(HttpError::TooLarge { url: url(), limit: *limit });
                }
                Ok(true)
            }
            (Expect::Range { .. } | Expect::Ranges { .. } | Expect::Whole { .. }, _) => Ok(false),
        }
    }

    fn store(&mut self, bytes: &[u8]) -> bool {
        match &mut self.body {
            Body::Memory(memory) => memory.extend_from_slice(bytes),
            Body::File(file) => {
                if let Err(failure) = file.write_all(bytes) {
                    let (url, reason) = (self.url.clone(), failure.to_string());
                    return self.end(HttpError::Store { url, reason });
                }
            }
            Body::Window(window) => {
                let stop = self.bounds.stop.clone();
                let stops = || stop.as_ref().is_some_and(|stop| stop().is_some());
                let Some(waited) = window.push(bytes, &stops) else {
                    return self.end(Fault::Unwanted);
                };
                self.pace.waited(waited);
            }
        }
        true
    }

    /// Counts bytes against what may come, and waits until more may. The line is full meanwhile:
    /// the server waits too.
    fn may_take(&mut self, len: u64) -> bool {
        if let Some(Err(limit)) = self.bounds.budget.as_ref().map(|budget| budget.spend(len)) {
            let (url, limit) = (self.url.clone(), limit.get());
            return self.end(HttpError::OverBudget { url, limit });
        }
        let Some(rate) = &self.bounds.rate else { return true };
        let begun = Instant::now();
        let until = begun + rate.took(len, begun);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if left.is_zero() || !self.is_wanted() {
                break;
            }
            std::thread::sleep(left.min(LOOK_UP));
        }
        // Our own wish is no fault of the server.
        self.pace.waited(begun.elapsed());
        self.fault.is_none()
    }

    /// Whether anybody still wants bytes; else why not.
    fn is_wanted(&mut self) -> bool {
        if let Some(reason) = self.bounds.stop.as_ref().and_then(|stop| stop()) {
            return self.end(HttpError::Stopped { reason });
        }
        match &self.body {
            Body::Window(window) if window.is_closed() => self.end(Fault::Unwanted),
            Body::Window(_) | Body::Memory(_) | Body::File(_) => true,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len() as u64;
        self.counters.bytes.fetch_add(len, Ordering::Relaxed);
        self.pace.since = self.pace.since.saturating_add(len);
        if self.accepted {
            // Pages of errors bring nobody further.
            self.pace.fresh = self.pace.fresh.saturating_add(len);
        }
        if !self.may_take(len) {
            return false;
        }
        let before = self.received;
        self.received = before.saturating_add(len);
        if !self.accepted {
            if self.received > MAX_DISCARDED_BYTES {
                // The head was read; what it says counts, not this ending.
                return false;
            }
            return true;
        }
        if self.received > self.expect.most() {
            self.received = before;
            let url = self.url.clone();
            let too_much = match &self.expect {
                Expect::Range { first, last, .. } => HttpError::WrongRange {
                    url,
                    wanted: format!("{first}-{last}"),
                    found: "and more".to_owned(),
                },
                Expect::Ranges { limit, .. } | Expect::Whole { limit } => {
                    HttpError::TooLarge { url, limit: *limit }
                }
            };
            return self.end(too_much);
        }
        self.store(bytes)
    }
}

impl Handler for Receiver {
    fn header(&mut self, line: &[u8]) -> bool {
        match self.phase {
            // Trailers of a chunked body decide nothing.
            Phase::Judged => return true,
            Phase::Coming | Phase::Whole if line.starts_with(b"HTTP/") => {
                // After that of a proxy, or an interim answer: only the last head counts.
                self.lines.clear();
                self.phase = Phase::Coming;
            }
            Phase::Whole => return true,
            Phase::Coming => {}
        }
        if self.lines.len().saturating_add(line.len()) > MAX_HEAD_BYTES {
            return self.head_error(HeadError::TooLarge);
        }
        self.lines.extend_from_slice(line);
        if line.trim_ascii().is_empty() {
            self.phase = Phase::Whole;
        }
        true
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        // Another number than was given ends the transfer; an empty piece cannot do that.
        Ok(if self.settle() && self.take(bytes) {
            bytes.len()
        } else {
            bytes.len().wrapping_add(1)
        })
    }

    fn progress(&mut self, _: f64, _: f64, _: f64, _: f64) -> bool {
        if !self.is_wanted() {
            return false;
        }
        if let Some(source) = self.pace.measure(&self.counters) {
            // A repetition would be as slow; who tells of it knows place and tries.
            let url = self.url.clone();
            return self.end(HttpError::Transfer {
                url,
                offset: 0,
                tries: 1,
                retry_after: None,
                source,
            });
        }
        match self.pace.judge() {
            Some(cause) => self.end(Fault::Again { cause, after: None }),
            None => true,
        }
    }
}
