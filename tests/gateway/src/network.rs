// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a configuration make of the device, seen from its LAN and from the world? Everything
//! is real but podman: systemd with our units, networkd, dnsmasq, chronyd, nft and the kernel. What
//! is closed is shown open once, so that silence means something.

use crate::host::{self, on, wait_until};
use crate::http::Laptop;
use crate::machine::Machine;
use crate::parts::{self, Online};
use crate::rig::{
    FRESH, GATEWAY_IP, PLACE, Rig, address, api, claim, forget_rule, introduce, lease, names,
};
use crate::scan::{ALL, Protocol, answering};
use crate::space::{LAN, STRANGER_IP, WAN, WORLD_IP, WORLD_LOCAL};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

type Claim = (&'static str, fn(&mut Rig<'_>) -> Result<()>);

const CLAIMS: [Claim; 13] = [
    ("the two halves run as closed as their units say", halves),
    ("who is not the service gets no answer from the helper", peers),
    ("whoever comes first from the LAN makes it a gateway", claim),
    ("a client gets an address, a router, names and the time's source", lease),
    ("the gateway's names are found, the world's are not", names),
    ("the LAN gets the time, the world does not", time),
    ("the world finds the configured ports and no other", world),
    ("the API listens in the LAN alone", api),
    ("nothing goes from one side to the other", forwarding),
    ("SSH from the world is the operator's own switch", ssh_wan),
    ("a LAN with a list has that and what it needs", lan_list),
    ("both halves started anew know the device", restart),
    ("a change that does not come up is taken back with its network", taken_back),
];

/// Judges a program.
pub fn judge(program: &Path, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let begun = Instant::now();
    let laptop = Laptop::new(Some(LAN), scratch)?;
    let mut machine = Machine::new(program, scratch, Online::Taken)?;
    machine.start()?;
    machine.wait_booted()?;
    writeln!(out, "  booted: {:.1} s", begun.elapsed().as_secs_f64())?;
    let mut rig = Rig { machine, laptop, scratch };
    for (name, claim) in CLAIMS {
        let begun = Instant::now();
        claim(&mut rig).with_context(|| format!("{}\nnot so: {name}", rig.machine.said()))?;
        writeln!(out, "  {name}: {:.1} s", begun.elapsed().as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}

/// The process of a unit, as the kernel sees it.
fn process(rig: &Rig<'_>, unit: &str) -> Result<String> {
    let id = rig.machine.run(&["systemctl", "show", "--property=MainPID", "--value", unit])?;
    rig.machine.read(&format!("/proc/{}/status", id.trim()))
}

fn halves(rig: &mut Rig<'_>) -> Result<()> {
    wait_until("an answer in the LAN", Duration::from_secs(60), || {
        let health = rig.laptop.ask(address(FRESH)?, "GET", "/api/health", b"");
        Ok(health.ok().filter(|answer| answer.status == 200))
    })?;
    let has = |status: &str, key: &str, value: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        ensure!(line.map(str::trim) == Some(value), "{key} is not {value}: {status}");
        Ok(())
    };
    let http = process(rig, "atomix-config-api.service")?;
    for key in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        has(&http, key, "0000000000000000")?;
    }
    has(&http, "NoNewPrivs", "1")?;
    has(&http, "Seccomp", "2")?;
    let user = http.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let user = user.split_whitespace().next().unwrap_or("0");
    ensure!(user != "0", "the HTTP half is root");
    let helper = process(rig, "atomix-config-helper.service")?;
    has(&helper, "Seccomp", "2")?;
    let socket = rig.machine.run(&["stat", "-c", "%a %U %G", "/run/atomix-config/helper.sock"])?;
    ensure!(socket.trim() == "660 root atomix-config", "{socket}");
    Ok(())
}

/// The kernel's permissions keep others off; past these the peer's own number does.
fn peers(rig: &mut Rig<'_>) -> Result<()> {
    let probe = fs::read_to_string(parts::own("peer.pl"))?;
    let ask = |user: &str, group: &str| rig.machine.run(&["perl", "-e", &probe, user, group]);
    let answer = ask("atomix-config", "atomix-config")?;
    ensure!(answer.contains("\"provisioned\":false"), "the service gets no answer: {answer}");
    let Err(refused) = ask("nobody", "nogroup") else { bail!("anybody may connect") };
    ensure!(format!("{refused:#}").contains("Permission denied"), "{refused:#}");
    let answer = ask("nobody", "atomix-config")?;
    ensure!(answer.trim() == "no answer", "a stranger of the group is answered: {answer}");
    let journal = ["journalctl", "--no-pager", "--output=cat", "-u", "atomix-config-helper"];
    let said = rig.machine.run(&journal)?;
    ensure!(said.contains("user 65534 may not ask"), "{said}");
    Ok(())
}

