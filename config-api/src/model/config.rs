// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was this device told to be? The one typed model of a valid `config.toml`, which rendering,
//! LAN, firewall and users read; nobody parses a value of it a second time.
//!
//! Order is kept where the rendered files show it: users, interfaces, ports, units and directives.

use super::address::Ipv4Cidr;
use super::name::{ContainerName, DnsName, InterfaceName, NtpServer, UnitName, UserName};
use super::ssh_key::SshPublicKey;
use super::updates::OsUpgrade;
use crate::quadlet::HostAccess;
use std::net::{IpAddr, Ipv4Addr};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Users in the order of their declaration.
    pub users: Vec<User>,
    /// Addresses of the device and its resolvers.
    pub host_network: HostNetwork,
    /// The network behind `eth1`.
    pub lan: Lan,
    /// What may come in.
    pub firewall: Firewall,
    /// When the new configuration counts as working.
    pub activation: Activation,
    /// Where updates come from; absent when the section is.
    pub os_upgrade: Option<OsUpgrade>,
    /// Containers, networks, volumes and builds, in this order of kinds, else as declared.
    pub units: Vec<Unit>,
    /// What containers may do to the host, one by one, for the audit log.
    pub host_access: Vec<HostAccess>,
}

impl Config {
    /// The keys that may sign requests to the device, in the order of their users.
    pub fn admin_keys(&self) -> impl Iterator<Item = &SshPublicKey> {
        self.users.iter().filter(|user| user.is_admin).filter_map(|user| user.ssh_key.as_ref())
    }
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Whether it administers the device.
    pub is_admin: bool,
    /// The key it logs in with.
    pub ssh_key: Option<SshPublicKey>,
    /// Its shell where it was chosen.
    pub shell: Option<Shell>,
}

/// A login shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// The POSIX shell.
    Sh,
    /// The Z shell.
    Zsh,
}

impl Shell {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 3] = [Self::Bash, Self::Sh, Self::Zsh];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "sh",
            Self::Zsh => "zsh",
        }
    }
}

/// Addresses of the device itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// Resolvers of the whole device.
    pub dns_servers: Vec<IpAddr>,
    /// Search domains of the whole device.
    pub dns_search_domains: Vec<DnsName>,
    /// The way out of the whole device.
    pub default_gateway: Option<Ipv4Addr>,
    /// Interfaces in the order of their declaration.
    pub interfaces: Vec<Interface>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eth` and a number.
    pub name: InterfaceName,
    /// Where its address comes from.
    pub addressing: Addressing,
    /// The way out over it.
    pub gateway: Option<Ipv4Addr>,
    /// Resolvers that replace the device's; `None` where the key is absent.
    pub dns_servers: Option<Vec<IpAddr>>,
    /// Search domains that replace the device's; `None` where the key is absent.
    pub dns_search_domains: Option<Vec<DnsName>>,
}

/// Where an interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// A server tells it.
    Dhcp,
    /// It is this one.
    Static(Ipv4Cidr),
}

/// The network behind `eth1`, which the device serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// The device's own address there, and the subnet.
    pub gateway: Ipv4Cidr,
    /// First address of the pool.
    pub dhcp_start: Ipv4Addr,
    /// Last address of the pool.
    pub dhcp_end: Ipv4Addr,
    /// The domain of the network's names.
    pub domain: DnsName,
    /// Pattern of the device's name, `{mac}` in it; empty for none.
    pub hostname_pattern: String,
    /// Other names of the device.
    pub gateway_aliases: Vec<DnsName>,
    /// Where the device takes the time from.
    pub ntp_servers: Vec<NtpServer>,
}

impl Lan {
    /// The device's name by the pattern, for an address of 12 hexadecimal digits.
    #[must_use]
    pub fn hostname(&self, mac: &str) -> Option<String> {
        let name = self.hostname_pattern.replace("{mac}", mac);
        let name = name.trim_end_matches('.');
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// Ports that are open, beside those the device needs itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// From outside.
    pub wan: Ports,
    /// From the network behind `eth1`; empty means that everything may come in there.
    pub lan: Ports,
}

/// Ports of one side, in their given order, doubles kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP.
    pub tcp: Vec<u16>,
    /// UDP.
    pub udp: Vec<u16>,
}

/// When a new configuration counts as working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Containers that have to run.
    pub required: Vec<ContainerName>,
    /// How long they may take.
    pub timeout_seconds: u16,
    /// How long they have to keep running.
    pub settle_seconds: u16,
    /// Containers that are restarted.
    pub restart: Vec<ContainerName>,
    /// Containers that may fail; `None` where the key is absent.
    pub allow_degraded: Option<Vec<ContainerName>>,
}

/// The kinds of Quadlet units, in the order of the rendered list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitKind {
    /// `.container`
    Container,
    /// `.network`
    Network,
    /// `.volume`
    Volume,
    /// `.build`
    Build,
}

impl UnitKind {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Container, Self::Network, Self::Volume, Self::Build];

    /// The key in `containers`, and the file name's suffix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Build => "build",
        }
    }

    /// The section named after the kind.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::Network => "Network",
            Self::Volume => "Volume",
            Self::Build => "Build",
        }
    }
}

/// Whose containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The superuser's.
    Rootful,
    /// Those of [`crate::APP_USER`].
    Rootless,
}

impl Mode {
    /// As the runtime metadata names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rootful => "rootful",
            Self::Rootless => "rootless",
        }
    }
}

/// One Quadlet unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its kind.
    pub kind: UnitKind,
    /// Its name in the file.
    pub name: UnitName,
    /// Whose it is; a volume or build may be both's.
    pub modes: Vec<Mode>,
    /// Its sections in the order in which they are rendered.
    pub sections: Vec<Section>,
}

impl Unit {
    /// The file's name, for example `web.container`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.kind.as_str())
    }

    /// The service that Quadlet makes of it, for example `data-volume.service`.
    #[must_use]
    pub fn service(&self) -> String {
        service_name(self.kind, self.name.as_str())
    }
}

/// The service that Quadlet makes of a unit.
pub(crate) fn service_name(kind: UnitKind, name: &str) -> String {
    match kind {
        UnitKind::Container => format!("{name}.service"),
        UnitKind::Network | UnitKind::Volume | UnitKind::Build => {
            format!("{name}-{}.service", kind.as_str())
        }
    }
}

/// A section of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Its directives in their order.
    pub directives: Vec<Directive>,
}

/// A directive with its values, one line each. `${CONFIG_DIR}` and `${FILES_DIR}` are not yet
/// replaced: the same model renders for any directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}
