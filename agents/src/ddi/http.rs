// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a request reach the server? Over the one HTTP client, with the device's credentials.

use super::answers::chain;
use super::limits::MAX_ANSWER_BYTES;
use super::request::{Credentials, DdiAnswer, DdiMethod, DdiRequest, Exchange, NoAnswer};
use bundle::http::{ExchangeMethod, ExchangeRequest, ExchangeTls, HttpStop, HttpUrl, exchange};
use std::time::Duration;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(30);
/// Without a byte.
const STALL: Duration = Duration::from_secs(60);
/// For a whole request: what drips longer than this is no answer.
const WHOLE: Duration = Duration::from_secs(180);

/// The way to the server.
#[derive(Clone, Default)]
pub struct HttpWay {
    /// The device's certificate, its key, and whom to trust.
    pub tls: ExchangeTls,
    /// Through which proxy; none, whatever the environment says.
    pub proxy: Option<String>,
    /// Asked about once a second.
    pub stop: Option<HttpStop>,
}

/// Requests over libcurl.
pub struct HttpExchange {
    credentials: Credentials,
    way: HttpWay,
}

impl HttpExchange {
    /// With these credentials, this way.
    #[must_use]
    pub const fn new(credentials: Credentials, way: HttpWay) -> Self {
        Self { credentials, way }
    }
}

impl Exchange for HttpExchange {
    fn send(&self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer> {
        let none = |error: &dyn std::error::Error| NoAnswer { reason: chain(error) };
        let url = HttpUrl::parse(&request.url).map_err(|odd| none(&odd))?;
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![named("Accept", "application/hal+json, application/json")];
        if request.body.is_some() {
            headers.push(named("Content-Type", "application/json"));
        }
        if let Some(value) = self.credentials.header() {
            headers.push(named("Authorization", &value));
        }
        let answer = exchange(&ExchangeRequest {
            method: match request.method {
                DdiMethod::Get => ExchangeMethod::Get,
                DdiMethod::Post => ExchangeMethod::Post,
                DdiMethod::Put => ExchangeMethod::Put,
            },
            url: &url,
            headers: &headers,
            body: request.body.as_deref().unwrap_or_default(),
            answer_limit: MAX_ANSWER_BYTES,
            connect: CONNECT,
            stall: STALL,
            whole: Some(WHOLE),
            tls: Some(&self.way.tls),
            proxy: self.way.proxy.as_deref(),
            stop: self.way.stop.clone(),
        })
        .map_err(|failed| none(&failed))?;
        let retry_after = answer.header("retry-after").map(str::to_owned);
        Ok(DdiAnswer { status: answer.status, retry_after, body: answer.body })
    }
}
