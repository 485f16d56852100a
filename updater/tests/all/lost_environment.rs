// SPDX-License-Identifier: MIT OR Apache-2.0
//! I3, I8: the environment, or one copy of it, is lost while a system runs and updates. Found by the
//! model of the boot protocol (`docs/model.md`).

use crate::support::bundles::bundle_of;
use crate::support::{Board, ENV_BYTES, SYSTEM_CONF, system};
use bootctl::{
    BackendError, BootBackend, BootState, BundleId, Command, Entry, Recorder, SlotId, SlotState,
    Snapshot, Timestamp, transition,
};
use storage::{MemoryStorage, Shared, Storage};
use updater::{
    BootedGroup, InstallError, InstallEvent, InstallPolicy, InstallStep, PlanInstallError,
};

const COPIES: [u64; 2] = [0, ENV_BYTES as u64];

/// The state, as it was committed and is remembered.
fn remember(board: &Board, state: &BootState) {
    board.set_state(state);
    let mut recorder = Recorder::open(board.history.clone(), ENV_BYTES).unwrap();
    recorder.append(Timestamp::UNKNOWN, &Entry::States(Snapshot::from(state))).unwrap();
}

fn lose(board: &Board, copies: &[u64]) {
    let mut env = board.env.clone();
    for offset in copies {
        env.erase(*offset, u64::from(ENV_BYTES)).unwrap();
    }
}

/// A on trial, B good.
fn on_trial(board: &Board) -> BootState {
    let mut state = board.state();
    state.a.state = SlotState::Trying;
    state
}

