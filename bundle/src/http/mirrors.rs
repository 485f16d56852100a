// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of one bundle that lies on several servers: which of them is asked?
//!
//! One at a time, in the order given. A mirror is left for good when it fails for good, when it is too
//! slow ([`super::average`]), when its file changes, or when whoever verifies says that its bytes are
//! not the signed ones; reading goes on with the next, at the same place. Each mirror's file is pinned by its own marks (ETag, date)
//! and by the length of the one whose signature held; whether it is the same file only the signature
//! can tell, and tells it of every block. Before a signature held no length is better than another:
//! the first mirror's would shut out every honest one.

use super::average::Elsewhere;
use super::error::{HttpError, retry_after};
use super::options::{HttpNotice, HttpOptions, Patience};
use super::source::{HttpCounts, HttpSource};
use super::url::shown_url;
use crate::source::check_range;
use crate::{Source, SourceError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::{ByteLen, chain};

/// Told as the cause where a mirror has other bytes than the signed ones.
pub(crate) const NOT_SIGNED: &str = "its bytes are not the ones that were signed";

/// Whether the length of the file is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Every mirror's file has it.
    Pinned,
    /// It is that of the mirror which is read now.
    Open,
}

struct State {
    now: Arc<HttpSource>,
    total: u64,
    length: Length,
    /// The place of `now` in the list.
    at: usize,
    /// What the mirrors that were left have cost.
    spent: HttpCounts,
    /// What was announced last.
    announced: Vec<(u64, u64)>,
    data_end: Option<u64>,
    /// There is no other mirror any more.
    is_last: bool,
    /// Mirrors that were left for being slow, with their bytes per second.
    slow: Vec<(usize, u64)>,
}

/// A bundle on several servers.
pub struct HttpMirrors {
    urls: Vec<String>,
    options: HttpOptions,
    name: String,
    /// The end of all patience, for all mirrors together.
    end: Option<Instant>,
    state: Mutex<State>,
}

impl std::fmt::Debug for HttpMirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpMirrors")
            .field("first", &self.name)
            .field("mirrors", &self.urls.len())
            .finish_non_exhaustive()
    }
}

