// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firewall's openings, as one transaction of nft: the rules that are ours go and come back as
//! the configuration says, or nothing happens. A configuration that says nothing leaves the LAN
//! open and the WAN closed.

use super::error::ApplierError;
use super::settings::{Firewall, InterfaceName, Ports};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const CHAIN: &str = "inet filter input";
const INBOUND: &str = "ATOMIXOS_PROVISIONED_INBOUND";
const LAN_OPEN: &str = "ATOMIXOS_LAN_DEFAULT_OPEN";

/// What a LAN with a list of its own still needs: SSH, names, the API; names, addresses, time.
const LAN_TCP: [u16; 3] = [22, 53, 8080];
const LAN_UDP: [u16; 4] = [53, 67, 68, 123];

/// Ports that no configuration opens to the world: SSH, which the operator's own switch opens, and
/// the API.
const WAN_RESERVED_TCP: [u16; 2] = [22, 8080];

/// Which interface is on which side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The world's.
    pub wan: InterfaceName,
    /// The LAN's.
    pub lan: InterfaceName,
}

/// A rule of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// nft's number of it.
    pub handle: u64,
    /// What it is called.
    pub comment: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    nftables: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    rule: Option<ListedRule>,
}

#[derive(Deserialize)]
struct ListedRule {
    handle: u64,
    comment: Option<String>,
}

/// Reads the answer of `nft -j list chain inet filter input`.
///
/// # Errors
/// [`ApplierError::Chain`].
pub fn parse_chain(answer: &[u8]) -> Result<Vec<Rule>, ApplierError> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|source| ApplierError::Chain { source: Box::new(source) })?;
    let rules = answer.nftables.into_iter().filter_map(|item| item.rule);
    Ok(rules.map(|rule| Rule { handle: rule.handle, comment: rule.comment }).collect())
}

/// The transaction for `nft -f -` that makes the chain what the configuration says; `None` stands
/// for a configuration without a file of its own.
#[must_use]
pub fn render_firewall(firewall: Option<&Firewall>, zones: &Zones, present: &[Rule]) -> String {
    let mut text = String::new();
    for rule in present {
        if [Some(INBOUND), Some(LAN_OPEN)].contains(&rule.comment.as_deref()) {
            let _infallible = writeln!(text, "delete rule {CHAIN} handle {}", rule.handle);
        }
    }
    let nothing = Firewall::default();
    let firewall = firewall.unwrap_or(&nothing);
    let wan_tcp = ports(&firewall.wan.tcp, &[]);
    let wan_tcp = wan_tcp.into_iter().filter(|port| !WAN_RESERVED_TCP.contains(port)).collect();
    let wan = zones.wan.as_str();
    open(&mut text, wan, "tcp", &wan_tcp);
    open(&mut text, wan, "udp", &ports(&firewall.wan.udp, &[]));
    let lan = zones.lan.as_str();
    if firewall.lan.tcp.0.is_empty() && firewall.lan.udp.0.is_empty() {
        let _infallible =
            writeln!(text, "add rule {CHAIN} iifname \"{lan}\" accept comment \"{LAN_OPEN}\"");
    } else {
        open(&mut text, lan, "tcp", &ports(&firewall.lan.tcp, &LAN_TCP));
        open(&mut text, lan, "udp", &ports(&firewall.lan.udp, &LAN_UDP));
    }
    text
}

/// Sorted, each once.
fn ports(given: &Ports, more: &[u16]) -> BTreeSet<u16> {
    given.0.iter().map(|port| port.get()).chain(more.iter().copied()).collect()
}

fn open(text: &mut String, interface: &str, protocol: &str, ports: &BTreeSet<u16>) {
    if ports.is_empty() {
        return;
    }
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let _infallible = writeln!(
        text,
        "add rule {CHAIN} iifname \"{interface}\" {protocol} dport {{ {} }} accept comment \
         \"{INBOUND}\"",
        ports.join(", ")
    );
}
