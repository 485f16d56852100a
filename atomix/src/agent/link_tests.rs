// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against a bus of the test's own, on which the test plays NetworkManager, logind and systemd.

use super::super::unit::{SYSTEMD, UnitState};
use super::*;
use crate::context::Now;
use bundle::UnixTime;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::interface;

struct NetworkManager(u32);

#[interface(name = "org.freedesktop.NetworkManager")]
impl NetworkManager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.0
    }
}

struct Logind;

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_inhibitors(&self) -> Vec<Inhibitor> {
        let row = |what: &str, who: &str, mode: &str| {
            (what.to_owned(), who.to_owned(), "because".to_owned(), mode.to_owned(), 0, 1)
        };
        vec![
            row("sleep", "lid", "block"),
            row("handle-power-key:shutdown", "pump", "block"),
            row("shutdown", "packages", "delay"),
        ]
    }
}

struct Systemd;

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Systemd {
    fn load_unit(&self, name: &str) -> zbus::zvariant::OwnedObjectPath {
        let path = if name == "os-upgrade.service" { FAILED } else { ABSENT };
        zbus::zvariant::ObjectPath::try_from(path).unwrap().into()
    }
}

const FAILED: &str = "/org/freedesktop/systemd1/unit/failed";
const ABSENT: &str = "/org/freedesktop/systemd1/unit/absent";

struct Unit(&'static str, &'static str);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.0.to_owned()
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.1.to_owned()
    }
}

/// A device with a bus, which ends with it.
struct Device {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Device {
    fn without_bus() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), daemon: None }
    }

    #[expect(clippy::disallowed_methods, reason = "a bus for the test alone")]
    fn with_bus() -> Self {
        let mut device = Self::without_bus();
        let socket = device.dir.path().join(BUS.trim_start_matches('/'));
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let config = device.dir.path().join("bus.conf");
        std::fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>unix:path={}</listen>\
                 <policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\
                 <allow eavesdrop=\"true\"/></policy></busconfig>",
                socket.display()
            ),
        )
        .unwrap();
        let daemon = std::process::Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        device.daemon = Some(daemon);
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no bus");
            std::thread::sleep(Duration::from_millis(10));
        }
        device
    }

    fn plays(&self, metered: u32) -> Connection {
        let socket = self.dir.path().join(BUS.trim_start_matches('/'));
        let way = Builder::address(format!("unix:path={}", socket.display()).as_str()).unwrap();
        way.name(NETWORK_MANAGER)
            .unwrap()
            .name(LOGIND)
            .unwrap()
            .name(SYSTEMD)
            .unwrap()
            .serve_at("/org/freedesktop/systemd1", Systemd)
            .unwrap()
            .serve_at(FAILED, Unit("loaded", "failed"))
            .unwrap()
            .serve_at(ABSENT, Unit("not-found", "inactive"))
            .unwrap()
            .serve_at("/org/freedesktop/NetworkManager", NetworkManager(metered))
            .unwrap()
            .serve_at("/org/freedesktop/login1", Logind)
            .unwrap()
            .build()
            .unwrap()
    }

    fn context(&self) -> Context {
        Context::host(self.dir.path(), Now(UnixTime(0)))
    }

    #[expect(clippy::disallowed_methods, reason = "a file of the test's")]
    fn says(&self, word: &str) {
        let path = self.dir.path().join(METERED_PATH.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, word).unwrap();
    }
}

const BUS: &str = "/run/dbus/system_bus_socket";

#[test]
fn network_manager_knows_what_a_byte_costs_and_the_owner_knows_better() {
    let device = Device::with_bus();
    let nobody = LinkKnown::of(&device.context());
    assert_eq!((nobody.link, &*nobody.how), (Link::Flat, "taken for flat: nobody here knows"));
    for (word, link) in [
        (0, Link::Flat),
        (1, Link::Metered),
        (2, Link::Flat),
        (3, Link::Metered),
        (4, Link::Flat),
        (77, Link::Flat),
    ] {
        let _played = device.plays(word);
        assert_eq!(LinkKnown::of(&device.context()).link, link, "{word}");
    }
    let _played = device.plays(1);
    device.says("no\n");
    assert_eq!(LinkKnown::of(&device.context()).link, Link::Flat);
    device.says("yes\n");
    assert!(LinkKnown::of(&device.context()).how.contains(METERED_PATH));
}

#[test]
fn a_device_without_a_bus_is_taken_for_flat_and_says_so() {
    let device = Device::without_bus();
    assert_eq!(LinkKnown::of(&device.context()).how, "taken for flat: nobody here knows");
    assert_eq!(inhibitors(&device.context()).unwrap(), Vec::<String>::new());
    device.says("perhaps\n");
    assert_eq!(LinkKnown::of(&device.context()).link, Link::Metered);
}

#[test]
fn who_blocks_a_shutdown_is_named_and_who_only_delays_it_is_not() {
    let device = Device::with_bus();
    assert_eq!(inhibitors(&device.context()).unwrap(), Vec::<String>::new(), "no logind");
    let _played = device.plays(0);
    assert_eq!(inhibitors(&device.context()).unwrap(), ["pump: because"]);
}

#[test]
fn the_service_manager_says_whether_a_unit_runs() {
    let device = Device::with_bus();
    let of = |unit| UnitState::of(&device.context(), unit).unwrap();
    assert_eq!(of("os-upgrade.service"), None, "no service manager");
    let _played = device.plays(0);
    let state = |load: &str, active: &str| {
        Some(UnitState { load: load.to_owned(), active: active.to_owned() })
    };
    assert_eq!(of("os-upgrade.service"), state("loaded", "failed"));
    assert_eq!(of("atomix-agent.service"), state("not-found", "inactive"));
    assert_eq!(UnitState::of(&Device::without_bus().context(), "x.service").unwrap(), None);
}
