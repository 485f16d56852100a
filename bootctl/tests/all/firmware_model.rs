// SPDX-License-Identifier: MIT OR Apache-2.0
//! The selector's model: what boots after what, and what never does.

use bootctl::{
    Activation, AttemptsLeft, BootState, BundleId, Command, Entry, FirmwareFacts, Force, PerSlot,
    Reason, RecorderFacts, SelectStep, Selection, SlotId, SlotRecord, SlotState, Snapshot,
    describe_next, reconcile, select, transition,
};
use proptest::prelude::*;
use storage::PartUuid;

const A: SlotId = SlotId::A;
const B: SlotId = SlotId::B;
const BUNDLE: BundleId = BundleId::from_bytes([5; 16]);

fn disk() -> PartUuid {
    "11111111-2222-3333-4444-555555555555".parse().unwrap()
}

fn facts() -> FirmwareFacts {
    FirmwareFacts { disk: Some(disk()), save_works: true, loads: PerSlot { a: true, b: true } }
}

fn record(state: SlotState, attempts: u8) -> SlotRecord {
    SlotRecord { state, attempts: AttemptsLeft::new(attempts).unwrap(), bundle: Some(BUNDLE) }
}

fn state(order: &[SlotId], a: SlotRecord, b: SlotRecord) -> BootState {
    BootState { order: order.to_vec(), a, b, disk: Some(disk()), ..BootState::lost() }
}

/// Boots over and over without Linux ever saying anything.
fn boot_times(start: &BootState, facts: &FirmwareFacts, times: usize) -> Vec<Selection> {
    let mut state = start.clone();
    let mut boots = Vec::new();
    for _ in 0..times {
        let selection = select(Some(&state), facts);
        if selection.save {
            state = selection.state.clone();
        }
        boots.push(selection);
    }
    boots
}

fn slots(boots: &[Selection]) -> Vec<Option<SlotId>> {
    boots.iter().map(|selection| selection.boots).collect()
}

#[test]
fn an_update_that_never_confirms_gets_three_attempts_and_is_abandoned() {
    let start = state(&[B, A], record(SlotState::Good, 3), record(SlotState::Trying, 3));
    let boots = boot_times(&start, &facts(), 4);
    assert_eq!(slots(&boots), [Some(B), Some(B), Some(B), Some(A)]);
    let reasons: Vec<Reason> = boots.iter().map(|selection| selection.reason).collect();
    assert_eq!(reasons, [Reason::Trying, Reason::Trying, Reason::Trying, Reason::Fallback]);
    assert_eq!(boots[3].state.b.state, SlotState::Bad);
    assert!(boots[3].steps.contains(&SelectStep::TurnedBad { slot: B }));

    // Linux remembers the bundle, notes the fallback with its cause, and does so once.
    let recorder = RecorderFacts::from_entries(&[
        Entry::FirstBoot { disk: disk() },
        Entry::InstallFinished { slot: B, version: "2".to_owned(), bundle: BUNDLE },
        Entry::Booted { slot: B, reason: Reason::Trying, attempts: AttemptsLeft::ZERO },
    ]);
    let known = reconcile(&boots[3].state, Some(A), Some(Reason::Fallback), &recorder);
    assert!(known.state.is_known_failed(&BUNDLE));
    assert_eq!(known.state.order, [A]);
    let cause = "reached userspace once and gave no verdict".to_owned();
    assert_eq!(known.entries[0], Entry::FellBack { from: B, to: A, cause });
    let again = reconcile(&known.state, Some(A), Some(Reason::Normal), &recorder);
    assert_eq!(again.state, known.state);
    assert!(!again.entries.iter().any(|entry| matches!(entry, Entry::FellBack { .. })));
}

#[test]
fn a_good_slot_that_runs_out_is_not_bad_and_gets_its_attempts_back() {
    let start = state(&[B, A], record(SlotState::Good, 1), record(SlotState::Good, 1));
    let boots = boot_times(&start, &facts(), 3);
    assert_eq!(slots(&boots), [Some(B), Some(A), Some(B)]);
    assert_eq!(boots[1].reason, Reason::Fallback);
    assert_eq!(boots[2].reason, Reason::AttemptsReset);
    assert_eq!((boots[2].state.a.attempts.get(), boots[2].state.b.attempts.get()), (3, 2));
    assert_eq!(boots[2].state.b.state, SlotState::Good);
}

