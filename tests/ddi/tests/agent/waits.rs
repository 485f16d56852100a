// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is waited for, what puts it off, and how often may a server have a slot begun?

use super::*;

/// Fails when a pause that began under a clock ten years ahead lasts for ten years.
#[test]
fn a_pause_ends_although_the_clock_is_set_back() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.unreachable = (1, 0);
    let years = 10 * 365 * 86_400;
    scene.board.set_clock_by(years);
    scene.board.clock_step = -years;
    scene.live(9);
    scene.board.verify();
    assert_eq!(scene.board.good(), Some("2.0.0"), "{:?}", scene.board.log);
}

/// Fails when a wait for a window that was named under a clock ten years ahead lasts until that window.
#[test]
fn a_wait_for_a_window_ends_although_the_clock_is_set_back() {
    let window = agents::Window::new(agents::Days::EVERY, 120, 240, 0);
    let policy = Policy { windows: vec![window.unwrap()], ..Policy::default() };
    let mut scene = pair(&policy);
    let years = 10 * 365 * 86_400;
    scene.board.set_clock_by(years);
    scene.board.clock_step = -years;
    scene.live(440);
    assert_eq!(scene.board.written, ["2.0.0"], "{:?}", scene.board.log);
}

/// Fails when a server that changes its mind for ever wears the flash out: it had a slot begun anew every
/// minute, also over starts of the agent.
#[test]
fn a_server_that_never_lets_an_install_end_has_ever_fewer_begun() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    let book = std::rc::Rc::clone(&scene.wire.book);
    let is_fickle = std::rc::Rc::new(std::cell::Cell::new(true));
    let changes = std::rc::Rc::clone(&is_fickle);
    let mut id = ID;
    scene.board.on_percent = Some(Box::new(move |percent| {
        if percent == 80 && changes.get() {
            let mut book = book.borrow_mut();
            id += 1;
            let next = numbered(id, &format!("{}.0.0", 2 + (id - ID) % 200), ("forced", "forced"));
            book.actions.clear();
            book.actions.push(next);
        }
    }));
    let until = scene.board.now().0 + 4 * 86_400;
    while scene.board.now().0 < until {
        scene.live(100);
    }
    let begun = scene.board.began.len();
    assert!((3..=12).contains(&begun), "{begun} in four days");
    assert!(scene.board.written.is_empty());
    let told = &scene.wire.book.borrow().actions[0].told.clone();
    assert!(told.contains(&"scheduled none".to_owned()), "{told:?}");
    // What it leaves alone is installed at last, and the next one at once.
    is_fickle.set(false);
    while scene.board.good() == Some("1.0.0") && scene.board.now().0 < until + 86_400 {
        scene.live(100);
        scene.board.verify();
    }
    assert_eq!(scene.board.written.len(), 1, "{:?}", scene.board.log.last());
    assert!(scene.board.good().is_some_and(|version| version != "1.0.0"));
    scene.wire.book.borrow_mut().actions.push(numbered(9_000, "250.0.0", ("attempt", "attempt")));
    scene.live(12);
    scene.board.verify();
    assert_eq!(scene.board.good(), Some("250.0.0"));
}

/// Fails when only the server's next word tells the agent that the install before the cut had ended:
/// it would try once more what has failed already.
#[test]
fn an_install_that_ended_unseen_is_told_by_its_slot() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.change(|action| action.handling = ("forced", "forced"));
    scene.board.bad.insert("2.0.0".to_owned());
    scene.board.cuts_written = true;
    scene.live(9);
    assert!(scene.board.is_on_trial(), "the power came back into the new slot");
    *scene.wire.faults.borrow_mut() = vec![503; 2];
    scene.live(0);
    scene.board.verify();
    scene.wire.faults.borrow_mut().clear();
    scene.once();
    let done = scene.action(ID);
    assert_eq!((done.open, scene.board.written.len()), (Open::Failed, 1), "{:?}", scene.board.log);
    assert!(done.messages.iter().any(|line| line.contains("probe network failed")), "{done:?}");
}

