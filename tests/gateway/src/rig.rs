// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gateway with its operator's laptop, and what every judge asks of it.

use crate::host::{self, wait_until};
use crate::http::Laptop;
use crate::machine::Machine;
use crate::parts;
use crate::scan::{Protocol, answering};
use crate::space::{LAN, STRANGER_LOCAL, STRANGER_MAC, WAN, WORLD_IP, WORLD_LOCAL, WORLD_MAC};
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Where a device without a configuration is reached in its LAN.
pub const FRESH: &str = "172.20.30.1:8080";
/// Where the configuration puts it.
pub const PLACE: &str = "10.44.0.1:8080";
/// The same without the port.
pub const GATEWAY_IP: &str = "10.44.0.1";

const CONFIG: &str = include_str!("../guest/config.toml");

/// The gateway and who looks at it.
pub struct Rig<'a> {
    /// The gateway.
    pub machine: Machine,
    /// The operator's.
    pub laptop: Laptop,
    /// For files of the judges.
    pub scratch: &'a Path,
}

impl Rig<'_> {
    /// The configuration, with the operator's key.
    pub fn config(&self) -> Result<String> {
        Ok(CONFIG.replace("ADMIN_KEY", &self.laptop.public()?))
    }

    /// Has a whole configuration applied, and gives its job once it is over.
    pub fn apply(&self, text: &str) -> Result<serde_json::Value> {
        let place = address(PLACE)?;
        let accepted = self.laptop.sign(place, "POST", "/api/config", text.as_bytes())?;
        self.laptop.finished(place, &accepted)
    }

    /// The same, of one that comes up.
    pub fn applied(&self, text: &str) -> Result<()> {
        let job = self.apply(text)?;
        ensure!(job["state"] == "succeeded", "{job:#}");
        Ok(())
    }

    /// `nft` in the gateway.
    pub fn nft(&self, words: &[&str]) -> Result<String> {
        self.machine.run(&[&["nft"], words].concat())
    }

    /// What the world gets an answer from.
    pub fn seen_outside(&self, protocol: Protocol, ports: &str) -> Result<BTreeSet<u16>> {
        answering(WAN, WORLD_IP, protocol, ports)
    }
}

/// Reads an address with its port.
pub fn address(text: &str) -> Result<SocketAddr> {
    text.parse().with_context(|| text.to_owned())
}

pub fn claim(rig: &mut Rig<'_>) -> Result<()> {
    let text = rig.config()?;
    let accepted = rig.laptop.ask(address(FRESH)?, "POST", "/api/config", text.as_bytes())?;
    let job = rig.laptop.finished(address(PLACE)?, &accepted)?;
    ensure!(job["state"] == "succeeded", "{job:#}");
    for unit in ["web.service", "dnsmasq.service", "chronyd.service"] {
        let state = rig.machine.run(&["systemctl", "is-active", unit])?;
        ensure!(state.trim() == "active", "{unit}: {state}");
    }
    let shop =
        rig.machine.run(&["systemctl", "--user", "--machine=appsvc@", "is-active", "shop"])?;
    ensure!(shop.trim() == "active", "shop.service of appsvc: {shop}");
    let user = rig.machine.run(&["getent", "passwd", "admin"])?;
    ensure!(user.contains("/bash"), "{user}");
    Ok(())
}

pub fn lease(rig: &mut Rig<'_>) -> Result<()> {
    host::run(LAN, &["ip", "-4", "address", "flush", "dev", "cable"])?;
    let file = rig.scratch.join("lease");
    let busybox = parts::debian()?.join("bin/busybox");
    let asked = ["-i", "cable", "-n", "-q", "-f", "-t", "10", "-T", "1", "-O", "ntpsrv", "-s"];
    host::program(LAN, &[])
        .env("LEASE", &file)
        .arg(busybox)
        .arg("udhcpc")
        .args(asked)
        .arg(parts::own("lease.sh"))
        .run()?;
    let lease = fs::read_to_string(&file)?;
    for line in [
        "router=10.44.0.1",
        "dns=10.44.0.1",
        "ntpsrv=10.44.0.1",
        "domain=lab.example",
        "mask=24",
        "lease=86400",
    ] {
        ensure!(lease.lines().any(|found| found == line), "{line} is not in {lease}");
    }
    let ip =
        lease.lines().find_map(|line| line.strip_prefix("ip=10.44.0.")).context("no address")?;
    let last: u8 = ip.parse()?;
    ensure!((10..=200).contains(&last), "{lease}");
    Ok(())
}

pub fn names(_: &mut Rig<'_>) -> Result<()> {
    let busybox = parts::debian()?.join("bin/busybox").display().to_string();
    let look = |name: &str| host::run(LAN, &[&busybox, "nslookup", "-type=a", name, GATEWAY_IP]);
    for name in ["gateway.lab.example", "gw-02005e000002.lab.example", "portal.shop.example"] {
        let found = look(name)?;
        ensure!(found.contains(&format!("Address: {GATEWAY_IP}\n")), "{name}: {found}");
    }
    for name in ["nobody.lab.example", "debian.org"] {
        ensure!(look(name).is_err(), "{name} is found");
    }
    Ok(())
}

/// The rules drop the questions for neighbours as well, so that IPv6 is closed before any port is
/// asked. Ports are looked at as if each side knew the other.
pub fn introduce(rig: &Rig<'_>) -> Result<()> {
    let words = |address, mac, dev| {
        ["ip", "-6", "neighbour", "replace", address, "lladdr", mac, "dev", dev, "nud", "permanent"]
    };
    host::run(WAN, &words(WORLD_LOCAL, WORLD_MAC, "cable"))?;
    rig.machine.run(&words(STRANGER_LOCAL, STRANGER_MAC, "eth0")).map(drop)
}

/// Removes the rule that reads so.
pub fn forget_rule(rig: &Rig<'_>, text: &str) -> Result<()> {
    let listed = rig.nft(&["-a", "list", "chain", "inet", "filter", "input"])?;
    let line = listed.lines().find(|line| line.trim().starts_with(text));
    let handle = line.and_then(|line| line.rsplit(' ').next()).with_context(|| listed.clone())?;
    rig.nft(&["delete", "rule", "inet", "filter", "input", "handle", handle]).map(drop)
}

pub fn api(rig: &mut Rig<'_>) -> Result<()> {
    // The former address is served for half a minute, so that a page can follow.
    let expected = BTreeSet::from([PLACE.to_owned()]);
    wait_until("the API on one address", Duration::from_secs(60), || {
        let listed = rig.machine.run(&["ss", "-Hltn", "sport", "=", "8080"])?;
        let found = listed.lines().filter_map(|line| line.split_whitespace().nth(3));
        let found: BTreeSet<String> = found.map(str::to_owned).collect();
        Ok((found == expected).then_some(()))
    })?;
    let health = rig.laptop.ask(address(PLACE)?, "GET", "/api/health", b"")?;
    ensure!(health.status == 200);
    let unsigned = rig.laptop.ask(address(PLACE)?, "POST", "/api/config", b"version = 1\n")?;
    ensure!(unsigned.status == 401, "{}", unsigned.status);
    Ok(())
}
