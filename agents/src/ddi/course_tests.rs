// SPDX-License-Identifier: MIT OR Apache-2.0
//! Courses of actions, with a played server and played hands, and all that may come between.

use super::boot::{BootOutcome, boot_outcome};
use super::deployment::Permission;
use super::events::{Consent, Effect, Event, InstallEnd, Judged};
use super::limits::MAX_ENTRIES;
use super::played::{ID, MANIFEST, Play};
use super::server::ActionId;
use super::state::{DdiState, MAX_STATE_BYTES, Stage};
use crate::policy::Keep;
use bootctl::SlotId;
use proptest::prelude::*;
use storage::ByteLen;

const PROCEEDING: &str = "deploymentBase 5 proceeding none";
const SUCCESS: &str = "deploymentBase 5 closed success";
const FAILURE: &str = "deploymentBase 5 closed failure";

#[test]
fn success_is_told_once_the_verifier_has_spoken_and_not_before() {
    let mut play = Play::new();
    play.install();
    assert!(play.took(|effect| matches!(effect, Effect::Reboot(ID, SlotId::B))));
    assert_eq!(play.told, [PROCEEDING, PROCEEDING]);
    play.restart().event(Event::Booted(BootOutcome::OnTrial)).poll();
    assert_eq!(play.told, [PROCEEDING, PROCEEDING, PROCEEDING]);
    play.event(Event::Booted(BootOutcome::Good));
    assert_eq!(play.told.last().unwrap(), SUCCESS);
    assert_eq!((play.state.action.clone(), play.state.waiting()), (None, 0));
}

#[test]
fn a_fall_back_is_a_failure_with_its_reason() {
    let mut play = Play::new();
    play.install().restart();
    play.event(Event::Booted(BootOutcome::FellBack { why: "health failed".to_owned() }));
    assert_eq!(play.told.last().unwrap(), FAILURE);
    assert!(
        play.took(
            |effect| matches!(effect, Effect::Tell(words) if words.contains("health failed"))
        )
    );
}

#[test]
fn a_result_outlives_a_dead_server_and_power_cuts() {
    let mut play = Play::new();
    play.install().restart();
    play.is_down = true;
    play.event(Event::Booted(BootOutcome::Good));
    for _ in 0..5 {
        play.restart().poll();
    }
    assert_eq!((play.state.waiting(), play.told.len()), (1, 2));
    play.is_down = false;
    play.links.clear();
    play.poll();
    assert_eq!((play.told.last().unwrap().as_str(), play.state.waiting()), (SUCCESS, 0));
}

#[test]
fn a_cut_in_the_middle_of_an_install_resumes_it() {
    let mut play = Play::new();
    play.begin().event(Event::Progress(ID, 34));
    play.effects.clear();
    play.restart().poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(_, Permission::Install))));
    assert!(play.told.contains(&"deploymentBase 5 resumed none".to_owned()));
    assert_eq!(play.state.action.as_ref().unwrap().stage, Stage::Offered);
}

#[test]
fn a_cancellation_is_answered_by_how_far_the_action_is() {
    let cancelled = "cancelAction 5 closed success";
    let rejected = "cancelAction 5 rejected none";
    let cancel = |play: &mut Play| {
        play.links = vec![("cancelAction", 5)];
        play.effects.clear();
        play.poll();
    };

    let mut before = Play::new();
    before.poll();
    cancel(&mut before);
    assert_eq!((before.told.last().unwrap().as_str(), &before.state.action), (cancelled, &None));
    assert!(before.took(|effect| matches!(effect, Effect::Stop(ID, _))));

    let mut during = Play::new();
    during.begin();
    cancel(&mut during);
    assert!(during.took(|effect| matches!(effect, Effect::Stop(ID, _))));
    assert_eq!(during.told.len(), 1, "not before it has ended");
    during.event(Event::Installed(ID, InstallEnd::Stopped));
    assert_eq!(during.told.last().unwrap(), cancelled);

    let mut cut = Play::new();
    cut.begin();
    cancel(&mut cut);
    cut.restart();
    assert_eq!(cut.told.last().unwrap(), cancelled);

    let mut after = Play::new();
    after.install();
    cancel(&mut after);
    assert!(after.took(|effect| matches!(effect, Effect::Withdraw(ID, SlotId::B))));
    after.event(Event::Withdrawn(ID, Ok(())));
    assert_eq!(after.told.last().unwrap(), cancelled);

    let mut stuck = Play::new();
    stuck.install();
    cancel(&mut stuck);
    stuck.effects.clear();
    stuck.event(Event::Withdrawn(ID, Err("slot A is bad".to_owned())));
    assert_eq!(stuck.told.last().unwrap(), rejected);
    assert!(stuck.took(|effect| matches!(effect, Effect::Reboot(ID, SlotId::B))));

    let mut trial = Play::new();
    trial.install().restart().event(Event::Booted(BootOutcome::OnTrial));
    cancel(&mut trial);
    assert_eq!(trial.told.last().unwrap(), rejected);

    let mut unknown = Play::new();
    cancel(&mut unknown);
    assert_eq!(unknown.told, [cancelled]);
}

