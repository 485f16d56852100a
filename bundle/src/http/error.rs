// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a file on a server cannot be had. RAUC's words where RAUC has them; never a user name, a
//! query, a header or a PIN.

use super::head::HeadError;
use super::mirrors::NOT_SIGNED;
use super::url::{UrlError, shown_url};
use std::error::Error;
use std::time::Duration;

/// Why a fetch ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is not one that we fetch.
    #[error("cannot fetch from this URL")]
    Url(#[source] UrlError),
    /// An option cannot be used.
    #[error("cannot use HTTP option {option}: {reason}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why.
        reason: String,
    },
    /// Answer 200 to a request for a range: the server sends whole files only.
    #[error("range requests not supported by server of {url}")]
    RangesUnsupported {
        /// The file.
        url: String,
        /// By what the server tells this version of the file from another, where it does.
        mark: Option<String>,
    },
    /// Answer 204: there is no bundle.
    #[error("no content: {url}")]
    NoContent {
        /// The file.
        url: String,
    },
    /// Answer 304: the file is the one that is known.
    #[error("not modified: {url}")]
    NotModified {
        /// The file.
        url: String,
    },
    /// Answer 401.
    #[error("unauthorized: unexpected HTTP response code 401 for {url}")]
    Unauthorized {
        /// The file.
        url: String,
    },
    /// Answer 404.
    #[error("not found: unexpected HTTP response code 404 for {url}")]
    NotFound {
        /// The file.
        url: String,
    },
    /// Another answer than the ones that a request for bytes has.
    #[error("unexpected HTTP response code {status} for {url}")]
    Status {
        /// The file.
        url: String,
        /// The code.
        status: u16,
    },
    /// The head of an answer cannot be believed.
    #[error("cannot use the answer for {url}")]
    Head {
        /// The file.
        url: String,
        /// The cause.
        #[source]
        source: HeadError,
    },
    /// An answer 206 without saying which bytes it has.
    #[error("server did not send the range and size of {url}")]
    NoRange {
        /// The file.
        url: String,
    },
    /// Other bytes than the ones asked for.
    #[error("server sent bytes {found} of {url} instead of {wanted}")]
    WrongRange {
        /// The file.
        url: String,
        /// What was asked for: `first-last`.
        wanted: String,
        /// What the answer has.
        found: String,
    },
    /// The file is another one than at the first request.
    #[error(
        "{url} changed while it was fetched, noticed at byte {offset}: {what} was {before}, is {now}"
    )]
    Changed {
        /// The file.
        url: String,
        /// Where the fetch was.
        offset: u64,
        /// Which mark of identity.
        what: &'static str,
        /// At the first request.
        before: String,
        /// Now.
        now: String,
    },
    /// More than 8 redirects.
    #[error("more than {limit} redirects from {url}")]
    TooManyRedirects {
        /// The first URL.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// From https to http: whoever listens could then change the target.
    #[error("redirect from {from} to {to} would leave https")]
    Downgrade {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// A redirect that leads nowhere we go.
    #[error("cannot follow the redirect from {url}")]
    Redirect {
        /// From where.
        url: String,
        /// The cause; absent where the answer names no place.
        #[source]
        source: Option<UrlError>,
    },
    /// More bytes than allowed.
    #[error(
        "Maximum bundle download size exceeded. Download aborted: {url} is larger than {limit} bytes"
    )]
    TooLarge {
        /// The file.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Plain http where only https is allowed.
    #[error("{url} is not https, and nothing else is allowed")]
    Insecure {
        /// The file.
        url: String,
    },
    /// More bytes came than may be fetched.
    #[error("fetching {url} was ended: no more than {limit} bytes may be fetched")]
    OverBudget {
        /// The file.
        url: String,
        /// The limit of all files together, in bytes.
        limit: u64,
    },
    /// It would take more bytes than may still be fetched; none of them was.
    #[error("about {predicted} bytes would be fetched, and no more than {left} may be")]
    TooDear {
        /// How many it would take.
        predicted: u64,
        /// How many are left.
        left: u64,
    },
    /// The transfer failed, and no repetition helps or enough were made.
    #[error("cannot fetch byte {offset} of {url} (try {tries})")]
    Transfer {
        /// The file.
        url: String,
        /// The next missing byte.
        offset: u64,
        /// How many times it was tried without progress.
        tries: u32,
        /// How long the server wants to be left alone, where the last failure was its word.
        retry_after: Option<Duration>,
        /// The last failure.
        #[source]
        source: TransferFault,
    },
    /// The fetched bytes cannot be stored.
    #[error("cannot store what was fetched of {url}: {reason}")]
    Store {
        /// The file.
        url: String,
        /// The operating system's words.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("fetching was stopped: {reason}")]
    Stopped {
        /// Who or why.
        reason: &'static str,
    },
}

/// What went wrong between us and the server, in the words of libcurl and OpenSSL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransferFault(pub String);

/// Behind the measure and before the floor, where a place is left for being slow.
pub(super) const TOO_SLOW: &str = "bytes per second, less than";

/// The way out of it; see [`is_out_of_time`].
pub const CLOCK_HINT: &str =
    "check the clock of this device, then the time of the server's certificate";

/// Whether words of a failed connection say that a certificate is refused for its time, as OpenSSL
/// puts it: every good one is where the clock is wrong.
#[must_use]
pub fn is_out_of_time(words: &str) -> bool {
    ["certificate has expired", "certificate is not yet valid"].iter().any(|no| words.contains(no))
}

/// How long a server wants to be left alone, where that is what `failure` comes from, however it was
/// wrapped since.
#[must_use]
pub fn retry_after(failure: &(dyn Error + 'static)) -> Option<Duration> {
    let mut next = Some(failure);
    while let Some(now) = next {
        // Its own source is that of the error in it.
        let inner = now.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<HttpError>());
        if let Some(HttpError::Transfer { retry_after, .. }) = inner.or(now.downcast_ref()) {
            return *retry_after;
        }
        next = now.source();
    }
    None
}

impl HttpError {
    /// Whether the place was left because it was slow: it is better than none.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        matches!(self, Self::Transfer { source, .. } if source.0.contains(TOO_SLOW))
    }

    /// All of a file came, and it is not the one that was signed.
    #[must_use]
    pub fn other_bytes(url: &str) -> Self {
        let (url, source) = (shown_url(url), TransferFault(NOT_SIGNED.to_owned()));
        Self::Transfer { url, offset: 0, tries: 1, retry_after: None, source }
    }

    /// What a person can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::RangesUnsupported { .. } => Some(
                "streaming needs a server that answers range requests; download the bundle and install the file",
            ),
            Self::Unauthorized { .. } => Some(
                "give credentials in the URL, in ~/.netrc, as a header or as a client certificate",
            ),
            Self::Downgrade { .. } => Some("give the http:// URL itself if that is wanted"),
            Self::Changed { .. } => {
                Some("publish bundles under new names, or try again when the server is quiet")
            }
            Self::OverBudget { .. } | Self::TooDear { .. } => {
                Some("allow more bytes, or wait for a link that costs less")
            }
            Self::Insecure { .. } => Some("give the https:// URL"),
            Self::Url(UrlError::Character { .. } | UrlError::UserInfo | UrlError::Host) => {
                Some("percent-encode unusual characters")
            }
            Self::Transfer { source, .. } if is_out_of_time(&source.0) => Some(CLOCK_HINT),
            Self::Transfer { source, .. } if source.0.contains("certificate") => {
                Some("check tls-ca, tls-cert and tls-key, and the clock")
            }
            Self::Url(_)
            | Self::Option { .. }
            | Self::NoContent { .. }
            | Self::NotModified { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::Head { .. }
            | Self::NoRange { .. }
            | Self::WrongRange { .. }
            | Self::TooManyRedirects { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Transfer { .. }
            | Self::Store { .. }
            | Self::Stopped { .. } => None,
        }
    }

    /// Whether no later read of the same source can succeed: the file is not the one that was
    /// opened any more, or the server does not keep to the protocol.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Changed { .. }
                | Self::Stopped { .. }
                | Self::RangesUnsupported { .. }
                | Self::OverBudget { .. }
                | Self::Insecure { .. }
        )
    }
}
