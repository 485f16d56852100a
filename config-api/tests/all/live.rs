// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole activation on a machine whose files are real, whose buses are real with a stand-in for
//! systemd on them, and whose programs write down that they were called.

mod agents;

use crate::bus::Bus;
use crate::stand_in::{DNSMASQ, Log, UID, serve};
use config_api::activate::{ApplyStep, Driver, Report};
use config_api::appliers::{InterfaceName, Zones};
use config_api::promote::{
    BootId, Command, Content, Generation, Item, Owner, Owners, PromoteError, Rollback, Source,
    State, Store,
};
use config_api::system::{LiveServices, Programs, SystemParts, read_boot_facts};
use nix::unistd::{getegid, geteuid};
use programs::ProgramError;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::HostFiles;
use storage::tree::HostTrees;
use verifier::Systemd;

/// A generation of three services; `web` is what its image is called.
struct Given {
    web: &'static str,
    firewall: &'static str,
}

impl Source for Given {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        let files = [
            ("config.toml", "version = 1\n"),
            ("users.json", "{}\n"),
            (
                "lan-settings.json",
                r#"{"gateway_cidr": "10.44.0.1/24", "gateway_ip": "10.44.0.1",
                "subnet_cidr": "10.44.0.0/24", "netmask": "255.255.255.0",
                "dhcp_start": "10.44.0.10", "dhcp_end": "10.44.0.200", "domain": "lab.example",
                "hostname_pattern": "gw-{mac}", "gateway_aliases": ["gateway"],
                "ntp_servers": ["ntp.example"]}"#,
            ),
            (
                "host-network.json",
                r#"{"dns_servers": [], "dns_search_domains": [], "interfaces": {}}"#,
            ),
            ("firewall-inbound.json", self.firewall),
            (
                "activation-policy.json",
                r#"{"required": ["web"], "timeout_seconds": 20, "settle_seconds": 0,
                "restart": ["web"], "allow_degraded": [], "allow_degraded_configured": false,
                "strategy": "rollback"}"#,
            ),
            (
                "quadlet-runtime.json",
                r#"{"app_user": "appsvc", "rootless_network": "pasta", "units": [
                {"name": "web", "filename": "web.container", "service": "web.service",
                 "mode": "rootless"},
                {"name": "own", "filename": "own.build", "service": "own-build.service",
                 "mode": "rootless"},
                {"name": "gw", "filename": "gw.container", "service": "gw.service",
                 "mode": "rootful"}]}"#,
            ),
            ("quadlet/web.container", self.web),
            ("quadlet/own.build", "[Build]\n"),
            ("quadlet/gw.container", "[Container]\nEnvironment=SECRET=x\n"),
        ];
        for (path, text) in files {
            let content = Content::Bytes(text.as_bytes());
            put(Item { path: Path::new(path), owner: Owner::Root, mode: 0o600, content })?;
        }
        Ok(())
    }
}

/// Programs that do nothing but be written down.
struct Heard(Log);

impl Programs for Heard {
    fn run(&mut self, argv: &[&str], input: &[u8], _: Duration) -> Result<Vec<u8>, ProgramError> {
        let line = format!("{} {}", argv.join(" "), String::from_utf8_lossy(input));
        self.0.lock().unwrap().push(line.trim().to_owned());
        Ok(br#"{"nftables": [{"rule": {"handle": 4, "comment": "ATOMIXOS_LAN_DEFAULT_OPEN"}}]}"#
            .to_vec())
    }
}

