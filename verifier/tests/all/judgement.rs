// SPDX-License-Identifier: MIT OR Apache-2.0
//! Verdicts over whole boots, against a scripted system and a clock that only the test moves.

use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use storage::ByteLen;
use verifier::{
    ActiveState, Clock, CommandEnd, HealthConfig, HealthEvent, ProbeError, System, UnitStatus,
    Verdict, run_health,
};

/// A clock shared by the loop and the system, so that units can change with time.
#[derive(Clone, Default)]
struct TestClock(Rc<Cell<Duration>>);

impl Clock for TestClock {
    fn now(&mut self) -> Duration {
        self.0.get()
    }

    fn wait_until(&mut self, until: Duration) {
        assert!(until >= self.0.get(), "the clock cannot go back");
        self.0.set(until);
    }
}

type UnitScript = Box<dyn Fn(u64) -> (ActiveState, u32)>;

#[derive(Default)]
struct Scripted {
    clock: TestClock,
    /// How long each question takes.
    slowness: Duration,
    units: BTreeMap<String, UnitScript>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    asked: u32,
}

impl Scripted {
    fn unit(mut self, name: &str, script: impl Fn(u64) -> (ActiveState, u32) + 'static) -> Self {
        self.units.insert(name.to_owned(), Box::new(script));
        self
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(PathBuf::from(path), content.into());
        self
    }

    fn address(mut self, interface: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.addresses.insert(interface.to_owned(), addresses);
        self
    }

    fn verify(&mut self, config: &str) -> (Verdict, Vec<HealthEvent>) {
        let config = HealthConfig::parse(config).unwrap();
        let mut events = Vec::new();
        let mut clock = self.clock.clone();
        let verdict = run_health(&config, self, &mut clock, &mut |event| events.push(event));
        (verdict, events)
    }

    fn elapsed(&self) -> u64 {
        self.clock.0.get().as_secs()
    }
}

impl System for Scripted {
    fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        self.asked += 1;
        self.clock.0.set(self.clock.0.get() + self.slowness);
        let now = self.clock.0.get().as_secs();
        Ok(match self.units.get(unit) {
            Some(script) => {
                let (active, restarts) = script(now);
                UnitStatus { exists: true, active, was_started: true, sub: "-".into(), restarts }
            }
            None => UnitStatus {
                exists: false,
                active: ActiveState::Inactive,
                was_started: false,
                sub: "dead".into(),
                restarts: 0,
            },
        })
    }

    fn addresses(&mut self, interface: &str) -> Result<Option<Vec<IpAddr>>, ProbeError> {
        Ok(self.addresses.get(interface).cloned())
    }

    fn read_file(&mut self, path: &Path, _: ByteLen) -> Result<Option<Vec<u8>>, ProbeError> {
        Ok(self.files.get(path).cloned())
    }

    fn run(&mut self, _: &[String], _: Duration) -> Result<CommandEnd, ProbeError> {
        Ok(CommandEnd::Exited { code: 0, stderr: String::new() })
    }

    fn connect(&mut self, address: SocketAddr, _: Duration) -> Result<(), ProbeError> {
        Err(ProbeError::Connect { address, source: std::io::ErrorKind::ConnectionRefused.into() })
    }
}

const DNS: &str = "[[probe]]\nname = \"dns\"\nkind = \"unit\"\nunit = \"dnsmasq.service\"\n";

fn codes(verdict: &Verdict) -> Vec<(String, &'static str)> {
    match verdict {
        Verdict::Healthy { .. } => Vec::new(),
        Verdict::Unhealthy { reasons, .. } => {
            reasons.iter().map(|finding| (finding.probe.clone(), finding.code)).collect()
        }
    }
}

#[test]
fn a_steady_unit_is_healthy_after_the_window_and_not_before() {
    let mut system = Scripted::default().unit("dnsmasq.service", |_| (ActiveState::Active, 3));
    let (verdict, events) = system.verify(DNS);
    assert!(verdict.is_healthy());
    assert_eq!(verdict.exit_code(), 0);
    assert_eq!(system.elapsed(), 60);
    assert_eq!(system.asked, 13, "at 0, 5, … 60 seconds");
    assert_eq!(events.len(), 14);
}

#[test]
fn a_unit_that_flaps_at_second_50_is_unhealthy() {
    let mut system = Scripted::default().unit("dnsmasq.service", |now| match now {
        50..=52 => (ActiveState::Failed, 0),
        _ => (ActiveState::Active, 0),
    });
    let (verdict, _) = system.verify(DNS);
    assert_eq!(codes(&verdict), [("dns".to_owned(), "unit-state")]);
    assert_eq!(verdict.exit_code(), 1);
    assert_eq!(system.elapsed(), 50);
}

