// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which server and which of its files does this text name?
//!
//! Only what every reader of URLs reads alike is accepted: `http` or `https`, an ASCII host, at most
//! one `@`, no backslash, no control character. Two parsers that disagree about the host of one URL
//! are how credentials reach strangers, so what is ambiguous is refused and not repaired. What a URL
//! shows of itself ([`std::fmt::Display`], `Debug`) has neither userinfo nor query: both carry
//! secrets.

use super::nearness::{Nearness, nearness_of};
use std::fmt;
use std::net::Ipv6Addr;

/// Longest URL; servers refuse longer ones anyway, and a redirect must not cost memory.
pub const MAX_URL_BYTES: usize = 8192;

/// Why a text is no URL that we fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http` nor `https`.
    #[error("only http:// and https:// URLs can be fetched")]
    Scheme,
    /// A control character or a backslash: parsers disagree about what it means.
    #[error("URL contains the character {found:?}")]
    Character {
        /// The character.
        found: char,
    },
    /// No host, or one that parsers may read differently.
    #[error("URL has no plain host name or address")]
    Host,
    /// No number, or none of a port.
    #[error("URL has an invalid port")]
    Port,
    /// More than one `@`, or a character that does not belong there.
    #[error("URL has ambiguous user information")]
    UserInfo,
    /// A redirect that brings a user name along.
    #[error("redirect brings user information")]
    RedirectedUserInfo,
    /// Programs do not agree about the host.
    #[error("host {host:?} can be read in several ways")]
    AmbiguousHost {
        /// The host.
        host: String,
    },
    /// No server has this address.
    #[error("host {host:?} is an address that no server has")]
    NobodysHost {
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
    /// Longer than any server takes.
    #[error("URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A relative name that would leave its directory.
    #[error("{name:?} is not a plain relative file name")]
    Relative {
        /// The name.
        name: String,
    },
}

/// The two schemes, told apart by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// User name and password, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UserInfo {
    pub user: String,
    pub password: String,
}

/// A URL without ambiguity.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    scheme: Scheme,
    user: Option<UserInfo>,
    /// Lower case, with brackets if it is an IPv6 address.
    host: String,
    port: Option<u16>,
    /// Path and query, beginning with `/`.
    target: String,
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = split_query(&self.target);
        write!(f, "{}{path}{}", self.origin_text(), if query.is_some() { "?…" } else { "" })
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl HttpUrl {
    /// Reads a URL that a user or a configuration gave.
    ///
    /// # Errors
    /// [`UrlError`]; it never repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, place) = match authority.split_once('@') {
            Some((user, place)) => (Some(parse_user(user)?), place),
            None => (None, authority),
        };
        let (host, port) = parse_place(place)?;
        let target = clean_target(target)?;
        Ok(Self { scheme, user, host, port, target })
    }

    /// Where a redirect from here leads. Credentials stay with the origin they belong to.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        let location = check_characters(location.trim_matches([' ', '\t']))?;
        let first = location.find(['/', '?', '#']).unwrap_or(location.len());
        let absolute = location.get(..first).is_some_and(|head| head.contains(':'));
        if absolute || location.starts_with("//") {
            let text = if absolute {
                location.to_owned()
            } else {
                format!("{}:{location}", self.scheme.text())
            };
            let mut url = Self::parse(&text)?;
            if url.user.is_some() {
                return Err(UrlError::RedirectedUserInfo);
            }
            if url.same_origin(self) {
                url.user.clone_from(&self.user);
            }
            return Ok(url);
        }
        let (path, query) = split_query(&self.target);
        let target = if location.is_empty() || location.starts_with('#') {
            self.target.clone()
        } else if location.starts_with('?') {
            format!("{path}{location}")
        } else if location.starts_with('/') {
            location.to_owned()
        } else {
            let directory = path.rfind('/').map_or("/", |at| path.get(..=at).unwrap_or("/"));
            format!("{directory}{location}")
        };
        let _ = query;
        Ok(Self { target: clean_target(&target)?, ..self.clone() })
    }

    /// The file `name` in the directory that this URL names; the query stays, for servers that
    /// are opened by one.
    ///
    /// # Errors
    /// [`UrlError::Relative`] for names that lead elsewhere.
    pub fn file(&self, name: &str) -> Result<Self, UrlError> {
        let plain = !name.is_empty()
            && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !name.contains(|c: char| c.is_control() || c == '\\');
        if !plain {
            return Err(UrlError::Relative { name: name.to_owned() });
        }
        let mut encoded = String::new();
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        let (path, query) = split_query(&self.target);
        let slash = if path.ends_with('/') { "" } else { "/" };
        let target = format!("{path}{slash}{encoded}{}", query.unwrap_or_default());
        if target.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        Ok(Self { target, ..self.clone() })
    }

    /// Whether scheme, host and port are the same.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        let port = |url: &Self| url.port.unwrap_or_else(|| url.scheme.port());
        self.scheme == other.scheme && self.host == other.host && port(self) == port(other)
    }

    /// The port, where the URL says one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The host in small letters, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the way there is encrypted and the server proves who it is.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether it says a user name or a password.
    #[must_use]
    pub const fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// How near the server is.
    ///
    /// # Errors
    /// [`UrlError::AmbiguousHost`] or [`UrlError::NobodysHost`].
    pub fn nearness(&self) -> Result<Nearness, UrlError> {
        nearness_of(&self.host)
    }

    /// Refuses a URL whose server is nearer than this one.
    ///
    /// # Errors
    /// As [`Self::nearness`], and [`UrlError::TooNear`].
    pub fn may_lead_to(&self, next: &Self) -> Result<(), UrlError> {
        let found = next.nearness()?;
        if found <= self.nearness()? {
            return Ok(());
        }
        let (host, by) = (next.host.clone(), self.host.clone());
        Err(UrlError::TooNear { host, what: found.words(), by })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn user(&self) -> Option<&UserInfo> {
        self.user.as_ref()
    }

    /// All of it but the user information: what is asked for, and what may be handed on.
    #[must_use]
    pub fn without_user(&self) -> String {
        format!("{}{}", self.origin_text(), self.target)
    }

    fn origin_text(&self) -> String {
        let scheme = self.scheme.text();
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }
}

