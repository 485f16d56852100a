// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files does a configuration become? A pure function to a [`Tree`]: names, modes and bytes
//! are those that the device's services read, to the byte.

mod json;
mod unit_file;
mod updates;

use crate::input::Payload;
use crate::model::{
    Activation, Addressing, Config, Firewall, HostNetwork, Interface, Lan, Mode, Ports, STRATEGY,
    Unit, User, ip_text,
};
use crate::tree::Tree;
use json::Json;

/// Readable by its owner alone: keys and passwords may be in it.
const SECRET: u32 = 0o600;
const DIRECTORY: u32 = 0o755;
const UNIT: u32 = 0o644;

/// Renders a configuration.
///
/// `source` are the bytes it was read from, which are kept as they are; `config_dir` is where the
/// tree will stand on the device, [`crate::CONFIG_DIR`] as a rule.
#[must_use]
pub fn render(config: &Config, source: &[u8], payload: &Payload, config_dir: &str) -> Tree {
    let mut tree = Tree::default();
    tree.file("config.toml", SECRET, source);
    render_users(&config.users, &mut tree);
    let mut json = |name: &str, value: &Json| tree.file(name, SECRET, value.to_file());
    json("firewall-inbound.json", &firewall(&config.firewall));
    json("lan-settings.json", &lan(&config.lan));
    json("host-network.json", &host_network(&config.host_network));
    if let Some(os_upgrade) = &config.os_upgrade {
        json("os-upgrade.json", &updates::upgrade(os_upgrade, config_dir));
    }
    json("health-required.json", &texts(&config.activation.required));
    json("activation-policy.json", &activation(&config.activation));
    json("quadlet-runtime.json", &runtime(&config.units));
    tree.directory("quadlet", DIRECTORY);
    for unit in &config.units {
        let text = unit_file::unit_text(unit, config_dir);
        tree.file(format!("quadlet/{}", unit.file_name()), UNIT, text);
    }
    for (path, content) in payload.entries() {
        tree.payload(path, content);
    }
    tree
}

fn render_users(users: &[User], tree: &mut Tree) {
    let mut signers = String::new();
    let mut fields = Vec::with_capacity(users.len());
    tree.directory("ssh-authorized-keys", DIRECTORY);
    for user in users {
        let key = user.ssh_key.as_ref().map_or("", |key| key.as_str());
        let mut about = vec![
            ("isAdmin".to_owned(), Json::Boolean(user.is_admin)),
            ("ssh_key".to_owned(), Json::text(key)),
        ];
        if let Some(shell) = user.shell {
            about.push(("shell".to_owned(), Json::text(shell.as_str())));
        }
        fields.push((user.name.to_string(), Json::Object(about)));
        if !key.is_empty() {
            let line = format!("{key}\n");
            if user.is_admin {
                signers.push_str(&line);
            }
            tree.file(format!("ssh-authorized-keys/{}", user.name), SECRET, line);
        }
    }
    tree.file("admin-signers", SECRET, signers);
    tree.file("users.json", SECRET, Json::Object(fields).to_file());
}

fn texts<T: ToString>(values: &[T]) -> Json {
    Json::List(values.iter().map(|value| Json::Text(value.to_string())).collect())
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn firewall(firewall: &Firewall) -> Json {
    let sides = [("wan", &firewall.wan), ("lan", &firewall.lan)];
    let sides = sides.map(|(name, side)| (name.to_owned(), protocols(side)));
    let filled = sides.into_iter().filter(|(_, ports)| !ports.is_empty());
    Json::Object(filled.map(|(name, ports)| (name, Json::Object(ports))).collect())
}

/// The protocols that have ports.
fn protocols(ports: &Ports) -> Vec<(String, Json)> {
    let all = [("tcp", &ports.tcp), ("udp", &ports.udp)];
    let filled = all.into_iter().filter(|(_, ports)| !ports.is_empty());
    let list = |ports: &Vec<u16>| {
        Json::List(ports.iter().map(|port| Json::Number(u64::from(*port))).collect())
    };
    filled.map(|(name, ports)| (name.to_owned(), list(ports))).collect()
}

fn lan(lan: &Lan) -> Json {
    object([
        ("gateway_cidr", Json::Text(lan.gateway.to_string())),
        ("gateway_ip", Json::Text(lan.gateway.address().to_string())),
        ("subnet_cidr", Json::Text(lan.gateway.subnet())),
        ("netmask", Json::Text(lan.gateway.netmask().to_string())),
        ("dhcp_start", Json::Text(lan.dhcp_start.to_string())),
        ("dhcp_end", Json::Text(lan.dhcp_end.to_string())),
        ("domain", Json::text(lan.domain.as_str())),
        ("hostname_pattern", Json::text(&lan.hostname_pattern)),
        ("gateway_aliases", texts(&lan.gateway_aliases)),
        ("ntp_servers", texts(&lan.ntp_servers)),
    ])
}

fn addresses(addresses: &[std::net::IpAddr]) -> Json {
    Json::List(addresses.iter().map(|address| Json::Text(ip_text(address))).collect())
}

fn host_network(network: &HostNetwork) -> Json {
    let interfaces = network.interfaces.iter();
    let interfaces = interfaces.map(|i| (i.name.to_string(), interface(i))).collect();
    let mut fields = vec![
        ("dns_servers".to_owned(), addresses(&network.dns_servers)),
        ("dns_search_domains".to_owned(), texts(&network.dns_search_domains)),
        ("interfaces".to_owned(), Json::Object(interfaces)),
    ];
    if let Some(gateway) = network.default_gateway {
        fields.push(("default_gateway".to_owned(), Json::Text(gateway.to_string())));
    }
    Json::Object(fields)
}

fn interface(interface: &Interface) -> Json {
    let mut fields = match interface.addressing {
        Addressing::Dhcp => vec![("mode", Json::text("dhcp"))],
        Addressing::Static(address) => {
            vec![("mode", Json::text("static")), ("address", Json::Text(address.to_string()))]
        }
    };
    if let Some(gateway) = interface.gateway {
        fields.push(("gateway", Json::Text(gateway.to_string())));
    }
    if let Some(servers) = &interface.dns_servers {
        fields.push(("dns_servers", addresses(servers)));
    }
    if let Some(domains) = &interface.dns_search_domains {
        fields.push(("dns_search_domains", texts(domains)));
    }
    Json::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn activation(activation: &Activation) -> Json {
    object([
        ("required", texts(&activation.required)),
        ("timeout_seconds", Json::Number(u64::from(activation.timeout_seconds))),
        ("settle_seconds", Json::Number(u64::from(activation.settle_seconds))),
        ("restart", texts(&activation.restart)),
        ("allow_degraded", texts(activation.allow_degraded.as_deref().unwrap_or_default())),
        ("allow_degraded_configured", Json::Boolean(activation.allow_degraded.is_some())),
        ("strategy", Json::text(STRATEGY)),
    ])
}

fn runtime(units: &[Unit]) -> Json {
    let unit = |unit: &Unit, mode: Mode| {
        object([
            ("name", Json::text(unit.name.as_str())),
            ("filename", Json::Text(unit.file_name())),
            ("service", Json::Text(unit.service())),
            ("mode", Json::text(mode.as_str())),
        ])
    };
    let all = units.iter().flat_map(|u| u.modes.iter().map(move |mode| unit(u, *mode)));
    object([
        ("app_user", Json::text(crate::APP_USER)),
        ("rootless_network", Json::text(crate::ROOTLESS_NETWORK)),
        ("units", Json::List(all.collect())),
    ])
}
