// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is a gateway the same after its boots? The units that ship start by their own order, under a systemd
//! that has nothing but what the image brings and `/data`; `/run` and `/etc` are the image's each time.
//! Port 8080 is watched from both sides from before the power is on.

use crate::host::wait_until;
use crate::http::Laptop;
use crate::machine::Machine;
use crate::parts::{Online, disable};
use crate::picture::{Picture, stands};
use crate::rig::{FRESH, PLACE, Rig, address, claim};
use crate::space::{LAN, make_hosts};
use crate::watch::{Door, Watch};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Below the two minutes for which a boot waits for a network that is not there, and long enough for a
/// machine that has much else to do.
const SOON: Duration = Duration::from_secs(90);

/// After a boot, for whatever comes late.
const AFTER: Duration = Duration::from_secs(1);

/// Where the search looks for a first configuration.
const SEED: &str = "config.toml";
const SEARCH: &str = "atomix-config-first-boot.service";
const RECORD: &str = "/data/config/promotion.json";

type Claim = (&'static str, fn(&mut Boots<'_>) -> Result<()>);

const CLAIMS: [Claim; 9] = [
    ("without an uplink the boot pages are there at once, in the LAN alone", fresh),
    ("the search goes on when the helper is started anew", helper_anew),
    ("after a reboot it is the same gateway, which serves its LAN alone", reboot),
    ("a change that a power cut ended is told as such, and is gone", cut),
    ("a hole towards the world is seen", hole),
    ("a boot that leaves the firewall's part out is seen", left_out),
    ("a seed on /boot is found, promoted and told at the console", seed),
    ("after a reboot the seed is not taken again", seed_again),
    ("a seed whose trial a power cut ended is tried by the next boot", seed_cut),
];

/// What the claims hand on.
struct Boots<'a> {
    rig: Rig<'a>,
    program: &'a Path,
    before: Option<Picture>,
}

