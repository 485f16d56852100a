// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole actions against a strict server: as it should be, and with everything that goes wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may end where it stands"
)]

use agents::ddi::{
    ActionId, BootOutcome, Consent, Credentials, Effect, Event, InstallEnd, Permission, Stage,
};
use bootctl::SlotId;
use ddi::book::{Open, TOKEN};
use ddi::device::Device;
use ddi::stub::{Fault, Stub};
use std::time::Duration;

const ID: i64 = 7;

fn pair() -> (Stub, Device) {
    let stub = Stub::start().unwrap();
    let device = Device::new(&stub.url(), "dev1", Credentials::target(TOKEN).unwrap()).unwrap();
    (stub, device)
}

fn fell_back() -> BootOutcome {
    BootOutcome::FellBack { why: "slot B was given up: health failed".to_owned() }
}

#[test]
fn an_update_goes_through_and_its_success_follows_the_verifier() {
    let (stub, mut device) = pair();
    stub.book().wants_attributes = true;
    stub.assign(ID, Open::Running);
    device.poll().unwrap();
    assert_eq!(stub.book().attributes.as_ref().unwrap()["data"]["hw_boardname"], "rock64");
    device.begin().unwrap();
    device.write().unwrap();
    assert_eq!(stub.action(ID).unwrap().open, Open::Running, "written is not succeeded");
    device.boot(BootOutcome::OnTrial).unwrap();
    device.poll().unwrap();
    assert_eq!(stub.action(ID).unwrap().open, Open::Running, "booted is not succeeded");
    device.event(Event::Booted(BootOutcome::Good)).unwrap();
    let action = stub.action(ID).unwrap();
    assert_eq!(action.open, Open::Finished);
    assert!(action.told.len() <= 21, "{:?}", action.told);
    assert!(action.messages.contains(&"Downloaded 50%".to_owned()), "{:?}", action.messages);
    assert!(device.is_idle() && stub.book().refused.is_empty(), "{:?}", stub.book().refused);
}

#[test]
fn a_fall_back_is_a_failure_with_its_reason() {
    let (stub, mut device) = pair();
    stub.assign(ID, Open::Running);
    device.poll().unwrap();
    device.begin().unwrap();
    device.write().unwrap();
    device.boot(fell_back()).unwrap();
    let action = stub.action(ID).unwrap();
    assert_eq!(action.open, Open::Failed);
    assert!(action.messages.last().unwrap().contains("health failed"));
}

/// Each request of a whole action goes wrong once, in each way, and the power fails behind it.
#[test]
fn every_request_may_fail_in_every_way_and_the_result_arrives() {
    let faults = [
        Fault::Drop,
        Fault::DropAfter,
        Fault::Status(500, None),
        Fault::Status(503, Some("3")),
        Fault::Status(429, None),
        Fault::Status(409, None),
        Fault::Status(401, None),
        Fault::Status(403, None),
        Fault::Status(302, None),
        Fault::Body(b"<html>Please log in</html>".to_vec()),
    ];
    for fault in &faults {
        for at in 0..12 {
            for outcome in [BootOutcome::Good, fell_back()] {
                let (stub, mut device) = pair();
                stub.assign(ID, Open::Running);
                let good = vec![Fault::Drip(Duration::ZERO); at];
                stub.fail(&good);
                stub.fail(std::slice::from_ref(fault));
                let mut polls = 0;
                while !matches!(stub.action(ID).unwrap().open, Open::Finished | Open::Failed) {
                    polls += 1;
                    assert!(polls < 12, "{fault:?} at {at}: {:?}", stub.book().log);
                    device.poll().unwrap();
                    if device.is_at(Stage::Offered) {
                        device.begin().unwrap();
                    }
                    if device.is_at(Stage::Installing) {
                        device.cut().unwrap();
                        device.poll().unwrap();
                        if device.is_at(Stage::Offered) {
                            device.begin().unwrap();
                            device.write().unwrap();
                        }
                    }
                    if device.is_at(Stage::Installed(SlotId::B)) {
                        device.boot(outcome.clone()).unwrap();
                    }
                }
                let wanted =
                    if outcome == BootOutcome::Good { Open::Finished } else { Open::Failed };
                let action = stub.action(ID).unwrap();
                assert_eq!(action.open, wanted, "{fault:?} at {at}: {:?}", action.told);
                let ends = action.told.iter().filter(|word| word.starts_with("closed")).count();
                assert_eq!(ends, 1, "{fault:?} at {at}: {:?}", action.told);
                assert!(stub.book().refused.is_empty(), "{:?}", stub.book().refused);
            }
        }
    }
}

