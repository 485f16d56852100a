// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the API answer where it should, and nowhere else, at every moment of a boot? The world asks for
//! port 8080 from before the power is on, over IPv4, IPv6 and at the LAN's address; its own packet
//! filter counts what came back, so that no answer is missed, however late, and a refusal counts too.
//! The LAN asks as well: from its first answer on, none may fail or let a stranger in.

use crate::host::{on, run};
use crate::http::Laptop;
use crate::rig::{GATEWAY_IP, address};
use crate::space::{
    GATEWAY, LAN, STRANGER_LOCAL, STRANGER_MAC, WAN, WORLD_IP, WORLD_LOCAL, WORLD_MAC,
};
use anyhow::{Context as _, Result, anyhow, ensure};
use nix::net::if_::if_nametoindex;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PORT: u16 = 8080;

/// For one question of the world's; the answer is counted whenever it comes.
const QUESTION: Duration = Duration::from_millis(15);

/// Between two questions of the LAN's.
const LAN_PAUSE: Duration = Duration::from_millis(40);

/// The world's packet filter.
const COUNTERS: &str = "\
table inet watch
delete table inet watch
table inet watch {
  chain out {
    type filter hook output priority 0;
    meta nfproto ipv4 tcp dport 8080 counter
    meta nfproto ipv6 tcp dport 8080 counter
  }
  chain back {
    type filter hook input priority 0;
    meta nfproto ipv4 tcp sport 8080 counter
    meta nfproto ipv6 tcp sport 8080 counter
  }
}
";

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Questions of the world's, over IPv4 and IPv6.
    pub asked: [u64; 2],
    /// What came back.
    pub answered: [u64; 2],
    /// Answers in the LAN.
    pub served: usize,
    /// How long after the begin the first came.
    pub first: Option<Duration>,
    /// What was wrong with one of them.
    pub wrong: Option<String>,
}

/// Whose device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody's: whoever comes first may claim it.
    Open,
    /// It has a configuration: only what is signed is done.
    Closed,
}

/// Both sides, looking.
pub struct Watch {
    over: Arc<AtomicBool>,
    world: JoinHandle<Result<()>>,
    lan: JoinHandle<Result<Seen>>,
}

impl Watch {
    /// Begins; the LAN asks at `place`.
    pub fn begin(place: &str, door: Door) -> Result<Self> {
        let rules = tempfile::NamedTempFile::new()?;
        std::fs::write(rules.path(), COUNTERS)?;
        run(WAN, &["nft", "-f", &rules.path().display().to_string()])?;
        let over = Arc::new(AtomicBool::new(false));
        let place = address(place)?;
        let (asks, looks) = (Arc::clone(&over), Arc::clone(&over));
        Ok(Self {
            over,
            world: thread::spawn(move || on(WAN, || ask_from_the_world(&asks))),
            lan: thread::spawn(move || Ok(look_from_the_lan(place, door, &looks))),
        })
    }

    /// Ends, and tells.
    pub fn end(self) -> Result<Seen> {
        self.over.store(true, Ordering::Release);
        self.world.join().map_err(|_| anyhow!("the world's thread broke down"))??;
        let seen = self.lan.join().map_err(|_| anyhow!("the LAN's thread broke down"))??;
        Ok(Seen { asked: counted("out")?, answered: counted("back")?, ..seen })
    }
}

impl Seen {
    /// Only the LAN was answered, always and rightly, although the world asked all the time.
    pub fn is_lan_alone(&self) -> Result<()> {
        ensure!(self.answered == [0, 0], "the world is answered: {self:?}");
        ensure!(self.asked.iter().all(|asked| *asked > 20), "the world hardly asked: {self:?}");
        ensure!(self.served > 5, "the LAN is hardly answered: {self:?}");
        ensure!(self.wrong.is_none(), "the LAN is answered wrongly: {self:?}");
        Ok(())
    }
}

fn ask_from_the_world(over: &AtomicBool) -> Result<()> {
    let known: Vec<SocketAddr> = [WORLD_IP, GATEWAY_IP]
        .iter()
        .map(|ip| address(&format!("{ip}:{PORT}")))
        .collect::<Result<_>>()?;
    let local: Ipv6Addr = WORLD_LOCAL.parse()?;
    while !over.load(Ordering::Acquire) {
        introduce();
        for _ in 0..4 {
            for to in &known {
                let _silence = TcpStream::connect_timeout(to, QUESTION);
            }
            // Another cable has another number. There is none for a moment.
            if let Ok(cable) = if_nametoindex("cable") {
                let to = SocketAddrV6::new(local, PORT, 0, cable).into();
                let _silence = TcpStream::connect_timeout(&to, QUESTION);
            } else {
                thread::sleep(QUESTION);
            }
        }
    }
    Ok(())
}

/// The rules drop the questions for neighbours as well, so that IPv6 would be silent whatever port 8080
/// does: each side is told of the other, as soon as it has the interface.
fn introduce() {
    for (host, ip, mac, dev) in
        [(WAN, WORLD_LOCAL, WORLD_MAC, "cable"), (GATEWAY, STRANGER_LOCAL, STRANGER_MAC, "eth0")]
    {
        let words =
            ["ip", "-6", "neighbour", "replace", ip, "lladdr", mac, "dev", dev, "nud", "permanent"];
        let _not_there_yet = run(host, &words);
    }
}

fn look_from_the_lan(place: SocketAddr, door: Door, over: &AtomicBool) -> Seen {
    let begun = Instant::now();
    let mut seen = Seen::default();
    while !over.load(Ordering::Acquire) && seen.wrong.is_none() {
        match look(place, door) {
            Ok(()) => {
                seen.first.get_or_insert_with(|| begun.elapsed());
                seen.served += 1;
            }
            Err(error) if seen.first.is_some() => {
                seen.wrong = Some(format!("{:?}: {error:#}", begun.elapsed()));
            }
            // Not yet there, or not yet listening: whoever does answer has to answer rightly.
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => {}
            Err(error) => seen.wrong = Some(format!("{:?}: {error:#}", begun.elapsed())),
        }
        thread::sleep(LAN_PAUSE);
    }
    seen
}

/// Whether somebody without a key gets what he may get.
fn look(place: SocketAddr, door: Door) -> Result<()> {
    let health = Laptop::stranger(LAN, place, "GET", "/api/health", b"")?;
    ensure!(health.status == 200, "GET /api/health: {}", health.status);
    if door == Door::Closed {
        let page = Laptop::stranger(LAN, place, "GET", "/", b"")?;
        ensure!(page.status == 404, "GET /: {}", page.status);
        let claimed = Laptop::stranger(LAN, place, "POST", "/api/config", b"version = 1\n")?;
        ensure!(claimed.status == 401, "POST /api/config: {}", claimed.status);
    }
    Ok(())
}

/// The packets that the world's filter counted, over IPv4 and IPv6.
fn counted(chain: &str) -> Result<[u64; 2]> {
    let listed = run(WAN, &["nft", "list", "chain", "inet", "watch", chain])?;
    let mut counts = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1)?.parse().ok()
    });
    let (ipv4, ipv6) = (counts.next(), counts.next());
    Ok([ipv4.with_context(|| listed.clone())?, ipv6.with_context(|| listed.clone())?])
}
