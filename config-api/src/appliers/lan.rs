// SPDX-License-Identifier: MIT OR Apache-2.0
//! The LAN's servers: addresses and names from dnsmasq, time from chrony.

use super::group::{Action, Group, SystemFile};
use super::settings::LanSettings;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

const HOSTS: &str = "etc/atomixos/dnsmasq-hosts";
const TAG: &str = "# ATOMIXOS_LAN_GATEWAY";
const LEASE: &str = "24h";

/// The hardware address of the LAN's interface, as it stands in a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacAddress(String);

impl MacAddress {
    /// Reads `00:11:22:33:44:55`, as the kernel writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let is_part =
            |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        (parts.len() == 6 && parts.iter().all(is_part))
            .then(|| Self(parts.concat().to_ascii_lowercase()))
    }
}

/// dnsmasq's part for the LAN; what does not depend on the configuration is the image's.
#[must_use]
pub fn dnsmasq_conf(lan: &LanSettings) -> String {
    let LanSettings { gateway_ip, dhcp_start, dhcp_end, netmask, domain, .. } = lan;
    let mut text = format!("dhcp-range={dhcp_start},{dhcp_end},{netmask},{LEASE}\n");
    // Router, name server, time server.
    for option in [3, 6, 42] {
        let _infallible = writeln!(text, "dhcp-option={option},{gateway_ip}");
    }
    let _infallible = write!(
        text,
        "domain={domain}\nexpand-hosts\naddn-hosts=/{HOSTS}\nlocal=/{domain}/\nlog-dhcp\n"
    );
    text
}

/// The device's names as lines of a hosts file, the one with its hardware address first.
#[must_use]
pub fn host_lines(lan: &LanSettings, mac: Option<&MacAddress>) -> Vec<String> {
    let own = lan.hostname_pattern.as_ref().zip(mac);
    let own = own.map(|(pattern, mac)| pattern.replace("{mac}", &mac.0));
    let aliases = lan.gateway_aliases.iter().map(|alias| alias.as_str().to_owned());
    own.into_iter().chain(aliases).map(|name| host_line(lan.gateway_ip, &name, lan)).collect()
}

fn host_line(gateway: Ipv4Addr, name: &str, lan: &LanSettings) -> String {
    if name.contains('.') {
        return format!("{gateway} {name}");
    }
    format!("{gateway} {name} {name}.{}", lan.domain)
}

/// `/etc/hosts` with our lines replaced and all others as they were.
#[must_use]
pub fn merge_hosts(existing: &str, lines: &[String]) -> String {
    let others = existing.lines().filter(|line| !line.trim_end().ends_with(TAG));
    let mut text = String::new();
    for line in others {
        text.push_str(line);
        text.push('\n');
    }
    for line in lines {
        let _infallible = writeln!(text, "{line} {TAG}");
    }
    text
}

/// chrony's part: its servers, and who may ask.
#[must_use]
pub fn chrony_conf(lan: &LanSettings) -> String {
    let mut text = "# Written from the device's configuration; changes are lost.\n".to_owned();
    for server in &lan.ntp_servers {
        let _infallible = writeln!(text, "server {} iburst", server.as_str());
    }
    let _infallible = writeln!(text, "allow {}", lan.subnet_cidr);
    text
}

/// Everything about names and addresses in the LAN.
#[must_use]
pub fn lan_group(lan: &LanSettings, mac: Option<&MacAddress>, etc_hosts: &str) -> Group {
    let lines = host_lines(lan, mac);
    let mut hosts = lines.join("\n");
    hosts.push('\n');
    Group {
        name: "lan",
        files: vec![
            SystemFile::new("etc/dnsmasq.d/atomixos-lan.conf", dnsmasq_conf(lan)),
            SystemFile::new(HOSTS, hosts),
            SystemFile::new("etc/hosts", merge_hosts(etc_hosts, &lines)),
        ],
        obsolete: Vec::new(),
        actions: vec![Action::TryRestart("dnsmasq.service")],
    }
}

/// Everything about the time.
#[must_use]
pub fn time_group(lan: &LanSettings) -> Group {
    let file = SystemFile::new(PathBuf::from("etc/atomixos/chrony-lan.conf"), chrony_conf(lan));
    Group {
        name: "time",
        files: vec![file],
        obsolete: Vec::new(),
        actions: vec![Action::TryRestart("chronyd.service")],
    }
}