/// A crash and restart between two samples leaves the unit active at both.
#[test]
fn a_restart_between_two_samples_is_unhealthy() {
    let mut system = Scripted::default()
        .unit("dnsmasq.service", |now| (ActiveState::Active, if now < 43 { 1 } else { 2 }));
    let (verdict, _) = system.verify(DNS);
    assert_eq!(codes(&verdict), [("dns".to_owned(), "unit-restarted")]);
    assert_eq!(
        verdict.summary(),
        "dns: dnsmasq.service was restarted 1 times while it was watched"
    );
}

#[test]
fn a_slow_start_with_restarts_passes_within_the_settle_time() {
    let mut system = Scripted::default().unit("dnsmasq.service", |now| match now {
        0..=9 => (ActiveState::Activating, 0),
        10..=18 => (ActiveState::Failed, 1),
        _ => (ActiveState::Active, 2),
    });
    let (verdict, _) = system.verify(DNS);
    assert!(verdict.is_healthy(), "{verdict:?}");
    assert_eq!(system.elapsed(), 80, "the window begins with the first passing round");
}

#[test]
fn a_start_slower_than_the_settle_time_is_unhealthy() {
    let mut system = Scripted::default().unit("dnsmasq.service", |now| match now {
        0..=20 => (ActiveState::Activating, 0),
        _ => (ActiveState::Active, 0),
    });
    let (verdict, _) = system.verify(DNS);
    assert!(!verdict.is_healthy());
    assert_eq!(system.elapsed(), 20);
}

/// Sixty seconds are sixty seconds of the clock, however long the probes take.
#[test]
fn slow_probes_neither_shorten_nor_stretch_the_window() {
    let mut system = Scripted { slowness: Duration::from_secs(7), ..Scripted::default() }
        .unit("dnsmasq.service", |_| (ActiveState::Active, 0));
    let (verdict, _) = system.verify(DNS);
    assert!(verdict.is_healthy());
    // The first passing round ends at 7; the first to begin at or after 67 begins at 70.
    assert_eq!(system.elapsed(), 77);
}

#[test]
fn a_warning_never_fails_and_is_always_said() {
    let config = format!(
        "{DNS}[[probe]]\nname = \"wan\"\nkind = \"interface\"\ninterface = \"eth0\"\n\
         level = \"warning\"\n"
    );
    let mut system = Scripted::default().unit("dnsmasq.service", |_| (ActiveState::Active, 0));
    let (verdict, _) = system.verify(&config);
    match verdict {
        Verdict::Healthy { warnings } => assert_eq!(warnings[0].code, "interface-absent"),
        Verdict::Unhealthy { reasons, .. } => panic!("{reasons:?}"),
    }
}

