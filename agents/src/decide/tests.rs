// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each reason for which an update is taken, waits or is refused, in a device of its own.

use super::scene::Scene;
use super::*;
use crate::test_facts::{NOON, manifest};
use crate::{Days, InstallRecord, InstallStage, Link, MeteredRule, RebootRule, Rollout, Window};
use bootctl::{AttemptsLeft, SlotState};

#[test]
fn a_new_version_is_looked_at_and_then_installed_into_the_other_slot() {
    let scene = Scene::new();
    assert_eq!(scene.claimed().decision, Decision::Look);
    let order = scene.installs();
    assert_eq!((order.slot, order.manifest), (SlotId::B, manifest(3)));
    assert_eq!((order.transfer, order.most_bytes), (ByteLen::mib(40), None));
    assert_eq!((order.force, order.resumes), (Force::No, false));
}

#[test]
fn the_same_bundle_is_known_by_its_digest_and_without_one_by_its_version() {
    let same = Scene::with(|scene| {
        scene.offer.manifest = Some(manifest(1));
        scene.offer.version = "9.9".to_owned();
    });
    assert_eq!(same.claimed().decision, Decision::UpToDate);
    let other_build = Scene::with(|scene| scene.offer.version = "1.0".to_owned());
    assert_eq!(other_build.claimed().decision, Decision::Look, "another bundle of one version");
    let original = Scene::with(|scene| {
        scene.offer.manifest = None;
        scene.offer.version = "1.0".to_owned();
    });
    assert_eq!(original.claimed().decision, Decision::UpToDate);
    let looked = Scene::with(|scene| {
        scene.offer.manifest = None;
        scene.looked.manifest = manifest(1);
    });
    assert_eq!(looked.looked_at().decision, Decision::UpToDate, "its digest shows it after all");
    let factory = Scene::with(|scene| {
        (scene.facts.a.bundle, scene.facts.a.version) = (None, None);
        scene.facts.version_floor = "1.0".parse().ok();
        scene.offer.manifest = None;
    });
    assert_eq!(factory.claimed().decision, Decision::Look);
    assert_eq!(factory.installs().slot, SlotId::B);
}

/// The original installed and restarted every hour for ever where the server claimed a version
/// that its bundle has not (reference C 23 and 28).
#[test]
fn what_the_server_claims_must_be_what_the_bundle_is() {
    Scene::with(|scene| scene.offer.version = "2.1".to_owned()).refuses(Rule::Version);
    Scene::with(|scene| scene.looked.version = None).refuses(Rule::Version);
    Scene::with(|scene| scene.offer.manifest = Some(manifest(4))).refuses(Rule::Manifest);
    Scene::with(|scene| scene.offer.size = Some(ByteLen::mib(99))).refuses(Rule::Size);
    Scene::with(|scene| scene.looked.compatible = "kiosk".to_owned()).refuses(Rule::Product);
    let wrong = Scene::with(|scene| scene.looked.compatible = "kiosk".to_owned());
    assert_eq!(
        wrong.forced().insisted().looked_at().decision,
        Decision::Refuse { why: Rule::Product }
    );
}

#[test]
fn what_failed_here_is_not_installed_again_unless_forced() {
    let in_list = |scene: &mut Scene| scene.facts.failed = vec![manifest(3).into()];
    let turned_bad = |scene: &mut Scene| {
        scene.facts.b.state = SlotState::Bad;
        scene.facts.b.bundle = Some(manifest(3).into());
    };
    Scene::with(in_list).refuses(Rule::Failed);
    Scene::with(turned_bad).refuses(Rule::Failed);
    assert_eq!(Scene::with(in_list).claimed().decision, Decision::Refuse { why: Rule::Failed });
    assert_eq!(Scene::with(in_list).forced().installs().force, Force::Yes);
    assert_eq!(Scene::with(turned_bad).insisted().installs().force, Force::Yes);
}

#[test]
fn what_runs_must_be_new_enough() {
    let wants =
        |minimum: &str| Scene::with(|scene| scene.offer.min_version = Some(minimum.to_owned()));
    wants("1.0").installs();
    wants("1.1").refuses(Rule::MinVersion);
    wants("1.1").forced().insisted().refuses(Rule::MinVersion);
    wants("newest").refuses(Rule::MinVersion);
    let mut unknown = wants("0.1");
    unknown.facts.a.version = None;
    unknown.facts.version_floor = "0.1".parse().ok();
    unknown.refuses(Rule::MinVersion);
}