/// A machine in a directory.
struct Machine {
    dir: tempfile::TempDir,
    log: Log,
    addresses: [String; 2],
    _held: (Vec<Bus>, Vec<zbus::blocking::Connection>),
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (path, text) in [
            ("proc/sys/kernel/random/boot_id", "one\n"),
            ("proc/sys/net/ipv4/ip_forward", "0\n"),
            ("proc/sys/net/ipv6/conf/all/forwarding", "0\n"),
            ("sys/class/net/eth1/address", "02:00:5e:10:00:01\n"),
            ("etc/hosts", "127.0.0.1 localhost\n"),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        fs::create_dir_all(root.join("data")).unwrap();
        let log = Log::default();
        let (system, system_address) = Bus::start(root, "system");
        let (user, user_address) = Bus::start(root, "user");
        let served = vec![
            serve(&system_address, "system", &log, root),
            serve(&user_address, "user", &log, root),
        ];
        let addresses = [system_address, user_address];
        Self { dir, log, addresses, _held: (vec![system, user], served) }
    }

    fn services(&self) -> LiveServices {
        let root = self.dir.path();
        let zone = |name| InterfaceName::parse(name).unwrap();
        let [system, user] = self.addresses.clone();
        LiveServices::new(SystemParts {
            root: HostTrees::open(root).unwrap(),
            data: HostTrees::open(&root.join("data")).unwrap(),
            files: Box::new(Kernel(HostFiles::new(root))),
            programs: Box::new(Heard(Arc::clone(&self.log))),
            manager: Systemd::new(system),
            user_manager: Systemd::new(user),
            app_user: "appsvc".to_owned(),
            owners: owners(),
            zones: Zones { wan: zone("eth0"), lan: zone("eth1") },
            shells: "/bin".to_owned(),
            is_confirmed: Box::new(|| false),
        })
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    fn promote(&self, given: &mut dyn Source) -> (State, Report) {
        let facts = read_boot_facts(&Kernel(HostFiles::new(self.dir.path()))).unwrap();
        let trees = Box::new(HostTrees::open(&self.dir.path().join("data")).unwrap());
        let recovered = Store::recover(trees, owners(), &facts.boot, facts.now).unwrap();
        let mut store = recovered.store;
        let to = store.write(given).unwrap();
        let (boot, now) = (BootId("one".to_owned()), facts.now);
        store
            .apply(&Command::Promote { to, window_secs: 6, confirm_secs: None, boot, now })
            .unwrap();
        let mut services = self.services();
        let mut driver = Driver {
            store: &mut store,
            services: &mut services,
            confirm_secs: None,
            progress: &mut |_| {},
        };
        let report = driver.run().unwrap();
        (store.state().clone(), report)
    }
}

fn owners() -> Owners {
    let me = (geteuid().as_raw(), getegid().as_raw());
    Owners { root: me, app_service: (UID, me.1) }
}

/// The machine's files, and the real age of the machine.
struct Kernel(HostFiles);

impl storage::Files for Kernel {
    fn read(
        &self,
        path: &Path,
        limit: storage::ByteLen,
    ) -> Result<Option<Vec<u8>>, storage::FilesError> {
        if path == Path::new("/proc/uptime") {
            return HostFiles::new("/").read(path, limit);
        }
        self.0.read(path, limit)
    }
    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), storage::FilesError> {
        self.0.replace(path, content)
    }
    fn remove(&mut self, path: &Path) -> Result<(), storage::FilesError> {
        self.0.remove(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, storage::FilesError> {
        self.0.list(dir)
    }
}

const OPEN: &str = "{}\n";

#[test]
fn a_generation_becomes_files_rules_and_services_and_a_broken_one_goes_back() {
    let machine = Machine::new();
    let (state, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert_eq!(report, Report::default());
    assert_eq!(state, State::Committed { generation: Generation::FIRST, rollback: None });
    assert!(machine.read("etc/dnsmasq.d/atomixos-lan.conf").contains("dhcp-option=3,10.44.0.1\n"));
    assert!(
        machine.read("etc/hosts").starts_with("127.0.0.1 localhost\n10.44.0.1 gw-02005e100001")
    );
    assert!(
        machine.read("etc/systemd/network/20-lan.network.d/50-atomixos.conf").contains("10.44")
    );
    let log = machine.take_log();
    let after = |first: &str, second: &str| {
        let at = |line: &str| log.iter().position(|one| one.starts_with(line));
        assert!(at(first).is_some() && at(first) < at(second), "{first}, {second}: {log:#?}");
    };
    after("networkctl reload", "system try-restart systemd-networkd.service");
    after("system try-restart dnsmasq.service", "nft -j list chain inet filter input");
    after("nft -j list", "nft -f - delete rule inet filter input handle 4");
    after("loginctl enable-linger appsvc", "system start user@970.service");
    after("system start user@970.service", "user reload");
    after("system restart gw.service", "user restart own-build.service");
    after("user restart own-build.service", "user restart web.service");
    let secret = machine.dir.path().join("etc/containers/systemd/gw.container");
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);

    // The same again: files are as they should be, and their services have read them.
    let (_, again) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert!(again.failures.is_empty());
    let log = machine.take_log();
    assert!(!log.iter().any(|line| line.contains("try-restart")), "{log:#?}");
    // What runs from the same unit runs on; `web` alone is on the list of those that do not.
    after_restart(&log, &["user restart web.service"], &["user start web.service"]);

    // One whose service never comes up: the one before comes back with its units.
    let (state, report) = machine.promote(&mut Given { web: "broken\n", firewall: OPEN });
    assert_eq!(report.rollback, Some(Rollback::Completed), "{report:?}");
    let State::Committed { generation, rollback } = state else { panic!("{state:?}") };
    assert_eq!((generation, rollback), (Generation::new(2), Some(Rollback::Completed)));
    let web = format!("etc/containers/systemd/users/{UID}/web.container");
    assert_eq!(machine.read(&web), "[Container]\n");
    assert_eq!(
        fs::read_dir(machine.dir.path().join("data/config/generations")).unwrap().count(),
        1
    );
}

#[test]
fn what_failed_for_want_of_its_files_is_started_with_them() {
    let machine = Machine::new();
    fs::write(machine.dir.path().join(DNSMASQ), "ended badly").unwrap();
    let (_, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert_eq!(report, Report::default());
    let log = machine.take_log();
    assert!(log.iter().any(|line| line == "system restart dnsmasq.service"), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("too often")), "{log:#?}");
}

/// The unit that applies the network at boot comes before dnsmasq, whose start waits for it.
#[test]
fn at_boot_a_service_that_waits_for_us_is_not_waited_for() {
    let machine = Machine::new();
    machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    machine.take_log();
    fs::remove_dir_all(machine.dir.path().join("run")).unwrap();
    fs::remove_dir_all(machine.dir.path().join("etc/dnsmasq.d")).unwrap();
    fs::write(machine.dir.path().join(DNSMASQ), "queued").unwrap();
    let facts = read_boot_facts(&Kernel(HostFiles::new(machine.dir.path()))).unwrap();
    let trees = Box::new(HostTrees::open(&machine.dir.path().join("data")).unwrap());
    let mut store = Store::recover(trees, owners(), &facts.boot, facts.now).unwrap().store;
    let mut services = machine.services();
    let mut driver = Driver {
        store: &mut store,
        services: &mut services,
        confirm_secs: None,
        progress: &mut |_| {},
    };
    let failures = driver.apply_at_boot(&[ApplyStep::Network], 3);
    assert_eq!(failures, [], "{:#?}", machine.take_log());
    let log = machine.take_log();
    assert!(log.iter().any(|line| line.contains("systemd-networkd.service")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("dnsmasq.service")), "{log:#?}");
    assert!(machine.read("etc/dnsmasq.d/atomixos-lan.conf").contains("10.44.0.1"));
}

/// Exactly these restarts, and these starts among others.
fn after_restart(log: &[String], restarts: &[&str], starts: &[&str]) {
    let found: Vec<&String> = log.iter().filter(|line| line.contains(" restart ")).collect();
    assert_eq!(found, restarts, "{log:#?}");
    for start in starts {
        assert!(log.iter().any(|line| line == start), "{start}: {log:#?}");
    }
}

#[test]
fn only_what_changed_starts_anew_also_after_an_end_in_the_middle() {
    let machine = Machine::new();
    machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    machine.take_log();
    let other = "[Container]\nEnvironment=A=1\n";
    machine.promote(&mut Given { web: other, firewall: OPEN });
    // Once for its unit, once for `activation.restart`; the others run on.
    let (web, starts) = ("user restart web.service", ["system start gw.service"]);
    after_restart(&machine.take_log(), &[web, web], &starts);
    // A unit that is not known to have been started from its file is: the end came in between.
    let note = machine.dir.path().join("run/atomix/applied/units.json");
    let text = fs::read_to_string(&note).unwrap();
    let mut started: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert!(started.remove("rootful gw.container").is_some(), "{text}");
    fs::write(&note, serde_json::to_string(&started).unwrap()).unwrap();
    machine.promote(&mut Given { web: other, firewall: OPEN });
    after_restart(&machine.take_log(), &["system restart gw.service", web], &[]);
    // A file that somebody else changed was not what its service should run from.
    fs::write(machine.dir.path().join("etc/containers/systemd/gw.container"), "other").unwrap();
    machine.promote(&mut Given { web: other, firewall: OPEN });
    after_restart(&machine.take_log(), &["system restart gw.service", web], &[]);
    // A note that nobody can read is none.
    fs::write(&note, "{").unwrap();
    machine.promote(&mut Given { web: other, firewall: OPEN });
    let restarts = ["system restart gw.service", "user restart own-build.service", web, web];
    after_restart(&machine.take_log(), &restarts, &[]);
}

#[test]
fn a_kernel_that_forwards_fails_the_activation_and_a_first_one_leaves_no_units() {
    let machine = Machine::new();
    fs::write(machine.dir.path().join("proc/sys/net/ipv4/ip_forward"), "1\n").unwrap();
    let (state, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert!(report.failures[0].why.contains("forwards"), "{report:?}");
    let log = machine.take_log();
    assert!(log.iter().any(|line| line == "sysctl -q -w net.ipv4.ip_forward=0"), "{log:#?}");
    assert_eq!(state, State::Unprovisioned { rollback: Some(Rollback::Discarded) });
    let units = machine.dir.path().join("etc/containers/systemd");
    let left: BTreeMap<_, _> = fs::read_dir(&units)
        .map(|dir| dir.map(|entry| (entry.unwrap().file_name(), ())).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_unit_of_the_images_own_is_never_overwritten() {
    let machine = Machine::new();
    let units = machine.dir.path().join("etc/containers/systemd");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("gw.container"), "the image's own").unwrap();
    let (_, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert!(report.failures[0].why.contains("gw.container exists and is not ours"), "{report:?}");
    assert_eq!(machine.read("etc/containers/systemd/gw.container"), "the image's own");
}

#[test]
fn a_service_that_the_system_has_is_never_replaced() {
    let machine = Machine::new();
    let own = machine.dir.path().join("usr/lib/systemd/system/gw.service");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(own, "the image's own").unwrap();
    let (state, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert!(report.failures[0].why.contains("gw.service exists and is not ours"), "{report:?}");
    assert_eq!(state, State::Unprovisioned { rollback: Some(Rollback::Discarded) });
    let log = machine.take_log();
    assert!(!log.iter().any(|line| line.ends_with(" gw.service")), "{log:#?}");
}

/// Its first units were written, and their manager went away: what was opened for them closes.
#[test]
fn what_cannot_be_stopped_leaves_no_opening() {
    let mut machine = Machine::new();
    let [_, user] = &mut machine.addresses;
    *user = "unix:path=/nonexistent/private".to_owned();
    let (state, report) = machine.promote(&mut Given { web: "[Container]\n", firewall: OPEN });
    assert!(report.failures[0].why.contains("/nonexistent/private"), "{report:?}");
    assert_eq!(state, State::Unprovisioned { rollback: Some(Rollback::Discarded) });
    let log = machine.take_log();
    let rules = log.iter().filter(|line| line.starts_with("nft -f -")).count();
    assert_eq!(rules, 2, "opened and closed: {log:#?}");
}
