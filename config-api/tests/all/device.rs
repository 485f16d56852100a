// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper's real pipeline on a real directory: judged, promoted, activated, written down; only
//! the services are played.

#![cfg(target_os = "linux")]

use config_api::activate::{ApplyStep, ServiceError, ServiceUnit, Services};
use config_api::audit::{UnixTime, read_audit};
use config_api::helper::{ApplyOrder, Device, DeviceParts, Input, Pipeline, PipelineError};
use config_api::jobs::{JobEvent, JobId, RollbackStatus};
use config_api::promote::{Generation, Moment, Owners};
use config_api::protocol::{AuditEntry, FailureCode, FileName, Origin, Outcome};
use nix::fcntl::{Flock, FlockArg};
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::tree::HostTrees;
use verifier::{ActiveState, UnitStatus};

/// Services that come up, or do not.
#[derive(Clone)]
struct World {
    now: u64,
    is_up: Arc<AtomicBool>,
    confirmed: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Services for World {
    fn apply(&mut self, step: ApplyStep, to: Generation, _: Moment) -> Result<(), ServiceError> {
        self.log.lock().unwrap().push(format!("{} {to}", step.name()));
        Ok(())
    }

    fn discard(&mut self) -> Result<(), ServiceError> {
        self.log.lock().unwrap().push("discard".to_owned());
        Ok(())
    }

    fn restart(&mut self, _: &ServiceUnit) -> Result<(), ServiceError> {
        Ok(())
    }

    fn status(&mut self, _: &ServiceUnit) -> Result<UnitStatus, ServiceError> {
        let is_up = self.is_up.load(Ordering::Relaxed);
        let active = if is_up { ActiveState::Active } else { ActiveState::Activating };
        let sub = "running".to_owned();
        Ok(UnitStatus { exists: true, active, was_started: true, sub, restarts: 0 })
    }

    fn is_confirmed(&mut self) -> bool {
        self.confirmed.load(Ordering::Acquire)
    }

    fn now(&mut self) -> Moment {
        Moment(self.now)
    }

    fn wait_until(&mut self, until: Moment) {
        self.now = self.now.max(until.0);
        std::thread::yield_now();
    }
}

struct Bench {
    root: tempfile::TempDir,
    device: Device,
    world: World,
}

impl Bench {
    fn new(confirm_secs: Option<u64>) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["data", "proc/sys/kernel/random", "run/atomix"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("proc/sys/kernel/random/boot_id"), "one\n").unwrap();
        fs::write(root.path().join("proc/uptime"), "100.00 1.00\n").unwrap();
        let own = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let confirmed = Arc::new(AtomicBool::new(false));
        let is_up = Arc::new(AtomicBool::new(true));
        let log = Arc::default();
        let world = World { now: 100, is_up, confirmed: Arc::clone(&confirmed), log };
        let device = Device::new(DeviceParts {
            root: root.path().to_owned(),
            own: root.path().to_owned(),
            owners: Owners { root: own, app_service: own },
            confirm_secs,
            services: Box::new(world.clone()),
            confirmed,
            clock: || UnixTime(1_800_000_000),
        })
        .unwrap();
        Self { root, device, world }
    }

    fn config(&self, path: &str) -> PathBuf {
        self.root.path().join("data/config").join(path)
    }

    fn apply(&self, input: Input, origin: &Origin) -> (Outcome, Vec<String>) {
        let mut steps = Vec::new();
        let mut tell = |event: JobEvent| steps.push(event.step);
        let order = ApplyOrder { job: JobId::new([1; 16]), origin, confirm_secs: None };
        let outcome = self.device.apply(&order, input, &mut tell);
        (outcome, steps)
    }

    fn events(&self) -> Vec<String> {
        let data = HostTrees::open(&self.root.path().join("data")).unwrap();
        let report = read_audit(&data).unwrap();
        assert!(!report.is_broken());
        let words = |line: &config_api::audit::AuditLine| {
            let event = serde_json::to_value(&line.event).unwrap();
            format!("{} {}", event["kind"], event["change"]).replace('"', "")
        };
        report.lines.iter().map(words).collect()
    }
}

