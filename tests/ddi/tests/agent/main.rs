// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole agent of hawkBit's against the strict server, on a board of two slots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may end where it stands"
)]

mod truth;
mod waits;

use agents::agent::{
    Ending, Hands, HawkbitEnd, HawkbitEnding, HawkbitTerms, OperatorsWord, hawkbit_once,
    preview_hawkbit, run_hawkbit,
};
use agents::ddi::{ActionId, Consent, Credentials, HttpExchange, HttpWay, Permission, Server};
use agents::{Decision, Keep, Memory, Policy, RebootRule, Transport};
use bootctl::Force;
use ddi::board::{Board, Cut};
use ddi::book::{Action, Bundle, Open, TOKEN};
use ddi::stub::Stub;
use ddi::wire::{SERVER, Wire};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const ID: i64 = 7;

fn bundle(version: &str) -> Bundle {
    Bundle { version: version.to_owned(), ..Bundle::default() }
}

fn action(version: &str, handling: (&'static str, &'static str)) -> Action {
    numbered(ID, version, handling)
}

fn numbered(id: i64, version: &str, handling: (&'static str, &'static str)) -> Action {
    let mut action = Action::new(id, Open::Running, bundle(version));
    action.handling = handling;
    action
}

fn place() -> Server {
    Server::new(SERVER, Transport::PlainForDevelopment, ("DEFAULT", "dev1")).unwrap()
}

/// A board and a server that offers version 2.0.0.
fn pair(policy: &Policy) -> Scene<'_> {
    let wire = Wire::default();
    wire.book.borrow_mut().actions.push(action("2.0.0", ("attempt", "attempt")));
    let mut board = Board::default();
    board.fuse = wire.fuse.clone();
    Scene { board, wire, server: place(), policy, operator: None }
}

struct Scene<'p> {
    board: Board,
    wire: Wire,
    server: Server,
    policy: &'p Policy,
    operator: Option<&'p dyn OperatorsWord>,
}

impl Scene<'_> {
    /// One round of an agent that was just started.
    fn once(&mut self) -> HawkbitEnd {
        let terms = HawkbitTerms {
            policy: self.policy,
            server: &self.server,
            exchange: &self.wire,
            operator: self.operator,
        };
        let mut memory = self.board.memory.clone();
        hawkbit_once(&mut self.board, terms, &mut memory, Force::No)
    }

    /// A life of the agent: until it is ended, the device restarts, or the power fails.
    fn live(&mut self, naps: u32) {
        self.board.naps = naps;
        let terms = HawkbitTerms {
            policy: self.policy,
            server: &self.server,
            exchange: &self.wire,
            operator: self.operator,
        };
        let mut memory = self.board.memory.clone();
        let lived = catch_unwind(AssertUnwindSafe(|| {
            run_hawkbit(&mut self.board, terms, &mut memory);
        }));
        match lived {
            Err(cause) if cause.is::<Cut>() => self.board.boot(),
            Err(cause) => std::panic::resume_unwind(cause),
            Ok(()) if self.board.wants_restart => self.board.boot(),
            Ok(()) => {}
        }
        self.board.fuse.set(None);
    }

    fn action(&self, id: i64) -> Action {
        self.wire.book.borrow().actions.iter().find(|one| one.id == id).unwrap().clone()
    }

    fn open(&self) -> Open {
        self.action(ID).open
    }

    fn change(&self, change: impl Fn(&mut Action)) {
        for action in self.wire.book.borrow_mut().actions.iter_mut().filter(|one| one.id == ID) {
            action.change(&change);
        }
    }

    fn assert_strict(&self) {
        let book = self.wire.book.borrow();
        assert!(book.refused.is_empty(), "{:?}", book.refused);
    }

    fn asked(&self, what: &str) -> usize {
        self.wire.book.borrow().log.iter().filter(|line| line.contains(what)).count()
    }
}

#[test]
fn an_update_is_a_success_once_the_verifier_marked_it_good() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    let end = scene.once();
    assert!(matches!(end.ending, HawkbitEnding::Restarting { .. }), "{:?}", scene.board.log);
    assert_eq!(scene.open(), Open::Running, "written is not succeeded");
    scene.board.boot();
    scene.once();
    assert_eq!(scene.open(), Open::Running, "booted is not succeeded");
    scene.board.verify();
    scene.once();
    let done = scene.action(ID);
    assert_eq!((done.open, scene.board.good()), (Open::Finished, Some("2.0.0")));
    assert!(done.messages.iter().any(|line| line.starts_with("slot B good")), "{done:?}");
    assert_eq!(
        (scene.board.memory.action.clone(), scene.board.memory.install.clone()),
        (None, None)
    );
    let book = scene.wire.book.borrow();
    let attributes = book.attributes.as_ref().unwrap();
    assert_eq!(attributes["data"]["slot.b.state"], "good", "news goes along unasked");
    assert_eq!(attributes["data"]["hw_boardname"], "gateway");
    drop(book);
    scene.assert_strict();
    // What the server has is not told again.
    let told = scene.asked("PUT");
    scene.once();
    assert_eq!(scene.asked("PUT"), told);
}

