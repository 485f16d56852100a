// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the device serve behind `eth1`?

use super::address::Ipv4Cidr;
use super::config::Lan;
use super::fault::Sink;
use super::name::{DnsName, NtpServer, is_hostname_pattern, trim};
use super::network::{read_cidr, read_domain, read_ipv4};
use super::reader::{Item, Table, shortened};
use std::net::Ipv4Addr;

const DNSMASQ_KEYS: [&str; 8] = [
    "enable",
    "interface",
    "gateway_cidr",
    "dhcp_start",
    "dhcp_end",
    "domain",
    "hostname_pattern",
    "gateway_aliases",
];

const DEFAULT_GATEWAY: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::new(172, 20, 30, 1), 24);
pub(crate) const DEFAULT_START: Ipv4Addr = Ipv4Addr::new(172, 20, 30, 10);
pub(crate) const DEFAULT_END: Ipv4Addr = Ipv4Addr::new(172, 20, 30, 254);
pub(crate) const DEFAULT_DOMAIN: &str = "local";
const DEFAULT_ALIAS: &str = "atomixos";
const DEFAULT_NTP: &str = "time.cloudflare.com";

/// The gateway where nothing else is said, as text.
pub(crate) fn default_gateway() -> String {
    DEFAULT_GATEWAY.to_string()
}

/// What `network.dnsmasq` says; a value with a fault is as absent.
#[derive(Default)]
pub(super) struct Dnsmasq {
    gateway: Option<Ipv4Cidr>,
    start: Option<Ipv4Addr>,
    end: Option<Ipv4Addr>,
    domain: Option<DnsName>,
    pattern: Option<String>,
    aliases: Vec<DnsName>,
}

pub(super) struct LanInput {
    /// The address of `eth1`, where it has one.
    pub eth1: Option<Ipv4Cidr>,
    pub dnsmasq: Dnsmasq,
    pub ntp_servers: Vec<NtpServer>,
}

pub(super) fn read_dnsmasq(network: &Table<'_, '_>, sink: &mut Sink) -> Dnsmasq {
    let Some(table) = network.table("dnsmasq", sink) else { return Dnsmasq::default() };
    table.only(&DNSMASQ_KEYS, sink);
    if let Some(item) = table.get("enable")
        && item.boolean(sink) == Some(false)
    {
        item.fault(sink, "must stay true: the LAN needs its DHCP and DNS", "leave the key out");
    }
    if let Some(item) = table.get("interface")
        && item.text(sink).is_some_and(|name| name != "eth1")
    {
        item.fault(sink, "must be eth1: it is the LAN", "leave the key out");
    }
    let ipv4 = |key, sink: &mut Sink| table.get(key).and_then(|item| read_ipv4(&item, sink));
    Dnsmasq {
        gateway: table.get("gateway_cidr").and_then(|item| read_gateway_cidr(&item, sink)),
        start: ipv4("dhcp_start", sink),
        end: ipv4("dhcp_end", sink),
        domain: table
            .get("domain")
            .and_then(|item| item.text(sink).and_then(|text| read_domain(text, &item, sink))),
        pattern: table.get("hostname_pattern").and_then(|item| read_pattern(&item, sink)),
        aliases: read_aliases(&table, sink),
    }
}

fn read_gateway_cidr(item: &Item<'_, '_>, sink: &mut Sink) -> Option<Ipv4Cidr> {
    let cidr = read_cidr(item, sink)?;
    (prefix_serves(&cidr, item, sink)).then_some(cidr)
}

fn prefix_serves(cidr: &Ipv4Cidr, item: &Item<'_, '_>, sink: &mut Sink) -> bool {
    let good = (16..=30).contains(&cidr.prefix());
    if !good {
        item.fault(sink, format!("has a prefix of /{}", cidr.prefix()), "/16 to /30");
    }
    good
}

fn read_pattern(item: &Item<'_, '_>, sink: &mut Sink) -> Option<String> {
    let pattern = trim(item.text(sink)?);
    if pattern.is_empty() {
        return Some(String::new());
    }
    if !pattern.contains("{mac}") {
        item.fault(sink, "has no {mac} in it", "all devices would have one name");
        return None;
    }
    if !is_hostname_pattern(pattern) {
        let problem = format!("gives no DNS name: {:?}", shortened(pattern));
        item.fault(sink, problem, "letters, digits, inner hyphens and {mac}");
        return None;
    }
    Some(pattern.to_owned())
}

