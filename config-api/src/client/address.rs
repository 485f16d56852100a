// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a device answer? An address is scheme, host and port and nothing else: a path would
//! be part of what is signed, and a password would be for somebody else.

use bundle::http::{HttpUrl, UrlError, is_http_url};
use std::fmt;
use std::net::IpAddr;

/// The port of the config API, where none is said.
pub const DEFAULT_PORT: u16 = 8080;

/// Why a text is no address of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A path, a query or a password beside it.
    #[error("more than a scheme, a host and a port")]
    More,
}

/// A device's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAddress {
    origin: HttpUrl,
    is_https: bool,
}

impl DeviceAddress {
    /// Reads `http://172.20.30.1:8080`, or less of it: without a scheme it is `http`, without a
    /// port [`DEFAULT_PORT`].
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let whole = if is_http_url(text) {
            text.to_owned()
        } else if text.matches(':').count() > 1 && !text.starts_with('[') {
            format!("http://[{text}]")
        } else {
            format!("http://{text}")
        };
        let url = HttpUrl::parse(&whole)?;
        let is_https = whole.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let rest = whole.split_once("://").map_or("", |(_, rest)| rest);
        if rest.trim_end_matches('/').contains(['/', '?', '#', '@']) {
            return Err(AddressError::More);
        }
        let port = match url.port() {
            Some(port) => port,
            None if is_https => 443,
            None => DEFAULT_PORT,
        };
        Self::of(is_https, url.host(), port)
    }

    /// The same service at another address.
    ///
    /// # Errors
    /// [`AddressError`], which an address and a port do not come to.
    pub fn moved_to(&self, address: IpAddr) -> Result<Self, AddressError> {
        let host = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self::of(self.is_https, &host, self.origin.port().unwrap_or(DEFAULT_PORT))
    }

    fn of(is_https: bool, host: &str, port: u16) -> Result<Self, AddressError> {
        let scheme = if is_https { "https" } else { "http" };
        let origin = HttpUrl::parse(&format!("{scheme}://{host}:{port}"))?;
        Ok(Self { origin, is_https })
    }

    /// Whether it is an address of a network: neither a name, nor this machine's own end of a
    /// tunnel.
    #[must_use]
    pub fn is_of_a_network(&self) -> bool {
        let host = self.origin.host().trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
    }

    /// The URL of a path with its query.
    ///
    /// # Errors
    /// [`AddressError`], where the path would be sent in another form than it is signed in.
    pub fn url(&self, target: &str) -> Result<HttpUrl, AddressError> {
        let url = self.origin.join(target)?;
        let sent = url.without_user();
        let shown = self.to_string();
        if sent.strip_prefix(&shown) == Some(target) { Ok(url) } else { Err(AddressError::More) }
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin.without_user().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_filled_in() {
        for (text, whole) in [
            ("172.20.30.1", "http://172.20.30.1:8080"),
            ("atomixos.local:8081", "http://atomixos.local:8081"),
            ("http://172.20.30.1", "http://172.20.30.1:8080"),
            ("http://172.20.30.1:80/", "http://172.20.30.1:80"),
            ("HTTPS://gate.example", "https://gate.example:443"),
            ("fd00::1", "http://[fd00::1]:8080"),
            ("[fd00::1]:81", "http://[fd00::1]:81"),
        ] {
            assert_eq!(DeviceAddress::parse(text).unwrap().to_string(), whole, "{text}");
        }
    }

    #[test]
    fn what_is_more_than_an_address_is_refused() {
        for text in
            ["http://a/b", "a/api", "http://me:secret@a", "a?x", "", "http://", "ftp://a", "a b"]
        {
            assert!(DeviceAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_is_sent_as_it_is_signed() {
        let device = DeviceAddress::parse("10.0.0.1").unwrap();
        let url = device.url("/api/config?confirm_within=60").unwrap();
        assert_eq!(url.without_user(), "http://10.0.0.1:8080/api/config?confirm_within=60");
        for odd in ["/a/../b", "/a b", "//other/a", "http://other/a", "/a#b", "a"] {
            assert!(device.url(odd).is_err(), "{odd}");
        }
        let moved = device.moved_to("172.20.30.1".parse().unwrap()).unwrap();
        assert_eq!(moved.to_string(), "http://172.20.30.1:8080");
    }
}
