// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a polled server offer? The original contract's JSON, or a signed document.
//!
//! One GET, at most 64 KiB, and nothing that comes back is believed for the status it has: a page of
//! a network that wants a login is 200 too. What is no offer is an error with a line of its own, and
//! the device asks again later ([`crate::Pace`]). Redirects are followed as the original did, a few
//! of them, and only as far as [`Origin`] goes: https stays https, and no stranger leads to this
//! device. The device's certificate, its name and its version are shown to the origin of the
//! configuration and to nobody else.

use crate::{
    AcceptedRelease, Clock, Expected, Facts, MAX_ORIGINAL, MAX_RELEASE, Memory, Offer, Origin,
    OriginalError, OriginalRequest, PlaceError, ReleaseError, Transport, VerifiedRelease,
    parse_original,
};
use bundle::Keyring;
use bundle::http::{
    CLOCK_HINT, ExchangeError, ExchangeMethod, ExchangeRequest, ExchangeTls, Exchanged, HttpStop,
    HttpUrl, UrlError, exchange, is_out_of_time,
};
use std::time::Duration;
use storage::chain;

/// Most redirects of one question.
const MAX_REDIRECTS: usize = 5;
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(30);
/// Without a byte.
const STALL: Duration = Duration::from_secs(30);
/// For all of it: a server that drips must not hold the agent.
const WHOLE: Duration = Duration::from_secs(120);
/// What a document's name ends in.
const RELEASE: &str = ".release";

/// What a polled server said.
#[derive(Clone, Debug)]
pub enum Offered {
    /// It offers nothing.
    Nothing,
    /// This, and nobody signed that it does.
    Claimed(Box<Offer>),
    /// This, signed.
    Signed(Box<AcceptedRelease>),
}

/// Why a question has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no answer.
    #[error("the update server does not answer")]
    NoAnswer(#[from] ExchangeError),
    /// There is one, of another kind.
    #[error("the update server answers with status {code}: {meaning}")]
    Status {
        /// It.
        code: u16,
        /// In words.
        meaning: &'static str,
        /// What it said about when.
        retry_after: Option<Duration>,
    },
    /// It leads where the device does not go.
    #[error("the update server leads to a place that is not gone to")]
    Redirect(#[source] PlaceError),
    /// It leads from place to place.
    #[error("the update server leads on more than {MAX_REDIRECTS} times")]
    Redirects,
    /// The place to ask cannot be made of the server's address.
    #[error("the update server's address leads nowhere")]
    Place(#[from] PlaceError),
    /// What came is no answer of the original contract.
    #[error("the update server's answer is not used")]
    Original(#[from] OriginalError),
    /// What came is no release, or none for this device now.
    #[error("the update server's release is not followed")]
    Release(#[from] ReleaseError),
}

impl AskError {
    /// What the server said about when to ask again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::NoAnswer(_)
            | Self::Redirect(_)
            | Self::Redirects
            | Self::Place(_)
            | Self::Original(_)
            | Self::Release(_) => None,
        }
    }

    /// The way out.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAnswer(source) if is_out_of_time(&chain(source)) => CLOCK_HINT,
            Self::NoAnswer(_) => "check the network, the proxy and the server's certificate",
            Self::Status { code: 401 | 403, .. } => "check the client certificate of this device",
            Self::Status { code: 404 | 410, .. } => "check server_url",
            Self::Status { .. } | Self::Redirects => "look at the server",
            Self::Redirect(source) | Self::Place(source) => source.hint(),
            Self::Original(source) => source.hint(),
            Self::Release(source) => source.hint(),
        }
    }
}

/// A server that is polled.
pub trait Server {
    /// Asks it, once.
    ///
    /// # Errors
    /// [`AskError`]. Nothing is to be remembered then but that it failed.
    fn ask(&mut self, facts: &Facts, memory: &Memory) -> Result<Offered, AskError>;
}

/// Who fetches what a question names: the network, or a test.
pub trait Fetch {
    /// One GET, which is not redirected.
    ///
    /// # Errors
    /// [`ExchangeError`].
    fn get(&mut self, question: &Question<'_>) -> Result<Exchanged, ExchangeError>;
}

/// A GET.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Where.
    pub url: &'a HttpUrl,
    /// With these headers.
    pub headers: &'a [(String, String)],
    /// Longest answer that is waited for.
    pub limit: usize,
    /// Whether the device shows its certificate there.
    pub shows_identity: bool,
}

/// Questions over the one HTTP client.
#[derive(Clone, Default)]
pub struct HttpFetch {
    /// Who the device is, and whom it believes.
    pub tls: ExchangeTls,
    /// The proxy, where the owner names one.
    pub proxy: Option<String>,
    /// Asked about once a second.
    pub stop: Option<HttpStop>,
}

impl Fetch for HttpFetch {
    fn get(&mut self, question: &Question<'_>) -> Result<Exchanged, ExchangeError> {
        let stranger = ExchangeTls { cert: None, key: None, ca: self.tls.ca.clone() };
        exchange(&ExchangeRequest {
            method: ExchangeMethod::Get,
            url: question.url,
            headers: question.headers,
            body: &[],
            answer_limit: question.limit,
            connect: CONNECT,
            stall: STALL,
            whole: Some(WHOLE),
            tls: Some(if question.shows_identity { &self.tls } else { &stranger }),
            proxy: self.proxy.as_deref(),
            stop: self.stop.clone(),
        })
    }
}