#[test]
fn every_failing_probe_is_reported_not_only_the_first() {
    let config = format!(
        "settle_secs = 0\n{DNS}\
         [[probe]]\nname = \"lan\"\nkind = \"gateway\"\ninterface = \"eth1\"\n\
         path = \"/data/config/lan-settings.json\"\nkey = \"gateway_ip\"\n\
         [[probe]]\nname = \"apps\"\nkind = \"required-units\"\npath = \"/data/r.json\"\n\
         [[probe]]\nname = \"http\"\nkind = \"tcp\"\naddress = \"127.0.0.1:80\"\n\
         [[probe]]\nname = \"mark\"\nkind = \"file\"\npath = \"/data/mark\"\n"
    );
    let mut system = Scripted::default()
        .file("/data/config/lan-settings.json", r#"{"gateway_ip":"172.20.30.1/24"}"#)
        .file("/data/r.json", r#"["a","b","c"]"#)
        .address("eth1", &["10.0.0.1"])
        .unit("b.service", |_| (ActiveState::Inactive, 0))
        .unit("c.service", |_| (ActiveState::Active, 0));
    let (verdict, _) = system.verify(&config);
    let found = codes(&verdict);
    let found: Vec<_> = found.iter().map(|(probe, code)| (probe.as_str(), *code)).collect();
    assert_eq!(
        found,
        [
            ("dns", "unit-absent"),
            ("lan", "wrong-address"),
            ("apps", "unit-absent"),
            ("apps", "unit-state"),
            ("http", "unanswered"),
            ("mark", "file-absent"),
        ]
    );
}

/// systemd calls a unit that is not there `inactive`, as one that had nothing to do: a name that was
/// mistyped, or left behind, would be healthy for ever.
#[test]
fn a_unit_that_does_not_exist_fails_whatever_it_was_to_be() {
    for condition in ["active", "ran", "not-failed"] {
        let config = format!("settle_secs = 0\n{DNS}condition = \"{condition}\"\n");
        let (verdict, _) = Scripted::default().verify(&config);
        assert_eq!(codes(&verdict), [("dns".to_owned(), "unit-absent")], "{condition}");
    }
    let mut idle = Scripted::default().unit("dnsmasq.service", |_| (ActiveState::Inactive, 0));
    let (verdict, _) = idle.verify(&format!("settle_secs = 0\n{DNS}condition = \"not-failed\"\n"));
    assert!(matches!(verdict, Verdict::Healthy { .. }), "{verdict:?}");
}

const GATEWAY: &str = "settle_secs = 0\nwindow_secs = 0\n[[probe]]\nname = \"lan\"\n\
    kind = \"gateway\"\ninterface = \"eth1\"\npath = \"/lan.json\"\nkey = \"lan.gateway\"\n\
    fallback = \"172.20.30.1\"\n";

#[test]
fn the_gateway_may_be_one_of_several_addresses() {
    let mut system = Scripted::default()
        .file("/lan.json", r#"{"lan":{"gateway":"10.1.1.1"}}"#)
        .address("eth1", &["169.254.3.4", "10.1.1.1"]);
    assert!(system.verify(GATEWAY).0.is_healthy());
}

#[test]
fn an_absent_setting_falls_back_and_a_malformed_one_does_not() {
    for (content, healthy) in [
        (None, true),
        (Some(r#"{"lan":{}}"#), true),
        (Some(r#"{"lan":{"gateway":"nonsense"}}"#), false),
        (Some(r#"{"lan":{"gateway":7}}"#), false),
        (Some("{"), false),
    ] {
        let mut system = Scripted::default().address("eth1", &["172.20.30.1"]);
        if let Some(content) = content {
            system = system.file("/lan.json", content);
        }
        assert_eq!(system.verify(GATEWAY).0.is_healthy(), healthy, "{content:?}");
    }
}

#[test]
fn an_absent_manifest_requires_nothing_and_a_damaged_one_fails() {
    let config = "settle_secs = 0\nwindow_secs = 0\n[[probe]]\nname = \"apps\"\n\
        kind = \"required-units\"\npath = \"/data/config/health-required.json\"\n";
    assert!(Scripted::default().verify(config).0.is_healthy());
    let mut damaged = Scripted::default().file("/data/config/health-required.json", "[\"traefik\"");
    assert_eq!(codes(&damaged.verify(config).0), [("apps".to_owned(), "malformed-file")]);
}

/// A unit of the manifest is watched for restarts like any other.
#[test]
fn a_required_unit_that_restarts_is_unhealthy() {
    let config = "[[probe]]\nname = \"apps\"\nkind = \"required-units\"\npath = \"/r.json\"\n";
    let mut system = Scripted::default()
        .file("/r.json", r#"["a"]"#)
        .unit("a.service", |now| (ActiveState::Active, u32::try_from(now / 30).unwrap()));
    assert_eq!(codes(&system.verify(config).0), [("apps".to_owned(), "unit-restarted")]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever the unit does and however slow the probes are, there is a verdict in bounded
    /// time, and a healthy one only if no sampled second of the window was bad.
    #[test]
    fn every_history_ends_in_a_verdict_that_its_samples_justify(
        bad in proptest::collection::vec(any::<bool>(), 120),
        slow_millis in 0_u64..4000,
        settle in 0_u64..30,
        window in 0_u64..60,
        interval in 1_u64..10,
    ) {
        let config = format!(
            "settle_secs = {settle}\nwindow_secs = {window}\ninterval_secs = {interval}\n{DNS}"
        );
        let history = bad.clone();
        let mut system =
            Scripted { slowness: Duration::from_millis(slow_millis), ..Scripted::default() }
                .unit("dnsmasq.service", move |now| {
                    let at = usize::try_from(now).unwrap();
                    let failed = history.get(at).copied().unwrap_or(false);
                    (if failed { ActiveState::Failed } else { ActiveState::Active }, 0)
                });
        let (verdict, events) = system.verify(&config);
        prop_assert!(system.elapsed() <= settle + window + 16);
        let passes: Vec<bool> = events
            .iter()
            .filter_map(|event| match event {
                HealthEvent::Round { round, .. } => Some(round.passes()),
                HealthEvent::Decided { .. } => None,
            })
            .collect();
        let first = passes.iter().position(|passed| *passed);
        let sound = first.is_some_and(|first| passes[first..].iter().all(|passed| *passed));
        prop_assert_eq!(verdict.is_healthy(), sound);
    }
}