#[test]
fn another_action_ends_the_first_and_begins_when_that_is_over() {
    let mut play = Play::new();
    play.begin();
    play.links = vec![("deploymentBase", 6)];
    play.effects.clear();
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Stop(ID, _))));
    assert!(!play.took(|effect| matches!(effect, Effect::Offer(..))));
    play.event(Event::Installed(ID, InstallEnd::Stopped)).poll();
    assert_eq!(play.told.last().unwrap(), FAILURE);
    assert_eq!(play.state.action.as_ref().unwrap().id, ActionId(6));
    // While one is being judged by its own verifier, another one waits.
    let mut trial = Play::new();
    trial.install().restart().event(Event::Booted(BootOutcome::OnTrial));
    trial.links = vec![("deploymentBase", 6)];
    trial.poll();
    assert_eq!(trial.state.action.as_ref().unwrap().id, ID);
    trial.event(Event::Booted(BootOutcome::Good)).poll();
    assert_eq!(trial.state.action.as_ref().unwrap().id, ActionId(6));
    assert!(trial.told.contains(&SUCCESS.to_owned()));
}

#[test]
fn an_install_that_nobody_wants_any_more_does_not_boot() {
    let mut play = Play::new();
    play.begin();
    play.links.clear();
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Stop(ID, _))));
    play.event(Event::Installed(ID, InstallEnd::Done(SlotId::B)));
    assert!(play.took(|effect| matches!(effect, Effect::Withdraw(ID, SlotId::B))));
    play.event(Event::Withdrawn(ID, Ok(())));
    assert_eq!(play.state.action, None);
}

#[test]
fn every_status_of_a_feedback_has_its_rule() {
    let after = |statuses: &[u16]| {
        let mut play = Play::new();
        play.poll();
        play.statuses = statuses.to_vec();
        play.event(Event::Judged(ID, Judged::Refuse("too old".to_owned())));
        play
    };
    for gone in [404, 405, 410] {
        assert_eq!(after(&[gone]).state.waiting(), 0, "{gone}");
    }
    for kept in [301, 401, 403, 409, 429, 500, 503] {
        let mut play = after(&[kept]);
        assert_eq!((play.state.waiting(), play.told.len()), (1, 0), "{kept}");
        let pause =
            |effect: &Effect| matches!(effect, Effect::Sleep(sleep) if sleep.as_secs() == 30);
        assert!(play.took(pause), "{kept}");
        play.links.clear();
        play.poll();
        assert_eq!(play.told, [FAILURE], "{kept}");
    }
    // Once more without its words, then never again.
    let mut refused = after(&[400]);
    assert_eq!((refused.told.as_slice(), refused.state.waiting()), (&[FAILURE.to_owned()][..], 0));
    refused = after(&[400, 400]);
    assert_eq!((refused.told.len(), refused.state.waiting()), (0, 0));
    // The limit of entries is no reason to keep what is only progress.
    let mut full = Play::new();
    full.begin();
    full.statuses = vec![429];
    full.event(Event::Progress(ID, 50));
    assert_eq!(full.state.waiting(), 0);
}

#[test]
fn pauses_double_and_end_at_an_hour() {
    let mut play = Play::new();
    play.is_down = true;
    let mut pauses = Vec::new();
    for _ in 0..40 {
        play.poll();
        for effect in std::mem::take(&mut play.effects) {
            if let Effect::Sleep(pause) = effect {
                pauses.push(pause.as_secs());
            }
        }
    }
    assert_eq!(pauses[..4], [30, 60, 120, 240]);
    assert_eq!((pauses.len(), pauses[39]), (40, 3600));
}

#[test]
fn a_yes_or_no_is_given_once() {
    let mut play = Play::new();
    play.links = vec![("confirmationBase", 5)];
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Confirm(_))));
    play.event(Event::Confirmation(ID, Consent::Later)).poll();
    assert!(play.took(|effect| matches!(effect, Effect::Confirm(_))), "asked again");
    play.event(Event::Confirmation(ID, Consent::No("on a ship".to_owned())));
    assert_eq!(play.told, ["confirmationBase 5 denied"]);
    play.poll();
    assert!(!play.took(|effect| matches!(effect, Effect::Confirm(_))), "answered already");
    let mut yes = Play::new();
    yes.links = vec![("confirmationBase", 5)];
    yes.poll().event(Event::Confirmation(ID, Consent::Yes));
    assert_eq!(yes.told, ["confirmationBase 5 confirmed"]);
    yes.links = vec![("deploymentBase", 5)];
    yes.poll();
    assert!(yes.took(|effect| matches!(effect, Effect::Offer(..))));
}

