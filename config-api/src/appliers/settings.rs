// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generation's JSON files, read again with types of their own: who applies does not believe
//! who rendered. A value that could begin a new line or a second directive does not fit its type.

use super::error::ApplierError;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Linux' limit, without the final NUL.
const MAX_INTERFACE_NAME: usize = 15;
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Reads one of a generation's JSON files.
///
/// # Errors
/// [`ApplierError::Invalid`].
pub fn read_settings<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ApplierError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ApplierError::Invalid { name: name.to_owned(), source: Box::new(source) })
}

/// A name of the domain name system; final dots are allowed, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Checks a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.trim_end_matches('.');
        let is_label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (name.len() <= MAX_NAME && name.split('.').all(is_label)).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A network interface that a configuration may name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks a name: `eth` and a number, as long as Linux allows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix("eth")?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (plain && text.len() <= MAX_INTERFACE_NAME).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Checks a name as `useradd` does, without its `$`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let rest = |byte: u8| first(byte) || byte.is_ascii_digit() || byte == b'-';
        let mut bytes = text.bytes();
        (bytes.next().is_some_and(first) && bytes.all(rest) && text.len() <= 32)
            .then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! deserialize_checked {
    ($type:ty, $what:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text)
                    .ok_or_else(|| D::Error::custom(format!("{text:?} is no {}", $what)))
            }
        }
    };
}

deserialize_checked!(HostName, "host name");
deserialize_checked!(InterfaceName, "network interface");
deserialize_checked!(UserName, "account name");

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: Ipv4Addr,
    /// How many bits are the network's.
    pub prefix: u8,
}

impl Cidr {
    /// Reads `192.0.2.1/24`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let plain = prefix.bytes().all(|byte| byte.is_ascii_digit()) && !prefix.is_empty();
        let prefix: u8 = prefix.parse().ok().filter(|prefix| plain && *prefix <= 32)?;
        Some(Self { address: address.parse().ok()?, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

deserialize_checked!(Cidr, "IPv4 network");

/// A server of the time: an address or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeServer(String);

impl TimeServer {
    /// Checks one. A final dot is none of a configuration's faults (B10).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.parse::<IpAddr>().is_ok() || HostName::parse(text).is_some();
        is_one.then(|| Self(text.to_owned()))
    }

    /// The address or name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

deserialize_checked!(TimeServer, "address or host name");

/// `lan-settings.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanSettings {
    /// The device's address in the LAN.
    pub gateway_cidr: Cidr,
    /// The same without its prefix.
    pub gateway_ip: Ipv4Addr,
    /// The LAN.
    pub subnet_cidr: Cidr,
    /// Its mask.
    pub netmask: Ipv4Addr,
    /// The first address given away.
    pub dhcp_start: Ipv4Addr,
    /// The last one.
    pub dhcp_end: Ipv4Addr,
    /// The LAN's domain.
    pub domain: HostName,
    /// The device's name with `{mac}` in it, or nothing.
    #[serde(deserialize_with = "pattern")]
    pub hostname_pattern: Option<String>,
    /// The device's names.
    pub gateway_aliases: Vec<HostName>,
    /// Where the time comes from.
    pub ntp_servers: Vec<TimeServer>,
}

fn pattern<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let filled = text.replace("{mac}", "0123456789ab");
    if filled == text || HostName::parse(&filled).is_none() {
        return Err(D::Error::custom(format!("{text:?} is no pattern of a host name")));
    }
    Ok(Some(text))
}

/// How an interface gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterfaceMode {
    /// From a server.
    Dhcp,
    /// From the configuration.
    Static,
}

/// One interface of `host-network.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceSettings {
    /// How it gets its address.
    pub mode: InterfaceMode,
    /// Its address.
    #[serde(default)]
    pub address: Option<Cidr>,
    /// Where the rest of the world is.
    #[serde(default)]
    pub gateway: Option<Ipv4Addr>,
    /// Who knows names.
    #[serde(default)]
    pub dns_servers: Vec<IpAddr>,
    /// Where names are looked for.
    #[serde(default)]
    pub dns_search_domains: Vec<HostName>,
}

/// `host-network.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostNetwork {
    /// Who knows names, on the WAN.
    pub dns_servers: Vec<IpAddr>,
    /// Where names are looked for, on the WAN.
    pub dns_search_domains: Vec<HostName>,
    /// By name.
    #[serde(deserialize_with = "interfaces")]
    pub interfaces: BTreeMap<InterfaceName, InterfaceSettings>,
    /// Where the rest of the world is, on the WAN.
    #[serde(default)]
    pub default_gateway: Option<Ipv4Addr>,
}

fn interfaces<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<InterfaceName, InterfaceSettings>, D::Error> {
    let all = BTreeMap::<InterfaceName, InterfaceSettings>::deserialize(from)?;
    for (name, one) in &all {
        let is_static = one.mode == InterfaceMode::Static;
        if is_static != one.address.is_some() {
            let name = name.as_str();
            return Err(D::Error::custom(format!(
                "{name}: a static address and a mode go together"
            )));
        }
    }
    Ok(all)
}

/// Ports of one protocol; 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Ports(pub Vec<std::num::NonZeroU16>);

/// Ports that one side may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopePorts {
    /// TCP.
    #[serde(default)]
    pub tcp: Ports,
    /// UDP.
    #[serde(default)]
    pub udp: Ports,
}

/// `firewall-inbound.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// What the world may reach.
    #[serde(default)]
    pub wan: ScopePorts,
    /// What the LAN may reach; nothing given means everything.
    #[serde(default)]
    pub lan: ScopePorts,
}

/// A login shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    /// bash.
    Bash,
    /// sh.
    Sh,
    /// zsh.
    Zsh,
}

/// One account of `users.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Whether it may administer the device.
    #[serde(rename = "isAdmin")]
    pub is_admin: bool,
    /// Its key; may be empty.
    pub ssh_key: String,
    /// Its shell.
    #[serde(default)]
    pub shell: Option<Shell>,
}

/// `users.json`.
pub type Users = BTreeMap<UserName, User>;

/// One unit of `quadlet-runtime.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeUnit {
    /// Its name in the configuration.
    pub name: String,
    /// Its file.
    pub filename: String,
    /// Its service.
    pub service: String,
    /// Who runs it.
    pub mode: super::quadlets::UnitMode,
}

/// `quadlet-runtime.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeUnits {
    /// Who runs those without privileges.
    pub app_user: String,
    /// Their network.
    pub rootless_network: String,
    /// All of them.
    pub units: Vec<RuntimeUnit>,
}