impl HttpMirrors {
    /// Opens the first of `urls` that answers well. Headers, keys and credentials of `options` are
    /// those of the first, or of [`HttpOptions::homes`]: see [`HttpOptions::for_mirror`]. What belongs
    /// to a first request (`info_headers`, `if_none_match`) goes to the first alone, and only where it
    /// is one of the homes, if there are any.
    ///
    /// # Errors
    /// That of the first, where none answers, or of the first that asks for less of a pause: no place
    /// puts the others off. [`HttpError::NotModified`], [`HttpError::Stopped`] and
    /// [`HttpError::OverBudget`] at once.
    pub fn open(urls: &[String], options: &HttpOptions) -> Result<Self, HttpError> {
        let mut least: Option<HttpError> = None;
        let end = options.patience.total.and_then(|total| Instant::now().checked_add(total));
        for at in 0..urls.len() {
            match open_one(urls, at, &patient(options, (urls, at), (end, None))) {
                Ok(source) => {
                    return Ok(Self {
                        urls: urls.to_vec(),
                        options: options.clone(),
                        name: source.name().to_owned(),
                        end,
                        state: Mutex::new(State {
                            total: source.len().get(),
                            length: Length::Pinned,
                            now: Arc::new(source),
                            at,
                            spent: HttpCounts { requests: 0, bytes: 0 },
                            announced: Vec::new(),
                            data_end: None,
                            is_last: false,
                            slow: Vec::new(),
                        }),
                    });
                }
                Err(failure) if ends_all(&failure) || is_over(end) => return Err(failure),
                Err(failure) => {
                    tell_left(urls, (at, at + 1), &chain(&failure), options);
                    if least.as_ref().is_none_or(|least| pause(&failure) < pause(least)) {
                        least = Some(failure);
                    }
                }
            }
        }
        Err(least.unwrap_or_else(|| HttpError::Option {
            option: "mirrors",
            reason: "there is none".to_owned(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A mirror is exchanged whole, whoever panicked since.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> (Arc<HttpSource>, usize) {
        let state = self.lock();
        (Arc::clone(&state.now), state.at)
    }

    /// The source that is read now, for what its server says of the file.
    #[must_use]
    pub fn current(&self) -> Arc<HttpSource> {
        self.now().0
    }

    fn total(&self) -> u64 {
        self.lock().total
    }

    /// Settles the length, or leaves it to the next mirror.
    pub(crate) fn settle(&self, length: Length) {
        self.lock().length = length;
    }

    /// Leaves the mirror that was copy number `copy` for a cause of the reader's. Whether another one
    /// is read from now on.
    pub(crate) fn leave_for(&self, copy: u64, cause: &str) -> bool {
        usize::try_from(copy).is_ok_and(|at| self.leave((at, None), 0, cause))
    }

    /// Requests and bytes so far, of all mirrors.
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        let state = self.lock();
        let (before, now) = (state.spent, state.now.counts());
        let requests = before.requests.saturating_add(now.requests);
        HttpCounts { requests, bytes: before.bytes.saturating_add(now.bytes) }
    }

    /// Whether another source than `was`, of mirror number `at`, is read from now on. `offset` is where
    /// reading stands. Where no mirror behind it has the file, a slow one that was left is better than
    /// none: the fastest of them is gone back to, and borne with.
    fn leave(
        &self,
        (at, was): (usize, Option<&Arc<HttpSource>>),
        offset: u64,
        cause: &str,
    ) -> bool {
        let mut state = self.lock();
        if state.at != at || was.is_some_and(|was| !Arc::ptr_eq(was, &state.now)) {
            // Another reader was first.
            return true;
        }
        if state.is_last || is_over(self.end) {
            // Others have asked all of them already, or nobody is to be asked any more.
            return false;
        }
        if let Some(rate) = state.now.too_slow() {
            state.slow.push((at, rate));
        }
        let mut cause = cause.to_owned();
        let best = state.slow.iter().map(|(_, rate)| *rate).max();
        for next in at.saturating_add(1)..self.urls.len() {
            tell_left(&self.urls, (next - 1, next), &cause, &self.options);
            let options = patient(&self.options, (&self.urls, next), (self.end, best));
            match self.turn_to(&mut state, next, &options, offset) {
                Ok(()) => return true,
                Err(None) => return false,
                Err(Some(why)) => cause = why,
            }
        }
        state.is_last = true;
        let fastest = state.slow.iter().max_by_key(|(_, rate)| *rate);
        let Some(back) = fastest.map(|(back, _)| *back) else { return false };
        tell_left(&self.urls, (self.urls.len() - 1, back), &cause, &self.options);
        let options = patient(&self.options, (&self.urls, self.urls.len()), (self.end, None));
        self.turn_to(&mut state, back, &options, offset).is_ok()
    }

    /// Reads from mirror number `next` from now on, or says why not; without words where that ends all.
    fn turn_to(
        &self,
        state: &mut State,
        next: usize,
        options: &HttpOptions,
        offset: u64,
    ) -> Result<(), Option<String>> {
        let source = open_one(&self.urls, next, options)
            .map_err(|failure| (!ends_all(&failure)).then(|| chain(&failure)))?;
        let found = source.len().get();
        if found != state.total {
            if state.length == Length::Pinned {
                return Err(Some(format!("its file has {found} bytes instead of {}", state.total)));
            }
            // What was announced are places in another file.
            (state.total, state.data_end) = (found, None);
            state.announced.clear();
        }
        if let Some(end) = state.data_end {
            source.end_of_data(end);
        }
        // What was read already is not fetched again.
        state.announced.retain(|(_, end)| *end > offset);
        if !state.announced.is_empty() {
            source.prefetch(&state.announced);
        }
        let counts = state.now.counts();
        state.spent.requests = state.spent.requests.saturating_add(counts.requests);
        state.spent.bytes = state.spent.bytes.saturating_add(counts.bytes);
        (state.now, state.at) = (Arc::new(source), next);
        Ok(())
    }
}

/// What no other mirror would mend.
fn ends_all(failure: &HttpError) -> bool {
    matches!(
        failure,
        HttpError::NotModified { .. }
            | HttpError::Stopped { .. }
            | HttpError::OverBudget { .. }
            | HttpError::TooDear { .. }
            | HttpError::Option { .. }
    )
}

/// What it asks for; a failure that says nothing of it asks for none.
fn pause(failure: &HttpError) -> Duration {
    retry_after(failure).unwrap_or_default()
}

/// Whether the end of all patience has come.
fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// What is left of the patience for place number `at`. One that is not the last need not be borne with;
/// nor need the last be, where a faster one was left.
fn patient(
    options: &HttpOptions,
    (urls, at): (&[String], usize),
    (end, best): (Option<Instant>, Option<u64>),
) -> HttpOptions {
    let is_last = at.saturating_add(1) >= urls.len();
    let elsewhere = match (is_last, best) {
        (false, _) => Elsewhere::Known { best: None },
        (true, Some(_)) => Elsewhere::Known { best },
        (true, None) => Elsewhere::Nowhere,
    };
    let total = end.map(|end| end.saturating_duration_since(Instant::now()));
    let patience = Patience { total, elsewhere, ..options.patience };
    HttpOptions { patience, ..options.clone() }
}

fn open_one(urls: &[String], at: usize, options: &HttpOptions) -> Result<HttpSource, HttpError> {
    let (home, url) = (urls.first(), urls.get(at));
    let opened = match (home, url) {
        (Some(home), Some(url)) if at > 0 => HttpSource::open(url, &options.for_mirror(home, url)?),
        (Some(_), Some(url)) if !options.homes.is_empty() => {
            HttpSource::open(url, &options.for_first(url)?)
        }
        (_, url) => HttpSource::open(url.map_or("", String::as_str), options),
    };
    if let Err(HttpError::RangesUnsupported { url, mark }) = &opened {
        options.notice(&HttpNotice::WholeOnly { url: url.clone(), mark: mark.clone() });
    }
    opened
}

fn tell_left(urls: &[String], (at, next): (usize, usize), cause: &str, options: &HttpOptions) {
    let (Some(from), Some(to)) = (urls.get(at), urls.get(next)) else { return };
    let (from, to, cause) = (shown_url(from), shown_url(to), cause.to_owned());
    options.notice(&HttpNotice::MirrorLeft { from, to, cause });
}

impl Source for HttpMirrors {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.total())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        let total = self.total();
        check_range(&self.name, total, offset, buf.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        loop {
            let (source, at) = self.now();
            let Err(failure) = source.read(offset, buf) else { return Ok(()) };
            let goes_on =
                !ends_all(&failure) && self.leave((at, Some(&source)), offset, &chain(&failure));
            // The same place of another file is none: its reader begins anew.
            if !goes_on || self.total() != total {
                return Err(SourceError::Read {
                    name: source.name().to_owned(),
                    offset,
                    len: buf.len(),
                    source: std::io::Error::other(failure),
                });
            }
        }
    }

    fn prefetch(&self, ranges: &[(u64, u64)]) {
        let mut state = self.lock();
        state.announced = ranges.to_vec();
        state.now.prefetch(ranges);
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn end_of_data(&self, end: u64) {
        let mut state = self.lock();
        state.data_end = Some(end);
        state.now.end_of_data(end);
    }

    fn copy(&self) -> u64 {
        self.now().1 as u64
    }

    fn reject(&self, copy: u64, offset: u64) -> bool {
        usize::try_from(copy).is_ok_and(|at| self.leave((at, None), offset, NOT_SIGNED))
    }
}