#[test]
fn an_offer_counts_until_it_expires_by_the_later_of_clock_and_floor() {
    let until =
        |expires: i64| Scene::with(|scene| scene.offer.expires = Some(UnixTime(NOON.0 + expires)));
    until(0).installs();
    until(-1).refuses(Rule::Expiry);
    let mut turned_back = until(-1);
    turned_back.facts.clock.now = UnixTime(0);
    turned_back.installs();
    turned_back.facts.clock.floor = Some(NOON);
    turned_back.refuses(Rule::Expiry);
    let mut not_set = until(-1);
    not_set.facts.clock.is_set = false;
    not_set.installs();
    not_set.facts.clock.floor = Some(NOON);
    not_set.refuses(Rule::Expiry);
}

/// Every night from 02:00 to 04:00 UTC.
fn nights() -> Vec<Window> {
    vec![Window::new(Days::EVERY, 120, 240, 0).unwrap()]
}

#[test]
fn an_install_waits_for_its_window_and_not_all_devices_for_one_second() {
    let night = Scene::with(|scene| scene.policy.windows = nights());
    let opens = NOON.0 + 14 * 3600;
    let claimed = night.claimed().decision;
    let mut times = Vec::new();
    for device in 0..50 {
        let mut other = Scene::with(|scene| scene.policy.windows = nights());
        other.facts.device_id = format!("device-{device}");
        times.push(other.waits(Rule::Window).0);
    }
    assert!(times.iter().all(|time| (opens..opens + 3600).contains(time)), "{times:?}");
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 45, "{times:?}");
    assert!(matches!(claimed, Decision::Wait { why: Rule::Window, .. }), "nothing is fetched");
    let mut open = Scene::with(|scene| scene.policy.windows = nights());
    open.facts.clock.now = UnixTime(opens + 60);
    open.installs();
    Scene::with(|scene| scene.policy.windows = nights()).forced().installs();
    Scene::with(|scene| scene.policy.windows = nights()).insisted().installs();
}

#[test]
fn a_clock_that_nobody_set_holds_windows_up_for_an_hour_and_nothing_else() {
    let mut scene = Scene::with(|scene| scene.facts.clock.is_set = false);
    scene.facts.up = Duration::from_secs(60);
    scene.installs();
    scene.policy.windows = vec![Window::new(Days::EVERY, 0, 0, 0).unwrap()];
    assert_eq!(scene.waits(Rule::Clock), UnixTime(NOON.0 + 600));
    scene.facts.up = Duration::from_secs(3600);
    scene.installs();
}

#[test]
fn a_rollout_takes_its_devices_in_their_turn() {
    let rollout = |percent: u8| {
        let (begins, ends) = (UnixTime(NOON.0 - 3600), UnixTime(NOON.0 + 3600));
        Scene::with(|scene| scene.offer.rollout = Some(Rollout { begins, ends, percent }))
    };
    let until = rollout(0).waits(Rule::Rollout);
    assert!((NOON.0 + 3600..NOON.0 + 7200).contains(&until.0), "after the end, spread");
    assert!(matches!(rollout(0).claimed().decision, Decision::Wait { .. }));
    assert!(matches!(rollout(0).forced().looked_at().decision, Decision::Wait { .. }));
    rollout(0).insisted().installs();
    let mut after = rollout(0);
    after.facts.clock.now = UnixTime(NOON.0 + 3600);
    after.installs();
    let share = (0..1000).filter(|device| {
        let mut scene = rollout(20);
        scene.facts.device_id = format!("device-{device}");
        matches!(scene.looked_at().decision, Decision::Install { .. })
    });
    let share = share.count();
    assert!((70..130).contains(&share), "half of the way to 20 %: {share} of 1000");
}

/// Fails when a device whose clock nobody sets waits for its turn for ever.
#[test]
fn a_rollout_goes_on_without_a_clock() {
    let mut scene = Scene::with(|scene| {
        let (begins, ends) = (UnixTime(NOON.0 + 1), UnixTime(NOON.0 + 3600));
        scene.offer.rollout = Some(Rollout { begins, ends, percent: 100 });
    });
    // Also where somebody has set it, to a time that is long gone.
    for is_set in [false, true] {
        scene.facts.clock = crate::Clock { now: UnixTime(60), floor: Some(NOON), is_set };
        scene.facts.up = Duration::ZERO;
        let until = scene.waits(Rule::Rollout);
        assert!(until.0 <= 60 + 7200, "by the device's own clock: {until:?}");
        scene.facts.up = Duration::from_secs(3600);
        scene.installs();
    }
}

