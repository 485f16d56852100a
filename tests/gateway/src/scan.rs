// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ports does the gateway answer on? All of them are asked, by `nmap`. A port that answers that
//! nobody listens has been let through as well: only silence is closed.

use crate::host::run;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;

/// All of them.
pub const ALL: &str = "1-65535";

/// What to ask with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// The ports of `address` that answer, asked from `host`.
pub fn answering(
    host: &str,
    address: &str,
    protocol: Protocol,
    ports: &str,
) -> Result<BTreeSet<u16>> {
    let mut words = vec!["nmap", "-n", "-Pn", "-oG", "-", "-p", ports, "--max-retries", "1"];
    // Asked twice: a lost packet must not look like a closed port.
    words.extend(["--min-rate", "40000", "--max-rtt-timeout", "200ms", "--host-timeout", "60s"]);
    match protocol {
        Protocol::Tcp => words.push("-sS"),
        Protocol::Udp => words.push("-sU"),
    }
    if address.contains(':') {
        words.extend(["-6", "--send-ip"]);
    }
    words.push(address);
    let said = run(host, &words)?;
    parse(&said).with_context(|| said.clone())
}

/// Reads `nmap`'s form for programs.
fn parse(said: &str) -> Result<BTreeSet<u16>> {
    ensure!(said.contains("(1 host up)"), "nmap has not looked at the host to the end");
    let mut ports = BTreeSet::new();
    for line in said.lines() {
        let Some((_, rest)) = line.split_once("Ports: ") else { continue };
        let list = rest.split('\t').next().unwrap_or_default();
        for entry in list.split(", ").filter(|entry| !entry.is_empty()) {
            let mut fields = entry.split('/');
            let number: u16 = fields.next().unwrap_or_default().parse()?;
            let state = fields.next().context("a port without a state")?;
            if !state.contains("filtered") || state == "unfiltered" {
                ports.insert(number);
            }
        }
    }
    // Where most ports answer, they are the ones that it does not list.
    let rest = said.split_once("Ignored State: ").map(|(_, rest)| rest);
    ensure!(
        rest.is_none_or(|rest| rest.starts_with("filtered") || rest.starts_with("open|filtered")),
        "most ports answer"
    );
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_closed_and_an_answer_of_any_kind_is_not() {
        let said = "Host: 192.0.2.10 ()\tPorts: 22/filtered/tcp//ssh///, 443/closed/tcp//https///, \
                    444/open/tcp/////\tIgnored State: filtered (65532)\n\
                    # Nmap done at x -- 1 IP address (1 host up) scanned in 9.9 seconds\n";
        assert_eq!(parse(said).unwrap(), BTreeSet::from([443, 444]));
        assert!(parse(&said.replace("1 host up", "0 hosts up")).is_err());
        assert!(parse(&said.replace("Ignored State: filtered", "Ignored State: closed")).is_err());
    }
}
