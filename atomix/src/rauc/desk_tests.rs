// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the desk, with an engine that installs nothing.

use super::*;
use crate::audit_trail::AuditTrail;
use crate::rauc::audited::Audited;
use crate::rauc::dict::{Dict, Node};
use crate::rauc::engine::{Access, Inspected, NotInstalled, Slots, Stop, Updates};
use std::time::Instant;
use storage::Digest;
use updater::system::Updated;
use zbus::block_on;

/// An engine that waits in its install until it may end.
pub(crate) struct Fake {
    /// Ends the install in this way; without it, it waits to be stopped.
    pub ends: Receiver<Result<(), String>>,
}

/// Only ends a test that would hang.
const LONG: Duration = Duration::from_secs(60);

/// The manifest of a bundle that failed here before.
pub(crate) const FAILED_BEFORE: Digest = Digest::from_bytes([0xfa; 32]);

pub(crate) struct FakeView;

fn slots() -> Slots {
    vec![("rootfs.0".to_owned(), vec![("state", Node::from("booted"))])]
}

impl View for FakeView {
    fn slots(&self) -> Slots {
        slots()
    }

    fn artifacts(&self) -> Vec<Dict> {
        Vec::new()
    }

    fn primary(&self) -> Result<String, String> {
        Ok("rootfs.0".to_owned())
    }
}

impl Engine for Fake {
    fn facts(&self) -> Facts {
        Facts { compatible: "Test Config".to_owned(), ..Facts::default() }
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(FakeView)
    }

    fn install(
        &mut self,
        _: &InstallAsked,
        tell: &mut dyn FnMut(Told),
        stop: Stop,
    ) -> Result<Updates, NotInstalled> {
        tell(Told::Progress { percent: 0, text: "Installing".to_owned(), depth: 1 });
        loop {
            if let Some(by) = stop() {
                return Err(NotInstalled::Failed(format!("stopped by {by}")));
            }
            if let Ok(end) = self.ends.recv_timeout(Duration::from_millis(5)) {
                let updates = Updates { slots: Updated::Yes, artifacts: Updated::No };
                return end.map(|()| updates).map_err(NotInstalled::Failed);
            }
        }
    }

    fn info_headers(&mut self) -> Vec<(String, String)> {
        vec![("RAUC-Serial".to_owned(), "7".to_owned())]
    }

    fn is_known_failed(&mut self, manifest: Digest) -> Result<bool, String> {
        Ok(manifest == FAILED_BEFORE)
    }

