// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's polling on virtual time: when it asks, what it makes of the answer, and what it never
//! does by itself.

use bundle::{Manifest, ManifestUse};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use storage::Digest;
use updater::system::Updated;
use updater::{
    BootTime, Fetched, PollAct, PollInstall, PollQuestions, PolledBundle, Poller, PollerSetupError,
    PollingRules, ServedBundle, Speedup, SystemConfig,
};

const SECOND: u64 = 1_000_000;
const HASH: Digest = Digest::from_bytes([1; 32]);
const FOUND: &str = "update candidate found: higher semantic version";

/// What the service would answer.
#[derive(Default)]
struct World {
    busy: bool,
    not_good: bool,
    inhibitor: Option<PathBuf>,
    failed: Vec<Digest>,
    unreadable: bool,
}

impl PollQuestions for World {
    fn is_busy(&mut self) -> bool {
        self.busy
    }

    fn booted_slot_is_good(&mut self) -> bool {
        !self.not_good
    }

    fn inhibitor(&mut self) -> Option<PathBuf> {
        self.inhibitor.clone()
    }

    fn is_known_failed(&mut self, hash: &Digest) -> Result<bool, String> {
        if self.unreadable {
            return Err("cannot read the boot state".to_owned());
        }
        Ok(self.failed.contains(hash))
    }
}

fn rules(lines: &str, speedup: Speedup) -> PollingRules {
    let text = format!(
        "[system]\ncompatible=x\nbootloader=noop\n[polling]\nurl=http://x/y\ninterval-sec=1000\n\
         {lines}\n"
    );
    let config = SystemConfig::parse(&text, Path::new("/etc/rauc")).unwrap();
    PollingRules::new(&config.polling.unwrap(), speedup).unwrap()
}

/// A poller that is due at once, on a system of version 1.0.
fn due(lines: &str) -> (Poller, BootTime) {
    let rules = rules(lines, Speedup::NONE);
    let poller = Poller::new(rules, Some("1.0"), 0, BootTime::default()).unwrap();
    let due = poller.next_poll();
    (poller, due)
}

fn bundle_of(version: Option<&str>, hash: Digest) -> Fetched {
    let version = version.map(|it| format!("version={it}\n")).unwrap_or_default();
    let text = format!("[update]\ncompatible=x\n{version}[image.rootfs]\nfilename=r.img\n");
    Fetched::Bundle(Box::new(PolledBundle {
        hash,
        manifest: Manifest::parse(text.as_bytes(), ManifestUse::Input).unwrap(),
        served: ServedBundle { etag: Some("\"e1\"".to_owned()), ..ServedBundle::default() },
    }))
}

fn bundle(version: &str) -> Fetched {
    bundle_of(Some(version), HASH)
}

fn later(at: BootTime, secs: u64) -> BootTime {
    BootTime::from_micros(at.as_micros() + secs * SECOND)
}

/// Polls once when it is due and gives the answer.
fn poll(poller: &mut Poller, world: &mut World, found: Fetched) -> Option<PollAct> {
    let now = poller.next_poll();
    assert!(matches!(poller.tick(now, world), Some(PollAct::Fetch { .. })));
    poller.fetched(now, found, world)
}

/// Seconds from `since` to the next poll.
fn wait(poller: &Poller, since: BootTime) -> u64 {
    (poller.next_poll().as_micros() - since.as_micros()) / SECOND
}

