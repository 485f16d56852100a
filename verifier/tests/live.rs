// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real system: real files, programs, ports, interfaces, and a real message bus with a stand-in
//! for systemd on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod bus;

use bus::Bus;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{ByteLen, HostFiles};
use verifier::{ActiveState, Clock, CommandEnd, LiveClock, LiveSystem, ProbeError, System};
use zbus::zvariant::OwnedObjectPath;

fn live(root: &Path) -> LiveSystem {
    LiveSystem::new(HostFiles::new(root), format!("unix:path={}/bus", root.display()))
}

fn sh(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

#[test]
fn a_missing_bus_is_named_with_its_cause_and_a_hint() {
    let root = tempfile::tempdir().unwrap();
    let error = live(root.path()).unit("dnsmasq.service").unwrap_err();
    assert!(matches!(error, ProbeError::Bus { .. }));
    let text = error.chain();
    assert!(text.starts_with("cannot reach the system bus at unix:path="), "{text}");
    assert!(text.contains("No such file or directory"), "{text}");
    assert!(error.hint().is_some());
}

#[test]
fn commands_report_how_they_ended() {
    let mut system = live(Path::new("/"));
    let long = Duration::from_secs(60);
    assert_eq!(
        system.run(&sh("echo why >&2; exit 3"), long).unwrap(),
        CommandEnd::Exited { code: 3, stderr: "why".into() }
    );
    assert_eq!(system.run(&sh("kill -9 $$"), long).unwrap(), CommandEnd::Signalled { signal: 9 });
    let error = system.run(&["/nonexistent/program".to_owned()], long).unwrap_err();
    assert!(error.chain().contains("/nonexistent/program"));
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = live(Path::new("/"));
    let script = format!("sleep 300 & echo $! >{}/pid; wait", dir.path().display());
    // As short as goes; where the machine is so busy that the program has not begun by then, longer.
    let pid = [500, 5000, 60_000].into_iter().find_map(|millis| {
        let end = system.run(&sh(&script), Duration::from_millis(millis)).unwrap();
        assert_eq!(end, CommandEnd::TimedOut);
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
        (!pid.is_empty()).then_some(pid)
    });
    let pid = pid.expect("the program began");
    let status = format!("/proc/{}/stat", pid.trim());
    let began = Instant::now();
    // Killed is a matter of signals: the kernel may still show it dying, or waiting to be reaped.
    loop {
        match std::fs::read_to_string(&status) {
            Err(_) => break,
            Ok(stat) if stat.contains(") Z ") => break,
            Ok(stat) => assert!(began.elapsed() < Duration::from_secs(60), "still there: {stat}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_command_that_floods_its_output_keeps_only_the_end() {
    let mut system = live(Path::new("/"));
    let flood = "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1";
    let end = system.run(&sh(flood), Duration::from_secs(60)).unwrap();
    let CommandEnd::Exited { code: 1, stderr } = end else { panic!("{end:?}") };
    assert!(stderr.ends_with("end") && stderr.len() <= 2048);
}

/// A daemon that keeps standard error open must not keep the verifier.
#[test]
fn a_child_left_behind_does_not_delay_the_answer() {
    let mut system = live(Path::new("/"));
    let began = Instant::now();
    let end = system.run(&sh("sleep 300 & exit 0"), Duration::from_secs(200)).unwrap();
    assert!(matches!(end, CommandEnd::Exited { code: 0, .. }));
    assert!(began.elapsed() < Duration::from_secs(100));
}

#[test]
fn files_are_read_below_the_root_only() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("mark"), "yes").unwrap();
    let mut system = live(root.path());
    let limit = ByteLen::kib(1);
    assert_eq!(system.read_file(Path::new("/mark"), limit).unwrap(), Some(b"yes".to_vec()));
    assert_eq!(system.read_file(Path::new("/absent"), limit).unwrap(), None);
    assert!(system.read_file(Path::new("/../etc/passwd"), limit).is_err());
}

#[test]
fn ports_and_interfaces_are_asked_for_real() {
    let mut system = live(Path::new("/"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    system.connect(address, Duration::from_secs(60)).unwrap();
    drop(listener);
    let error = system.connect(address, Duration::from_secs(60)).unwrap_err();
    assert!(error.chain().contains(&address.to_string()));

    let loopback = system.addresses("lo").unwrap().expect("every machine has lo");
    assert!(loopback.contains(&"127.0.0.1".parse().unwrap()));
    assert_eq!(system.addresses("atomix-none0").unwrap(), None);
}

#[test]
fn the_clock_waits_at_least_as_long_as_asked() {
    let mut clock = LiveClock::start();
    let until = clock.now() + Duration::from_millis(20);
    clock.wait_until(until);
    assert!(clock.now() >= until);
}

struct Manager;

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn load_unit(&self, name: &str) -> zbus::fdo::Result<OwnedObjectPath> {
        let path = match name {
            "dnsmasq.service" => "/org/freedesktop/systemd1/unit/dnsmasq",
            "gone.service" => "/org/freedesktop/systemd1/unit/gone",
            "data.mount" => "/org/freedesktop/systemd1/unit/data",
            _ => return Err(zbus::fdo::Error::InvalidArgs("no such name".into())),
        };
        Ok(OwnedObjectPath::try_from(path).unwrap())
    }
}

struct Unit(&'static str, &'static str, &'static str, u64);

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.0.to_owned()
    }
    #[zbus(property)]
    fn active_state(&self) -> String {
        self.1.to_owned()
    }
    #[zbus(property)]
    fn sub_state(&self) -> String {
        self.2.to_owned()
    }
    #[zbus(property)]
    fn inactive_exit_timestamp_monotonic(&self) -> u64 {
        self.3
    }
}

struct Service(u32);

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "NRestarts")]
    fn n_restarts(&self) -> u32 {
        self.0
    }
}

