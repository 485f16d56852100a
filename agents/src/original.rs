// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a server of the original contract offer?
//!
//! `GET {server}/api/v1/updates/latest` with the headers `X-Device-ID` and `X-Current-Version` is
//! answered by a JSON object with `version` and `bundle_url`; without one of them there is no
//! update. Nothing is signed but the bundle, so the offer names neither digest nor length, and what
//! the bundle's own manifest says decides later. What a stranger may answer in the server's place
//! (a page, a tower of brackets, another scheme, a URL of this device) is refused by name.

use crate::json::{At, Json, JsonError, JsonLimits, is_web_page};
use crate::{Offer, Origin, PlaceError, Urgency};
use bundle::http::HttpUrl;
use storage::ByteLen;

/// Longest answer; servers send some hundred bytes.
pub const MAX_ORIGINAL: ByteLen = ByteLen::kib(64);

/// Below the server's URL.
const PATH: &str = "api/v1/updates/latest";
/// What stands for a device or version that cannot be told.
const UNKNOWN: &str = "unknown";
/// Longest version of the contract.
const MAX_VERSION: usize = 128;
/// Members beside the two are for others, so there is room for them.
const LIMITS: JsonLimits = JsonLimits { depth: 16, values: 4096 };

/// Why an answer is no offer.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// Longer than any answer; nothing of it was read.
    #[error("the answer has {found} bytes, more than the {limit} allowed", limit = MAX_ORIGINAL.get())]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Some network answered in the server's place.
    #[error("a web page came instead of an answer")]
    WebPage,
    /// It cannot be read, or has values of other types.
    #[error("cannot read the answer")]
    Json(#[from] JsonError),
    /// No version of the contract.
    #[error("answer.version is not 1 to {MAX_VERSION} letters, digits, '.', '_' and '-'")]
    Version,
    /// A place that is not gone to.
    #[error("answer.bundle_url is a place that is not gone to")]
    Place(#[from] PlaceError),
}

impl OriginalError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::WebPage => "the network may want a login first, or server_url is another site's",
            Self::TooLong { .. } | Self::Json(_) | Self::Version => {
                "check server_url, and what the server answers below /api/v1/updates/latest"
            }
            Self::Place(source) => source.hint(),
        }
    }
}

/// What the server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRequest {
    /// Where.
    pub url: HttpUrl,
    /// With these headers.
    pub headers: [(&'static str, String); 2],
}

impl OriginalRequest {
    /// The question of a device: `mac` is what `/sys/class/net/eth0/address` says, `version` that in
    /// the manifest of the bundle that runs. What is not known, or has no form of the contract, is
    /// `unknown`.
    ///
    /// # Errors
    /// [`PlaceError`] where the server's URL is too long for its path.
    pub fn new(
        server: &Origin,
        mac: Option<&str>,
        version: Option<&str>,
    ) -> Result<Self, PlaceError> {
        let url = server.url().file(PATH)?;
        let version = version.filter(|version| is_version(version)).unwrap_or(UNKNOWN);
        let device = mac.and_then(device_id).unwrap_or_else(|| UNKNOWN.to_owned());
        let headers = [("X-Device-ID", device), ("X-Current-Version", version.to_owned())];
        Ok(Self { url, headers })
    }
}

/// The device's name: twelve lower-case digits without colons.
pub fn device_id(mac: &str) -> Option<String> {
    let digits: String = mac.trim_ascii().chars().filter(|letter| *letter != ':').collect();
    let is_mac = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mac.then(|| digits.to_ascii_lowercase())
}

fn is_version(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_VERSION).contains(&text.len()) && text.bytes().all(legal)
}

/// Reads an answer; nothing when it offers nothing. An empty body offers nothing.
///
/// # Errors
/// [`OriginalError`].
pub fn parse_original(body: &[u8], server: &Origin) -> Result<Option<Offer>, OriginalError> {
    if body.len() as u64 > MAX_ORIGINAL.get() {
        return Err(OriginalError::TooLong { found: body.len() });
    }
    if is_web_page(body) {
        return Err(OriginalError::WebPage);
    }
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let json = Json::parse(body, LIMITS)?;
    let root = At::root(&json, "answer");
    let (version, url) = (root.find("version")?, root.find("bundle_url")?);
    let (Some(version), Some(url)) = (version, url) else { return Ok(None) };
    // The original's shell takes all of these for an empty text.
    if version.says_nothing() || url.says_nothing() {
        return Ok(None);
    }
    let version = version.text()?;
    if !is_version(version) {
        return Err(OriginalError::Version);
    }
    let url = server.absolute(url.text()?)?;
    Ok(Some(Offer {
        version: version.to_owned(),
        manifest: None,
        file: None,
        size: None,
        urls: vec![url.without_user()],
        min_version: None,
        rollout: None,
        expires: None,
        urgency: Urgency::Ordinary,
        document: None,
    }))
}

#[cfg(test)]
mod tests;
