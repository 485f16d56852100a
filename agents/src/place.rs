// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which places may a server name, and which server may be asked?
//!
//! A server that the owner chose may send a device anywhere, and so may whoever stands between. What
//! is refused whatever a signature says:
//! * anything but `https`, except where a server for development was set up as such;
//! * user names, passwords and fragments; white space, letters beyond ASCII;
//! * hosts that programs read differently (`0177.0.0.1`, `127.1`, `2130706433`, `a..b`);
//! * hosts that are nobody's (`0.0.0.0`, multicast, reserved);
//! * this device itself and its cables (loopback, link-local, also inside IPv6), unless the server
//!   that names them is as near: an update must not make a device ask its own services.
//!
//! What a host's text says of its nearness is told by [`HttpUrl::nearness`], for redirects too. Names
//! are not looked up: whoever listens where one leads has to hold a certificate for it, and hears
//! nothing before (docs/decisions/0054).

use bundle::http::{HttpUrl, UrlError, is_http_url};

/// Longest place: signed links of storage services have some hundred bytes.
pub const MAX_PLACE_BYTES: usize = 2048;

/// Why a place is not gone to. Messages never repeat a path or a query, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Longer than any that is needed.
    #[error("URL is longer than {MAX_PLACE_BYTES} bytes")]
    TooLong,
    /// White space, a control character, or a letter beyond ASCII.
    #[error("URL has a character that has to be encoded")]
    Character,
    /// No TLS.
    #[error("only https:// is allowed")]
    NotHttps,
    /// A whole URL is needed.
    #[error("URL is not absolute")]
    Relative,
    /// A user name or a password.
    #[error("URL has user information")]
    UserInfo,
    /// What is behind `#` never reaches a server.
    #[error("URL has a fragment")]
    Fragment,
    /// A server's address is a place for more, not a query.
    #[error("URL has a query")]
    Query,
}

impl PlaceError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotHttps => "give the server a certificate and name it with https://",
            Self::UserInfo => "put tokens and keys into files that config.toml names",
            Self::Url(UrlError::AmbiguousHost { .. } | UrlError::NobodysHost { .. }) => {
                "name the host by its name or by a plain address"
            }
            Self::Url(UrlError::TooNear { .. }) => "name a host that other devices can reach, too",
            Self::Url(_)
            | Self::TooLong
            | Self::Character
            | Self::Relative
            | Self::Fragment
            | Self::Query => "correct the URL",
        }
    }
}

/// Whether a server may be asked without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Never.
    #[default]
    HttpsOnly,
    /// On somebody's desk: the owner has asked for it in so many words.
    PlainForDevelopment,
}

/// What an answer came from: places in it are judged, and relative ones completed, by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    url: HttpUrl,
    transport: Transport,
}

impl Origin {
    /// The server of a configuration: no query; a slash at the end does not count.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn server(text: &str, transport: Transport) -> Result<Self, PlaceError> {
        if text.contains('?') {
            return Err(PlaceError::Query);
        }
        Self::document(text, transport)
    }

    /// A document that is fetched for itself.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn document(text: &str, transport: Transport) -> Result<Self, PlaceError> {
        check_text(text)?;
        if !is_http_url(text) {
            return Err(PlaceError::Relative);
        }
        let url = HttpUrl::parse(text)?;
        check_url(&url)?;
        if transport == Transport::HttpsOnly && !url.is_https() {
            return Err(PlaceError::NotHttps);
        }
        url.nearness()?;
        Ok(Self { url, transport })
    }

    /// Its URL.
    #[must_use]
    pub const fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// A place that it names, as a whole URL.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn absolute(&self, text: &str) -> Result<HttpUrl, PlaceError> {
        check_text(text)?;
        // "ftp://…" and "javascript:…" are no relative names.
        if !is_http_url(text) {
            let scheme = text.split(['/', '?', '#']).next().is_some_and(|head| head.contains(':'));
            return Err(if scheme { UrlError::Scheme.into() } else { PlaceError::Relative });
        }
        self.judge(HttpUrl::parse(text)?)
    }

    /// A place that it names, as a whole URL or relative to itself.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn resolve(&self, text: &str) -> Result<HttpUrl, PlaceError> {
        check_text(text)?;
        match self.url.join(text) {
            Err(UrlError::RedirectedUserInfo) => Err(PlaceError::UserInfo),
            joined => self.judge(joined?),
        }
    }

    fn judge(&self, url: HttpUrl) -> Result<HttpUrl, PlaceError> {
        check_url(&url)?;
        // Also for development: what began with TLS does not go on without.
        let plain = self.transport == Transport::PlainForDevelopment && !self.url.is_https();
        if !url.is_https() && !plain {
            return Err(PlaceError::NotHttps);
        }
        self.url.may_lead_to(&url)?;
        Ok(url)
    }
}

/// Whether a text can stand among the places of a document: not yet where it leads.
pub(crate) fn check_text(text: &str) -> Result<(), PlaceError> {
    if text.len() > MAX_PLACE_BYTES {
        return Err(PlaceError::TooLong);
    }
    if text.is_empty() {
        return Err(PlaceError::Relative);
    }
    if text.contains('#') {
        return Err(PlaceError::Fragment);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(PlaceError::Character);
    }
    Ok(())
}

fn check_url(url: &HttpUrl) -> Result<(), PlaceError> {
    if url.has_user() { Err(PlaceError::UserInfo) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