#[test]
fn without_a_saved_environment_no_unpaid_attempt_starts() {
    let unwritable = FirmwareFacts { save_works: false, ..facts() };
    let start = state(&[B, A], record(SlotState::Good, 0), record(SlotState::Trying, 3));
    for selection in boot_times(&start, &unwritable, 5) {
        assert_eq!((selection.boots, selection.reason), (Some(A), Reason::EnvUnwritable));
        assert!(!selection.save);
    }
    let unknown = FirmwareFacts { save_works: false, ..facts() };
    let selection = select(None, &unknown);
    assert_eq!((selection.boots, selection.reason), (Some(A), Reason::EnvUnwritable));
    let lonely = state(&[B], SlotRecord::EMPTY, record(SlotState::Trying, 3));
    let selection = select(Some(&lonely), &unwritable);
    assert_eq!((selection.boots, selection.reason), (None, Reason::Recovery));
}

#[test]
fn an_environment_of_another_disk_is_not_believed_and_then_counts_on_this_one() {
    let mut foreign = state(&[B], SlotRecord::EMPTY, record(SlotState::Good, 3));
    foreign.disk = Some("99999999-2222-3333-4444-555555555555".parse().unwrap());
    let boots = boot_times(&foreign, &facts(), 4);
    assert_eq!(slots(&boots), [Some(A), Some(A), Some(A), Some(B)]);
    assert_eq!(boots[0].reason, Reason::ForeignDisk);
    assert_eq!(boots[0].state.disk, Some(disk()));
    assert_eq!(boots[1].reason, Reason::EnvLost, "the states are still unknown");

    // A freshly flashed disk has no boot-b: the environment of its former life is foreign too.
    let flashed = FirmwareFacts { disk: None, ..facts() };
    let old_life = state(&[B], SlotRecord::EMPTY, record(SlotState::Good, 3));
    assert_eq!(select(Some(&old_life), &flashed).boots, Some(A));
}

#[test]
fn bad_slots_alternate_with_a_growing_pause_when_nothing_else_is_left() {
    let start = state(&[], record(SlotState::Bad, 0), record(SlotState::Bad, 0));
    let boots = boot_times(&start, &facts(), 7);
    let expected = [A, B, A, B, A, B, A].map(Some);
    assert_eq!(slots(&boots), expected);
    let pauses: Vec<u16> = boots.iter().map(|selection| selection.state.pause.secs()).collect();
    assert_eq!(pauses, [10, 30, 60, 120, 300, 300, 300]);
    assert!(boots.iter().all(|selection| selection.reason == Reason::LastResort));
    let unsealed = FirmwareFacts { loads: PerSlot { a: false, b: false }, ..facts() };
    assert_eq!(select(Some(&start), &unsealed).reason, Reason::Recovery);
}

#[test]
fn a_slot_that_does_not_load_costs_its_attempts_and_says_so_on_the_next_boot() {
    let broken = FirmwareFacts { loads: PerSlot { a: true, b: false }, ..facts() };
    let start = state(&[B, A], record(SlotState::Good, 3), record(SlotState::Trying, 3));
    let boots = boot_times(&start, &broken, 5);
    assert_eq!(slots(&boots), [None, None, None, Some(A), Some(A)]);
    assert_eq!(boots[3].reason, Reason::LoadFailed);
    assert_eq!(boots[4].reason, Reason::Fallback);
}

#[test]
fn two_updates_go_to_b_and_back_to_a() {
    let mut state = BootState::factory(disk());
    for (round, target) in [(1_u8, B), (2, A), (3, B)] {
        let running = target.other();
        let bundle = BundleId::from_bytes([round; 16]);
        let activation = Activation::Activate;
        for command in [
            Command::BeginInstall { target },
            Command::FinishInstall { target, bundle, activation },
        ] {
            state = transition(&state, Some(running), &command).unwrap();
        }
        let selection = select(Some(&state), &facts());
        assert_eq!((selection.boots, selection.reason), (Some(target), Reason::Trying));
        state = transition(&selection.state, Some(target), &Command::MarkGood { slot: target })
            .unwrap();
        assert_eq!(state.slot(target).bundle, Some(bundle));
        assert_eq!(describe_next(&state).slot, Some(target));
        assert_eq!(state.slot(running).state, SlotState::Good, "the way back stays open");
    }
}

#[test]
fn a_staged_update_does_not_boot_before_it_is_marked_active() {
    let mut state = BootState::factory(disk());
    for command in [
        Command::BeginInstall { target: B },
        Command::FinishInstall { target: B, bundle: BUNDLE, activation: Activation::Stage },
    ] {
        state = transition(&state, Some(A), &command).unwrap();
    }
    assert!(slots(&boot_times(&state, &facts(), 9)).iter().all(|slot| *slot == Some(A)));
    state = transition(&state, Some(A), &Command::MarkActive { slot: B }).unwrap();
    assert_eq!(select(Some(&state), &facts()).boots, Some(B));
}

