// SPDX-License-Identifier: MIT OR Apache-2.0
//! networkd's part: what the configuration says about each interface, beside what the image says.

use super::group::{Action, Group, SystemFile};
use super::settings::{
    HostName, HostNetwork, InterfaceMode, InterfaceName, InterfaceSettings, LanSettings,
};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// networkd's directory, whose names [`network_group`] asks for.
pub const NETWORK_DIR: &str = "etc/systemd/network";
const WAN: &str = "eth0";
const LAN: &str = "eth1";
const OTHERS_PREFIX: &str = "30-atomixos-";
const OTHERS_SUFFIX: &str = ".network";

/// What one interface gets.
struct Lines<'a> {
    mode: InterfaceMode,
    address: Option<String>,
    gateway: Option<Ipv4Addr>,
    dns_servers: &'a [IpAddr],
    dns_search_domains: &'a [HostName],
}

/// Every interface's file; `present` are the names in networkd's directory, of which those that
/// are ours and not wanted any more go.
#[must_use]
pub fn network_group(host: &HostNetwork, lan: &LanSettings, present: &[OsString]) -> Group {
    let mut files = vec![drop_in("10-wan.network.d", &wan(host)), lan_file(host, lan)];
    for (name, one) in &host.interfaces {
        if name.as_str() != WAN && name.as_str() != LAN {
            files.push(other_file(name, one));
        }
    }
    let is_ours = |name: &&OsString| {
        let text = name.to_string_lossy();
        text.strip_prefix(OTHERS_PREFIX)
            .and_then(|rest| rest.strip_suffix(OTHERS_SUFFIX))
            .is_some_and(|name| InterfaceName::parse(name).is_some())
    };
    let obsolete = present.iter().filter(is_ours).map(|name| Path::new(NETWORK_DIR).join(name));
    let obsolete = obsolete.filter(|path| !files.iter().any(|file| file.path == *path)).collect();
    Group {
        name: "network",
        files,
        obsolete,
        actions: vec![
            Action::ReloadNetworks,
            Action::TryRestart("systemd-networkd.service"),
            Action::TryRestart("systemd-resolved.service"),
        ],
    }
}

/// The WAN has the general values, unless it has its own.
fn wan(host: &HostNetwork) -> Lines<'_> {
    let own = host.interfaces.iter().find(|(name, _)| name.as_str() == WAN).map(|(_, one)| one);
    let servers = own.map_or(&[][..], |one| &one.dns_servers);
    let domains = own.map_or(&[][..], |one| &one.dns_search_domains);
    Lines {
        mode: own.map_or(InterfaceMode::Dhcp, |one| one.mode),
        address: own.and_then(|one| one.address).map(|address| address.to_string()),
        gateway: own.and_then(|one| one.gateway).or(host.default_gateway),
        dns_servers: if servers.is_empty() { &host.dns_servers } else { servers },
        dns_search_domains: if domains.is_empty() { &host.dns_search_domains } else { domains },
    }
}

fn lan_file(host: &HostNetwork, lan: &LanSettings) -> SystemFile {
    let own = host.interfaces.iter().find(|(name, _)| name.as_str() == LAN).map(|(_, one)| one);
    let lines = Lines {
        mode: InterfaceMode::Static,
        address: Some(lan.gateway_cidr.to_string()),
        gateway: own.and_then(|one| one.gateway),
        dns_servers: own.map_or(&[][..], |one| &one.dns_servers),
        dns_search_domains: own.map_or(&[][..], |one| &one.dns_search_domains),
    };
    drop_in("20-lan.network.d", &lines)
}

fn drop_in(dir: &str, lines: &Lines<'_>) -> SystemFile {
    let path = Path::new(NETWORK_DIR).join(dir).join("50-atomixos.conf");
    SystemFile::new(path, sections(lines, Reset::Addresses))
}

fn other_file(name: &InterfaceName, one: &InterfaceSettings) -> SystemFile {
    let lines = Lines {
        mode: one.mode,
        address: one.address.map(|address| address.to_string()),
        gateway: one.gateway,
        dns_servers: &one.dns_servers,
        dns_search_domains: &one.dns_search_domains,
    };
    let name = name.as_str();
    let text = format!("[Match]\nName={name}\n\n{}", sections(&lines, Reset::Nothing));
    let path = Path::new(NETWORK_DIR).join(format!("{OTHERS_PREFIX}{name}{OTHERS_SUFFIX}"));
    SystemFile::new(path, text)
}

/// Whether the file stands beside another one, whose addresses would stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reset {
    Addresses,
    Nothing,
}

fn sections(lines: &Lines<'_>, reset: Reset) -> String {
    let mut text = "[Network]\n".to_owned();
    match (&lines.address, lines.mode) {
        (Some(address), InterfaceMode::Static) => {
            if reset == Reset::Addresses {
                text.push_str("Address=\n");
            }
            let _infallible = writeln!(text, "Address={address}");
            text.push_str("DHCP=no\n");
        }
        (_, InterfaceMode::Dhcp | InterfaceMode::Static) => text.push_str("DHCP=ipv4\n"),
    }
    text.push_str("IPv6AcceptRA=false\n");
    if let Some(gateway) = lines.gateway {
        let _infallible = writeln!(text, "Gateway={gateway}");
    }
    for server in lines.dns_servers {
        let _infallible = writeln!(text, "DNS={server}");
    }
    if !lines.dns_search_domains.is_empty() {
        let domains: Vec<&str> = lines.dns_search_domains.iter().map(HostName::as_str).collect();
        let _infallible = writeln!(text, "Domains={}", domains.join(" "));
    }
    if lines.mode == InterfaceMode::Dhcp {
        let keys = [
            (lines.gateway.is_some(), "UseRoutes=false\n"),
            (!lines.dns_servers.is_empty(), "UseDNS=false\n"),
        ];
        let given: String = keys.iter().filter(|(given, _)| *given).map(|(_, key)| *key).collect();
        if !given.is_empty() {
            let _infallible = write!(text, "\n[DHCPv4]\n{given}");
        }
    }
    text
}

/// Whether the kernel forwards between networks, by what it says in
/// `/proc/sys/net/ipv4/ip_forward` or `…/ipv6/conf/all/forwarding`; unreadable counts as yes.
#[must_use]
pub fn is_forwarding(answer: Option<&[u8]>) -> bool {
    answer.is_none_or(|answer| answer.trim_ascii() != b"0")
}

/// Where it says so.
pub const FORWARDING: [&str; 2] =
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];