fn minimal() -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read_to_string(fixtures.join("001-minimal/input.toml")).unwrap()
}

fn upload(text: &str) -> Input {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    Input::Upload { name: FileName::new("config.toml"), file }
}

fn admin() -> Origin {
    Origin::Admin { fingerprint: "SHA256:x".to_owned() }
}

fn refused(error: PipelineError) -> FailureCode {
    match error {
        PipelineError::Refused { code, .. } => code,
        PipelineError::Invalid(faults) => panic!("{faults:?}"),
    }
}

#[test]
fn a_first_configuration_is_claimed_promoted_and_told() {
    let bench = Bench::new(None);
    assert!(!bench.device.current().unwrap().provisioned);
    assert_eq!(refused(bench.device.export().unwrap_err()), FailureCode::NotProvisioned);
    let (outcome, steps) = bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let Outcome::Succeeded { result } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.reapply, Some(false));
    assert_eq!(result.forwarding_url.as_deref(), Some("http://172.20.30.1:8080"));
    for step in ["recover", "validate", "write-candidate", "promote", "activate"] {
        assert!(steps.iter().any(|found| found == step), "{step}: {steps:?}");
    }
    let current = bench.device.current().unwrap();
    assert!(current.provisioned && current.admin_signers.starts_with("ssh-"));
    assert_eq!(current.gateway_ip.as_deref(), Some("172.20.30.1"));
    assert_eq!(current.names, ["atomixos", "atomixos.local"]);
    let exported = bench.device.export().unwrap();
    assert_eq!(exported.text, minimal().as_bytes());
    assert_eq!(Some(exported.etag), current.etag);
    let (again, _) = bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let Outcome::Failed { rollback, .. } = again else { panic!("claimed twice") };
    assert_eq!(rollback, RollbackStatus::Skipped);
    assert_eq!(bench.events(), ["config-changed promoted", "config-changed committed"]);
}

