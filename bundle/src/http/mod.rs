// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles and chunks on HTTP(S) servers: the one place that speaks to the network.
//!
//! [`HttpSource`] reads a bundle by ranges, `HttpFiles` fetches small whole files from below one
//! URL, [`download`] a bundle as a whole. These share one client with one rule for redirects,
//! credentials, patience and stopping ([`HttpOptions`]); [`exchange`] is one request to a device's
//! own service and its answer. Nothing here decides whether bytes are true.

mod average;
mod client;
mod counters;
mod error;
mod exchange;
mod faults;
mod files;
mod head;
mod limits;
mod mirrors;
mod multipart;
mod nearness;
mod options;
mod pieces;
mod plan;
mod source;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod token_pin;
mod transfer;
mod tries;
mod url;
mod window;

pub use average::Elsewhere;
pub use error::{CLOCK_HINT, HttpError, TransferFault, is_out_of_time, retry_after};
pub use exchange::{
    ExchangeError, ExchangeMethod, ExchangeRequest, ExchangeTls, Exchanged, exchange,
};
pub(crate) use files::HttpFiles;
pub use files::{Downloaded, download};
pub use head::{ContentRange, HeadError, ResponseHead};
pub use limits::{ByteBudget, RateLimit};
pub use mirrors::HttpMirrors;
pub(crate) use mirrors::{Length, NOT_SIGNED};
pub use multipart::{Part, parse_parts};
pub use nearness::Nearness;
pub use options::{
    HttpNotice, HttpNotices, HttpOptions, HttpStop, Patience, Proxy, Schemes, TlsVerify,
};
pub use source::{HttpCounts, HttpSource, MAX_MEMORY_BYTES};
pub use url::{HttpUrl, MAX_URL_BYTES, UrlError, is_http_url, shown_url};
