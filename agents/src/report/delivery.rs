// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a report reach its server, and when is it sent again? Rules for `report_url`; the
//! program's hands send.
//!
//! What is remembered ([`ReportRecord`]) is that a report is due, not the report: it is made when it
//! is sent, so it is never stale, and a power cut can lose nothing. A cut between the server's answer and the memory
//! sends the same news twice; the header `X-Report-News` tells a server so.

use super::{Report, is_news};
use crate::ReportRecord;
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::Digest;

/// What a signed report is, by RFC 7193.
const CONTENT_TYPE: &str = "application/cms";

/// The first pause after a failure; each next is twice as long.
const FIRST_PAUSE_SECS: i64 = 60;

/// The longest, and the one after an answer that no repetition changes.
const LONGEST_PAUSE_SECS: i64 = 86_400;

/// Longest pause between failures that may pass by themselves.
const FAILURE_PAUSE_SECS: i64 = 6 * 3600;

/// Doublings after which the pause does not grow any more; keeps the shift small.
const MOST_DOUBLINGS: u32 = 12;

/// A request to make: a POST that follows no redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The signed report.
    pub body: Vec<u8>,
    /// What to remember once it arrived.
    pub news: Digest,
}

impl ReportRequest {
    /// Sends `signed`, the signature with `report` in it.
    #[must_use]
    pub fn new(report: &Report, signed: Vec<u8>) -> Self {
        let news = report.news();
        let headers = vec![
            ("Content-Type".to_owned(), CONTENT_TYPE.to_owned()),
            ("X-Report-News".to_owned(), news.to_string()),
        ];
        Self { headers, body: signed, news }
    }
}

/// How a server answered; what it says in its body is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// With a status.
    Status {
        /// The status.
        code: u16,
        /// `Retry-After` in seconds, where there is one.
        retry_after_secs: Option<u32>,
    },
    /// Not at all.
    None {
        /// Why, in words.
        why: String,
    },
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server has it.
    Delivered,
    /// It is sent again, not before this.
    Later {
        /// The moment.
        not_before: UnixTime,
        /// Why, in words.
        why: String,
    },
}

impl ReportRecord {
    /// Remembers whether `report` is still to be told: at once after a boot, before it is sent. While
    /// another one is due it is, too, also where it is what arrived last: that other one may have
    /// arrived without a word, and the server would go on believing it.
    pub fn note(&mut self, report: &Report) {
        let is_due = self.pending.is_some() || is_news(report, self.sent);
        self.pending = is_due.then(|| report.news());
    }

    /// Remembers that a report with this news arrived; one that came meanwhile is still due.
    pub fn arrived(&mut self, news: Digest) {
        self.sent = Some(news);
        self.pending = self.pending.filter(|pending| *pending != news);
    }
}

/// Tries since a report last arrived. Kept ([`ReportRecord`]): where a timer starts the agent anew
/// each time, a server that is away or asks for less would be sent the report at each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportTries {
    failures: u32,
    #[serde(with = "crate::memory::text::optional_time")]
    not_before: Option<UnixTime>,
}

impl ReportTries {
    /// Whether it may be sent now. A clock that went back does not keep it for longer than the
    /// longest pause.
    #[must_use]
    pub fn may_send(&self, now: UnixTime) -> bool {
        !self
            .not_before
            .is_some_and(|then| now < then && then.0.saturating_sub(now.0) <= LONGEST_PAUSE_SECS)
    }

    /// How long it is until it may be sent again; nothing where it may be sent now.
    #[must_use]
    pub fn wait(&self, now: UnixTime) -> Option<Duration> {
        let then = self.not_before.filter(|_| !self.may_send(now))?;
        Some(Duration::from_secs(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0)))
    }

    /// What an answer means.
    pub fn judge(&mut self, answer: &ReportAnswer, now: UnixTime) -> Delivery {
        let why = match answer {
            ReportAnswer::Status { code: 200..=299, .. } => {
                *self = Self::default();
                return Delivery::Delivered;
            }
            ReportAnswer::Status { code, .. } => words(*code),
            ReportAnswer::None { why } => why.clone(),
        };
        self.failures = self.failures.saturating_add(1);
        let not_before = UnixTime(now.0.saturating_add(pause(answer, self.failures)));
        self.not_before = Some(not_before);
        Delivery::Later { not_before, why }
    }
}

/// Seconds until the next try.
fn pause(answer: &ReportAnswer, failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    let own = FIRST_PAUSE_SECS.saturating_mul(1 << doublings).min(FAILURE_PAUSE_SECS);
    match answer {
        ReportAnswer::None { .. } => own,
        ReportAnswer::Status { code: 408 | 425 | 429 | 500..=599, retry_after_secs } => {
            let asked = i64::from(retry_after_secs.unwrap_or(0)).min(LONGEST_PAUSE_SECS);
            own.max(asked)
        }
        // Wrong address, token or kind of server: only a person changes that.
        ReportAnswer::Status { .. } => LONGEST_PAUSE_SECS,
    }
}

fn words(code: u16) -> String {
    let hint = match code {
        300..=399 => "a redirect, which reports do not follow; correct report_url",
        401 | 403 => "the server does not know this device; check its client certificate",
        404 | 405 | 410 | 415 => "this address takes no reports; check report_url",
        413 => "the server takes no report of this size",
        429 => "the server asks for less",
        500..=599 => "the server has a fault",
        _ => "the server refuses",
    };
    format!("status {code}: {hint}")
}