/// The fleet simulator found it: of a fleet in which one device of twenty has no clock, 10 % took a
/// rollout of 5 %, because a device counted the time that it had been running before it was told of
/// the release.
#[test]
fn time_before_the_floor_was_proven_is_no_time_of_the_rollout() {
    let month = Duration::from_secs(30 * 86_400);
    let mut scene = Scene::with(|scene| {
        scene.memory.raise_floor(NOON, month);
        let ends = UnixTime(NOON.0 + 86_400);
        scene.offer.rollout = Some(Rollout { begins: NOON, ends, percent: 0 });
    });
    scene.facts.clock = crate::Clock { now: UnixTime(60), floor: Some(NOON), is_set: false };
    for (since, ends) in [(0, false), (3600, false), (86_400, true)] {
        scene.facts.up = month + Duration::from_secs(since);
        if ends {
            scene.installs();
        } else {
            scene.waits(Rule::Rollout);
        }
    }
}

#[test]
fn paid_bytes_are_spared_as_the_policy_says() {
    let metered = |rule| {
        Scene::with(|scene| {
            scene.facts.link = Link::Metered;
            scene.policy.metered = rule;
        })
    };
    metered(MeteredRule::Allow).installs();
    metered(MeteredRule::Defer).waits(Rule::Metered);
    metered(MeteredRule::Defer).forced().waits(Rule::Metered);
    metered(MeteredRule::Defer).insisted().installs();
    metered(MeteredRule::ForcedOnly).waits(Rule::Metered);
    metered(MeteredRule::ForcedOnly).forced().installs();
}

#[test]
fn bytes_are_predicted_and_held_to_their_limits() {
    let most = |update: u64, day: u64, spent: u64| {
        Scene::with(|scene| {
            scene.policy.most_update = Some(ByteLen::mib(update));
            scene.policy.most_day = Some(ByteLen::mib(day));
            scene.memory.spend(NOON, ByteLen::mib(spent));
        })
    };
    assert_eq!(most(40, 100, 60).installs().most_bytes, Some(ByteLen::mib(40)));
    assert_eq!(most(60, 100, 60).installs().most_bytes, Some(ByteLen::mib(40)));
    most(39, 100, 0).refuses(Rule::UpdateBytes);
    most(39, 100, 0).forced().insisted().refuses(Rule::UpdateBytes);
    most(40, 39, 0).refuses(Rule::DayBytes);
    assert_eq!(most(40, 100, 99).claimed().decision, Decision::Look);
    assert!(matches!(most(40, 100, 100).claimed().decision, Decision::Wait { .. }));
    let until = most(40, 100, 61).waits(Rule::DayBytes);
    let midnight = NOON.0 + 12 * 3600;
    assert!((midnight..midnight + 3600).contains(&until.0));
    assert_eq!(most(60, 100, 61).insisted().installs().most_bytes, Some(ByteLen::mib(60)));
}

#[test]
fn from_a_trial_the_last_good_slot_is_not_overwritten() {
    let on_trial = |up: u64| {
        Scene::with(|scene| {
            scene.facts.a.state = SlotState::Trying;
            scene.facts.b.state = SlotState::Good;
            scene.facts.up = Duration::from_secs(up);
        })
    };
    assert_eq!(on_trial(300).waits(Rule::Trial), UnixTime(NOON.0 + 900), "its verdict comes");
    let leave = Decision::LeaveTrial { trial: SlotId::A };
    assert_eq!(on_trial(1200).looked_at().decision, leave);
    assert_eq!(on_trial(0).forced().looked_at().decision, leave);
    assert_eq!(on_trial(1200).claimed().decision, Decision::Look, "not for a mere claim");
    let mut inhibited = on_trial(1200);
    inhibited.facts.inhibitors = vec!["backup".to_owned()];
    inhibited.waits(Rule::Inhibitors);
    let mut never = on_trial(1200);
    never.policy.reboot = RebootRule::Never;
    never.refuses(Rule::Reboot);
    let mut same = on_trial(1200);
    same.offer.manifest = Some(manifest(1));
    assert_eq!(
        same.claimed().decision,
        Decision::UpToDate,
        "what is on trial is not left for itself"
    );
}

