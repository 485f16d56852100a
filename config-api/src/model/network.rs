// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which addresses does this device have, and what may reach it?

use super::address::{Ipv4Cidr, parse_ip};
use super::config::{Addressing, Firewall, HostNetwork, Interface, Lan, Ports};
use super::fault::Sink;
use super::lan::{LanInput, read_dnsmasq, read_ntp, settle_lan};
use super::name::{DnsName, InterfaceName, trim};
use super::reader::{Item, Table, shortened};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const NETWORK_KEYS: [&str; 7] = [
    "dns_servers",
    "dns_search_domains",
    "default_gateway",
    "interfaces",
    "dnsmasq",
    "ntp",
    "firewall",
];
const INTERFACE_KEYS: [&str; 5] =
    ["mode", "address", "gateway", "dns_servers", "dns_search_domains"];

/// The interface that serves the LAN.
const LAN_INTERFACE: &str = "eth1";

/// Ports that no configuration opens to the WAN: SSH there is switched by hand alone
/// (`ssh-wan-enabled`), and 8080 is where an unprovisioned device listens.
pub const RESERVED_WAN_TCP: [u16; 2] = [22, 8080];

pub(crate) struct NetworkParts {
    pub host: HostNetwork,
    pub lan: Option<Lan>,
    pub firewall: Firewall,
}

pub(crate) fn read_network(
    root: &Table<'_, '_>,
    sink: &mut Sink,
    warnings: &mut Vec<String>,
) -> NetworkParts {
    let empty = std::ops::Range::default();
    let absent = Table { entries: &[], span: &empty, path: root.path.key("network") };
    let table = root.table("network", sink).unwrap_or(absent);
    table.only(&NETWORK_KEYS, sink);
    let host = HostNetwork {
        dns_servers: read_addresses(&table, sink).unwrap_or_default(),
        dns_search_domains: read_domains(&table, sink).unwrap_or_default(),
        default_gateway: read_gateway(&table, "default_gateway", sink),
        interfaces: read_interfaces(&table, sink),
    };
    let eth1 = lan_address(&host.interfaces);
    let names_eth1 = table.get("interfaces").is_some_and(|item| item.has(LAN_INTERFACE));
    let before = sink.count();
    let dnsmasq = read_dnsmasq(&table, sink);
    let is_whole = sink.count() == before && names_eth1 == eth1.is_some();
    let ntp_servers = read_ntp(&table, sink);
    // What is judged as a whole is judged only when its parts are good: no fault for a fault.
    let lan = is_whole
        .then(|| settle_lan(&table, LanInput { eth1, dnsmasq, ntp_servers }, sink, warnings))
        .flatten();
    if let Some(lan) = &lan {
        refuse_overlaps(&table, &host.interfaces, lan, sink);
    }
    NetworkParts { host, lan, firewall: read_firewall(&table, sink) }
}

fn lan_address(interfaces: &[Interface]) -> Option<Ipv4Cidr> {
    let eth1 = interfaces.iter().find(|interface| interface.name.as_str() == LAN_INTERFACE)?;
    match eth1.addressing {
        Addressing::Static(address) => Some(address),
        Addressing::Dhcp => None,
    }
}

fn read_addresses(table: &Table<'_, '_>, sink: &mut Sink) -> Option<Vec<IpAddr>> {
    let item = table.get("dns_servers")?;
    let items = item.filled_list(sink)?;
    Some(item.texts(items, sink, |text, item, sink| {
        let address = parse_ip(text);
        if address.is_none() {
            let hint = if text.contains('%') {
                "an address with a zone (%) is refused; name one without"
            } else {
                "an IPv4 or IPv6 address; names cannot be looked up before there is a server"
            };
            item.fault(sink, format!("is no address: {:?}", shortened(text)), hint);
        }
        address
    }))
}

fn read_domains(table: &Table<'_, '_>, sink: &mut Sink) -> Option<Vec<DnsName>> {
    let item = table.get("dns_search_domains")?;
    let items = item.filled_list(sink)?;
    Some(item.texts(items, sink, read_domain))
}

/// A DNS name, or a fault.
pub(super) fn read_domain(text: &str, item: &Item<'_, '_>, sink: &mut Sink) -> Option<DnsName> {
    let name = DnsName::parse(text);
    if name.is_none() {
        let hint = "labels of letters, digits and inner hyphens with dots between them";
        item.fault(sink, format!("is no DNS name: {:?}", shortened(text)), hint);
    }
    name
}

fn read_gateway(table: &Table<'_, '_>, key: &str, sink: &mut Sink) -> Option<Ipv4Addr> {
    let item = table.get(key)?;
    read_ipv4(&item, sink)
}

/// An IPv4 address, or a fault.
pub(super) fn read_ipv4(item: &Item<'_, '_>, sink: &mut Sink) -> Option<Ipv4Addr> {
    let text = item.text(sink)?;
    let address = trim(text).parse().ok();
    if address.is_none() {
        let hint = "four numbers without leading zeros, for example 192.0.2.1";
        item.fault(sink, format!("is no IPv4 address: {:?}", shortened(text)), hint);
    }
    address
}

/// An IPv4 address with its prefix, or a fault.
pub(super) fn read_cidr(item: &Item<'_, '_>, sink: &mut Sink) -> Option<Ipv4Cidr> {
    let text = item.text(sink)?;
    let cidr = Ipv4Cidr::parse(text);
    if cidr.is_none() {
        let problem = format!("is no IPv4 address with a prefix: {:?}", shortened(text));
        item.fault(sink, problem, "for example 192.0.2.10/24");
    }
    cidr
}