#[test]
fn after_an_environment_loss_the_recorder_restores_the_states_of_its_own_disk_only() {
    let before = BootState {
        failed: vec![BUNDLE],
        ..state(&[B, A], record(SlotState::Good, 3), record(SlotState::Good, 3))
    };
    let recorder = RecorderFacts::from_entries(&[Entry::States(Snapshot::from(&before))]);
    let lost = select(None, &facts());
    assert_eq!((lost.boots, lost.reason), (Some(A), Reason::EnvLost));
    let known = reconcile(&lost.state, Some(A), Some(Reason::EnvLost), &recorder);
    assert_eq!(known.state.order, [B, A]);
    assert_eq!((known.state.a.state, known.state.b.state), (SlotState::Good, SlotState::Good));
    assert_eq!(known.state.failed, [BUNDLE]);

    let mut elsewhere = lost.state;
    elsewhere.disk = Some("99999999-2222-3333-4444-555555555555".parse().unwrap());
    let unknown = reconcile(&elsewhere, Some(A), Some(Reason::EnvLost), &recorder);
    assert_eq!(unknown.state, elsewhere);
}

/// Found by the model: both copies were lost between the selector's save and `boot started`, which
/// then wrote down that nothing was known, of no disk; and that was all there was to restore from.
#[test]
fn an_environment_lost_under_a_running_system_does_not_make_the_recorder_forget() {
    let before = BootState {
        failed: vec![BUNDLE],
        ..state(&[B, A], record(SlotState::Good, 3), record(SlotState::Bad, 0))
    };
    let mut entries = vec![Entry::States(Snapshot::from(&before))];
    let found = BootState::lost();
    let started = reconcile(&found, Some(A), None, &RecorderFacts::from_entries(&entries));
    entries.extend(started.entries);

    let facts = RecorderFacts::from_entries(&entries);
    assert_eq!(facts.snapshot().map(|known| known.disk), Some(before.disk));
    let lost = select(None, &self::facts());
    let known = reconcile(&lost.state, Some(A), Some(Reason::EnvLost), &facts).state;
    assert_eq!((known.a.state, known.b.state), (SlotState::Good, SlotState::Bad));
    assert_eq!(known.failed, [BUNDLE]);
}

#[test]
fn a_half_written_slot_stays_unbootable_through_an_environment_loss() {
    let writing = SlotRecord { state: SlotState::Writing, ..SlotRecord::EMPTY };
    let before = state(&[A], record(SlotState::Good, 3), writing);
    let recorder = RecorderFacts::from_entries(&[Entry::States(Snapshot::from(&before))]);
    let unsealed = FirmwareFacts { loads: PerSlot { a: true, b: false }, ..facts() };
    let lost = select(None, &unsealed);
    let known = reconcile(&lost.state, lost.boots, Some(Reason::EnvLost), &recorder).state;
    assert_eq!((known.b.state, known.order), (SlotState::Writing, vec![A]));
}

fn any_slot() -> impl Strategy<Value = SlotId> {
    prop::sample::select(SlotId::ALL.to_vec())
}

fn any_force() -> impl Strategy<Value = Force> {
    prop::sample::select(vec![Force::No, Force::Yes])
}

fn any_command() -> impl Strategy<Value = Command> {
    let bundle = (0_u8..4).prop_map(|byte| BundleId::from_bytes([byte; 16]));
    let activation = prop::sample::select(vec![Activation::Activate, Activation::Stage]);
    prop_oneof![
        any_slot().prop_map(|target| Command::BeginInstall { target }),
        (any_slot(), bundle, activation).prop_map(|(target, bundle, activation)| {
            Command::FinishInstall { target, bundle, activation }
        }),
        any_slot().prop_map(|target| Command::FailInstall { target }),
        any_slot().prop_map(|slot| Command::MarkGood { slot }),
        (any_slot(), any_force()).prop_map(|(slot, force)| Command::MarkBad { slot, force }),
        any_slot().prop_map(|slot| Command::MarkActive { slot }),
        any_slot().prop_map(|slot| Command::RestoreAttempts { slot }),
        any_slot().prop_map(|slot| Command::ConfirmFallback { slot }),
        any_slot().prop_map(|slot| Command::Leave { slot }),
        any_force().prop_map(|force| Command::Rollback { force }),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Linux(Command),
    Boot { save_works: bool },
    LoseEnvironment,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any_command().prop_map(Event::Linux),
        4 => Just(Event::Boot { save_works: true }),
        1 => Just(Event::Boot { save_works: false }),
        1 => Just(Event::LoseEnvironment),
    ]
}

/// What is truly on the medium, which the state machine can only know from its records.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    Nothing,
    HalfWritten,
    Complete,
}