#[test]
fn a_device_that_runs_from_no_slot_or_from_a_last_resort_keeps_its_last_good_slot() {
    let mut elsewhere = Scene::with(|scene| scene.facts.booted = None);
    elsewhere.refuses(Rule::Slot);
    elsewhere.facts.booted = Some(SlotId::A);
    elsewhere.facts.a.state = SlotState::Bad;
    elsewhere.facts.b.state = SlotState::Good;
    elsewhere.refuses(Rule::Slot);
    elsewhere.facts.b.state = SlotState::Bad;
    assert_eq!(elsewhere.installs().slot, SlotId::B, "an unhealthy device still updates");
}

/// Bundle 3 is in slot B, which boots next.
fn installed() -> Scene {
    Scene::with(|scene| {
        scene.facts.b.state = SlotState::Trying;
        scene.facts.b.attempts = AttemptsLeft::DEFAULT;
        scene.facts.b.bundle = Some(manifest(3).into());
        scene.facts.b.version = Some("2.0".to_owned());
        scene.facts.next = Some(SlotId::B);
        scene.memory.install = Some(InstallRecord {
            manifest: manifest(3),
            version: Some("2.0".to_owned()),
            url: None,
            etag: None,
            slot: SlotId::B,
            from: Some(manifest(1).into()),
            urgency: Urgency::Ordinary,
            stage: InstallStage::Written,
        });
    })
}

#[test]
fn what_is_installed_waits_for_its_restart_only() {
    let reboot = Decision::Reboot { into: SlotId::B };
    for decide in [Scene::claimed, Scene::looked_at, Scene::waiting] {
        assert_eq!(decide(&installed()).decision, reboot);
        let mut inhibited = installed();
        inhibited.facts.inhibitors = (0..5).map(|number| format!("task {number}")).collect();
        let judgement = decide(&inhibited);
        let until = UnixTime(NOON.0 + 300);
        assert_eq!(judgement.decision, Decision::Wait { until, why: Rule::Inhibitors });
        assert!(judgement.words().contains("task 0, task 1, task 2 and 2 more"));
        let mut never = installed();
        never.policy.reboot = RebootRule::Never;
        assert_eq!(decide(&never).decision, Decision::Nothing);
        let mut night = installed();
        night.policy.windows = nights();
        assert_eq!(decide(&night).decision, reboot, "the rule is: at once");
        night.policy.reboot = RebootRule::Window;
        let waits = decide(&night).decision;
        assert!(matches!(waits, Decision::Wait { why: Rule::Window, .. }), "{waits:?}");
        night.facts.clock.now = UnixTime(NOON.0 + 15 * 3600);
        assert_eq!(decide(&night).decision, reboot);
        night.facts.clock.now = NOON;
        night.offer.urgency = Urgency::Forced;
        night.memory.install.as_mut().unwrap().urgency = Urgency::Forced;
        assert_eq!(decide(&night).decision, reboot);
    }
}

#[test]
fn without_an_install_of_the_agents_own_nothing_is_restarted() {
    let mut by_hand = installed();
    by_hand.memory.install = None;
    assert_eq!(by_hand.waiting().decision, Decision::Nothing);
    let mut running = installed();
    running.facts.booted = Some(SlotId::B);
    assert_eq!(running.waiting().decision, Decision::Nothing);
    assert_eq!(running.claimed().decision, Decision::UpToDate);
}

#[test]
fn an_install_that_was_cut_goes_on_in_its_slot() {
    let mut cut = installed();
    cut.facts.b.state = SlotState::Writing;
    cut.facts.b.bundle = None;
    cut.facts.next = Some(SlotId::A);
    cut.memory.install.as_mut().unwrap().stage = InstallStage::Begun;
    assert!(cut.installs().resumes);
    cut.offer.manifest = Some(manifest(4));
    cut.looked.manifest = manifest(4);
    assert!(!cut.installs().resumes);
}

#[test]
fn a_refusal_counts_before_a_wait_and_every_check_is_told() {
    let mut scene = Scene::with(|scene| scene.policy.windows = nights());
    scene.facts.failed = vec![manifest(3).into()];
    scene.refuses(Rule::Failed);
    let judgement = scene.looked_at();
    assert_eq!(judgement.checks.len(), 17);
    let lines = judgement.lines();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    assert_eq!(lines[0], "refused: it was tried here before and did not prove itself");
    assert!(lines.iter().any(|line| line.starts_with("  waits    window       ")), "{lines:#?}");
    let json = judgement.to_json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["decision"], serde_json::json!({ "do": "refuse", "why": "failed" }));
    assert_eq!(json["checks"].as_array().unwrap().len(), 17);
    assert_eq!(json["checks"][5]["verdict"], "refused");
}

