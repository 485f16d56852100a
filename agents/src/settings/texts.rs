// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which texts may stand in the settings? Types that no other text fits into, so that a value which
//! could become another request, path or header never gets further than its file.

use super::OPERATOR_DIRS;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;

/// A path's parts are short.
const MAX_PART: usize = 100;
const MAX_PARTS_BELOW: usize = 3;

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:path, $what:literal) => {
        $(#[$doc])*
        pub(super) struct $name(pub String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                // The text is not repeated: where a path was meant it may be a secret.
                if $check(&text) { Ok(Self(text)) } else { Err(D::Error::custom($what)) }
            }
        }
    };
}

checked!(
    /// An `https` address of a server.
    Server,
    is_server,
    "an address is no https:// one of a host, without user, query and fragment"
);
checked!(
    /// The address of a proxy.
    Proxy,
    is_proxy,
    "a proxy is no http:// or https:// address of a host, without user and path"
);
checked!(
    /// A name that becomes a part of an address.
    Segment,
    is_segment,
    "a name has other letters than A-Z a-z 0-9 . _ : -, or more than 128"
);
checked!(
    /// The name of a program of the image.
    Hook,
    is_hook,
    "a hook's name has other letters than a-z 0-9 -, or more than 64"
);

/// A file of the operator's.
pub(super) struct OperatorFile(pub PathBuf);

impl<'de> Deserialize<'de> for OperatorFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if is_operator_file(&text) {
            return Ok(Self(PathBuf::from(text)));
        }
        let [one, other] = OPERATOR_DIRS;
        Err(D::Error::custom(format!("a file is not below {one} or {other}")))
    }
}

fn is_server(url: &str) -> bool {
    is_address(url, &["https"])
}

fn is_proxy(url: &str) -> bool {
    let path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    url.is_ascii() && !path && is_address(url, &["http", "https"])
}

/// Scheme, host, perhaps a port and a path; nothing else, and no `/` at the end.
fn is_address(url: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\');
    let authority = rest.split('/').next().unwrap_or_default();
    schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && !url.contains(is_odd)
        && !url.ends_with('/')
        && is_authority(authority)
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            (host, Some(port))
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let is_port = |port: &str| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    !host.is_empty() && host.bytes().all(plain) && port.is_some_and(is_port)
}

fn is_segment(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    name.len() <= 128
        && name.bytes().all(plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_hook(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

fn is_operator_file(path: &str) -> bool {
    let below = OPERATOR_DIRS.iter().find_map(|dir| path.strip_prefix(dir)?.strip_prefix('/'));
    let is_part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=MAX_PART).contains(&part.len())
            && part.bytes().all(plain)
            && !part.starts_with(['.', '-'])
    };
    below.is_some_and(|below| {
        below.split('/').all(is_part) && below.split('/').count() <= MAX_PARTS_BELOW
    })
}

/// A whole number within bounds.
pub(super) struct Whole<const LEAST: u32, const MOST: u32>(pub u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Whole<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(from)?;
        if (LEAST..=MOST).contains(&number) {
            return Ok(Self(number));
        }
        Err(D::Error::custom(format!("{number} is not {LEAST} to {MOST}")))
    }
}

/// Minutes of a day, from `22:30`.
pub(super) struct TimeOfDay(pub u16);

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let found = minutes(&text).map(Self);
        found.ok_or_else(|| D::Error::custom("a time is none of a day, 00:00 to 23:59"))
    }
}

/// Minutes east of UTC, from `+01:00`.
pub(super) struct Offset(pub i16);

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let found = match text.split_at_checked(1) {
            Some(("+", rest)) => minutes(rest).and_then(|minutes| i16::try_from(minutes).ok()),
            Some(("-", rest)) => {
                minutes(rest).and_then(|minutes| i16::try_from(minutes).ok()).map(|east| -east)
            }
            Some(_) | None => None,
        };
        found.map(Self).ok_or_else(|| D::Error::custom("an offset is not such as +01:00"))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| is_two && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}