    fn inspect(&mut self, source: &str, _: &Access, stop: Stop) -> Result<Inspected, String> {
        if source == "slow" {
            loop {
                if let Some(by) = stop() {
                    return Err(format!("stopped by {by}"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Err(format!("no bundle {source}"))
    }

    fn mark(&mut self, state: &str, identifier: &str) -> Result<(String, String), String> {
        if identifier == "slow" {
            std::thread::sleep(Duration::from_millis(300));
        }
        match state {
            "good" => Ok((identifier.to_owned(), format!("marked slot(s) {identifier} as good"))),
            _ => Err(format!("unknown subcommand {state}")),
        }
    }

    fn slots(&mut self) -> Result<Slots, String> {
        Ok(slots())
    }

    fn artifacts(&mut self) -> Result<Vec<Dict>, String> {
        Ok(Vec::new())
    }

    fn primary(&mut self) -> Result<String, String> {
        Err("no primary".to_owned())
    }
}

pub(crate) fn desk() -> (Arc<Desk>, Sender<Result<(), String>>) {
    let (end, ends) = channel();
    (Desk::open(Box::new(Fake { ends }), Box::new(|_| {})), end)
}

fn listened(desk: &Desk) -> Receiver<Change> {
    let (sender, changes) = channel();
    desk.tell(Box::new(move |change| drop(sender.send(change))));
    changes
}

fn until_completed(changes: &Receiver<Change>) -> Vec<Change> {
    let mut seen = Vec::new();
    while seen.last() != Some(&Change::Operation(IDLE)) {
        seen.push(changes.recv_timeout(LONG).unwrap());
    }
    seen
}

#[test]
fn an_install_is_told_in_raucs_order_and_a_second_one_is_refused() {
    let (desk, end) = desk();
    let changes = listened(&desk);
    desk.install(InstallAsked::default()).unwrap();
    let refused = desk.install(InstallAsked::default());
    assert_eq!(refused, Err("Already processing a different method"));
    end.send(Err("no space".to_owned())).unwrap();
    let expected = [
        Change::Operation(INSTALLING),
        Change::Progress((0, "Installing".to_owned(), 1)),
        Change::LastError("no space".to_owned()),
        Change::Completed(1),
        Change::Operation(IDLE),
    ];
    assert_eq!(until_completed(&changes), expected);
    // The next one clears the error before it says anything else.
    desk.install(InstallAsked::default()).unwrap();
    end.send(Ok(())).unwrap();
    let seen = until_completed(&changes);
    assert_eq!(seen.get(1), Some(&Change::LastError(String::new())));
    assert!(seen.contains(&Change::Completed(0)));
    assert_eq!(desk.progressing().operation, IDLE);
}

#[test]
fn cancel_ends_the_install_that_runs_and_no_later_one() {
    let (desk, end) = desk();
    let changes = listened(&desk);
    assert_eq!(desk.cancel(), Err("no installation is running"));
    desk.install(InstallAsked::default()).unwrap();
    // At once, before the engine has begun: it must not get lost.
    desk.cancel().unwrap();
    let seen = until_completed(&changes);
    assert!(seen.contains(&Change::LastError("stopped by Cancel".to_owned())), "{seen:?}");
    desk.install(InstallAsked::default()).unwrap();
    end.send(Ok(())).unwrap();
    assert!(until_completed(&changes).contains(&Change::Completed(0)));
}

#[test]
fn closing_stops_the_install_and_begins_no_other() {
    let (desk, _end) = desk();
    let changes = listened(&desk);
    desk.install(InstallAsked::default()).unwrap();
    let began = Instant::now();
    desk.close(LONG);
    assert!(began.elapsed() < LONG, "it waited for the install's own end");
    let seen = until_completed(&changes);
    assert!(seen.contains(&Change::LastError("stopped by SIGTERM".to_owned())));
    assert!(desk.install(InstallAsked::default()).is_err());
}

#[test]
fn what_needs_the_engine_waits_its_turn_and_what_is_known_does_not() {
    let (desk, end) = desk();
    desk.install(InstallAsked::default()).unwrap();
    assert_eq!(desk.view().primary().as_deref(), Ok("rootfs.0"));
    let marked = desk.ask(|engine| engine.mark("good", "rootfs.0"));
    end.send(Ok(())).unwrap();
    assert_eq!(block_on(marked).unwrap().unwrap().0, "rootfs.0");
}

#[test]
fn a_look_at_a_bundle_holds_neither_cancel_nor_the_end_of_the_service() {
    let (desk, _end) = desk();
    let look = |desk: &Arc<Desk>| {
        desk.look(|engine, stop| engine.inspect("slow", &Access::default(), stop))
    };
    let looking = look(&desk);
    desk.cancel().unwrap();
    assert_eq!(block_on(looking).unwrap().unwrap_err(), "stopped by Cancel");
    let looking = look(&desk);
    desk.close(LONG);
    assert_eq!(block_on(looking).unwrap().unwrap_err(), "stopped by SIGTERM");
}

#[test]
fn closing_waits_for_a_mark_that_goes_on_or_waits() {
    let (desk, _end) = desk();
    let (done, marks) = channel();
    for slot in ["slow", "slow"] {
        let done = done.clone();
        drop(desk.ask(move |engine| done.send(engine.mark("good", slot))));
    }
    desk.close(LONG);
    assert_eq!(marks.try_iter().count(), 2);
}

#[test]
fn who_hears_of_the_end_may_begin_the_next_install() {
    let (desk, end) = desk();
    let (sender, ended) = channel();
    desk.tell(Box::new(move |change| {
        if matches!(change, Change::Completed(_)) {
            let _ = sender.send(());
        }
    }));
    for _ in 0..50 {
        desk.install(InstallAsked::default()).unwrap();
        end.send(Ok(())).unwrap();
        ended.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn a_mark_that_the_boot_state_knows_counts() {
    let (desk, _end) = desk();
    assert!(!desk.booted_is_good());
    desk.believe(Box::new(|| true));
    assert!(desk.booted_is_good());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test breaks the log")]
fn what_the_service_installs_and_marks_is_in_the_audit_log() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (end, ends) = channel();
    let mut engine = Audited {
        inner: Fake { ends },
        trail: AuditTrail::below(root.path()),
        clock: || bundle::UnixTime(1_800_000_000),
        log: |told| panic!("{told:?}"),
    };
    let asked = InstallAsked {
        source: "https://user:secret@host/x.raucb".to_owned(),
        ..InstallAsked::default()
    };
    let stop = || -> Stop { Arc::new(|| None) };
    end.send(Ok(())).unwrap();
    engine.install(&asked, &mut |_| {}, stop()).unwrap();
    end.send(Err("no space".to_owned())).unwrap();
    engine.install(&asked, &mut |_| {}, stop()).unwrap_err();
    engine.mark("good", "rootfs.0").unwrap();
    engine.mark("sideways", "rootfs.0").unwrap_err();
    let trees = storage::tree::HostTrees::open(&data).unwrap();
    let report = config_api::audit::read_audit(&trees).unwrap();
    let text: Vec<String> =
        report.lines.iter().map(|line| serde_json::to_string(&line.event).unwrap()).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text[0].contains(r#""failure":null"#) && !text[0].contains("secret"), "{}", text[0]);
    assert!(text[1].contains(r#""failure":"no space""#), "{}", text[1]);
    assert!(text[2].contains(r#""mark":"good","by":"D-Bus""#), "{}", text[2]);
    // A log that cannot be written keeps no install from its end.
    std::fs::remove_dir_all(data.join("atomix/audit")).unwrap();
    std::fs::write(data.join("atomix/audit"), "").unwrap();
    end.send(Ok(())).unwrap();
    let mut told = Vec::new();
    engine.install(&asked, &mut |one| told.push(one), stop()).unwrap();
    assert!(matches!(told.last(), Some(Told::Warning(why)) if why.contains("audit log")));
}