#[test]
fn words_of_strangers_make_no_line_of_ours() {
    let mut scene = Scene::new();
    scene.offer.version = format!("2\u{1b}[2J\nrefused {}", "x".repeat(500));
    let lines = scene.looked_at().lines();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    assert!(!lines.concat().contains(['\u{1b}', '\n']));
    assert!(lines.iter().any(|line| line.contains("2?[2J?refused")), "{lines:#?}");
}

/// The page of the book says the rules in their order, and shows what is printed.
#[test]
fn the_page_says_what_is_done() {
    let page = include_str!("../../../docs/agents-decisions.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<&str> = rows.map(|(rule, _)| rule).collect();
    assert_eq!(rows, Rule::ALL.map(Rule::word));
    let night = Scene::with(|scene| scene.policy.windows = nights());
    let printed = night.claimed().lines().join("\n");
    assert!(page.contains(&format!("```text\n{printed}\n```")), "{printed}");
    let checked: Vec<Rule> = night.claimed().checks.iter().map(|check| check.rule).collect();
    assert_eq!(checked, Rule::ALL[1..18]);
}

/// The hooks of a restart may forbid it when the trial is given up already. Fails when the device is
/// then left in the slot that was given up, whatever boots next.
#[test]
fn a_slot_that_was_given_up_is_left_as_soon_as_that_is_allowed() {
    let given_up = |change: fn(&mut Scene)| {
        Scene::with(|scene| {
            (scene.facts.booted, scene.facts.next) = (Some(SlotId::B), Some(SlotId::A));
            scene.facts.b.state = SlotState::Bad;
            scene.memory.leaving = Some(SlotId::B);
            change(scene);
        })
    };
    let left = given_up(|_| ());
    assert_eq!(left.waiting().decision, Decision::Reboot { into: SlotId::A });
    let inhibited = given_up(|scene| scene.facts.inhibitors.push("backup".to_owned()));
    assert!(matches!(inhibited.waiting().decision, Decision::Wait { why: Rule::Inhibitors, .. }));
    let never = given_up(|scene| scene.policy.reboot = RebootRule::Never);
    assert_eq!(never.waiting().decision, Decision::Nothing);
    let by_hand = given_up(|scene| scene.memory.leaving = None);
    assert_eq!(by_hand.waiting().decision, Decision::Nothing, "nobody asked the agent");
    let confirmed = given_up(|scene| {
        (scene.facts.b.state, scene.facts.next) = (SlotState::Good, Some(SlotId::B));
    });
    assert_eq!(confirmed.waiting().decision, Decision::Nothing);
}

/// `bootctl` remembers what was booted; what never got so far would be fetched again for ever.
#[test]
fn a_bundle_whose_install_was_refused_is_not_fetched_again() {
    let refused = Scene::with(|scene| scene.memory.refused = Some(manifest(3)));
    assert_eq!(refused.claimed().decision, Decision::Refuse { why: Rule::Failed });
    refused.refuses(Rule::Failed);
    refused.forced().installs();
    let other = Scene::with(|scene| scene.memory.refused = Some(manifest(4)));
    other.installs();
}

/// A document cannot be told that the bundle failed: it would be fetched again at every question.
#[test]
fn the_force_of_a_document_overrules_failures_once_and_windows_always() {
    let (one, other) = (manifest(8), manifest(9));
    let spent = |by| {
        Scene::with(|scene| {
            scene.offer.document = Some(one);
            (scene.memory.refused, scene.memory.forced) = (Some(manifest(3)), by);
        })
        .forced()
    };
    assert_eq!(spent(None).installs().forced_by, Some(one));
    assert_eq!(spent(Some(other)).installs().forced_by, Some(one));
    spent(Some(one)).refuses(Rule::Failed);
    assert_eq!(spent(Some(one)).claimed().decision, Decision::Refuse { why: Rule::Failed });
    assert_eq!(spent(Some(one)).insisted().installs().forced_by, Some(one));
    // Windows and what never failed are not affected.
    let mut sound = spent(Some(one));
    sound.memory.refused = None;
    sound.policy.windows = vec![Window::new(Days::EVERY, 20 * 60, 22 * 60, 0).unwrap()];
    sound.installs();
    sound.offer.urgency = Urgency::Ordinary;
    sound.waits(Rule::Window);
    let ordinary = Scene::with(|scene| scene.offer.document = Some(one));
    assert_eq!(ordinary.installs().forced_by, None);
}