fn read_interfaces(table: &Table<'_, '_>, sink: &mut Sink) -> Vec<Interface> {
    let Some(table) = table.table("interfaces", sink) else { return Vec::new() };
    let mut interfaces = Vec::with_capacity(table.entries.len());
    for (entry, item) in table.items() {
        let name = InterfaceName::parse(&entry.key);
        if let Err(problem) = name {
            sink.fault(&entry.key_span, &item.path, problem, "eth0 is the WAN, eth1 the LAN");
        }
        let parsed = read_interface(item, entry.key == LAN_INTERFACE, sink);
        if let (Ok(name), Some(interface)) = (name, parsed) {
            interfaces.push(interface(name));
        }
    }
    interfaces
}

fn read_interface(
    item: Item<'_, '_>,
    is_lan: bool,
    sink: &mut Sink,
) -> Option<impl FnOnce(InterfaceName) -> Interface + use<>> {
    let table = item.table(sink)?;
    table.only(&INTERFACE_KEYS, sink);
    let addressing = read_addressing(&table, is_lan, sink);
    let gateway = read_gateway(&table, "gateway", sink);
    let dns_servers = read_addresses(&table, sink);
    let dns_search_domains = read_domains(&table, sink);
    let addressing = addressing?;
    Some(move |name| Interface { name, addressing, gateway, dns_servers, dns_search_domains })
}

fn read_addressing(table: &Table<'_, '_>, is_lan: bool, sink: &mut Sink) -> Option<Addressing> {
    let mode = table.require("mode", sink)?;
    match mode.text(sink)? {
        "dhcp" if is_lan => {
            mode.fault(sink, "must be static: eth1 is the gateway of the LAN", "");
            None
        }
        "dhcp" => {
            if let Some(item) = table.get("address") {
                item.fault(sink, "is not allowed with mode = \"dhcp\"", "leave it out");
            }
            Some(Addressing::Dhcp)
        }
        "static" => {
            let item = table.require("address", sink)?;
            let cidr = read_cidr(&item, sink)?;
            if let Some(problem) = cidr.unusable(cidr.address()) {
                item.fault(sink, format!("{}: {problem}", cidr.address()), "");
                return None;
            }
            Some(Addressing::Static(cidr))
        }
        other => {
            mode.fault(sink, format!("is unknown: {:?}", shortened(other)), "dhcp or static");
            None
        }
    }
}

/// Two interfaces in one subnet: answers to machines of the LAN would leave by the other.
fn refuse_overlaps(network: &Table<'_, '_>, interfaces: &[Interface], lan: &Lan, sink: &mut Sink) {
    let Some(table) = network.get("interfaces").and_then(|item| item.table(sink)) else { return };
    let addresses: BTreeMap<&str, Ipv4Cidr> = interfaces
        .iter()
        .filter(|interface| interface.name.as_str() != LAN_INTERFACE)
        .filter_map(|interface| match interface.addressing {
            Addressing::Static(address) => Some((interface.name.as_str(), address)),
            Addressing::Dhcp => None,
        })
        .collect();
    for (entry, item) in table.items() {
        let Some(address) = addresses.get(entry.key.as_ref()) else { continue };
        let Some(fields) = item.table(sink) else { continue };
        if address.overlaps(lan.gateway)
            && let Some(item) = fields.get("address")
        {
            let problem =
                format!("overlaps with the LAN: {} and {}", address.subnet(), lan.gateway.subnet());
            item.fault(
                sink,
                problem,
                "move the LAN with network.dnsmasq.gateway_cidr and its pool",
            );
        }
    }
}

fn read_firewall(network: &Table<'_, '_>, sink: &mut Sink) -> Firewall {
    let mut firewall = Firewall::default();
    let Some(table) = network.table("firewall", sink) else { return firewall };
    table.only(&["inbound"], sink);
    let Some(inbound) = table.table("inbound", sink) else { return firewall };
    inbound.only(&["wan", "lan"], sink);
    if let Some(wan) = inbound.table("wan", sink) {
        firewall.wan = read_ports(&wan, &RESERVED_WAN_TCP, sink);
    }
    if let Some(lan) = inbound.table("lan", sink) {
        firewall.lan = read_ports(&lan, &[], sink);
    }
    firewall
}

fn read_ports(side: &Table<'_, '_>, reserved_tcp: &[u16], sink: &mut Sink) -> Ports {
    side.only(&["tcp", "udp"], sink);
    let tcp = read_port_list(side, "tcp", reserved_tcp, sink);
    Ports { tcp, udp: read_port_list(side, "udp", &[], sink) }
}

fn read_port_list(
    side: &Table<'_, '_>,
    protocol: &str,
    reserved: &[u16],
    sink: &mut Sink,
) -> Vec<u16> {
    let Some(list) = side.get(protocol) else { return Vec::new() };
    let Some(items) = list.list(sink) else { return Vec::new() };
    let mut ports = Vec::with_capacity(items.len());
    for (index, node) in items.iter().enumerate() {
        let item = Item { node, path: list.path.index(index) };
        let Some(port) = item.number(1, u16::MAX, sink) else { continue };
        if reserved.contains(&port) {
            let hint = match port {
                22 => "SSH from the WAN is opened by hand on the device, never by a file",
                _ => "it is where a device without a configuration listens",
            };
            item.fault(sink, format!("must not be opened to the WAN: TCP {port}"), hint);
        }
        ports.push(port);
    }
    ports
}