/// What the server speaks.
pub enum Speaks {
    /// The original contract.
    Original,
    /// Documents that this keyring vouches for.
    Signed(Box<Keyring>),
}

/// The server of `[os_upgrade]`.
pub struct PolledServer<F> {
    fetch: F,
    speaks: Speaks,
    server: Origin,
    transport: Transport,
}

impl<F: Fetch> PolledServer<F> {
    /// The server at `server_url`.
    ///
    /// # Errors
    /// [`AskError::Place`].
    pub fn new(
        fetch: F,
        speaks: Speaks,
        server_url: &str,
        transport: Transport,
    ) -> Result<Self, AskError> {
        let server = Origin::server(server_url, transport)?;
        Ok(Self { fetch, speaks, server, transport })
    }

    /// What is asked, and with which headers. A signed server's address is that of a document when
    /// it ends in `.release`; else of a directory with one for each product.
    fn question(&self, facts: &Facts) -> Result<(HttpUrl, Vec<(String, String)>), AskError> {
        match &self.speaks {
            Speaks::Original => {
                let version = facts.running().and_then(|running| running.version.as_deref());
                let asked =
                    OriginalRequest::new(&self.server, facts.contract_id.as_deref(), version)?;
                let headers = asked.headers.map(|(name, value)| (name.to_owned(), value));
                Ok((asked.url, headers.to_vec()))
            }
            Speaks::Signed(_) => {
                let url = self.server.url();
                let is_document = url.without_user().ends_with(RELEASE);
                let name = format!("{}{RELEASE}", facts.compatible);
                let file = || url.file(&name).map_err(PlaceError::from);
                let url = if is_document { url.clone() } else { file()? };
                Ok((url, Vec::new()))
            }
        }
    }

    /// Fetches, and follows where that leads. Tells where the answer came from.
    fn fetch(&mut self, facts: &Facts) -> Result<(Exchanged, Origin), AskError> {
        let (first, headers) = self.question(facts)?;
        let limit = match self.speaks {
            Speaks::Original => MAX_ORIGINAL,
            Speaks::Signed(_) => MAX_RELEASE,
        };
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        let mut origin = self.origin(&first)?;
        for _ in 0..=MAX_REDIRECTS {
            let url = origin.url();
            let shows_identity = url.same_origin(self.server.url());
            // Name and version tell a stranger who asks, as the certificate does.
            let headers: &[_] = if shows_identity { &headers } else { &[] };
            let question = Question { url, headers, limit, shows_identity };
            let answer = self.fetch.get(&question)?;
            let leads_on = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            match answer.header("location").filter(|_| leads_on) {
                Some(location) => {
                    let next = origin.resolve(location).map_err(AskError::Redirect)?;
                    origin = self.origin(&next)?;
                }
                None => return Ok((answer, origin)),
            }
        }
        Err(AskError::Redirects)
    }

    /// The place as one that leads on. Development's servers alone may be near and without TLS.
    fn origin(&self, url: &HttpUrl) -> Result<Origin, AskError> {
        Ok(Origin::document(&url.without_user(), self.transport)?)
    }
}

impl<F: Fetch> Server for PolledServer<F> {
    fn ask(&mut self, facts: &Facts, memory: &Memory) -> Result<Offered, AskError> {
        let (answer, origin) = self.fetch(facts)?;
        if !matches!((&self.speaks, answer.status), (_, 200) | (Speaks::Original, 204)) {
            return Err(refused(&answer));
        }
        match &self.speaks {
            Speaks::Original => {
                let offer = parse_original(&answer.body, &origin)?;
                Ok(offer.map_or(Offered::Nothing, |offer| Offered::Claimed(Box::new(offer))))
            }
            Speaks::Signed(keyring) => {
                let accepted = accept(&answer.body, keyring, (facts, memory), &origin)?;
                Ok(Offered::Signed(Box::new(accepted)))
            }
        }
    }
}

/// Verifies a document and judges whether it counts on this device.
fn accept(
    document: &[u8],
    keyring: &Keyring,
    (facts, memory): (&Facts, &Memory),
    origin: &Origin,
) -> Result<AcceptedRelease, ReleaseError> {
    let clock: &Clock = &facts.clock;
    let release = VerifiedRelease::open(document, keyring, clock)?;
    release.accept(&Expected {
        product: &facts.compatible,
        seen: memory.seen(&facts.compatible),
        clock,
        origin,
    })
}

/// Only seconds of a `Retry-After` count: a date would be judged by a clock that may be wrong.
fn refused(answer: &Exchanged) -> AskError {
    let meaning = match answer.status {
        300..=399 => "a redirect that leads nowhere",
        401 | 403 | 407 => "it does not know this device",
        404 | 410 => "nothing is there",
        408 | 425 | 500..=599 => "it has a fault",
        429 => "it asks for less",
        _ => "that is no answer to this question",
    };
    let secs = answer.header("retry-after").and_then(|value| value.trim().parse().ok());
    AskError::Status { code: answer.status, meaning, retry_after: secs.map(Duration::from_secs) }
}

impl From<UrlError> for AskError {
    fn from(source: UrlError) -> Self {
        Self::Place(source.into())
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