fn serve_systemd(address: &str) -> zbus::blocking::Connection {
    let unit = |name| format!("/org/freedesktop/systemd1/unit/{name}");
    zbus::blocking::connection::Builder::address(address)
        .unwrap()
        .serve_at("/org/freedesktop/systemd1", Manager)
        .unwrap()
        .serve_at(unit("dnsmasq"), Unit("loaded", "active", "running", 77))
        .unwrap()
        .serve_at(unit("dnsmasq"), Service(4))
        .unwrap()
        .serve_at(unit("gone"), Unit("not-found", "inactive", "dead", 0))
        .unwrap()
        .serve_at(unit("data"), Unit("loaded", "failed", "failed", 5))
        .unwrap()
        .name("org.freedesktop.systemd1")
        .unwrap()
        .build()
        .unwrap()
}

#[test]
fn units_are_read_over_a_real_bus() {
    let root = tempfile::tempdir().unwrap();
    let (_bus, address) = Bus::start(root.path(), "bus");
    let service = serve_systemd(&address);
    let mut system = live(root.path());

    let dns = system.unit("dnsmasq.service").unwrap();
    assert!(dns.exists && dns.was_started);
    assert_eq!((dns.active, dns.sub.as_str(), dns.restarts), (ActiveState::Active, "running", 4));
    let gone = system.unit("gone.service").unwrap();
    assert!(!gone.exists && !gone.was_started);
    let data = system.unit("data.mount").unwrap();
    assert_eq!((data.active, data.restarts), (ActiveState::Failed, 0));
    let error = system.unit("odd.service").unwrap_err();
    assert!(error.chain().starts_with("cannot ask systemd about odd.service: "));

    // A counter that moves is seen at once, not served from a cache.
    let server = service.object_server();
    let path = "/org/freedesktop/systemd1/unit/dnsmasq";
    server.interface::<_, Service>(path).unwrap().get_mut().0 = 5;
    assert_eq!(system.unit("dnsmasq.service").unwrap().restarts, 5);
}

#[test]
fn a_bus_without_systemd_is_a_failed_question_and_not_an_absent_unit() {
    let root = tempfile::tempdir().unwrap();
    let (_bus, _address) = Bus::start(root.path(), "bus");
    let error = live(root.path()).unit("dnsmasq.service").unwrap_err();
    assert!(matches!(error, ProbeError::Unit { .. }), "{error:?}");
}