#[test]
fn an_invalid_one_changes_nothing_and_tells_all_its_faults() {
    let bench = Bench::new(None);
    let (outcome, _) = bench.apply(upload("version = 2\nwhat = 1\n"), &Origin::FirstClaim);
    let Outcome::Failed { faults, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert!(faults.len() > 2 && faults[0].line == 1, "{faults:?}");
    assert_eq!(rollback, RollbackStatus::Skipped);
    assert!(!bench.config("current").exists());
    assert!(matches!(bench.device.validate(upload("x")), Err(PipelineError::Invalid(_))));
    assert!(bench.device.validate(upload(&minimal())).is_ok());
}

#[test]
fn what_does_not_become_healthy_goes_back_and_a_first_one_is_discarded() {
    let bench = Bench::new(None);
    bench.world.is_up.store(false, Ordering::Relaxed);
    let (outcome, _) = bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let Outcome::Failed { rollback, error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(rollback, RollbackStatus::Discarded, "{error}");
    assert!(!bench.device.current().unwrap().provisioned, "it may be claimed again");
    bench.world.is_up.store(true, Ordering::Relaxed);
    assert!(matches!(
        bench.apply(upload(&minimal()), &Origin::FirstClaim).0,
        Outcome::Succeeded { .. }
    ));
    let before = bench.device.export().unwrap();
    bench.world.is_up.store(false, Ordering::Relaxed);
    let changed = format!("{}\n# changed\n", minimal());
    let (outcome, steps) = bench.apply(upload(&changed), &admin());
    let Outcome::Failed { rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(rollback, RollbackStatus::Failed, "the services still do not come up");
    assert!(steps.iter().any(|step| step == "rollback"));
    assert_eq!(bench.device.export().unwrap(), before);
    assert_eq!(bench.device.recover(JobId::new([1; 16])).unwrap(), Some(RollbackStatus::Failed));
    assert_eq!(bench.events().last().unwrap(), "config-changed rolled-back");
}

#[test]
fn a_changed_part_keeps_the_files_and_follows_nothing_in_them() {
    let bench = Bench::new(None);
    bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let files = bench.config("generations/gen-1/files");
    fs::create_dir_all(files.join("web")).unwrap();
    fs::write(files.join("web/page"), "hello").unwrap();
    fs::write(bench.root.path().join("secret"), "root's").unwrap();
    symlink(bench.root.path().join("secret"), files.join("web/link")).unwrap();
    nix::unistd::mkfifo(&files.join("web/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = format!("{}\n# changed\n", minimal());
    let (outcome, _) = bench.apply(Input::Edited { text: text.clone() }, &admin());
    let Outcome::Succeeded { result } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.reapply, Some(true));
    assert_eq!(bench.device.export().unwrap().text, text.as_bytes());
    let now = bench.config("current/files/web");
    let mut names: Vec<_> =
        fs::read_dir(&now).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["page"]);
    assert_eq!(fs::read_to_string(now.join("page")).unwrap(), "hello");
}

#[test]
fn a_bundle_brings_its_files_and_a_bad_one_nothing() {
    let bench = Bench::new(None);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), minimal()).unwrap();
    fs::create_dir(dir.path().join("files")).unwrap();
    fs::write(dir.path().join("files/page"), "hello").unwrap();
    let bundle = dir.path().join("bundle.tar.gz");
    let tar = std::process::Command::new("tar")
        .args(["-C", dir.path().to_str().unwrap(), "-czf", bundle.to_str().unwrap()])
        .args(["config.toml", "files"])
        .status();
    assert!(tar.unwrap().success());
    let input = |name: &str| Input::Upload {
        name: FileName::new(name),
        file: fs::File::open(&bundle).unwrap(),
    };
    assert!(bench.device.validate(input("bundle.tar.gz")).is_ok());
    let (outcome, _) = bench.apply(input("bundle.tar.gz"), &Origin::FirstClaim);
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(fs::read_to_string(bench.config("files/page")).unwrap(), "hello");
    let text = minimal().replace("Image =", "EnvironmentFile = \"${FILES_DIR}/gone.env\"\nImage =");
    let warnings = bench.device.validate(upload(&text)).unwrap();
    let told = |words: &str| warnings.iter().any(|warning| warning.contains(words));
    assert!(told("names files/gone.env") && told("not taken over"), "F5: {warnings:?}");
    let (outcome, _) = bench.apply(input("bundle.tar.zst"), &admin());
    let Outcome::Failed { faults, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert!(faults[0].hint.is_some(), "{faults:?}");
    assert_eq!(rollback, RollbackStatus::Skipped);
    assert_eq!(fs::read_to_string(bench.config("files/page")).unwrap(), "hello");
}

#[test]
fn a_change_that_has_to_be_confirmed_goes_back_without() {
    let bench = Bench::new(Some(30));
    let (outcome, _) = bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.contains("confirm"), "{error}");
    let nothing = bench.device.confirm(JobId::new([1; 16]), &admin()).unwrap_err();
    assert_eq!(refused(nothing), FailureCode::NotFound);
}

#[test]
fn an_operator_may_want_a_time_to_confirm_that_the_device_does_not_ask_for() {
    let bench = Bench::new(None);
    let origin = Origin::FirstClaim;
    let order =
        |confirm_secs| ApplyOrder { job: JobId::new([1; 16]), origin: &origin, confirm_secs };
    let mut steps = Vec::new();
    let mut tell = |event: JobEvent| steps.push(event.step);
    let outcome = bench.device.apply(&order(Some(10)), upload(&minimal()), &mut tell);
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.contains("nobody confirmed it in time"), "{error}");
    assert!(steps.contains(&"confirm".to_owned()), "{steps:?}");
    let outcome = bench.device.apply(&order(None), upload(&minimal()), &mut |_| {});
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}

#[test]
fn denials_are_written_down() {
    let bench = Bench::new(None);
    let entry = AuditEntry::Denied {
        client: "10.0.0.1".to_owned(),
        target: "/api/config\nforged".to_owned(),
        code: "nonce-unknown".to_owned(),
    };
    bench.device.audit(&entry).unwrap();
    bench.device.audit(&AuditEntry::DeniedMore { count: 7 }).unwrap();
    assert_eq!(bench.events().len(), 2);
}