#[test]
fn what_may_not_be_installed_yet_waits_and_says_so_once() {
    let mut play = Play::new();
    play.update = "skip";
    play.poll().poll().poll();
    assert_eq!(play.told, ["deploymentBase 5 scheduled none"]);
    assert!(!play.took(|effect| matches!(effect, Effect::Offer(..))));
    play.update = "forced";
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(_, Permission::Install))));
    play.event(Event::Judged(ID, Judged::Wait("window opens at 02:00".to_owned())));
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(..))), "judged anew at each poll");
    let mut stores = Play::new();
    (stores.update, stores.keep) = ("skip", Keep::Bundle);
    stores.poll();
    assert!(stores.took(|effect| matches!(effect, Effect::Offer(_, Permission::Fetch))));
}

#[test]
fn another_length_than_the_servers_ends_the_action() {
    let mut play = Play::new();
    play.poll().event(Event::Looked(ID, MANIFEST, ByteLen::new(4)));
    assert_eq!(play.told, [FAILURE]);
    assert!(
        play.took(|effect| matches!(effect, Effect::Stop(ID, why) if why.contains("length 4")))
    );
}

#[test]
fn attributes_are_sent_when_the_server_wants_them() {
    let mut play = Play::new();
    play.links = vec![("configData", 0)];
    play.poll();
    assert_eq!(play.told, ["attributes"]);
    assert!(play.took(|effect| matches!(effect, Effect::Sleep(pause) if pause.as_secs() == 60)));
}

#[test]
fn attributes_that_changed_go_along_with_a_poll_until_they_arrive() {
    let mut play = Play::new();
    play.links.clear();
    play.event(Event::News);
    assert!(play.told.is_empty(), "not without a poll");
    play.is_down = true;
    play.poll();
    play.is_down = false;
    assert!(!play.took(|effect| *effect == Effect::Reported));
    play.poll();
    assert_eq!(play.told, ["attributes"]);
    assert!(play.took(|effect| *effect == Effect::Reported));
    play.links = vec![("configData", 0)];
    play.event(Event::News).poll().poll();
    assert_eq!(play.told.len(), 3, "once in a round, also where both sides want it");
}

#[test]
fn an_end_has_lines_about_the_device_and_progress_has_none() {
    let mut play = Play::new();
    play.details = (0..20).map(|line| format!("line {line} {}", "x".repeat(300))).collect();
    play.poll();
    play.is_down = true;
    play.event(Event::Judged(ID, Judged::Refuse("too old".to_owned())));
    let end = play.state.outbox.back().unwrap();
    let super::state::Words::Status(feedback) = &end.words else { panic!("{end:?}") };
    assert_eq!((feedback.details.len(), feedback.details[0].as_str()), (9, "too old"));
    assert!(feedback.details[8].starts_with("line 7") && feedback.details[8].len() < 300);
}

/// Fails when a lossy link ends an action that only needs more time.
#[test]
fn what_was_interrupted_goes_on_and_is_not_failed() {
    let mut play = Play::new();
    play.begin().event(Event::Installed(ID, InstallEnd::Interrupted("no route".to_owned())));
    assert_eq!(play.told.last().unwrap(), "deploymentBase 5 scheduled none");
    play.effects.clear();
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(..))));
}

/// Fails when a device in a long wait asks for the description at each poll: hawkBit keeps a line of
/// each of these questions, and has a limit.
#[test]
fn what_waits_is_described_anew_only_when_something_changed() {
    let mut play = Play::new();
    play.change = Some(1);
    play.poll().event(Event::Judged(ID, Judged::Wait("window".to_owned())));
    play.effects.clear();
    play.poll().poll();
    assert!(!play.took(|effect| matches!(effect, Effect::Offer(..))));
    play.event(Event::Again(ID)).poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(..))), "the window is open");
    play.event(Event::Judged(ID, Judged::Wait("window".to_owned())));
    play.change = Some(2);
    play.poll();
    assert!(play.took(|effect| matches!(effect, Effect::Offer(..))), "the server forces it");
}