fn read_aliases(table: &Table<'_, '_>, sink: &mut Sink) -> Vec<DnsName> {
    let Some(item) = table.get("gateway_aliases") else { return Vec::new() };
    let Some(items) = item.list(sink) else { return Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    let mut names = item.texts(items, sink, read_domain);
    names.retain(|name| seen.insert(name.clone()));
    names
}

pub(super) fn read_ntp(network: &Table<'_, '_>, sink: &mut Sink) -> Vec<NtpServer> {
    let default = || NtpServer::parse(DEFAULT_NTP).into_iter().collect();
    let Some(table) = network.table("ntp", sink) else { return default() };
    table.only(&["servers"], sink);
    let Some(item) = table.get("servers") else { return default() };
    let Some(items) = item.filled_list(sink) else { return default() };
    item.texts(items, sink, |text, item, sink| {
        let server = NtpServer::parse(text);
        if server.is_none() {
            let problem = format!("is no host name or address: {:?}", shortened(text));
            item.fault(sink, problem, "for example time.cloudflare.com or 192.0.2.123");
        }
        server
    })
}

/// Puts what was said and the defaults together, and judges the whole.
pub(super) fn settle_lan(
    network: &Table<'_, '_>,
    input: LanInput,
    sink: &mut Sink,
    warnings: &mut Vec<String>,
) -> Option<Lan> {
    let before = sink.count();
    let LanInput { eth1, dnsmasq, ntp_servers } = input;
    let dnsmasq_path = network.path.key("dnsmasq");
    let gateway_path = dnsmasq_path.key("gateway_cidr");
    let interfaces_path = network.path.key("interfaces");
    let eth1_path = interfaces_path.key("eth1");
    let address_path = eth1_path.key("address");
    let gateway = match (dnsmasq.gateway, eth1) {
        (Some(gateway), Some(eth1)) if gateway != eth1 => {
            let problem = format!("is {gateway}, but network.interfaces.eth1.address is {eth1}");
            let span = place(network, &["dnsmasq", "gateway_cidr"]);
            sink.fault(&span, &gateway_path, problem, "give one of the two, or both alike");
            return None;
        }
        (Some(gateway), _) => gateway,
        (None, Some(eth1)) => {
            if !(16..=30).contains(&eth1.prefix()) {
                let span = place(network, &["interfaces", "eth1", "address"]);
                let problem = format!("has a prefix of /{}", eth1.prefix());
                sink.fault(&span, &address_path, problem, "/16 to /30 for the LAN");
                return None;
            }
            eth1
        }
        (None, None) => DEFAULT_GATEWAY,
    };
    if let Some(problem) = gateway.unusable(gateway.address()) {
        let span = place(network, &["dnsmasq", "gateway_cidr"]);
        let problem = format!("{}: {problem}", gateway.address());
        sink.fault(&span, &gateway_path, problem, "for example 172.20.30.1/24");
    }
    let start = dnsmasq.start.unwrap_or(DEFAULT_START);
    let end = dnsmasq.end.unwrap_or(DEFAULT_END);
    check_pool(network, gateway, (start, end), sink);
    if !gateway.address().is_private() && sink.count() == before {
        warnings.push(format!(
            "network.dnsmasq.gateway_cidr {gateway} is not private: the machines of the Internet \
             with these addresses cannot be reached from this device"
        ));
    }
    Some(Lan {
        gateway,
        dhcp_start: start,
        dhcp_end: end,
        domain: dnsmasq.domain.or_else(|| DnsName::parse(DEFAULT_DOMAIN))?,
        hostname_pattern: dnsmasq.pattern.unwrap_or_default(),
        gateway_aliases: if dnsmasq.aliases.is_empty() {
            DnsName::parse(DEFAULT_ALIAS).into_iter().collect()
        } else {
            dnsmasq.aliases
        },
        ntp_servers,
    })
}

fn check_pool(
    network: &Table<'_, '_>,
    gateway: Ipv4Cidr,
    (start, end): (Ipv4Addr, Ipv4Addr),
    sink: &mut Sink,
) {
    let dnsmasq = network.path.key("dnsmasq");
    let mut good = true;
    for (key, address) in [("dhcp_start", start), ("dhcp_end", end)] {
        let span = place(network, &["dnsmasq", key]);
        if !gateway.contains(address) {
            let problem = format!("is {address}, outside of the LAN {}", gateway.subnet());
            let hint = "give dhcp_start and dhcp_end with every gateway_cidr of your own";
            sink.fault(&span, &dnsmasq.key(key), problem, hint);
            good = false;
        } else if let Some(problem) = gateway.unusable(address) {
            sink.fault(&span, &dnsmasq.key(key), format!("{address}: {problem}"), "");
            good = false;
        }
    }
    let span = place(network, &["dnsmasq", "dhcp_start"]);
    if good && start > end {
        let problem = format!("is {start}, behind dhcp_end {end}");
        sink.fault(&span, &dnsmasq.key("dhcp_start"), problem, "");
    } else if good && (start..=end).contains(&gateway.address()) {
        let problem = format!("and dhcp_end include the gateway {}", gateway.address());
        let hint = "end the pool before it, or begin behind it";
        sink.fault(&span, &dnsmasq.key("dhcp_start"), problem, hint);
    }
}

/// Where a key below `network` stands, or the closest table above it.
fn place(network: &Table<'_, '_>, keys: &[&str]) -> std::ops::Range<usize> {
    let mut span = network.span.clone();
    let mut entries = network.entries;
    for key in keys {
        let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { return span };
        span = entry.node.span.clone();
        let super::toml_tree::Value::Table(below) = &entry.node.value else { return span };
        entries = below;
    }
    span
}
