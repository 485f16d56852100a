// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this address mean, and how is it written? Spellings are those of the reference
//! (Python's `ipaddress`), so that an accepted file stays accepted and is rendered alike.

use super::name::trim;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Cidr {
    /// The device's address.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Bits of the network.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The mask of the network.
    #[must_use]
    pub fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask())
    }

    /// The first address of the subnet.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & self.mask())
    }

    /// The last address of the subnet.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | !self.mask())
    }

    /// Whether `address` lies in the subnet.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == u32::from(self.network())
    }

    /// Whether the subnets have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// The subnet as text, for example `172.20.30.0/24`.
    #[must_use]
    pub fn subnet(self) -> String {
        format!("{}/{}", self.network(), self.prefix)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// `A/24`, `A/255.255.255.0`, `A/0.0.0.255` or `A` alone, which is `A/32`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = trim(text);
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, parse_prefix(prefix)?),
            None => (text, 32),
        };
        Some(Self { address: address.parse().ok()?, prefix })
    }

    pub(crate) const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        Self { address, prefix }
    }

    /// Why a machine cannot have this address in its subnet.
    pub(crate) fn unusable(self, address: Ipv4Addr) -> Option<&'static str> {
        if address.is_loopback() {
            return Some("is a loopback address");
        }
        if address.is_multicast() {
            return Some("is a multicast address");
        }
        if matches!(address.octets(), [0 | 240.., ..]) {
            return Some("is reserved: no machine can have it");
        }
        if self.prefix <= 30 && address == self.network() {
            return Some("is the address of the subnet itself");
        }
        if self.prefix <= 30 && address == self.broadcast() {
            return Some("is the broadcast address of the subnet");
        }
        None
    }
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn parse_prefix(text: &str) -> Option<u8> {
    if !text.is_empty() && text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|prefix| *prefix <= 32);
    }
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let ones = [mask, !mask].into_iter().find(|mask| mask.leading_ones() == mask.count_ones())?;
    u8::try_from(ones.count_ones()).ok()
}

/// An address of either family. A zone (`fe80::1%eth0`) is refused: it is a text of its own, which
/// ended up in a unit file.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    trim(text).parse().ok()
}

/// The text of an address as the reference writes it: an IPv4 address within IPv6 in hexadecimal.
#[must_use]
pub fn ip_text(address: &IpAddr) -> String {
    if let IpAddr::V6(v6) = address
        && v6.to_ipv4_mapped().is_some()
    {
        let [.., high, low] = v6.segments();
        return format!("::ffff:{high:x}:{low:x}");
    }
    address.to_string()
}