/// The questions of a device that waits for its window: polls, and no description of the action.
#[test]
fn a_long_wait_costs_the_server_only_polls() {
    let window = agents::Window::new(agents::Days::EVERY, 120, 240, 0);
    let policy = Policy { windows: vec![window.unwrap()], ..Policy::default() };
    let mut scene = pair(&policy);
    scene.live(40);
    assert_eq!(scene.asked("GET /DEFAULT/controller/v1/dev1/deploymentBase"), 1);
    assert!(scene.board.began.is_empty());
    assert!(scene.board.slept.iter().all(|secs| *secs >= 30), "{:?}", scene.board.slept);
    scene.live(400);
    assert_eq!(scene.board.written, ["2.0.0"], "the window opens");
}

/// One place's wish to be left alone for a day held every action up, with another bundle from another
/// place too.
#[test]
fn a_place_that_puts_off_holds_no_other_action_up() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    (scene.board.unreachable, scene.board.put_off) = ((1, 0), Some(Duration::from_secs(86_400)));
    let next = |book: &mut ddi::book::Book| {
        book.actions.clear();
        book.actions.push(numbered(8, "3.0.0", ("attempt", "attempt")));
    };
    scene.wire.turns.borrow_mut().push((12, Box::new(next)));
    let begun = scene.board.now().0;
    scene.live(60);
    scene.board.verify();
    assert_eq!(scene.board.good(), Some("3.0.0"), "{:?}", scene.board.log);
    assert_eq!(scene.board.began, ["3.0.0"], "the first was left alone");
    assert!(scene.board.now().0 - begun < 12 * 3600, "{:?}", scene.board.slept);
}

/// Fails when attributes that a server does not take end the round, or are sent for ever.
#[test]
fn attributes_that_are_not_taken_hold_no_action_up() {
    for status in [400, 405, 409, 413, 422, 423] {
        let policy = Policy::default();
        let mut scene = pair(&policy);
        *scene.wire.faults.borrow_mut() = vec![status, 200];
        let end = scene.once();
        assert!(matches!(end.ending, HawkbitEnding::Restarting { .. }), "{status}");
        let told = |line: &String| line.contains("the attributes were not taken");
        assert_eq!(scene.board.log.iter().filter(|line| told(line)).count(), 1, "{status}");
        assert_eq!(scene.asked("PUT"), 0, "what went wrong did not reach the book");
        scene.assert_strict();
    }
}

/// Fails when a description that is gone closes the action, or is the end of the device's updates.
#[test]
fn an_action_whose_description_is_gone_is_left_and_taken_when_it_is_there_again() {
    for status in [404, 405, 410] {
        let policy = Policy::default();
        let mut scene = pair(&policy);
        // Poll, attributes, description: of an action that nobody knows here.
        *scene.wire.faults.borrow_mut() = vec![status, 200, 200];
        let end = scene.once();
        assert!(matches!(end.ending, HawkbitEnding::Rests), "{status}: {:?}", end.ending);
        assert_eq!((end.failures, scene.board.memory.action.is_none()), (0, true), "{status}");
        // And of one that waits here.
        (scene.board.unreachable, scene.board.put_off) = ((1, 0), None);
        scene.once();
        assert!(scene.board.memory.action.is_some(), "{status}: {:?}", scene.board.log);
        *scene.wire.faults.borrow_mut() = vec![status, 200];
        scene.once();
        assert!(scene.board.memory.action.is_none(), "{status}: {:?}", scene.board.log);
        assert!(scene.board.began.is_empty(), "{status}");
        scene.once();
        scene.board.boot();
        scene.board.verify();
        scene.once();
        assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")), "{status}");
        let told = scene.action(ID).told;
        assert!(!told.contains(&"closed failure".to_owned()), "{status}: {told:?}");
        scene.assert_strict();
    }
}

/// A server that forces what fails here with one action after the other had it written and booted at
/// each poll.
#[test]
fn what_is_forced_and_fails_again_and_again_is_tried_ever_less() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.board.bad.insert("2.0.0".to_owned());
    let until = scene.board.now().0 + 4 * 86_400;
    let mut id = ID;
    while scene.board.now().0 < until {
        id += 1;
        let next = numbered(id, "2.0.0", ("forced", "forced"));
        scene.wire.book.borrow_mut().actions = vec![next];
        for _ in 0..4 {
            scene.live(20);
            scene.board.verify();
        }
    }
    let begun = scene.board.began.len();
    assert!((3..=12).contains(&begun), "{begun} in four days");
}