/// Whether fetching this text would ask a server: it begins with `http://` or `https://`, in
/// whatever case. Everything else is a path.
#[must_use]
pub fn is_http_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

/// A place as it may be logged: a URL without user information, query and fragment; of one that
/// nobody would fetch the scheme alone, for what is a secret in it cannot be told. Paths and
/// `file://` stay as they are.
#[must_use]
pub fn shown_url(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, _)) if !scheme.contains('/') && !scheme.eq_ignore_ascii_case("file") => {
            let hidden = || format!("{}://…", scheme.escape_debug());
            HttpUrl::parse(text).map_or_else(|_| hidden(), |url| url.to_string())
        }
        Some(_) | None => text.to_owned(),
    }
}

/// Path, and query with its `?`.
fn split_query(target: &str) -> (&str, Option<&str>) {
    match target.find('?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at..)),
        None => (target, None),
    }
}

fn check_characters(text: &str) -> Result<&str, UrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong);
    }
    match text.chars().find(|c| c.is_control() || *c == '\\') {
        Some(found) => Err(UrlError::Character { found }),
        None => Ok(text),
    }
}

/// Path and query without fragment, dot segments resolved, what is not ASCII (and spaces) encoded.
fn clean_target(target: &str) -> Result<String, UrlError> {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = split_query(target);
    let mut parts: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | "%2e" | "%2E" if last => parts.push(""),
            "." | "%2e" | "%2E" => {}
            ".." => {
                parts.pop();
                if last {
                    parts.push("");
                }
            }
            other => parts.push(other),
        }
    }
    let mut clean = String::with_capacity(target.len() + 1);
    clean.push('/');
    let path = parts.join("/");
    for byte in path.bytes().chain(query.unwrap_or_default().bytes()) {
        if byte.is_ascii_graphic() {
            clean.push(char::from(byte));
        } else {
            clean.push_str(&format!("%{byte:02X}"));
        }
    }
    if clean.len() > MAX_URL_BYTES { Err(UrlError::TooLong) } else { Ok(clean) }
}

fn parse_user(text: &str) -> Result<UserInfo, UrlError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decode = |text: &str| decode_user(text).ok_or(UrlError::UserInfo);
    let (user, password) = (decode(user)?, decode(password)?);
    // Basic authentication joins both by a colon.
    if user.contains(':') {
        return Err(UrlError::UserInfo);
    }
    Ok(UserInfo { user, password })
}

fn decode_user(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                u8::from_str_radix(digits, 16).ok()?
            }
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte) => byte,
            _ => return None,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

fn parse_place(place: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
            (parse_ipv6(address)?, (!rest.is_empty()).then_some(rest))
        }
        None => {
            let end = place.find(':').unwrap_or(place.len());
            let (host, rest) = place.split_at(end);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if host.is_empty() || host.starts_with('.') || !host.bytes().all(plain) {
                return Err(UrlError::Host);
            }
            (host.to_ascii_lowercase(), (!rest.is_empty()).then_some(rest))
        }
    };
    let Some(rest) = port else { return Ok((host, None)) };
    let digits = rest.strip_prefix(':').ok_or(UrlError::Port)?;
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    match digits.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(UrlError::Port),
    }
}

fn parse_ipv6(address: &str) -> Result<String, UrlError> {
    // A zone (`%25eth0`) makes link-local servers reachable.
    let (address, zone) = match address.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (address, None),
    };
    let parsed: Ipv6Addr = address.parse().map_err(|_| UrlError::Host)?;
    match zone {
        None => Ok(format!("[{parsed}]")),
        Some(zone)
            if !zone.is_empty()
                && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) =>
        {
            Ok(format!("[{parsed}%25{zone}]"))
        }
        Some(_) => Err(UrlError::Host),
    }
}

#[cfg(test)]
mod tests;