#[test]
fn a_fall_back_is_a_failure_with_the_recorders_reason() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.bad.insert("2.0.0".to_owned());
    scene.once();
    scene.board.boot();
    scene.board.verify();
    scene.once();
    let done = scene.action(ID);
    assert_eq!((done.open, scene.board.good()), (Open::Failed, Some("1.0.0")));
    assert!(done.messages.iter().any(|line| line.contains("probe network failed")), "{done:?}");
    // The same bundle in another action is not tried again, and says so.
    scene.wire.book.borrow_mut().actions.push(numbered(8, "2.0.0", ("attempt", "attempt")));
    scene.once();
    assert_eq!((scene.action(8).open, scene.board.written.len()), (Open::Failed, 1));
    scene.assert_strict();
}

#[test]
fn what_the_server_forces_is_tried_again_and_judged_by_its_own_boot() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.bad.insert("2.0.0".to_owned());
    scene.once();
    scene.board.boot();
    scene.board.verify();
    scene.once();
    scene.board.bad.clear();
    scene.wire.book.borrow_mut().actions.push(numbered(8, "2.0.0", ("forced", "forced")));
    scene.board.inhibitors.push("backup".to_owned());
    scene.once();
    scene.once();
    assert_eq!(scene.action(8).open, Open::Running, "{:?}", scene.action(8).told);
    scene.board.inhibitors.clear();
    scene.once();
    scene.board.boot();
    scene.board.verify();
    scene.once();
    assert_eq!((scene.action(8).open, scene.board.good()), (Open::Finished, Some("2.0.0")));
    scene.assert_strict();
}

/// Fails when a success is told of a bundle that only shares the version with the one that runs.
#[test]
fn another_bundle_of_the_running_version_is_installed() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.change(|action| action.bundle = bundle("1.0.0"));
    scene.board.rebuilt.insert("1.0.0".to_owned(), 9);
    scene.once();
    assert_eq!((scene.open(), scene.board.written.len()), (Open::Running, 1));
    let mut same = pair(&policy);
    same.change(|action| action.bundle = bundle("1.0.0"));
    same.once();
    assert_eq!((same.open(), same.board.written.len()), (Open::Finished, 0));
}

#[test]
fn a_cancel_while_it_is_written_stops_it() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    let book = std::rc::Rc::clone(&scene.wire.book);
    scene.board.on_percent = Some(Box::new(move |percent| {
        if percent == 20 {
            book.borrow_mut().actions[0].change(|action| action.open = Open::Canceling);
        }
    }));
    scene.once();
    assert_eq!((scene.open(), scene.board.next()), (Open::Canceled, Some("1.0.0")));
    assert!(scene.board.written.is_empty() && scene.board.began.len() == 1);
    assert!(scene.board.memory.action.is_none());
    scene.assert_strict();
}

#[test]
fn another_action_takes_over_while_the_first_is_written() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    let book = std::rc::Rc::clone(&scene.wire.book);
    scene.board.on_percent = Some(Box::new(move |percent| {
        let mut book = book.borrow_mut();
        if percent == 20 && book.actions.len() == 1 {
            book.actions[0].change(|action| action.open = Open::Canceled);
            book.actions.push(numbered(8, "3.0.0", ("attempt", "attempt")));
        }
    }));
    let end = scene.once();
    assert!(matches!(end.ending, HawkbitEnding::Restarting { .. }), "{:?}", scene.board.log);
    assert_eq!(scene.board.written, ["3.0.0"]);
    scene.board.boot();
    scene.board.verify();
    scene.once();
    assert_eq!((scene.action(8).open, scene.board.good()), (Open::Finished, Some("3.0.0")));
    scene.assert_strict();
}

#[test]
fn an_action_that_vanishes_while_it_is_written_is_stopped() {
    for status in [404, 405, 410] {
        let policy = Policy::default();
        let mut scene = pair(&policy);
        let (faults, mut is_told) = (std::rc::Rc::clone(&scene.wire.faults), false);
        scene.board.on_percent = Some(Box::new(move |percent| {
            if percent == 20 && !std::mem::replace(&mut is_told, true) {
                // The word on the progress is the next request.
                faults.borrow_mut().push(status);
            }
        }));
        scene.once();
        let log = scene.board.log.join("\n");
        assert!(log.contains("the server does not know it any more"), "{status}: {log}");
        // It was a mistake of the server's, who still has the action: it begins again.
        assert_eq!((scene.board.began.len(), scene.board.written.len()), (2, 1), "{status}");
        assert_eq!(scene.open(), Open::Running, "{status}");
    }
}