/// The stratum that the gateway tells a host who asks from `from`; none without an answer.
fn stratum(host: &str, from: &str, to: &str) -> Result<Option<u8>> {
    on(host, || {
        let socket = UdpSocket::bind(from).with_context(|| from.to_owned())?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut question = [0; 48];
        question[0] = 0x23;
        let mut answer = [0; 48];
        for _ in 0..2 {
            socket.send_to(&question, to)?;
            if let Ok((48, _)) = socket.recv_from(&mut answer) {
                let [first, stratum, ..] = answer;
                ensure!(first & 7 == 4, "no server's answer: {answer:?}");
                return Ok(Some(stratum));
            }
        }
        Ok(None)
    })
}

fn time(_: &mut Rig<'_>) -> Result<()> {
    let to = format!("{GATEWAY_IP}:123");
    ensure!(stratum(LAN, "0.0.0.0:0", &to)? == Some(10), "no time in the LAN");
    host::run(LAN, &["ip", "address", "add", "10.99.0.5/32", "dev", "cable"])?;
    ensure!(stratum(LAN, "10.99.0.5:0", &to)?.is_none(), "others than the LAN are answered");
    host::run(LAN, &["ip", "address", "del", "10.99.0.5/32", "dev", "cable"])?;
    ensure!(stratum(WAN, "0.0.0.0:0", &format!("{WORLD_IP}:123"))?.is_none(), "the world is");
    Ok(())
}

fn world(rig: &mut Rig<'_>) -> Result<()> {
    introduce(rig)?;
    for address in [WORLD_IP, &format!("{WORLD_LOCAL}%cable")] {
        for (protocol, port) in [(Protocol::Tcp, 443), (Protocol::Udp, 51820)] {
            let found = answering(WAN, address, protocol, ALL)?;
            ensure!(found == BTreeSet::from([port]), "{address} {protocol:?}: {found:?}");
        }
    }
    // The LAN's address is no way in either.
    let found = answering(WAN, GATEWAY_IP, Protocol::Tcp, "22,53,80,8080")?;
    ensure!(found.is_empty(), "{found:?}");
    // What a hole would look like.
    rig.nft(&["insert", "rule", "inet", "filter", "input", "iifname", "eth0", "accept"])?;
    let found = rig.seen_outside(Protocol::Tcp, "4000-4019")?;
    ensure!(found.len() == 20, "a hole is not seen: {found:?}");
    forget_rule(rig, "iifname \"eth0\" accept")
}

