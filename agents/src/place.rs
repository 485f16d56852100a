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
//! Addresses of private networks (`10.0.0.0/8`, `fc00::/7`…) are taken: mirrors stand there. Names
//! are not looked up here, so a name may still lead to such an address; what is asked there is a
//! ranged GET without any credential of ours (docs/how-to-release.md).

use bundle::http::{HttpUrl, UrlError, is_http_url};
use std::net::{Ipv4Addr, Ipv6Addr};

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
    /// Programs do not agree about the host.
    #[error("host {host:?} can be read in several ways")]
    AmbiguousHost {
        /// The host.
        host: String,
    },
    /// No server has this address.
    #[error("host {host:?} is an address that no server has")]
    Nobody {
        /// The host.
        host: String,
    },
    /// The device itself, or what hangs at its cables.
    #[error("host {host:?} is {what}, and {by:?}, which names it, is not")]
    TooNear {
        /// The host.
        host: String,
        /// Where that is.
        what: &'static str,
        /// The server that names it.
        by: String,
    },
}

impl PlaceError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotHttps => "give the server a certificate and name it with https://",
            Self::UserInfo => "put tokens and keys into files that config.toml names",
            Self::AmbiguousHost { .. } | Self::Nobody { .. } => {
                "name the host by its name or by a plain address"
            }
            Self::TooNear { .. } => "name a host that other devices can reach, too",
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

/// How near a host is, as far as its text says; nearer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// A name, or an address that others can reach.
    Away,
    /// At the same cable.
    Link,
    /// This device.
    Itself,
}

impl Nearness {
    const fn words(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Link => "link-local",
            Self::Itself => "this device itself",
        }
    }
}

/// What an answer came from: places in it are judged, and relative ones completed, by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    url: HttpUrl,
    transport: Transport,
    nearness: Nearness,
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
        let nearness = nearness_of(url.host())?;
        Ok(Self { url, transport, nearness })
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
        let found = nearness_of(url.host())?;
        if found > self.nearness {
            return Err(PlaceError::TooNear {
                host: url.host().to_owned(),
                what: found.words(),
                by: self.url.host().to_owned(),
            });
        }
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

fn nearness_of(host: &str) -> Result<Nearness, PlaceError> {
    let ambiguous = || PlaceError::AmbiguousHost { host: host.to_owned() };
    let nobody = || PlaceError::Nobody { host: host.to_owned() };
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (address, zone) = inner.split_once('%').map_or((inner, false), |(at, _)| (at, true));
        let address: Ipv6Addr = address.parse().map_err(|_| ambiguous())?;
        let found = nearness_of_v6(address).ok_or_else(nobody)?;
        // A zone is the name of one of the device's own interfaces.
        return Ok(if zone { found.max(Nearness::Link) } else { found });
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.split('.').any(str::is_empty) {
        return Err(ambiguous());
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        // Such a host is an address to some programs, in forms that others read otherwise. The
        // standard library takes the one form that all agree about.
        let address: Ipv4Addr = name.parse().map_err(|_| ambiguous())?;
        return nearness_of_v4(address).ok_or_else(nobody);
    }
    let own = ["localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"];
    let own = own.contains(&name) || name.ends_with(".localhost");
    Ok(if own { Nearness::Itself } else { Nearness::Away })
}

/// `None` for addresses that no server has. `0.0.0.0` reaches the device itself on Linux; nobody
/// means it.
fn nearness_of_v4(address: Ipv4Addr) -> Option<Nearness> {
    let [first, ..] = address.octets();
    match first {
        0 | 224..=255 => None,
        127 => Some(Nearness::Itself),
        _ if address.is_link_local() => Some(Nearness::Link),
        _ => Some(Nearness::Away),
    }
}

fn nearness_of_v6(address: Ipv6Addr) -> Option<Nearness> {
    if address == Ipv6Addr::LOCALHOST {
        return Some(Nearness::Itself);
    }
    if address.is_unspecified() || address.is_multicast() {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        nearness_of_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    match (a, b, c, d, e, f) {
        // Addresses of IPv4 in those of IPv6: mapped, compatible, translated, 6to4.
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ if a & 0xffc0 == 0xfe80 => Some(Nearness::Link),
        _ => Some(Nearness::Away),
    }
}

#[cfg(test)]
mod tests;