#[test]
fn the_device_itself_says_what_became_of_an_install() {
    use crate::test_facts::{facts, manifest};
    let mut play = Play::new();
    play.poll().event(Event::Looked(ID, manifest(2), ByteLen::new(3)));
    play.event(Event::Judged(ID, Judged::Install));
    play.event(Event::Installed(ID, InstallEnd::Done(SlotId::B)));
    let action = play.state.action.clone().unwrap();
    let mut device = facts();
    device.b.bundle = Some(manifest(2).into());
    (device.booted, device.next) = (Some(SlotId::A), Some(SlotId::B));
    device.b.state = bootctl::SlotState::Trying;
    device.failed.clear();
    let outcome = |device: &crate::Facts| boot_outcome(&action, device, Some("watchdog"));
    assert_eq!(outcome(&device), BootOutcome::NotYet);
    // Forced, after it failed here before.
    device.failed = vec![manifest(2).into()];
    assert_eq!(outcome(&device), BootOutcome::NotYet);
    device.booted = Some(SlotId::B);
    assert_eq!(outcome(&device), BootOutcome::OnTrial);
    device.b.state = bootctl::SlotState::Good;
    assert_eq!(outcome(&device), BootOutcome::Good);
    device.booted = Some(SlotId::A);
    device.b.state = bootctl::SlotState::Bad;
    let why = "slot B was given up: watchdog".to_owned();
    assert_eq!(outcome(&device), BootOutcome::FellBack { why });
    device.b.state = bootctl::SlotState::Trying;
    device.next = Some(SlotId::A);
    assert!(matches!(outcome(&device), BootOutcome::FellBack { .. }));
    // Something else lies there now.
    (device.next, device.b.bundle) = (Some(SlotId::B), Some(manifest(3).into()));
    assert!(matches!(outcome(&device), BootOutcome::FellBack { .. }));
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = prop_oneof![4 => Just(ID), 1 => Just(ActionId(6))];
    (id, 0_u8..20, 0_u8..=120).prop_map(|(id, kind, percent)| match kind {
        0 | 1 => Event::Started,
        2..=6 => Event::Poll,
        7 => Event::Looked(id, MANIFEST, ByteLen::new(3)),
        8 | 9 => Event::Judged(id, Judged::Install),
        10 => Event::Judged(id, Judged::Wait(percent.to_string())),
        11..=13 => Event::Progress(id, percent),
        14 => Event::Installed(id, InstallEnd::Done(SlotId::B)),
        15 if percent < 30 => Event::Installed(id, InstallEnd::Interrupted(percent.to_string())),
        15 => Event::Installed(id, InstallEnd::Stopped),
        16 => Event::RebootWaits(id, percent.to_string()),
        17 => Event::Withdrawn(id, if percent < 60 { Ok(()) } else { Err("no".to_owned()) }),
        18 if percent < 30 => Event::Again(id),
        18 if percent < 60 => Event::News,
        18 => Event::Booted(BootOutcome::OnTrial),
        _ => Event::Confirmation(id, Consent::Yes),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, in whatever order, with whatever answers and power cuts.
    #[test]
    fn no_course_claims_success_floods_the_server_or_gets_stuck(
        happened in prop::collection::vec((any_event(), 0_u8..8, prop::bool::ANY), 1..120),
    ) {
        let mut play = Play::new();
        for (event, server, is_cut) in happened {
            play.is_down = server == 0;
            play.statuses = match server { 1 => vec![503], 2 => vec![410], 3 => vec![429], _ => Vec::new() };
            play.links = match server {
                4 => vec![("cancelAction", 5)],
                5 => vec![("deploymentBase", 6)],
                6 => vec![("confirmationBase", 5)],
                _ => vec![("deploymentBase", 5)],
            };
            if is_cut {
                play.restart();
            }
            play.event(event);
            play.state.check().unwrap();
            let kept = play.state.record().unwrap();
            let read = DdiState::from_record(kept.as_ref()).unwrap();
            prop_assert!(read.action.as_ref().map(|a| a.stage) == play.state.action.as_ref().map(|a| a.stage));
            prop_assert!(kept.map_or(0, |kept| kept.stage.to_string().len()) < MAX_STATE_BYTES);
            let action = play.state.action.as_ref();
            prop_assert!(action.is_none_or(|action| action.entries <= MAX_ENTRIES));
        }
        // No event said that a verifier marked anything good.
        prop_assert!(!play.told.contains(&SUCCESS.to_owned()));
        // A server that works again is asked again, and hears everything.
        (play.is_down, play.statuses) = (false, Vec::new());
        play.effects.clear();
        play.poll();
        prop_assert_eq!(play.state.waiting(), 0);
        prop_assert!(play.took(|effect| matches!(effect, Effect::Sleep(_))));
    }
}
