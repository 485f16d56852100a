// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a device answer? An address is scheme, host and port and nothing else: a path would
//! be part of what is signed, and a password would be for somebody else.

use bundle::http::{HttpUrl, UrlError};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The port of the config API, where none is said.
pub const DEFAULT_PORT: u16 = 8080;

/// Most letters of a foreign scheme that are shown.
const MAX_SCHEME_CHARS: usize = 20;

/// Why a text is no address of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Another way of asking than a device's.
    #[error("a device is asked over http:// or https://, never over {scheme}://")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// A user name or a password before it.
    #[error("a user name or password stands before it")]
    User,
    /// A path or a query behind it.
    #[error("a path or a query stands behind it")]
    More,
    /// Colons or brackets as of an IPv6 address, and it is none.
    #[error("this is no IPv6 address")]
    Ipv6,
    /// It is on every link, and which one is meant is not said.
    #[error("a link-local address does not say on which interface")]
    NoZone,
}

impl AddressError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Url(_) | Self::Scheme { .. } => "give http://ADDRESS:PORT, an address or a name",
            Self::User => "leave it out: a device knows no password; --ssh-key says who asks",
            Self::More => "leave it out: the paths of the config API are known",
            Self::Ipv6 => "with a port it is http://[ADDRESS]:PORT, with an interface fe80::1%eth0",
            Self::NoZone => "name your own interface towards the device: fe80::1%eth0",
        }
    }
}

/// A device's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAddress {
    origin: HttpUrl,
    is_https: bool,
}

impl DeviceAddress {
    /// Reads `http://172.20.30.1:8080`, or less of it: without a scheme it is `http`, without a
    /// port [`DEFAULT_PORT`]. The zone of an IPv6 address may stand in it as programs print it
    /// (`%eth0`), or as in a URL (`%25eth0`).
    ///
    /// # Errors
    /// [`AddressError`]; it never repeats what may be a password.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, _)) => {
                let scheme = scheme.chars().take(MAX_SCHEME_CHARS).collect();
                return Err(AddressError::Scheme { scheme });
            }
        };
        if rest.contains('@') {
            return Err(AddressError::User);
        }
        let place = rest.trim_end_matches('/');
        if place.contains(['/', '?', '#']) {
            return Err(AddressError::More);
        }
        let place = match place.strip_prefix('[') {
            Some(inner) => {
                let (address, port) = inner.split_once(']').ok_or(AddressError::Ipv6)?;
                format!("[{}]{port}", zoned(address)?)
            }
            None if place.matches(':').count() > 1 => format!("[{}]", zoned(place)?),
            None => place.to_owned(),
        };
        let scheme = if is_https { "https" } else { "http" };
        let url = HttpUrl::parse(&format!("{scheme}://{place}"))?;
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
        let host = host.split('%').next().unwrap_or_default();
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

/// An IPv6 address with its zone as a URL has it.
fn zoned(text: &str) -> Result<String, AddressError> {
    let (address, zone) = match text.split_once('%') {
        None => (text, None),
        // An interface may be called `25`.
        Some((address, "25")) => (address, Some("25")),
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
    };
    let parsed: Ipv6Addr = address.parse().map_err(|_| AddressError::Ipv6)?;
    match zone {
        None if parsed.is_unicast_link_local() => Err(AddressError::NoZone),
        None => Ok(address.to_owned()),
        Some("") => Err(AddressError::NoZone),
        Some(zone) if zone.contains(':') => Err(AddressError::Ipv6),
        Some(zone) => Ok(format!("{address}%25{zone}")),
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
            ("fe80::1%eth0", "http://[fe80::1%25eth0]:8080"),
            ("fe80::1%25eth0", "http://[fe80::1%25eth0]:8080"),
            ("[fe80::1%25eth0]:8081", "http://[fe80::1%25eth0]:8081"),
            ("http://[fe80::1%br-lan.2]:81/", "http://[fe80::1%25br-lan.2]:81"),
            ("fe80::1%25", "http://[fe80::1%2525]:8080"),
        ] {
            assert_eq!(DeviceAddress::parse(text).unwrap().to_string(), whole, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_precisely() {
        let scheme = |scheme: &str| AddressError::Scheme { scheme: scheme.to_owned() };
        for (text, why) in [
            ("ftp://172.20.30.1", scheme("ftp")),
            ("ssh://admin@172.20.30.1", scheme("ssh")),
            ("://a", scheme("")),
            ("http://me:secret@a", AddressError::User),
            ("me:secret@a", AddressError::User),
            ("http://me:se/cret@a/x", AddressError::User),
            ("http://a/b", AddressError::More),
            ("a/api", AddressError::More),
            ("a?x", AddressError::More),
            ("http://a/#b", AddressError::More),
            ("fe80::1", AddressError::NoZone),
            ("[fe80::1]:8080", AddressError::NoZone),
            ("fe80::1%", AddressError::NoZone),
            ("fe80::1%eth0:8080", AddressError::Ipv6),
            ("[fe80::1%eth0", AddressError::Ipv6),
            ("1:2:3", AddressError::Ipv6),
            ("fe80::1%eth 0", AddressError::Url(UrlError::Host)),
            ("", AddressError::Url(UrlError::Host)),
            ("http://", AddressError::Url(UrlError::Host)),
            ("a b", AddressError::Url(UrlError::Host)),
            ("a:http", AddressError::Url(UrlError::Port)),
            ("a:0", AddressError::Url(UrlError::Port)),
        ] {
            let found = DeviceAddress::parse(text).expect_err(text);
            assert!(!found.to_string().contains("cret"), "{found}");
            assert_eq!(found, why, "{text}");
        }
    }

    #[test]
    fn an_address_with_a_zone_is_one_of_a_network() {
        for (text, is_of_one) in
            [("fe80::1%eth0", true), ("172.20.30.1", true), ("[::1]:80", false), ("gate", false)]
        {
            assert_eq!(DeviceAddress::parse(text).unwrap().is_of_a_network(), is_of_one, "{text}");
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
