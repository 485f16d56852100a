// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends a report, once: one POST that is not redirected, and what came back. When to try again is
//! [`super::ReportTries`]' to say.

use super::{ReportAnswer, ReportRequest};
use bundle::http::{
    ExchangeMethod, ExchangeRequest, ExchangeTls, Exchanged, HttpStop, HttpUrl, exchange,
};
use std::time::Duration;
use storage::chain;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(30);

/// Without a byte in either direction.
const STALL: Duration = Duration::from_secs(60);

/// For all of it: a server that drips must not hold the agent.
const WHOLE: Duration = Duration::from_secs(300);

/// Longest answer that is waited for; nothing in it is read.
const ANSWER_MAX: usize = 1024 * 1024;

/// The way to the server.
#[derive(Clone)]
pub struct ReportWay<'a> {
    /// `report_url`.
    pub url: &'a HttpUrl,
    /// Client certificate and authorities.
    pub tls: Option<&'a ExchangeTls>,
    /// The proxy, where the owner names one.
    pub proxy: Option<&'a str>,
    /// Asked about once a second.
    pub stop: Option<HttpStop>,
}

impl ReportRequest {
    /// Sends it and waits for the answer.
    #[must_use]
    pub fn send(&self, way: &ReportWay<'_>) -> ReportAnswer {
        let request = ExchangeRequest {
            method: ExchangeMethod::Post,
            url: way.url,
            headers: &self.headers,
            body: &self.body,
            answer_limit: ANSWER_MAX,
            connect: CONNECT,
            stall: STALL,
            whole: Some(WHOLE),
            tls: way.tls,
            proxy: way.proxy,
            stop: way.stop.clone(),
        };
        match exchange(&request) {
            Ok(answer) => ReportAnswer::Status {
                code: answer.status,
                retry_after_secs: retry_after_secs(&answer),
            },
            Err(failure) => ReportAnswer::None { why: chain(&failure) },
        }
    }
}

/// Only seconds: a date would be judged by a clock that may be wrong.
fn retry_after_secs(answer: &Exchanged) -> Option<u32> {
    answer.header("retry-after").and_then(|value| value.trim().parse().ok())
}