#[test]
fn without_a_system_version_nothing_is_polled() {
    let error = Poller::new(rules("", Speedup::NONE), None, 0, BootTime::default()).unwrap_err();
    assert_eq!(error, PollerSetupError::NoSystemVersion);
    let text = "failed to set up polling: system version not provided via system-info handler";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_first_poll_comes_within_ten_to_ninety_percent_of_the_interval() {
    for (random, secs) in [(0, 100..=100), (u16::MAX / 2, 499..=500), (u16::MAX, 899..=900)] {
        let now = BootTime::from_micros(7 * SECOND);
        let mut poller = Poller::new(rules("", Speedup::NONE), Some("1"), random, now).unwrap();
        assert!(secs.contains(&wait(&poller, now)), "{random}: {}", wait(&poller, now));
        let early = BootTime::from_micros(poller.next_poll().as_micros() - 1);
        assert_eq!(poller.tick(early, &mut World::default()), None);
        assert_eq!(poller.status().attempt_count, 0);
    }
}

#[test]
fn tests_shorten_every_delay() {
    let fast = rules("", Speedup::parse("10").unwrap());
    let mut poller = Poller::new(fast, Some("1"), 0, BootTime::default()).unwrap();
    assert_eq!(poller.tick_interval().as_secs(), 1);
    assert_eq!(wait(&poller, BootTime::default()), 10);
    let at = poller.next_poll();
    poll(&mut poller, &mut World::default(), Fetched::NoContent);
    assert_eq!(wait(&poller, at), 100);
    poller.poll_soon(at);
    assert_eq!(wait(&poller, at), 3);
}

#[test]
fn a_candidate_is_told_and_asked_for_again_by_its_etag() {
    let (mut poller, at) = due("");
    let mut world = World::default();
    assert_eq!(poll(&mut poller, &mut world, bundle("1.1")), None, "nobody asked to install");
    let status = poller.status().clone();
    assert_eq!((status.summary.as_deref(), status.update_available), (Some(FOUND), true));
    assert_eq!((status.attempt_count, status.recent_error_count), (1, 0));
    assert_eq!((status.last_attempt_time, status.last_success_time), (at, at));
    assert_eq!(wait(&poller, at), 1000);
    let again = poller.next_poll();
    let fetch = PollAct::Fetch { if_none_match: Some("\"e1\"".to_owned()) };
    assert_eq!(poller.tick(again, &mut world), Some(fetch));
    poller.fetched(again, Fetched::NotModified, &mut world);
    assert_eq!(poller.status().summary.as_deref(), Some(FOUND), "it is still there");
    assert_eq!(poll(&mut poller, &mut world, Fetched::NoContent), None);
    let status = poller.status();
    assert_eq!(status.summary.as_deref(), Some("no update bundle available"));
    assert_eq!((status.update_available, status.bundle.as_ref()), (false, None));
    let at = poller.next_poll();
    assert_eq!(poller.tick(at, &mut world), Some(PollAct::Fetch { if_none_match: None }));
}

#[test]
fn candidates_are_judged_by_the_configured_rule() {
    const NONE: &str = "no update candidate available";
    const OTHER: &str = "update candidate found: different version";
    for (rule, version, summary) in [
        ("higher-semver", "1.0", NONE),
        ("higher-semver", "0.9", NONE),
        ("higher-semver", "1.0-2", NONE),
        ("higher-semver", "1.0.1", FOUND),
        ("different-version", "1.0", NONE),
        ("different-version", "0.9", OTHER),
        ("different-version", "1.0.0", OTHER),
        ("different-version;higher-semver", "2", FOUND),
    ] {
        let (mut poller, _) = due(&format!("candidate-criteria={rule}"));
        poll(&mut poller, &mut World::default(), bundle(version));
        assert_eq!(poller.status().summary.as_deref(), Some(summary), "{rule} {version}");
        assert_eq!(poller.status().update_available, summary != NONE);
    }
}

#[test]
fn installs_follow_the_configured_rule() {
    for (rule, version, installs) in [
        ("", "2.0", false),
        ("install-criteria=always", "0.9", true),
        ("install-criteria=different-version", "0.9", true),
        ("install-criteria=higher-semver", "0.9", false),
        ("install-criteria=higher-semver", "1.1", true),
    ] {
        let (mut poller, _) = due(&format!("candidate-criteria=different-version\n{rule}"));
        let act = poll(&mut poller, &mut World::default(), bundle(version));
        assert_eq!(act, installs.then_some(PollAct::Install { hash: HASH }), "{rule} {version}");
    }
}

#[test]
fn versions_without_an_order_are_a_failed_poll() {
    let (mut poller, at) = due("");
    poll(&mut poller, &mut World::default(), bundle("spring"));
    let status = poller.status();
    let said = status.last_error_message.clone().unwrap();
    assert!(said.starts_with("candidate criteria check failed: Failed to parse"), "{said}");
    assert_eq!((status.recent_error_count, status.summary.as_deref()), (1, None));
    assert_eq!(wait(&poller, at), 2000);
    let (mut poller, _) = due("candidate-criteria=different-version\ninstall-criteria=always");
    let act = poll(&mut poller, &mut World::default(), bundle_of(None, HASH));
    assert_eq!(act, None, "it would differ from every system for ever");
    let said = poller.status().last_error_message.as_deref();
    assert_eq!(said, Some("polled bundle has no version"));
}

#[test]
fn failures_delay_more_and_more_and_one_success_ends_that() {
    let (mut poller, _) = due("");
    let mut world = World::default();
    poll(&mut poller, &mut world, bundle("1.1"));
    for secs in [2000, 3000, 4000, 4000] {
        let at = poller.next_poll();
        poll(&mut poller, &mut world, Fetched::Failed("no route".to_owned()));
        assert_eq!(wait(&poller, at), secs, "four intervals at most");
    }
    let status = poller.status();
    assert_eq!(status.recent_error_count, 4);
    assert_eq!(status.last_error_message.as_deref(), Some("no route"));
    assert!(status.bundle.is_some() && !status.update_available, "as RAUC has it");
    let at = poller.next_poll();
    poll(&mut poller, &mut world, Fetched::NoContent);
    assert_eq!((wait(&poller, at), poller.status().recent_error_count), (1000, 0));
    assert_eq!(poller.status().last_error_message, None);
}

#[test]
fn what_speaks_against_a_poll_delays_it_shortly_and_is_no_failure() {
    let busy = World { busy: true, ..World::default() };
    let not_good = World { not_good: true, ..World::default() };
    let inhibited = World { inhibitor: Some("/run/no".into()), ..World::default() };
    for (mut world, why) in [(busy, "busy"), (not_good, "not marked good"), (inhibited, "/run/no")]
    {
        let (mut poller, mut at) = due("");
        poller.take_messages();
        for _ in 0..3 {
            assert_eq!(poller.tick(at, &mut world), None);
            assert_eq!(wait(&poller, at), 30);
            at = poller.next_poll();
        }
        let told = poller.take_messages();
        assert!(told.len() == 2 && told[0].contains(why), "told once: {told:?}");
        assert_eq!(poller.status().attempt_count, 0);
        assert_eq!(poller.status().recent_error_count, 0);
        assert!(poller.tick(at, &mut World::default()).is_some());
    }
}

#[test]
fn one_manifest_is_installed_once_per_life_of_the_service() {
    let (mut poller, _) = due("install-criteria=always");
    let mut world = World::default();
    assert!(poll(&mut poller, &mut world, bundle("1.1")).is_some());
    assert_eq!(poller.tick(later(poller.next_poll(), 5000), &mut world), None, "it is installing");
    let at = later(poller.next_poll(), 60);
    poller.installed(at, &PollInstall::Failed { why: "no slot".to_owned() });
    assert_eq!(wait(&poller, at), 30);
    assert_eq!(poll(&mut poller, &mut world, Fetched::NotModified), None);
    assert_eq!(poller.status().attempted_hash, Some(HASH));
    assert!(poller.status().update_available);
    let other = Digest::from_bytes([2; 32]);
    let act = poll(&mut poller, &mut world, bundle_of(Some("1.2"), other));
    assert_eq!(act, Some(PollAct::Install { hash: other }));
}

#[test]
fn an_install_that_found_another_one_running_is_tried_again() {
    let (mut poller, _) = due("install-criteria=always\nreboot-criteria=failed-update");
    let mut world = World::default();
    poll(&mut poller, &mut world, bundle("1.1"));
    let at = poller.next_poll();
    poller.installed(at, &PollInstall::Busy);
    assert_eq!((wait(&poller, at), poller.status().recent_error_count), (30, 0));
    assert!(poll(&mut poller, &mut world, Fetched::NotModified).is_some());
}

#[test]
fn what_failed_here_before_is_not_installed_by_itself() {
    let (mut poller, _) = due("install-criteria=always");
    let mut world = World { failed: vec![HASH], ..World::default() };
    assert_eq!(poll(&mut poller, &mut world, bundle("1.1")), None);
    let status = poller.status();
    assert!(!status.update_available && status.attempted_hash.is_none());
    assert_eq!(
        status.summary.as_deref(),
        Some("update candidate was installed here before and failed")
    );
    let (mut poller, _) = due("install-criteria=always");
    let mut world = World { unreadable: true, ..World::default() };
    assert_eq!(poll(&mut poller, &mut world, bundle("1.1")), None, "nobody can tell");
    let said = poller.status().last_error_message.as_deref();
    assert_eq!(said, Some("cannot read the boot state"));
}

#[test]
fn reboots_follow_the_configured_rule() {
    let updated = |yes| if yes == 1 { Updated::Yes } else { Updated::No };
    let done = |slots, artifacts| PollInstall::Done {
        slots: updated(slots),
        artifacts: updated(artifacts),
    };
    let failed = PollInstall::Failed { why: "x".to_owned() };
    for (rules, install, reboots) in [
        ("", done(1, 1), false),
        ("updated-slots", done(1, 0), true),
        ("updated-slots", done(0, 1), false),
        ("updated-artifacts", done(0, 1), true),
        ("updated-artifacts", done(1, 0), false),
        ("updated-slots;updated-artifacts", failed.clone(), false),
        ("failed-update", failed, true),
        ("failed-update", done(1, 1), false),
        ("updated-slots;failed-update", PollInstall::Busy, false),
    ] {
        let lines =
            format!("install-criteria=always\nreboot-criteria={rules}\nreboot-cmd=touch 'a b'");
        let (mut poller, _) = due(&lines);
        let mut world = World::default();
        poll(&mut poller, &mut world, bundle("1.1"));
        let at = poller.next_poll();
        poller.installed(at, &install);
        let act = poller.tick(later(at, 30), &mut world);
        let reboot = PollAct::Reboot { argv: vec!["touch".to_owned(), "a b".to_owned()] };
        assert_eq!(act == Some(reboot), reboots, "{rules} {install:?}");
    }
}

#[test]
fn after_a_reboot_was_asked_for_nothing_is_polled_and_a_failed_one_is_repeated() {
    let (mut poller, _) =
        due("install-criteria=always\nreboot-criteria=updated-slots\nreboot-cmd=reboot");
    let mut world = World::default();
    poll(&mut poller, &mut world, bundle("1.1"));
    poller.installed(
        poller.next_poll(),
        &PollInstall::Done { slots: Updated::Yes, artifacts: Updated::No },
    );
    world.busy = true;
    assert_eq!(poller.tick(poller.next_poll(), &mut world), None, "nobody is interrupted");
    world.busy = false;
    let at = poller.next_poll();
    assert!(matches!(poller.tick(at, &mut world), Some(PollAct::Reboot { .. })));
    poller.rebooted(at, Err("no such program".to_owned()));
    assert_eq!(wait(&poller, at), 30);
    assert!(poller.take_messages().iter().any(|told| told.contains("no such program")));
    let at = poller.next_poll();
    assert!(matches!(poller.tick(at, &mut world), Some(PollAct::Reboot { .. })));
    poller.rebooted(at, Ok(()));
    assert_eq!(poller.next_poll(), BootTime::default());
    poller.poll_soon(at);
    assert_eq!(poller.next_poll(), BootTime::default());
    assert_eq!(poller.tick(later(at, 100_000), &mut world), None);
}

#[test]
fn a_reboot_command_without_words_is_told_and_stops_nothing() {
    let (mut poller, _) =
        due("install-criteria=always\nreboot-criteria=updated-slots\nreboot-cmd=reboot 'now");
    let mut world = World::default();
    poll(&mut poller, &mut world, bundle("1.1"));
    poller.installed(
        poller.next_poll(),
        &PollInstall::Done { slots: Updated::Yes, artifacts: Updated::No },
    );
    let at = poller.next_poll();
    assert_eq!(poller.tick(at, &mut world), None);
    assert_eq!(wait(&poller, at), 30);
    assert!(poller.take_messages().iter().any(|told| told.contains("reboot failed")));
}

#[test]
fn a_poll_that_was_asked_for_during_another_one_is_not_forgotten() {
    let (mut poller, at) = due("");
    let mut world = World::default();
    assert!(poller.tick(at, &mut world).is_some());
    poller.poll_soon(at);
    let ended = later(at, 5);
    poller.fetched(ended, Fetched::NoContent, &mut world);
    assert_eq!(wait(&poller, ended), 30);
    assert_eq!(poll(&mut poller, &mut world, Fetched::NoContent), None);
    assert_eq!(wait(&poller, later(ended, 30)), 1000, "once");
}

#[derive(Clone, Debug)]
enum Event {
    Tick(World3),
    Soon,
    Fetched(u8),
    Installed(u8),
    Rebooted(bool),
}

#[derive(Clone, Copy, Debug)]
struct World3 {
    busy: bool,
    not_good: bool,
    failed: bool,
}

fn event() -> impl Strategy<Value = Event> {
    let world = (any::<bool>(), any::<bool>(), any::<bool>());
    prop_oneof![
        4 => world.prop_map(|(busy, not_good, failed)| {
            Event::Tick(World3 { busy, not_good, failed })
        }),
        1 => Just(Event::Soon),
        3 => (0_u8..5).prop_map(Event::Fetched),
        2 => (0_u8..3).prop_map(Event::Installed),
        1 => any::<bool>().prop_map(Event::Rebooted),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing that failed here is installed, no manifest twice,
    /// nothing while the slot is not good or the service busy; and time never stands still.
    #[test]
    fn no_order_of_events_makes_it_act_against_its_rules(
        events in proptest::collection::vec((0_u64..4000, event()), 0..80)
    ) {
        let (mut poller, mut now) = due(
            "candidate-criteria=different-version\ninstall-criteria=always\n\
             reboot-criteria=updated-slots",
        );
        let bad = Digest::from_bytes([9; 32]);
        let mut installed: Vec<Digest> = Vec::new();
        let mut stopped = false;
        for (secs, event) in events {
            now = later(now, secs);
            let mut world = World::default();
            let act = match event {
                Event::Tick(facts) => {
                    world.busy = facts.busy;
                    world.not_good = facts.not_good;
                    if facts.failed { world.failed.push(bad); }
                    let act = poller.tick(now, &mut world);
                    prop_assert!(act.is_none() || !(facts.busy || facts.not_good || stopped));
                    act
                }
                Event::Soon => { poller.poll_soon(now); None }
                Event::Fetched(kind) => {
                    world.failed.push(bad);
                    let found = match kind {
                        0 => Fetched::NoContent,
                        1 => Fetched::NotModified,
                        2 => Fetched::Failed("x".to_owned()),
                        3 => bundle_of(Some("2"), bad),
                        _ => bundle("1.1"),
                    };
                    poller.fetched(now, found, &mut world)
                }
                Event::Installed(kind) => {
                    let install = match kind {
                        0 => PollInstall::Done { slots: Updated::Yes, artifacts: Updated::No },
                        1 => PollInstall::Failed { why: "x".to_owned() },
                        _ => PollInstall::Busy,
                    };
                    if install == PollInstall::Busy { installed.clear(); }
                    poller.installed(now, &install);
                    None
                }
                Event::Rebooted(done) => {
                    poller.rebooted(now, if done { Ok(()) } else { Err("x".to_owned()) });
                    stopped = stopped || poller.next_poll() == BootTime::default();
                    None
                }
            };
            if let Some(PollAct::Install { hash }) = act {
                prop_assert!(hash != bad);
                prop_assert!(!installed.contains(&hash));
                installed.push(hash);
            }
        }
    }
}