#[test]
fn one_configuration_pushes_nothing_out_of_the_audit_log() {
    let bench = Bench::new(None);
    bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let mut text = minimal();
    for number in 0..200 {
        let volumes = (0..40).map(|one| format!("\"/opt/{one}:/{one}\"")).collect::<Vec<_>>();
        let name = format!("many{number}");
        text += &format!(
            "\n[containers.container.{name}]\nprivileged = true\n\
             [containers.container.{name}.Container]\nImage = \"registry.example/x:1\"\n\
             Volume = [{}]\n",
            volumes.join(", ")
        );
    }
    for _ in 0..3 {
        let (outcome, _) = bench.apply(upload(&text), &admin());
        assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    }
    let events = bench.events();
    assert_eq!(events.first().map(String::as_str), Some("config-changed promoted"));
    let granted = events.iter().filter(|event| event.starts_with("full-access")).count();
    assert_eq!(granted, 3 * 33, "32 units and how many more");
    assert!(text.len() < 256 * 1024);
}

fn found(place: &str) -> Origin {
    Origin::FirstBoot { place: place.to_owned(), asked: false }
}

fn seeds(bench: &Bench) -> Vec<(String, String)> {
    let current = bench.device.current().unwrap();
    let value = serde_json::to_value(&current.seeds).unwrap();
    let word = |seed: &serde_json::Value, key: &str| seed[key].as_str().unwrap().to_owned();
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|seed| (word(seed, "place"), word(seed, "outcome")))
        .collect()
}

#[test]
fn a_seed_is_recorded_taken_once_and_closed_to_others() {
    let bench = Bench::new(Some(60));
    let (outcome, _) = bench.apply(upload(&minimal()), &found("/boot config.toml"));
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "nobody has to confirm it: {outcome:?}");
    assert_eq!(seeds(&bench), [("/boot config.toml".to_owned(), "succeeded".to_owned())]);
    let again = bench.apply(upload(&minimal()), &found("sdb1 config.toml")).0;
    assert!(matches!(again, Outcome::Failed { .. }), "existing wins: {again:?}");
    assert_eq!(bench.events(), ["config-changed promoted", "config-changed committed"]);
}

#[test]
fn a_seed_that_failed_is_refused_unless_a_person_asks() {
    let bench = Bench::new(None);
    bench.world.is_up.store(false, Ordering::Relaxed);
    let (outcome, _) = bench.apply(upload(&minimal()), &found("sdb1 config.toml"));
    assert!(
        matches!(outcome, Outcome::Failed { rollback: RollbackStatus::Discarded, .. }),
        "{outcome:?}"
    );
    assert_eq!(seeds(&bench), [("sdb1 config.toml".to_owned(), "failed".to_owned())]);
    bench.world.is_up.store(true, Ordering::Relaxed);
    let (outcome, steps) = bench.apply(upload(&minimal()), &found("/boot config.toml"));
    assert!(
        matches!(outcome, Outcome::Failed { rollback: RollbackStatus::Skipped, .. }),
        "{outcome:?}"
    );
    assert!(!steps.contains(&"promote".to_owned()));
    let asked = Origin::FirstBoot { place: "console".to_owned(), asked: true };
    let (outcome, _) = bench.apply(upload(&minimal()), &asked);
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}

#[test]
fn a_seed_that_was_refused_is_in_the_audit_log() {
    let bench = Bench::new(None);
    let entry = AuditEntry::SeedRefused { place: "sdb1".to_owned(), reason: "2 faults".to_owned() };
    bench.device.audit(&entry).unwrap();
    assert_eq!(bench.events(), ["config-changed refused"]);
}

#[test]
fn each_boot_recovers_first_and_then_applies_what_counts() {
    let bench = Bench::new(None);
    bench.apply(upload(&minimal()), &Origin::FirstClaim);
    bench.world.log.lock().unwrap().clear();
    assert_eq!(bench.device.recover_at_boot().unwrap(), None);
    let steps = [ApplyStep::Users, ApplyStep::Network];
    assert_eq!(bench.device.apply_at_boot(&steps, 60).unwrap(), []);
    assert_eq!(*bench.world.log.lock().unwrap(), ["apply-users gen-1", "apply-network gen-1"]);
}