fn forwarding(rig: &mut Rig<'_>) -> Result<()> {
    for path in config_api::appliers::FORWARDING {
        ensure!(rig.machine.read(path)?.trim() == "0", "{path}");
    }
    let ping =
        |host, to: &str| host::run(host, &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", to]);
    ping(LAN, GATEWAY_IP).context("the gateway does not answer its LAN")?;
    let client = client_ip()?;
    ensure!(ping(LAN, STRANGER_IP).is_err(), "the LAN reaches the world");
    ensure!(ping(WAN, &client).is_err(), "the world reaches the LAN");
    // Both bars taken away, the packet arrives: the silence was theirs.
    let switch = |to: &str| {
        rig.machine.run(&["sh", "-c", &format!("echo {to} >/proc/sys/net/ipv4/ip_forward")])
    };
    switch("1")?;
    ensure!(ping(LAN, STRANGER_IP).is_err(), "the kernel alone keeps the sides apart");
    rig.nft(&["add", "rule", "inet", "filter", "forward", "accept"])?;
    ping(LAN, STRANGER_IP).context("packets that may pass do not arrive")?;
    rig.applied(&format!("{}\n# forwards\n", rig.config()?))?;
    ensure!(ping(LAN, STRANGER_IP).is_err(), "an activation bears a kernel that forwards");
    rig.nft(&["flush", "chain", "inet", "filter", "forward"]).map(drop)
}

fn client_ip() -> Result<String> {
    let shown = host::run(LAN, &["ip", "-4", "-o", "address", "show", "dev", "cable"])?;
    let found = shown.split_whitespace().find_map(|word| word.strip_suffix("/24"));
    found.map(str::to_owned).context("the client has no address")
}

fn ssh_wan(rig: &mut Rig<'_>) -> Result<()> {
    let flag = "/data/config/ssh-wan-enabled";
    let toggle = "ssh-wan-toggle.service";
    rig.machine.run(&["systemctl", "start", toggle])?;
    ensure!(rig.seen_outside(Protocol::Tcp, "22")?.is_empty(), "open without the flag");
    rig.machine.run(&["touch", flag])?;
    rig.machine.run(&["systemctl", "start", toggle])?;
    let open = BTreeSet::from([22]);
    ensure!(rig.seen_outside(Protocol::Tcp, "22")? == open, "closed with the flag");
    rig.applied(&format!("{}\n# again\n", rig.config()?))?;
    ensure!(rig.seen_outside(Protocol::Tcp, "22")? == open, "a change takes the rule away");
    rig.machine.run(&["test", "-e", flag]).context("a change takes the flag away")?;
    rig.machine.run(&["rm", flag])?;
    forget_rule(rig, "iifname \"eth0\" tcp dport 22 accept")
}

fn lan_list(rig: &mut Rig<'_>) -> Result<()> {
    let all = answering(LAN, GATEWAY_IP, Protocol::Tcp, "20-39")?;
    ensure!(all.len() == 20, "a LAN without a list is not open: {all:?}");
    let list = "[network.firewall.inbound.lan]\ntcp = [1883]\nudp = [5353]\n\n[activation]";
    rig.applied(&rig.config()?.replace("[activation]", list))?;
    let found = answering(LAN, GATEWAY_IP, Protocol::Tcp, ALL)?;
    ensure!(found == BTreeSet::from([22, 53, 1883, 8080]), "{found:?}");
    let found = answering(LAN, GATEWAY_IP, Protocol::Udp, "1-6000")?;
    // Who gives addresses does not answer what is no question for one.
    ensure!(found.is_superset(&BTreeSet::from([53, 68, 123, 5353])), "{found:?}");
    ensure!(found.is_subset(&BTreeSet::from([53, 67, 68, 123, 5353])), "{found:?}");
    lease(rig).context("with a list")
}

fn restart(rig: &mut Rig<'_>) -> Result<()> {
    rig.machine.run(&["systemctl", "restart", "atomix-config-helper", "atomix-config-api"])?;
    let exported = wait_until("an answer after the restart", Duration::from_secs(60), || {
        // Refused until it listens again.
        Ok(rig.laptop.sign(address(PLACE)?, "GET", "/api/config/export", b"").ok())
    })?;
    let text = String::from_utf8_lossy(&exported.body).into_owned();
    ensure!(exported.status == 200 && text.contains("1883"), "{}: {text}", exported.status);
    api(rig)
}

fn taken_back(rig: &mut Rig<'_>) -> Result<()> {
    let before = rig.machine.read("/etc/dnsmasq.d/atomixos-lan.conf")?;
    let rules = rig.nft(&["list", "chain", "inet", "filter", "input"])?;
    let worse = rig
        .config()?
        .replace("registry.example/web:1", "registry.example/broken:1")
        .replace("dhcp_end = \"10.44.0.200\"", "dhcp_end = \"10.44.0.99\"")
        .replace("tcp = [443]", "tcp = [443, 4444]");
    let job = rig.apply(&worse)?;
    ensure!(job["state"] == "failed" && job["rollback_status"] == "completed", "{job:#}");
    ensure!(rig.machine.read("/etc/dnsmasq.d/atomixos-lan.conf")? == before);
    ensure!(rig.nft(&["list", "chain", "inet", "filter", "input"])? == rules);
    let state = rig.machine.run(&["systemctl", "is-active", "web.service"])?;
    ensure!(state.trim() == "active", "{state}");
    let found = rig.seen_outside(Protocol::Tcp, "443,4444")?;
    ensure!(found == BTreeSet::from([443]), "{found:?}");
    Ok(())
}
