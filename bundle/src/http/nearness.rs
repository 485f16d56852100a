// SPDX-License-Identifier: MIT OR Apache-2.0
//! How near is a server, as far as its URL says?
//!
//! A server elsewhere that sends a device to the device itself, or to what hangs at its cables, makes
//! it ask services that trust whoever is so near. Addresses are known in every form, also inside
//! IPv6; hosts that programs read differently (`0177.0.0.1`, `127.1`, `2130706433`, `a..b`) are
//! refused. Private networks (`10.0.0.0/8`, `fc00::/7`…) are away: mirrors stand there. Names are not
//! looked up.

use super::url::UrlError;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How near a host is; nearer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// A name, or an address that others can reach.
    Away,
    /// At the same cable.
    Link,
    /// This device.
    Itself,
}

impl Nearness {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Link => "link-local",
            Self::Itself => "this device itself",
        }
    }
}

/// How near the host of a URL is.
pub(super) fn nearness_of(host: &str) -> Result<Nearness, UrlError> {
    let ambiguous = || UrlError::AmbiguousHost { host: host.to_owned() };
    let nobody = || UrlError::NobodysHost { host: host.to_owned() };
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