struct World {
    env: Option<BootState>,
    content: PerSlot<Content>,
    recorder: RecorderFacts,
    entries: Vec<Entry>,
    booted: Option<SlotId>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            env: Some(BootState::factory(disk())),
            content: PerSlot { a: Content::Complete, b: Content::Nothing },
            recorder: RecorderFacts::default(),
            entries: Vec::new(),
            booted: None,
        };
        world.note(vec![Entry::FirstBoot { disk: disk() }]);
        world
    }

    fn note(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries);
        self.recorder = RecorderFacts::from_entries(&self.entries);
    }

    fn boot(&mut self, save_works: bool) {
        let sealed = |content| content == Content::Complete;
        let loads = PerSlot { a: sealed(self.content.a), b: sealed(self.content.b) };
        let facts = FirmwareFacts { save_works, loads, ..facts() };
        let selection = select(self.env.as_ref(), &facts);
        if let Some(slot) = selection.boots {
            assert_eq!(*self.content.get(slot), Content::Complete, "I2: {slot} was started");
            let chosen = selection.state.slot(slot).state;
            assert!(
                !matches!(chosen, SlotState::Empty | SlotState::Writing),
                "I2: {slot} was started while {chosen}"
            );
            if chosen == SlotState::Bad {
                let other = slot.other();
                let good = selection.state.slot(other).state == SlotState::Good;
                assert!(!(good && *loads.get(other)), "a good slot was abandoned for a bad one");
            }
        }
        if selection.save {
            self.env = Some(selection.state.clone());
        }
        self.booted = selection.boots;
        let Some(slot) = selection.boots else { return };
        let found = self.env.clone().unwrap_or_else(BootState::lost);
        let known = reconcile(&found, Some(slot), Some(selection.reason), &self.recorder);
        if save_works {
            self.env = Some(known.state);
            self.note(known.entries);
        }
    }

    fn linux(&mut self, command: Command) {
        let Some(booted) = self.booted else { return };
        // Linux works on what it reads; a lost environment reads as unknown slots.
        let before = self.env.clone().unwrap_or_else(BootState::lost);
        let Ok(after) = transition(&before, Some(booted), &command) else { return };
        if let Command::BeginInstall { target } = command {
            assert_ne!(target, booted, "I2: the booted slot is written");
            let last_good = before.slot(target).state == SlotState::Good
                && before.slot(target.other()).state != SlotState::Good;
            assert!(!last_good, "I8: the last good slot is written");
            *self.content.get_mut(target) = Content::HalfWritten;
        }
        if let Command::FinishInstall { target, .. } = command {
            *self.content.get_mut(target) = Content::Complete;
        }
        for slot in &after.order {
            assert!(
                !matches!(
                    after.slot(*slot).state,
                    SlotState::Empty | SlotState::Writing | SlotState::Bad
                ),
                "{command:?} left slot {slot} in the order of {after:?}"
            );
        }
        self.note(vec![Entry::States(Snapshot::from(&after))]);
        self.env = Some(after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_sequence_of_events_starts_an_incomplete_slot_or_abandons_a_good_one(
        events in prop::collection::vec(any_event(), 1..60)
    ) {
        let mut world = World::new();
        world.boot(true);
        for event in events {
            match event {
                Event::Linux(command) => world.linux(command),
                Event::Boot { save_works } => world.boot(save_works),
                Event::LoseEnvironment => world.env = None,
            }
        }
        // Whatever happened, the next few power-ups find a system as long as one is complete.
        let complete = world.content.a == Content::Complete || world.content.b == Content::Complete;
        let mut started = false;
        for _ in 0..12 {
            world.boot(true);
            started |= world.booted.is_some();
        }
        prop_assert!(started || !complete, "nothing boots: {:?} {:?}", world.env, world.content);
    }

    #[test]
    fn the_state_survives_its_text_form(
        events in prop::collection::vec(any_event(), 0..30)
    ) {
        let mut world = World::new();
        world.boot(true);
        for event in events {
            match event {
                Event::Linux(command) => world.linux(command),
                Event::Boot { save_works } => world.boot(save_works),
                Event::LoseEnvironment => world.env = None,
            }
        }
        if let Some(state) = world.env {
            let mut env = uboot::Env::new();
            env.set("ethaddr", "02:00:00:00:00:01").unwrap();
            state.write_to(&mut env).unwrap();
            let (read, warnings) = BootState::from_env_warned(&env).unwrap();
            prop_assert_eq!(read, state);
            prop_assert!(warnings.is_empty());
            prop_assert_eq!(env.get("ethaddr"), Some("02:00:00:00:00:01"));
        }
    }
}
