// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a container's port appear on the host? For a rootless one on loopback alone.

use super::Refused;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HINT: &str = "HOST_PORT:PORT or HOST_PORT:PORT/udp, with numbers from 1 to 65535";

/// A published port, taken apart.
#[derive(Debug)]
struct Published<'v> {
    /// The address or name of the host; `None` where none is given.
    bind: Option<&'v str>,
    /// `None` where Podman is to choose: no port of the host, or none behind the address.
    host_ports: Option<&'v str>,
    /// The container's ports with their protocol.
    target: &'v str,
}

/// The port as it is rendered for a rootless container, and whether another address was meant.
pub(crate) fn publish_on_loopback(value: &str) -> Result<(String, bool), Refused> {
    let value = value.trim();
    let published = take_apart(value, is_replaceable)?;
    let Some(host_ports) = published.host_ports else {
        return Err(Refused::new("has no port of the host", HINT));
    };
    let target = published.target;
    match published.bind {
        None if host_ports.contains('-') => {
            let hint = "with a range, name the address too: 127.0.0.1:8000-8009:80-89";
            Err(Refused::new("has a range of ports without an address", hint))
        }
        Some("127.0.0.1" | "127.0.1.1") => Ok((value.to_owned(), false)),
        None | Some("localhost" | "::1" | "[::1]") => {
            Ok((format!("127.0.0.1:{host_ports}:{target}"), false))
        }
        Some(_) => Ok((format!("127.0.0.1:{host_ports}:{target}"), true)),
    }
}

/// Whether the value is a port that Podman can publish.
pub(super) fn check_published(value: &str) -> Result<(), Refused> {
    take_apart(value.trim(), is_bind_address).map(drop)
}

fn take_apart(value: &str, is_bind: fn(&str) -> bool) -> Result<Published<'_>, Refused> {
    let refused = || Refused::new(format!("is no port to publish: {value:?}"), HINT);
    let (rest, target) = match value.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, value),
    };
    let (ports, protocol) = target.split_once('/').unwrap_or((target, "tcp"));
    let inside = port_range(ports).ok_or_else(refused)?;
    // Podman takes several with a comma between them, and any case.
    let is_known =
        |one: &str| ["tcp", "udp", "sctp"].iter().any(|known| one.eq_ignore_ascii_case(known));
    if !protocol.split(',').all(is_known) {
        return Err(refused());
    }
    let Some(rest) = rest else {
        return Ok(Published { bind: None, host_ports: None, target });
    };
    let (bind, host_ports) = match rest.rsplit_once(':') {
        Some((bind, ports)) => (Some(bind), ports),
        None => (None, rest),
    };
    if !bind.is_none_or(is_bind) {
        return Err(refused());
    }
    if host_ports.is_empty() && bind.is_some() {
        return Ok(Published { bind, host_ports: None, target });
    }
    let outside = port_range(host_ports).ok_or_else(refused)?;
    if inside != 0 && outside != inside {
        return Err(refused());
    }
    Ok(Published { bind, host_ports: Some(host_ports), target })
}

/// Whether this may stand where loopback will: Podman never sees it, so that `*` or an interface's
/// name does no harm. Brackets hold an address, or where it ends would be a guess.
fn is_replaceable(bind: &str) -> bool {
    let address = bind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let text = address.unwrap_or(bind);
    let is_ipv6 = text.parse::<Ipv6Addr>().is_ok();
    let is_word = !text.is_empty() && !text.contains(['[', ']', ':', '/']);
    !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && (is_ipv6 || (address.is_none() && is_word))
}

fn is_bind_address(bind: &str) -> bool {
    if let Some(rest) = bind.strip_prefix('[') {
        return rest.strip_suffix(']').is_some_and(|text| text.parse::<Ipv6Addr>().is_ok());
    }
    if bind.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return bind.parse::<Ipv4Addr>().is_ok();
    }
    bind.parse::<IpAddr>().is_ok() || crate::model::is_host(bind)
}

/// How many ports are meant.
fn port_range(text: &str) -> Option<u16> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    match text.split_once('-') {
        Some((first, last)) => port(last)?.checked_sub(port(first)?),
        None => port(text).map(|_| 0),
    }
}