#[test]
fn who_only_wants_to_know_changes_nothing_here_and_there() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.wire.book.borrow_mut().wants_attributes = true;
    let terms = HawkbitTerms {
        policy: &policy,
        server: &scene.server,
        exchange: &scene.wire,
        operator: None,
    };
    let mut memory = scene.board.memory.clone();
    let seen = preview_hawkbit(&mut scene.board, terms, &mut memory, Force::No).unwrap();
    let last = seen.judgements.last().unwrap();
    assert!(matches!(last.decision, Decision::Install { .. }), "{seen:?}");
    assert_eq!(seen.permission, Some(Permission::Install));
    assert_eq!((memory == scene.board.memory, scene.board.began.len()), (true, 0));
    assert_eq!((scene.asked("PUT"), scene.asked("POST"), scene.asked("GET")), (0, 0, 2));
}

#[test]
fn a_cancel_behind_the_install_lets_the_running_slot_boot_again() {
    let policy = Policy { reboot: RebootRule::Never, ..Policy::default() };
    let mut scene = pair(&policy);
    scene.once();
    assert_eq!(scene.board.next(), Some("2.0.0"));
    let scheduled = |scene: &Scene<'_>| {
        scene.action(ID).told.iter().filter(|word| word.starts_with("scheduled")).count()
    };
    assert_eq!(scheduled(&scene), 1, "{:?}", scene.action(ID).told);
    scene.once();
    assert_eq!(scheduled(&scene), 1, "a reason is told once");
    scene.change(|action| action.open = Open::Canceling);
    scene.once();
    assert_eq!((scene.open(), scene.board.next()), (Open::Canceled, Some("1.0.0")));
    assert!(scene.board.memory.install.is_none() && !scene.board.wants_restart);
    scene.assert_strict();
    // Where the boot order cannot be changed the cancellation is refused, and the truth is told.
    let mut stuck = pair(&policy);
    stuck.once();
    stuck.board.stuck = Some("the environment is read-only".to_owned());
    stuck.change(|action| action.open = Open::Canceling);
    stuck.once();
    assert_eq!((stuck.open(), stuck.board.next()), (Open::Running, Some("2.0.0")));
    assert!(stuck.action(ID).messages.iter().any(|line| line.contains("read-only")));
}

#[test]
fn a_restart_waits_for_who_asks_and_comes_then() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.forbids = Some("the pump runs".to_owned());
    scene.live(2);
    let messages = scene.action(ID).messages;
    assert!(messages.iter().any(|line| line.contains("the pump runs")), "{messages:?}");
    scene.board.forbids = None;
    scene.live(3);
    scene.board.verify();
    scene.live(1);
    assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")));
}

#[test]
fn what_cannot_be_fetched_now_is_fetched_later_and_not_failed() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.unreachable = (2, 2);
    for _ in 0..12 {
        scene.live(3);
        scene.board.verify();
    }
    assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")));
    assert_eq!(scene.board.began.len(), 3, "two were interrupted");
    let told = scene.action(ID).told;
    assert!(
        told.contains(&"scheduled none".to_owned()) && !told.contains(&"closed failure".to_owned())
    );
    scene.assert_strict();
}

/// Fails when a full medium ends the talk without a word to the server or a pause of its own, or closes
/// the action.
#[test]
fn what_the_device_itself_cannot_do_is_told_waited_for_and_not_failed() {
    let policy = Policy::default();
    for full in [(1, 0), (0, 1)] {
        let mut scene = pair(&policy);
        scene.board.full = full;
        let end = scene.once();
        assert!(matches!(end.ending, HawkbitEnding::Rests), "{full:?}: {:?}", end.ending);
        assert!(matches!(end.took, Some(Ending::Failed(_))), "{full:?}: {:?}", end.took);
        assert_eq!((end.failures, scene.board.memory.failures), (0, 0), "the server is there");
        assert!(scene.action(ID).told.contains(&"scheduled none".to_owned()), "{full:?}");
        for _ in 0..6 {
            scene.live(3);
            scene.board.verify();
        }
        assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")));
        assert!(!scene.action(ID).told.contains(&"closed failure".to_owned()), "{full:?}");
        scene.assert_strict();
    }
}

/// Fails when a device that lost its record does not ask what its server remembers of an action, or
/// asks for it each time.
#[test]
fn what_the_server_remembers_of_an_action_is_told_once_where_the_device_forgot_it() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    let remembered = "slot B was written".to_owned();
    scene.wire.book.borrow_mut().actions[0].messages.push(remembered);
    scene.once();
    let told = "the server remembers: slot B was written";
    assert!(scene.board.log.iter().any(|line| line.contains(told)), "{:?}", scene.board.log);
    scene.live(3);
    let book = scene.wire.book.borrow();
    let asked = book.log.iter().filter(|line| line.contains("actionHistory=")).count();
    assert_eq!(asked, 1, "{:?}", book.log);
}