/// The helper does not wait for the containers, which wait for the network: both may want the lock.
#[test]
fn what_a_cut_left_is_brought_to_rest_once_others_of_the_boot_have_done_their_part() {
    let bench = Bench::new(None);
    let (outcome, _) = bench.apply(upload(&minimal()), &Origin::FirstClaim);
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    // The power went away while its services came up.
    let record = bench.config("promotion.json");
    let pending = r#"{"version": 1, "state": "pending", "from": null, "to": 1, "window_secs": 30,
        "phase": {"activating": {"until": 130}}, "boot": "zero", "tries_left": 3}"#;
    fs::write(&record, pending).unwrap();
    let held = fs::File::create(bench.root.path().join("run/atomix/config.lock")).unwrap();
    let held = Flock::lock(held, FlockArg::LockExclusive).unwrap();
    bench.world.log.lock().unwrap().clear();
    std::thread::scope(|scope| {
        let resumed = scope.spawn(|| bench.device.resume());
        let applied = scope.spawn(|| bench.device.apply_at_boot(&[ApplyStep::Quadlets], 300));
        while waiting_for(&held) < 2 {
            assert!(!resumed.is_finished() && !applied.is_finished(), "somebody is at it");
        }
        drop(held);
        resumed.join().unwrap().unwrap();
        assert_eq!(applied.join().unwrap().unwrap(), []);
    });
    assert!(fs::read_to_string(&record).unwrap().contains("\"committed\""));
    let log = bench.world.log.lock().unwrap();
    assert_eq!(log.len(), ApplyStep::ALL.len() + 1, "{log:?}");
}

#[test]
fn a_change_while_the_boot_is_at_work_is_told_that_it_is_busy_and_changes_nothing() {
    let bench = Bench::new(None);
    bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let etag = bench.device.current().unwrap().etag;
    let held = fs::File::create(bench.root.path().join("run/atomix/config.lock")).unwrap();
    let held = Flock::lock(held, FlockArg::LockExclusive).unwrap();
    let (outcome, _) = bench.apply(upload(&format!("{}# other\n", minimal())), &admin());
    let Outcome::Failed { error, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.contains("another program holds"), "{error}");
    assert_eq!(rollback, RollbackStatus::Skipped);
    drop(held);
    assert_eq!(bench.device.current().unwrap().etag, etag);
}

/// How many wait for a lock, as proc_locks(5) tells.
fn waiting_for(held: &fs::File) -> usize {
    let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&held.metadata().unwrap()));
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().filter(|line| line.contains("-> FLOCK") && line.contains(&inode)).count()
}

#[test]
fn what_a_container_piles_up_among_the_files_locks_nobody_out() {
    let bench = Bench::new(None);
    bench.apply(upload(&minimal()), &Origin::FirstClaim);
    let files = bench.config("generations/gen-1/files");
    fs::create_dir_all(&files).unwrap();
    // Deeper than any path can be long, as its owner can make it step by step.
    let mut dir = fs::File::open(&files).unwrap();
    for _ in 0..3000 {
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::sys::stat::mkdirat(&dir, "down", mode).unwrap();
        let flags = nix::fcntl::OFlag::O_DIRECTORY;
        let next = nix::fcntl::openat(&dir, "down", flags, nix::sys::stat::Mode::empty());
        dir = fs::File::from(next.unwrap());
    }
    let text = format!("{}\n# changed\n", minimal());
    let (outcome, _) = bench.apply(Input::Edited { text: text.clone() }, &admin());
    let Outcome::Failed { faults, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((faults[0].path.as_str(), rollback), ("files", RollbackStatus::Skipped));
    let (outcome, _) = bench.apply(upload(&text), &admin());
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert!(!files.exists(), "the old generation is gone with all of it");
    let now = bench.config("generations/gen-2/files");
    fs::create_dir_all(&now).unwrap();
    for number in 0..5000 {
        fs::write(now.join(number.to_string()), "").unwrap();
    }
    let many = bench.device.validate(Input::Edited { text: text.clone() }).unwrap_err();
    assert!(matches!(many, PipelineError::Invalid(_)), "{many:?}");
    let (outcome, _) = bench.apply(upload(&text), &admin());
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}