#[test]
fn actions_are_cancelled_before_during_and_after_the_install() {
    let cancel = |stub: &Stub| stub.change(ID, |action| action.open = Open::Canceling);
    for moment in 0..4 {
        let (stub, mut device) = pair();
        stub.assign(ID, Open::Running);
        device.poll().unwrap();
        if moment > 0 {
            device.begin().unwrap();
        }
        if moment > 1 {
            device.write().unwrap();
        }
        if moment > 2 {
            device.boot(BootOutcome::OnTrial).unwrap();
        }
        cancel(&stub);
        device.poll().unwrap();
        let id = ActionId(ID);
        match moment {
            1 => device.event(Event::Installed(id, InstallEnd::Stopped)).unwrap(),
            2 => device.event(Event::Withdrawn(id, Ok(()))).unwrap(),
            _ => {}
        }
        let action = stub.action(ID).unwrap();
        if moment < 3 {
            assert_eq!(action.open, Open::Canceled, "{moment}: {:?}", action.told);
            assert!(device.is_idle(), "{moment}");
        } else {
            assert_eq!(action.open, Open::Running, "refused: {:?}", action.told);
            device.event(Event::Booted(BootOutcome::Good)).unwrap();
            assert_eq!(stub.action(ID).unwrap().open, Open::Finished);
        }
        assert!(stub.book().refused.is_empty(), "{moment}: {:?}", stub.book().refused);
    }
}

#[test]
fn another_action_takes_over_while_the_first_is_written() {
    let (stub, mut device) = pair();
    stub.assign(ID, Open::Running);
    device.poll().unwrap();
    device.begin().unwrap();
    // The server closes the old one itself, as hawkBit does where it is told to.
    stub.change(ID, |action| action.open = Open::Canceled);
    stub.assign(8, Open::Running);
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Stop(ActionId(ID), _))));
    device.event(Event::Installed(ActionId(ID), InstallEnd::Stopped)).unwrap();
    device.poll().unwrap();
    device.begin().unwrap();
    device.write().unwrap();
    device.boot(BootOutcome::Good).unwrap();
    assert_eq!(stub.action(8).unwrap().open, Open::Finished);
    assert!(device.is_idle());
}

#[test]
fn a_confirmation_is_given_before_anything_is_done() {
    let (stub, mut device) = pair();
    stub.assign(ID, Open::Confirmation);
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Confirm(_))));
    device.event(Event::Confirmation(ActionId(ID), Consent::Yes)).unwrap();
    assert_eq!(stub.action(ID).unwrap().told, ["confirmed"]);
    device.poll().unwrap();
    assert!(device.is_at(Stage::Offered));
}

/// A device that stores nothing fetches when it may install, and not before.
#[test]
fn a_closed_window_of_the_server_is_waited_for() {
    let (stub, mut device) = pair();
    stub.assign(ID, Open::Running);
    stub.change(ID, |action| action.window = "unavailable");
    for _ in 0..3 {
        device.poll().unwrap();
        assert!(device.is_at(Stage::Waiting));
    }
    assert_eq!(stub.action(ID).unwrap().told, ["scheduled none"], "said once");
    assert!(!device.took(|effect| matches!(effect, Effect::Offer(..))));
    device.cut().unwrap();
    stub.change(ID, |action| action.window = "available");
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Offer(_, Permission::Install))));
    device.begin().unwrap();
    device.write().unwrap();
    device.boot(BootOutcome::Good).unwrap();
    assert_eq!(stub.action(ID).unwrap().open, Open::Finished);
    assert!(stub.book().refused.is_empty(), "{:?}", stub.book().refused);
}