/// Judges a program.
pub fn judge(program: &Path, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    make_hosts()?;
    let laptop = Laptop::new(Some(LAN), scratch)?;
    let machine = Machine::new(program, scratch, Online::Awaited)?;
    let mut boots = Boots { rig: Rig { machine, laptop, scratch }, program, before: None };
    for (name, claim) in CLAIMS {
        let begun = Instant::now();
        claim(&mut boots)
            .with_context(|| format!("{}\nnot so: {name}", boots.rig.machine.said()))?;
        writeln!(out, "  {name}: {:.1} s", begun.elapsed().as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}

impl Boots<'_> {
    /// How the gateway was when all was well.
    fn known(&self) -> Result<&Picture> {
        self.before.as_ref().context("nobody looked at the gateway before")
    }

    /// A new device, with a configuration on its `/boot`.
    fn sow(&mut self) -> Result<PathBuf> {
        self.rig.machine.cut()?;
        self.rig.machine = Machine::new(self.program, self.rig.scratch, Online::Awaited)?;
        let seed = self.rig.machine.dir("boot").join(SEED);
        fs::write(&seed, self.rig.config()?)?;
        Ok(seed)
    }

    /// A boot, watched to its end.
    fn watched_boot(&mut self) -> Result<()> {
        let watch = Watch::begin(PLACE, Door::Closed)?;
        self.rig.machine.start()?;
        self.rig.machine.wait_booted()?;
        thread::sleep(AFTER);
        watch.end()?.is_lan_alone()
    }
}

fn answer_in_lan(rig: &Rig<'_>, place: &str) -> Result<()> {
    wait_until("an answer in the LAN", SOON, || {
        let health = rig.laptop.ask(address(place)?, "GET", "/api/health", b"");
        Ok(health.ok().filter(|answer| answer.status == 200).map(drop))
    })
}

/// Nobody gives the device an address in the world, so that its network is not online. That the world is
/// not answered is shown over IPv6 alone here: without an address nobody finds it over IPv4, whatever it
/// would answer. The claims after this one show that as well.
fn fresh(boots: &mut Boots<'_>) -> Result<()> {
    let rig = &mut boots.rig;
    let watch = Watch::begin(FRESH, Door::Open)?;
    rig.machine.start()?;
    answer_in_lan(rig, FRESH)?;
    let online = rig.machine.property("network-online.target", "ActiveState")?;
    ensure!(online == "inactive", "the network is {online}: nothing is shown by this");
    let page = rig.laptop.ask(address(FRESH)?, "GET", "/", b"")?;
    ensure!(page.status == 200, "no boot page: {}", page.status);
    thread::sleep(AFTER);
    watch.end()?.is_lan_alone()
}

fn helper_anew(boots: &mut Boots<'_>) -> Result<()> {
    let machine = &boots.rig.machine;
    heard(machine, "This device has no configuration.")?;
    machine.run(&["systemctl", "restart", "atomix-config-helper.service"])?;
    wait_until("what the new helper knows", SOON, || {
        machine.console().take();
        machine.console().send("status")?;
        thread::sleep(AFTER);
        let said = machine.console().said();
        let is_told = said.contains("configurations: none") && !said.contains("cannot be reached");
        Ok(is_told.then_some(()))
    })
}

/// Waits until the technician reads that.
fn heard(machine: &Machine, words: &str) -> Result<()> {
    wait_until(words, SOON, || Ok(machine.console().said().contains(words).then_some(())))
}

fn reboot(boots: &mut Boots<'_>) -> Result<()> {
    claim(&mut boots.rig)?;
    let before = Picture::take(&boots.rig)?;
    boots.rig.machine.shut_down()?;
    boots.watched_boot()?;
    stands(&mut boots.rig, &before)?;
    boots.before = Some(before);
    Ok(())
}

fn cut(boots: &mut Boots<'_>) -> Result<()> {
    let rig = &mut boots.rig;
    let slow = rig
        .config()?
        .replace("registry.example/web:1", "registry.example/slow:1")
        .replace("dhcp_end = \"10.44.0.200\"", "dhcp_end = \"10.44.0.99\"")
        .replace("tcp = [443]", "tcp = [443, 4444]");
    let place = address(PLACE)?;
    let accepted = rig.laptop.sign(place, "POST", "/api/config", slow.as_bytes())?;
    let url = accepted.json()?["job_url"].as_str().context("no job")?.to_owned();
    wait_until("a service that does not come up", SOON, || {
        let web = rig.machine.property("web.service", "ActiveState")?;
        let job = rig.laptop.ask(place, "GET", &url, b"").and_then(|answer| answer.json());
        ensure!(job.as_ref().is_ok_and(|job| job["state"] == "running"), "{job:?}");
        Ok((web == "activating").then_some(()))
    })?;
    rig.machine.cut()?;
    boots.watched_boot()?;
    let job = boots.rig.laptop.finished(place, &accepted)?;
    ensure!(job["state"] == "failed" && job["rollback_status"] == "skipped", "{job:#}");
    let before = boots.known()?.clone();
    stands(&mut boots.rig, &before)
}

/// One rule opens the door as it stood before there was a configuration.
fn hole(boots: &mut Boots<'_>) -> Result<()> {
    let rule = ["insert", "rule", "inet", "filter", "input", "iifname", "eth0", "accept"];
    boots.rig.nft(&rule)?;
    let watch = Watch::begin(PLACE, Door::Closed)?;
    thread::sleep(AFTER);
    let seen = watch.end()?;
    ensure!(seen.is_lan_alone().is_err(), "{seen:?}");
    ensure!(seen.answered.iter().all(|answers| *answers > 0), "{seen:?}");
    Ok(())
}

fn left_out(boots: &mut Boots<'_>) -> Result<()> {
    let before = boots.known()?.clone();
    let machine = &mut boots.rig.machine;
    disable(&machine.dir("image"), "atomix-config-firewall.service")?;
    machine.shut_down()?;
    machine.start()?;
    machine.wait_booted()?;
    let Err(found) = stands(&mut boots.rig, &before) else { bail!("nothing was found") };
    ensure!(format!("{found:#}").contains("rules"), "something else was found: {found:#}");
    Ok(())
}

fn seed(boots: &mut Boots<'_>) -> Result<()> {
    let seed = boots.sow()?;
    boots.watched_boot()?;
    let rig = &mut boots.rig;
    heard(&rig.machine, "It is in force, and its services are healthy.")?;
    let said = rig.machine.console().said();
    for words in ["/boot config.toml: a configuration", "Trying /boot config.toml", PLACE] {
        ensure!(said.contains(words), "{words:?} is not said: {said}");
    }
    ensure!(fs::read_to_string(seed)? == rig.config()?, "the seed is not left where it is");
    boots.before = Some(Picture::take(rig)?);
    Ok(())
}

fn seed_again(boots: &mut Boots<'_>) -> Result<()> {
    let record = boots.rig.machine.read(RECORD)?;
    for part in ["/boot config.toml", "\"succeeded\"", "\"committed\""] {
        ensure!(record.contains(part), "{part} is not in {record}");
    }
    boots.rig.machine.shut_down()?;
    boots.rig.machine.console().take();
    boots.watched_boot()?;
    heard(&boots.rig.machine, "The device has its configuration; the search is over.")?;
    let said = boots.rig.machine.console().said();
    ensure!(!said.contains("Trying"), "{said}");
    ensure!(boots.rig.machine.property(SEARCH, "ActiveState")? == "inactive", "it still searches");
    let after = boots.rig.machine.read(RECORD)?;
    ensure!(after == record, "{record} became {after}");
    let before = boots.known()?.clone();
    stands(&mut boots.rig, &before)
}

/// The helper has to finish the trial while the boot applies the parts of the same configuration.
fn seed_cut(boots: &mut Boots<'_>) -> Result<()> {
    boots.sow()?;
    let record = boots.rig.machine.dir("data").join("config/promotion.json");
    let state = |word: &str| Ok(fs::read_to_string(&record)?.contains(word).then_some(()));
    boots.rig.machine.start()?;
    wait_until(
        "the trial",
        SOON,
        || if record.exists() { state("\"pending\"") } else { Ok(None) },
    )?;
    boots.rig.machine.cut()?;
    boots.watched_boot()?;
    wait_until("the end of the trial", SOON, || state("\"committed\""))?;
    ensure!(state("\"succeeded\"")?.is_some(), "{}", fs::read_to_string(&record)?);
    let before = boots.known()?.clone();
    stands(&mut boots.rig, &before)
}
