// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stand-in for systemd, on a bus that is real: its units are files of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use zbus::zvariant::OwnedObjectPath;

/// What was asked of it, in order.
pub type Log = Arc<Mutex<Vec<String>>>;

/// The account of rootless containers.
pub const UID: u32 = 970;

/// The file in which it keeps how dnsmasq is.
pub const DNSMASQ: &str = "dnsmasq.state";

/// The units of the two agents, and what the timer starts. The machine has those whose file it has.
pub const AGENTS: [&str; 3] = ["os-upgrade.timer", "os-upgrade.service", "atomix-agent.service"];

/// The file in which the stand-in keeps how an agent's unit is.
pub fn agent_state(unit: &str) -> String {
    format!("{unit}.state")
}

/// Refuses to start what it started before, as systemd does sooner or later, until that is forgotten;
/// and knows nothing that could be forgotten of what it never started.
struct Manager {
    who: &'static str,
    log: Log,
    root: PathBuf,
    tired: Mutex<BTreeSet<String>>,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refused {
    NoSuchUnit(String),
}

impl Manager {
    fn job(&self, verb: &str, name: &str) -> OwnedObjectPath {
        let is_rested = self.tired.lock().unwrap().insert(name.to_owned());
        let verb = if is_rested || verb == "stop" { verb } else { "does too often" };
        let state = self.root.join(agent_state(name));
        if state.exists() {
            fs::write(state, if verb == "stop" { "stopped" } else { "" }).unwrap();
        }
        self.log.lock().unwrap().push(format!("{} {verb} {name}", self.who));
        OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap()
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn load_unit(&self, name: &str) -> OwnedObjectPath {
        let unit = match name {
            "web.service" => "web",
            "gw.service" => "gw",
            "own-build.service" => "own",
            "dnsmasq.service" => "dnsmasq",
            "os-upgrade.timer" => "agent0",
            "os-upgrade.service" => "agent1",
            "atomix-agent.service" => "agent2",
            _ => "absent",
        };
        OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/unit/{unit}")).unwrap()
    }
    fn restart_unit(&self, name: &str, _mode: &str) -> OwnedObjectPath {
        if name == "dnsmasq.service" {
            fs::write(self.root.join(DNSMASQ), "").unwrap();
        }
        self.job("restart", name)
    }
    fn try_restart_unit(&self, name: &str, _mode: &str) -> OwnedObjectPath {
        self.job("try-restart", name)
    }
    fn start_unit(&self, name: &str, _mode: &str) -> OwnedObjectPath {
        self.job("start", name)
    }
    fn stop_unit(&self, name: &str, _mode: &str) -> OwnedObjectPath {
        self.job("stop", name)
    }
    fn reset_failed_unit(&self, name: &str) -> Result<(), Refused> {
        let was_loaded = self.tired.lock().unwrap().remove(name);
        let refused = || Refused::NoSuchUnit(format!("Unit {name} not loaded."));
        was_loaded.then_some(()).ok_or_else(refused)
    }
    fn reload(&self) {
        self.log.lock().unwrap().push(format!("{} reload", self.who));
    }
}

/// A unit that is up as long as the file of the unit holds no `broken`.
struct Unit {
    file: PathBuf,
    /// The system's own unit of that name.
    own: PathBuf,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        let is_there = self.own.exists() || self.file.exists();
        if is_there { "loaded" } else { "not-found" }.to_owned()
    }
    #[zbus(property)]
    fn active_state(&self) -> String {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let state = ["activating", "failed", "inactive", "inactive"];
        let state = state.into_iter().zip(["broken", "ended badly", "queued", "stopped"]);
        let state = state.filter(|(_, sign)| text.contains(sign)).map(|(state, _)| state).next();
        state.unwrap_or("active").to_owned()
    }
    #[zbus(property)]
    fn sub_state(&self) -> String {
        "running".to_owned()
    }
    #[zbus(property)]
    fn inactive_exit_timestamp_monotonic(&self) -> u64 {
        7
    }
    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        (u32::from(text.contains("queued")), OwnedObjectPath::try_from("/").unwrap())
    }
}

struct Service;

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "NRestarts")]
    fn n_restarts(&self) -> u32 {
        0
    }
}

/// Serves one at the bus of this address, for the machine in `root`; `log` hears what it is asked.
pub fn serve(
    address: &str,
    who: &'static str,
    log: &Log,
    root: &Path,
) -> zbus::blocking::Connection {
    let (log, root_dir) = (Arc::clone(log), root.to_owned());
    let manager = Manager { who, log, root: root_dir, tired: Mutex::default() };
    let mut builder = zbus::blocking::connection::Builder::address(address)
        .unwrap()
        .serve_at("/org/freedesktop/systemd1", manager)
        .unwrap();
    let units = root.join("etc/containers/systemd");
    for (unit, file) in [
        ("web", units.join(format!("users/{UID}/web.container"))),
        ("gw", units.join("gw.container")),
        ("own", units.join(format!("users/{UID}/own.build"))),
        ("dnsmasq", root.join(DNSMASQ)),
        ("agent0", root.join(agent_state(AGENTS[0]))),
        ("agent1", root.join(agent_state(AGENTS[1]))),
        ("agent2", root.join(agent_state(AGENTS[2]))),
        ("absent", root.join("nowhere")),
    ] {
        let path = format!("/org/freedesktop/systemd1/unit/{unit}");
        let own = root.join(format!("usr/lib/systemd/system/{unit}.service"));
        builder = builder.serve_at(path.clone(), Unit { file, own }).unwrap();
        builder = builder.serve_at(path, Service).unwrap();
    }
    builder.name("org.freedesktop.systemd1").unwrap().build().unwrap()
}
