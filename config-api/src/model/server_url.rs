// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this the address of a server that the device may ask, or of a proxy? Never with a secret in
//! it: addresses stand in logs, reports and the answers of the API.

use super::name::is_host;

/// The longest address; a request's line has to hold it with what is put behind.
const MAX_CHARS: usize = 1024;

/// An `https` address of a server, perhaps with a port and a path.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has space or control characters in it");
    }
    let (scheme, rest) = url.split_once("://").ok_or("is no https:// address")?;
    if !scheme.eq_ignore_ascii_case("https") {
        return Err("is no https:// address");
    }
    check_rest(url, rest)
}

/// The same for keys that the former contract did not have: bounded, and plain ASCII.
pub(super) fn check_new_url(url: &str) -> Result<(), &'static str> {
    check_url(url)?;
    if url.len() > MAX_CHARS || !url.is_ascii() {
        return Err("is longer than 1024 letters, or has letters beyond ASCII");
    }
    Ok(())
}

/// The address of a proxy: scheme, host and perhaps a port.
pub(super) fn check_proxy(url: &str) -> Result<(), &'static str> {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has space, control characters or letters beyond ASCII in it");
    }
    let problem = "is no http:// or https:// address";
    let (scheme, rest) = url.split_once("://").ok_or(problem)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(problem);
    }
    if rest.contains('/') {
        return Err("has a path; a proxy has a host and a port");
    }
    check_rest(url, rest)
}

fn check_rest(url: &str, rest: &str) -> Result<(), &'static str> {
    if url.contains(['?', '#', '\\']) {
        return Err("has a query, a fragment or a backslash in it");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("has a user or password in it");
    }
    let (host, port) = split_port(authority)?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (!port.is_empty() && port.parse::<u16>().is_err()) {
        return Err("has a port that is no number up to 65535");
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    if good { Ok(()) } else { Err("names no host: a DNS name or an address") }
}

fn split_port(authority: &str) -> Result<(&str, &str), &'static str> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let (address, rest) = authority.split_at(after_address);
    if address.is_empty() {
        return Ok(rest.split_once(':').unwrap_or((rest, "")));
    }
    let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
    port.map(|port| (address, port)).ok_or("has something behind the address of its host")
}
