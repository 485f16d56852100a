// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a report reach its server, and when is it sent again? Rules for `report_url`; the
//! program's hands send.
//!
//! What is remembered ([`ReportRecord`]) is that a report is due, not the report: it is made when it
//! is sent, so it is never stale, and a power cut can lose nothing. A cut between the server's answer and the memory
//! sends the same news twice; the header `X-Report-News` tells a server so.

use super::{Report, is_news};
use crate::ReportRecord;
use crate::lot::Lot;
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

/// Over at least this a server's `Retry-After` is spread, and over at most `FAILURE_PAUSE_SECS`.
const LEAST_SPREAD_SECS: i64 = 1800;

/// The longest pause with its spread: a clock that says that more is left was wrong.
const LONGEST_WAIT_SECS: i64 = LONGEST_PAUSE_SECS + FAILURE_PAUSE_SECS;

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
    /// Whom reports go to. Another receiver has none yet, and did not make the last one fail.
    pub fn address(&mut self, url: &str) {
        let to = Digest::from_bytes(openssl::sha::sha256(url.as_bytes()));
        if self.to.is_some_and(|known| known != to) {
            (self.tries, self.sent) = (ReportTries::default(), None);
        }
        self.to = Some(to);
    }

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
pub struct ReportTries {
    failures: u32,
    #[serde(with = "crate::memory::text::optional_time")]
    not_before: Option<UnixTime>,
}

impl ReportTries {
    /// Whether it may be sent now. A clock that went back does not keep it for longer than the
    /// longest wait.
    #[must_use]
    pub fn may_send(&self, now: UnixTime) -> bool {
        !self
            .not_before
            .is_some_and(|then| now < then && then.0.saturating_sub(now.0) <= LONGEST_WAIT_SECS)
    }

    /// How long it is until it may be sent again; nothing where it may be sent now.
    #[must_use]
    pub fn wait(&self, now: UnixTime) -> Option<Duration> {
        let then = self.not_before.filter(|_| !self.may_send(now))?;
        Some(Duration::from_secs(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0)))
    }

    /// What an answer means. A fleet that fails together does not come back together: which moment
    /// of a span `device` takes is drawn from its name.
    pub fn judge(&mut self, answer: &ReportAnswer, device: &str, now: UnixTime) -> Delivery {
        let why = match answer {
            ReportAnswer::Status { code: 200..=299, .. } => {
                *self = Self::default();
                return Delivery::Delivered;
            }
            ReportAnswer::Status { code, .. } => words(*code),
            ReportAnswer::None { why } => why.clone(),
        };
        self.failures = self.failures.saturating_add(1);
        let lot = Lot::of_time("report", u64::from(self.failures), device);
        let not_before = UnixTime(now.0.saturating_add(pause(answer, self.failures, lot)));
        self.not_before = Some(not_before);
        Delivery::Later { not_before, why }
    }
}

/// Seconds until the next try. A pause of our own is met within half of its length; what a server
/// asks for is never shortened.
fn pause(answer: &ReportAnswer, failures: u32, lot: Lot) -> i64 {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    let own = FIRST_PAUSE_SECS.saturating_mul(1 << doublings).min(FAILURE_PAUSE_SECS);
    let own = (own / 2).saturating_add(part(lot, own));
    match answer {
        ReportAnswer::None { .. } => own,
        ReportAnswer::Status { code: 408 | 425 | 429 | 500..=599, retry_after_secs } => {
            let Some(asked) = *retry_after_secs else { return own };
            let asked = i64::from(asked).min(LONGEST_PAUSE_SECS);
            let spread = asked.clamp(LEAST_SPREAD_SECS, FAILURE_PAUSE_SECS);
            own.max(asked.saturating_add(part(lot, spread)))
        }
        // Wrong address, token or kind of server: only a person changes that.
        ReportAnswer::Status { .. } => {
            LONGEST_PAUSE_SECS.saturating_add(part(lot, FAILURE_PAUSE_SECS))
        }
    }
}

/// This device's part of so many seconds.
fn part(lot: Lot, secs: i64) -> i64 {
    let whole = Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    i64::try_from(lot.of(whole).as_secs()).unwrap_or(secs)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FLEET: u32 = 10_000;
    const DAY: u64 = 86_400;

    fn none() -> ReportAnswer {
        ReportAnswer::None { why: "no route".to_owned() }
    }

    /// When all devices come back that got the same answer at the same moment, after so many others.
    fn times(answer: &ReportAnswer, failures: u32) -> Vec<i64> {
        let wait = |device| {
            let mut tries = ReportTries { failures, not_before: None };
            let device = format!("{device:012x}");
            match tries.judge(answer, &device, UnixTime(0)) {
                Delivery::Later { not_before, .. } => not_before.0,
                Delivery::Delivered => panic!("{answer:?}"),
            }
        };
        (0..FLEET).map(wait).collect()
    }

    /// Of twenty spans of the whole between the first and the last no one has three times its share.
    #[test]
    fn a_fleet_that_fails_together_does_not_come_back_together() {
        let status = |code, retry_after_secs| ReportAnswer::Status { code, retry_after_secs };
        for (answer, failures, least) in [
            (none(), 0, 30),
            (none(), 5, 900),
            (status(503, None), 3, 200),
            (status(503, Some(1)), 0, 1800),
            (status(429, Some(900)), 0, 1800),
            (status(429, Some(7200)), 2, 7000),
            (status(503, Some(u32::MAX)), 0, 20_000),
            (status(403, None), 0, 20_000),
        ] {
            let times = times(&answer, failures);
            let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
            assert!(last - first >= least * 9 / 10, "{answer:?}: from {first} to {last}");
            let mut counts = [0_u32; 20];
            for time in times {
                let at = usize::try_from((time - first) * 20 / (last - first + 1)).unwrap();
                counts[at] += 1;
            }
            let peak = *counts.iter().max().unwrap();
            assert!(peak <= 3 * FLEET / 20, "{answer:?}: {counts:?}");
        }
    }

    proptest! {
        /// Never earlier than a server asks for, up to a day, and never put off for longer than a
        /// clock that went back is believed.
        #[test]
        fn what_a_server_asks_for_is_kept(
            device in "[0-9a-f]{12}", said in 0_u32..200_000, failures in 0_u32..40,
        ) {
            let mut tries = ReportTries { failures, not_before: None };
            let answer = ReportAnswer::Status { code: 503, retry_after_secs: Some(said) };
            tries.judge(&answer, &device, UnixTime(0));
            let wait = tries.wait(UnixTime(0)).unwrap().as_secs();
            prop_assert!(wait >= u64::from(said).min(DAY) && wait >= 30, "{wait}");
            prop_assert!(wait <= DAY + 6 * 3600, "{wait}");
        }
    }
}