#[test]
fn a_yes_is_given_unless_the_device_would_refuse_anyway() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.change(|action| action.open = Open::Confirmation);
    let end = scene.once();
    assert!(matches!(end.ending, HawkbitEnding::Restarting { .. }), "in the same round");
    assert_eq!(scene.action(ID).told[0], "confirmed");
    let mut older = pair(&policy);
    older.change(|action| {
        (action.open, action.bundle) = (Open::Confirmation, bundle("0.9.0"));
    });
    older.once();
    assert_eq!(older.action(ID).told, ["denied"]);
    assert!(older.board.began.is_empty());
}

/// What somebody at the device has said so far.
#[derive(Debug)]
struct Said(std::cell::RefCell<Consent>);

impl OperatorsWord for Said {
    fn on(&self, action: ActionId) -> Consent {
        assert_eq!(action, ActionId(ID));
        self.0.borrow().clone()
    }
}

#[test]
fn an_action_waits_for_the_operators_word_and_each_word_is_told_once() {
    let policy = Policy::default();
    for (word, told) in
        [(Consent::Yes, "confirmed"), (Consent::No("it sells".to_owned()), "denied")]
    {
        let said = Said(std::cell::RefCell::new(Consent::Later));
        let mut scene = pair(&policy);
        scene.operator = Some(&said);
        scene.change(|action| action.open = Open::Confirmation);
        scene.live(3);
        assert_eq!(scene.action(ID).told, [""; 0], "nobody has spoken");
        assert!(scene.board.began.is_empty());
        let waits = scene.board.log.iter().filter(|line| line.contains("`atomix agent confirm 7`"));
        assert_eq!(waits.count(), 1, "{:?}", scene.board.log);
        said.0.replace(word);
        scene.live(3);
        scene.live(3);
        let answers = scene.action(ID).told;
        let words = answers.iter().filter(|one| ["confirmed", "denied"].contains(&&***one));
        assert_eq!(words.collect::<Vec<_>>(), [told]);
        assert_eq!(scene.board.began.len(), usize::from(told == "confirmed"), "{answers:?}");
        scene.assert_strict();
    }
    // What the device would refuse it denies itself.
    let said = Said(std::cell::RefCell::new(Consent::Yes));
    let mut older = pair(&policy);
    older.operator = Some(&said);
    older.change(|action| (action.open, action.bundle) = (Open::Confirmation, bundle("0.9.0")));
    older.once();
    assert_eq!(older.action(ID).told, ["denied"]);
}

#[test]
fn what_may_only_be_fetched_is_stored_and_its_hashes_are_the_servers() {
    let policy = Policy { keep: Keep::Bundle, ..Policy::default() };
    let mut scene = pair(&policy);
    scene.change(|action| action.handling = ("attempt", "skip"));
    scene.once();
    let told = scene.action(ID).told;
    assert_eq!(told.last().unwrap(), "downloaded none", "{told:?}");
    assert_eq!((scene.board.stored, scene.board.began.len()), (1, 0));
    scene.change(|action| action.handling = ("attempt", "attempt"));
    scene.once();
    scene.board.boot();
    scene.board.verify();
    scene.once();
    assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")));
    let mut mixed = pair(&policy);
    mixed.board.file = b"abd";
    mixed.once();
    assert_eq!((mixed.open(), mixed.board.began.len()), (Open::Failed, 0));
    assert!(mixed.action(ID).messages.iter().any(|line| line.contains("SHA-1")));
}

/// A word to fetch only is no word to restart, whoever's the slot on trial is.
#[test]
fn what_may_only_be_fetched_leaves_a_trial_alone() {
    let [streams, stores] =
        [Keep::Nothing, Keep::Bundle].map(|keep| Policy { keep, ..Policy::default() });
    let cases =
        [(&streams, "attempt"), (&streams, "forced"), (&stores, "attempt"), (&stores, "forced")];
    for (policy, download) in cases {
        let mut scene = pair(policy);
        scene.once();
        scene.board.boot();
        scene.board.memory = Memory::default();
        let other = numbered(8, "3.0.0", (download, "skip"));
        scene.wire.book.borrow_mut().actions = vec![other];
        // Longer than a trial is waited for.
        scene.live(8);
        assert!(scene.board.is_on_trial(), "{download}: {:?}", scene.board.log);
        assert_eq!(scene.action(8).open, Open::Running);
        scene.board.verify();
        assert_eq!(scene.board.good(), Some("2.0.0"));
        scene.assert_strict();
    }
}