fn refusal(outcome: Result<updater::InstallReport, InstallError>) -> PlanInstallError {
    match outcome {
        Err(InstallError::Plan(refused)) => *refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn last_good_slot_is_not_overwritten_from_a_trial_whose_environment_was_lost() {
    let mut board = Board::new(&system(1), &system(2));
    let state = on_trial(&board);
    remember(&board, &state);
    lose(&board, &COPIES);
    let bundle = bundle_of(&system(3), "26.1");
    let (outcome, _) = board.install(&bundle, InstallPolicy::default());
    let refused = refusal(outcome);
    let expected = matches!(
        refused,
        PlanInstallError::BootedUnconfirmed { booted: SlotId::A, good: SlotId::B }
    );
    assert!(expected, "{refused}");
    assert!(board.holds(SlotId::B, &system(2)));
}

/// The commit by which `boot started` restored the states is the newest copy.
#[test]
fn last_good_slot_is_not_overwritten_when_the_commit_that_restored_the_states_is_lost() {
    let mut board = Board::new(&system(1), &system(2));
    let state = on_trial(&board);
    board.set_state(&BootState { disk: state.disk, ..BootState::lost() });
    remember(&board, &state);
    let newest = COPIES.into_iter().find(|copy| {
        let env = without(&board, *copy);
        Board::backend(env).load().unwrap().b.state == SlotState::Unknown
    });
    lose(&board, &[newest.unwrap()]);
    assert_eq!(board.state().b.state, SlotState::Unknown);
    let bundle = bundle_of(&system(3), "26.1");
    let refused = refusal(board.install(&bundle, InstallPolicy::default()).0);
    assert!(matches!(refused, PlanInstallError::BootedUnconfirmed { .. }), "{refused}");
    assert!(board.holds(SlotId::B, &system(2)));
}

#[test]
fn bundle_that_failed_is_refused_after_the_environment_was_lost() {
    let mut board = Board::new(&system(1), &system(2));
    let bundle = bundle_of(&system(3), "26.1");
    let mut state = board.state();
    state.failed = vec![BundleId::from(bundle.manifest_digest())];
    remember(&board, &state);
    lose(&board, &COPIES);
    let refused = refusal(board.install(&bundle, InstallPolicy::default()).0);
    assert!(matches!(refused, PlanInstallError::KnownFailed { .. }), "{refused}");
}

#[test]
fn install_from_a_good_slot_begins_a_lost_environment_from_what_is_remembered() {
    let mut board = Board::new(&system(1), &system(2));
    let state = board.state();
    remember(&board, &state);
    lose(&board, &COPIES);
    let bundle = bundle_of(&system(3), "26.1");
    board.install(&bundle, InstallPolicy::default()).0.unwrap();
    let after = board.state();
    assert_eq!((after.a.state, after.b.state), (SlotState::Good, SlotState::Trying));
    assert_eq!((after.disk, after.order), (state.disk, vec![SlotId::B, SlotId::A]));
}

/// The environment's flash with one copy lost.
fn without(board: &Board, copy: u64) -> Shared<MemoryStorage> {
    let bytes = board.env.with(|flash| flash.bytes().to_vec());
    let mut env = Shared::new(MemoryStorage::nor("/dev/mtd0", bytes, ENV_BYTES));
    env.erase(copy, u64::from(ENV_BYTES)).unwrap();
    env
}

fn b_states(board: &Board) -> [SlotState; 2] {
    COPIES.map(|copy| Board::backend(without(board, copy)).load().unwrap().b.state)
}

/// Otherwise a lost copy takes back that an install began, and calls the new content good because
/// the old one was.
#[test]
fn both_copies_say_writing_from_before_the_seal_is_broken_until_the_end() {
    let mut board = Board::new(&system(1), &system(2));
    let seen = std::cell::RefCell::new(Vec::new());
    let env = board.env.clone();
    let mut backend = Board::backend(env.clone());
    let bundle = bundle_of(&system(3), "26.1");
    let mut look = |event: InstallEvent| {
        let InstallEvent::Step(step) = event else { return };
        let state = |lost: u64| {
            let bytes = env.with(|flash| flash.bytes().to_vec());
            let mut copy = Shared::new(MemoryStorage::nor("/dev/mtd0", bytes, ENV_BYTES));
            copy.erase(lost, u64::from(ENV_BYTES)).unwrap();
            Board::backend(copy).load().unwrap().b.state
        };
        seen.borrow_mut().push((step, COPIES.map(state)));
    };
    let (policy, booted) = (InstallPolicy::default(), BootedGroup::Slot(SlotId::A));
    board.install_told(SYSTEM_CONF, &bundle, policy, booted, &mut backend, &mut look).unwrap();
    let seen = seen.into_inner();
    let touches = seen.iter().position(|(step, _)| *step == InstallStep::BreakSeal).unwrap();
    assert!(seen[touches..].len() > 4, "{seen:?}");
    for (step, states) in &seen[touches..] {
        assert_eq!(*states, [SlotState::Writing; 2], "{step:?}");
    }
    let mut after = b_states(&board);
    after.sort();
    assert_eq!(after, [SlotState::Writing, SlotState::Trying], "the older copy is not started");
}

/// Confirms the running slot between the two commits of the begin.
struct Confirmed {
    inner: Box<dyn BootBackend>,
    board: Shared<MemoryStorage>,
    stores: usize,
}

impl BootBackend for Confirmed {
    fn name(&self) -> &'static str {
        "confirmed"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        let state = self.inner.load()?;
        if self.stores == 1 {
            self.stores += 1;
            let mut health = Board::backend(self.board.clone());
            let good = Command::MarkGood { slot: SlotId::A };
            health.store(&state, &transition(&state, Some(SlotId::A), &good).unwrap())?;
        }
        Ok(state)
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError> {
        self.stores += 1;
        self.inner.store(old, new)
    }

    fn copies(&self) -> usize {
        self.inner.copies()
    }
}

#[test]
fn a_slot_confirmed_between_the_two_commits_of_the_begin_stays_so_in_both_copies() {
    let mut board = Board::new(&system(1), &system(2));
    let mut state = board.state();
    (state.a.state, state.b.state) = (SlotState::Unknown, SlotState::Bad);
    state.order = vec![SlotId::A];
    board.set_state(&state);
    let env = board.env.clone();
    let inner = Box::new(Board::backend(env.clone()));
    let mut backend = Confirmed { inner, board: env, stores: 0 };
    let bundle = bundle_of(&system(3), "26.1");
    let (policy, booted) = (InstallPolicy::default(), BootedGroup::Slot(SlotId::A));
    let copies = std::cell::RefCell::new(Vec::new());
    let flash = board.env.clone();
    let mut look = |event: InstallEvent| {
        if event == InstallEvent::Step(InstallStep::BreakSeal) {
            for lost in COPIES {
                let bytes = flash.with(|flash| flash.bytes().to_vec());
                let mut copy = Shared::new(MemoryStorage::nor("/dev/mtd0", bytes, ENV_BYTES));
                copy.erase(lost, u64::from(ENV_BYTES)).unwrap();
                let found = Board::backend(copy).load().unwrap();
                copies.borrow_mut().push((found.a.state, found.b.state));
            }
        }
    };
    board.install_told(SYSTEM_CONF, &bundle, policy, booted, &mut backend, &mut look).unwrap();
    assert_eq!(copies.into_inner(), [(SlotState::Good, SlotState::Writing); 2]);
    assert_eq!(
        (board.state().a.state, board.state().b.state),
        (SlotState::Good, SlotState::Trying)
    );
}

/// Its second commit fails.
struct Failing {
    inner: Box<dyn BootBackend>,
    stores: usize,
}

impl BootBackend for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        self.inner.load()
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError> {
        self.stores += 1;
        if self.stores == 2 {
            return Err(BackendError::CopyLost { warning: "copy 1 is damaged".to_owned() });
        }
        self.inner.store(old, new)
    }

    fn copies(&self) -> usize {
        self.inner.copies()
    }
}

/// Found by a review: the slot said `writing`, and nothing on record said why.
#[test]
fn an_install_that_fails_between_the_two_commits_of_its_begin_is_on_record() {
    let mut board = Board::new(&system(1), &system(2));
    let inner = Box::new(Board::backend(board.env.clone()));
    let mut backend = Failing { inner, stores: 0 };
    let bundle = bundle_of(&system(3), "26.1");
    let (policy, booted) = (InstallPolicy::default(), BootedGroup::Slot(SlotId::A));
    let outcome =
        board.install_told(SYSTEM_CONF, &bundle, policy, booted, &mut backend, &mut |_| {});
    outcome.unwrap_err();
    assert_eq!(board.state().b.state, SlotState::Writing);
    assert!(board.holds(SlotId::B, &system(2)), "nothing is written yet");
    let history = board.history();
    let failed = |entry: &Entry| matches!(entry, Entry::InstallFailed { slot: SlotId::B, .. });
    assert!(history.iter().any(failed), "{history:?}");
}