#[test]
fn a_device_with_room_fetches_before_the_window_and_says_so() {
    let (stub, device) = pair();
    let mut device = device.with_room();
    stub.assign(ID, Open::Running);
    stub.change(ID, |action| action.window = "unavailable");
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Offer(_, Permission::Fetch))));
    device.fetch(b"abc").unwrap();
    assert!(device.is_at(Stage::Stored));
    device.poll().unwrap();
    assert_eq!(stub.action(ID).unwrap().told, ["downloaded none"]);
    // The power goes, and with it perhaps the file: it is looked for again.
    device.cut().unwrap();
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Offer(_, Permission::Fetch))));
    device.fetch(b"abc").unwrap();
    assert!(device.is_at(Stage::Stored));
    let told = stub.action(ID).unwrap().told;
    assert_eq!(told, ["downloaded none", "resumed none", "downloaded none"]);
    stub.change(ID, |action| action.window = "available");
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Offer(_, Permission::Install))));
    device.begin().unwrap();
    device.write().unwrap();
    device.boot(BootOutcome::Good).unwrap();
    assert_eq!(stub.action(ID).unwrap().open, Open::Finished);
    // Another file than the server's ends the action.
    stub.assign(8, Open::Running);
    stub.change(8, |action| action.handling = ("attempt", "skip"));
    device.poll().unwrap();
    device.fetch(b"abd").unwrap();
    let action = stub.action(8).unwrap();
    assert_eq!(action.open, Open::Failed);
    assert!(action.messages.last().unwrap().contains("SHA-1"), "{:?}", action.messages);
    assert!(stub.book().refused.is_empty(), "{:?}", stub.book().refused);
}

/// A server that is away at each part of an update finds all of it done when it is back, told once.
#[test]
fn a_server_that_is_started_anew_hears_the_result() {
    for (away, outcome) in (0..4).flat_map(|at| [(at, BootOutcome::Good), (at, fell_back())]) {
        let (mut stub, mut device) = pair();
        stub.assign(ID, Open::Running);
        let part = |at, stub: &mut Stub| {
            if at == away {
                stub.stop();
            } else if at == away + 1 {
                stub.start_again().unwrap();
            }
        };
        part(0, &mut stub);
        device.poll().unwrap();
        part(1, &mut stub);
        device.poll().unwrap();
        device.begin().unwrap();
        part(2, &mut stub);
        device.write().unwrap();
        part(3, &mut stub);
        device.boot(outcome.clone()).unwrap();
        part(4, &mut stub);
        let words = |effect: &Effect| matches!(effect, Effect::Tell(words) if words.contains("cannot connect"));
        assert!(device.took(words), "{away}: nobody was missed");
        device.poll().unwrap();
        let action = stub.action(ID).unwrap();
        let wanted = if outcome == BootOutcome::Good { Open::Finished } else { Open::Failed };
        assert_eq!(action.open, wanted, "{away}: {:?}", action.told);
        let ends = action.told.iter().filter(|word| word.starts_with("closed")).count();
        assert_eq!(ends, 1, "{away}: {:?}", action.told);
        assert!(device.is_idle() && stub.book().refused.is_empty(), "{:?}", stub.book().refused);
    }
}

#[test]
fn a_stranger_is_not_let_in_and_gives_nothing_up() {
    let stub = Stub::start().unwrap();
    stub.assign(ID, Open::Running);
    let wrong = Credentials::target("another").unwrap();
    let mut device = Device::new(&stub.url(), "dev1", wrong).unwrap();
    device.poll().unwrap();
    let told = |effect: &Effect| matches!(effect, Effect::Tell(words) if words.contains("401"));
    assert!(device.took(told));
    assert_eq!(stub.action(ID).unwrap().told.len(), 0);
    let mut lost = Device::new(&stub.url(), "dev2", Credentials::target(TOKEN).unwrap()).unwrap();
    lost.poll().unwrap();
    assert!(lost.took(|effect| matches!(effect, Effect::Tell(words) if words.contains("404"))));
}

#[test]
fn an_endless_answer_ends_and_a_slow_one_counts() {
    let (stub, mut device) = pair();
    stub.fail(&[Fault::Body(vec![b' '; 2 << 20])]);
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Tell(words) if words.contains("bytes"))));
    stub.fail(&[Fault::Drip(Duration::from_millis(2))]);
    device.poll().unwrap();
    assert!(device.took(|effect| matches!(effect, Effect::Sleep(pause) if pause.as_secs() == 300)));
}
